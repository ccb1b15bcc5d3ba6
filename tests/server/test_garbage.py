"""`clew gc --dry-run`: only what nothing refers to, whoever refers to it."""

from datetime import UTC, datetime

import sqlalchemy as sa

from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.server.garbage import find_garbage
from clew.storage.blobs import ManifestFile
from clew.storage.schema import blob_owners

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def test_what_a_version_reaches_through_a_manifest_is_kept(backend: LocalBackend) -> None:
    loose, named, inside = (backend.blobs.put(text) for text in (b"loose", b"named", b"inside a manifest"))
    manifest = backend.blobs.put_manifest([ManifestFile("model.onnx", inside.digest, inside.size_bytes)])

    def add(name: str, digest: str) -> None:
        backend.context("test").run_write(
            lambda context: catalog.add_version(
                context,
                kind="model",
                name=name,
                definition_digest="sha256:d",
                content_digest=digest,
                why="a test",
                details={"file": digest},
            )
        )

    add("late", named.digest)
    add("early", manifest)
    found = find_garbage(backend)
    assert found.digests == [loose.digest]
    assert (found.stored, found.size_bytes) == (4, len(b"loose"))


def test_what_was_staged_lately_is_kept_for_a_day(sqlite_backend: LocalBackend) -> None:
    blob = sqlite_backend.upload(b"about to be committed")
    assert find_garbage(sqlite_backend).digests == []
    with sqlite_backend.database.write() as connection:
        connection.execute(sa.update(blob_owners).values(staged_at=LONG_AGO))
    assert find_garbage(sqlite_backend).digests == [blob.digest]


def test_a_file_that_is_staged_again_is_kept_for_another_day(backend: LocalBackend) -> None:
    blob = backend.upload(b"about to be committed, a second time")
    with backend.database.write() as connection:
        connection.execute(sa.update(blob_owners).values(staged_at=LONG_AGO))
    assert backend.upload(b"about to be committed, a second time") == blob
    assert find_garbage(backend).digests == []
