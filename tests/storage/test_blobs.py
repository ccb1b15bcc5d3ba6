"""Blobs: by content, whole or not at all."""

from pathlib import Path

import pytest

from clew.errors import Invalid, NotFound
from clew.storage.blobs import Blobs, ManifestFile, digest_bytes


@pytest.fixture(params=["file", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    return Blobs("memory:///" if request.param == "memory" else f"file://{tmp_path}/storage", cache=tmp_path / "cache")


def test_what_was_put_is_read_back_and_stored_once(blobs: Blobs, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"hello")
    first, again = blobs.put(b"hello"), blobs.put(file)
    assert first == again
    assert blobs.get(first.digest) == blobs.path(first.digest).read_bytes() == b"hello"
    assert first.size_bytes == 5


def test_a_missing_blob_is_not_found(blobs: Blobs) -> None:
    digest = digest_bytes(b"never stored")
    assert not blobs.exists(digest)
    with pytest.raises(NotFound, match="no blob sha256:"):
        blobs.get(digest)


@pytest.mark.parametrize("digest", ["sha256:../../etc", "md5:00", "", "sha256:" + "G" * 64])
def test_what_is_no_digest_is_refused(blobs: Blobs, digest: str) -> None:
    with pytest.raises(Invalid, match="no blob digest"):
        blobs.get(digest)


def test_a_manifest_has_one_digest_in_any_order(blobs: Blobs) -> None:
    files = [ManifestFile(name, blobs.put(name.encode()).digest, 1) for name in "ab"]
    digest = blobs.put_manifest(files)
    assert digest == blobs.put_manifest(reversed(files))
    assert [file.path for file in blobs.get_manifest(digest).files] == ["a", "b"]


def test_an_interrupted_put_leaves_no_file(tmp_path: Path) -> None:
    blobs = Blobs(f"file://{tmp_path}")
    with pytest.raises(FileNotFoundError):
        blobs.put(tmp_path / "missing")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
