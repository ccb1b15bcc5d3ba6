"""Which stored bytes nothing refers to. Careful by construction: a digest that stands in any row of any table, or in a blob that is
itself referred to, keeps its blob; so a new slice can't be forgotten here."""

import re
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from clew.backend import LocalBackend
from clew.clock import wall_now
from clew.operations import load_all
from clew.storage.blobs import Blobs, local_folder
from clew.storage.database import Json, metadata
from clew.storage.schema import blob_owners

__all__ = ["Garbage", "find_garbage"]

_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")
_LEASE = timedelta(days=1)
_LARGEST_MANIFEST_BYTES = 64 << 20


@dataclass(frozen=True)
class Garbage:
    """Blobs that nothing refers to and that were not staged within the last day."""

    stored: int
    stored_bytes: int
    digests: list[str]
    size_bytes: int

    def words(self) -> str:
        if not self.digests:
            return f"Nothing to collect: all {self.stored} stored files ({_mib(self.stored_bytes)}) are referred to."
        listed = "\n".join(f"  {digest}" for digest in self.digests[:20]) + ("\n  …" if len(self.digests) > 20 else "")
        return f"{len(self.digests)} of {self.stored} stored files ({_mib(self.size_bytes)}) are referred to by nothing:\n{listed}"


def find_garbage(backend: LocalBackend) -> Garbage:
    """Look, and touch nothing. Raises nothing of its own; a blob that can't be read is kept."""
    load_all()  # brings every slice's tables into the metadata
    sizes = _stored(backend.settings.storage_url)
    kept = _reached(_named_in_rows(backend), sizes, backend.blobs) | _staged_lately(backend)
    loose = sorted(set(sizes) - kept)
    return Garbage(len(sizes), sum(sizes.values()), loose, sum(sizes[digest] for digest in loose))


def _stored(storage_url: str) -> dict[str, int]:
    folder = local_folder(storage_url)
    if folder is not None:
        return {f"sha256:{file.name}": file.stat().st_size for file in folder.glob("blobs/??/*") if len(file.name) == 64}
    from obstore.store import from_url

    found = (item for batch in from_url(storage_url).list("blobs/") for item in batch)
    return {f"sha256:{item['path'].rpartition('/')[2]}": int(item["size"]) for item in found}


def _named_in_rows(backend: LocalBackend) -> set[str]:
    """Every digest in every text of every table, but for the list of who may read which blob."""
    found: set[str] = set()
    with backend.database.read() as connection:
        for table in metadata.sorted_tables:
            texts = [column for column in table.c if isinstance(column.type, Json | sa.Text | sa.String | sa.LargeBinary)]
            if table is blob_owners or not texts:
                continue
            as_stored = [sa.type_coerce(column, sa.LargeBinary if isinstance(column.type, sa.LargeBinary) else sa.Text) for column in texts]
            for row in connection.execute(sa.select(*as_stored)).yield_per(1_000):
                for value in row:
                    found |= _digests(value.encode() if isinstance(value, str) else bytes(value or b""))
    return found


def _digests(content: bytes) -> set[str]:
    return {match.decode() for match in _DIGEST.findall(content)}


def _reached(named: set[str], sizes: dict[str, int], blobs: Blobs) -> set[str]:
    """What is named, and what the named blobs name in turn: manifests list files, snapshots list manifests."""
    reached, waiting = set(named), list(named)
    while waiting:
        digest = waiting.pop()
        if not 0 < sizes.get(digest, 0) <= _LARGEST_MANIFEST_BYTES:
            continue
        content = blobs.get(digest)
        if content[:1] in (b"{", b"["):
            fresh = _digests(content) - reached
            reached |= fresh
            waiting += fresh
    return reached


def _staged_lately(backend: LocalBackend) -> set[str]:
    query = sa.select(blob_owners.c.digest).where(blob_owners.c.staged_at > wall_now() - _LEASE)
    with backend.database.read() as connection:
        return set(connection.scalars(query))


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 20):.1f} MiB"
