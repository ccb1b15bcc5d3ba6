"""Tables as Delta Lake under ``<storage>/tables``, in a folder or any object store, readable without Clew.

Whoever commits says which head it saw: a table that moved on in the meantime is a conflict, never a silent merge. A version that is
committed here is not yet visible to anybody; it is when a row of the database pins it. So a commit whose row never came is undone by
the next writer with ``rollback_to``.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clew.errors import Conflict, NotFound
from clew.identifiers import check_slug
from clew.storage.blobs import local_folder
from clew.storage.columns import DTYPE_KEY, restore, to_arrow
from clew.storage.disks import refusal

if TYPE_CHECKING:
    import polars as pl
    from deltalake import DeltaTable
    from deltalake.transaction import PostCommitHookProperties

__all__ = ["TablePin", "Tables"]

Mode = Literal["append", "overwrite"]

_FOREVER = "interval 36500 days"
_CONFIGURATION = {
    # Delta forgets old versions after 30 days unless told otherwise, and ours are pinned for as long as a row names them.
    "delta.logRetentionDuration": _FOREVER,
    "delta.deletedFileRetentionDuration": _FOREVER,
    "delta.enableExpiredLogCleanup": "false",
    "delta.checkpointInterval": "20",
}


@dataclass(frozen=True)
class TablePin:
    """One exact version of one table. ``rows`` and ``size_bytes`` are of the whole version, not of the commit."""

    table: str
    version: int
    rows: int
    size_bytes: int


class Tables:
    """Every table of a storage URL. Thread-safe: it holds no state but the address.

    A table's name is one or more slugs joined by ``/``, such as ``flights/datasets/landings``. Rows are read in the
    order in which they were committed.
    """

    def __init__(self, storage_url: str) -> None:
        folder = local_folder(storage_url)
        self._root = str(folder.absolute() / "tables") if folder else f"{storage_url.rstrip('/')}/tables"

    def append(self, table: str, frame: "pl.DataFrame | Path", *, expected_head: int | None) -> TablePin:
        """Commit more rows, of a frame or a Parquet file; ``expected_head`` is ``None`` for a table that is not there yet.

        Raises ``Conflict`` when the head is another, ``Invalid`` for a type that can't be kept, ``StorageFull``.
        """
        return self._commit(table, frame, expected_head, "append")

    def overwrite(self, table: str, frame: "pl.DataFrame | Path", *, expected_head: int | None) -> TablePin:
        """Commit a version that holds these rows only, whatever columns the table had. Older versions stay."""
        return self._commit(table, frame, expected_head, "overwrite")

    def scan(self, pin: TablePin) -> "pl.LazyFrame":
        """The rows of a version, lazily, each column in the type and zone that it was written in. Raises ``NotFound``."""
        import polars as pl
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            delta = self._open(pin.table, pin.version)
        except (TableNotFoundError, DeltaError) as error:
            raise NotFound(f"the table {pin.table!r} has no version {pin.version} here; its bytes may have been collected") from error
        fields = delta.schema().fields
        # Not pl.scan_delta: it looks for a folder named with a space under "%20", and gives files in no stated order.
        files = [f"{self._uri(pin.table)}/{path}" for path in _files(delta).sort("modification_time", "path")["path"]]
        rows = pl.scan_parquet(files, glob=False) if files else pl.LazyFrame(schema=pl.Schema(delta.schema().to_arrow()))
        real = {field.name: field.metadata[DTYPE_KEY] for field in fields if DTYPE_KEY in field.metadata}
        return restore(rows.select(field.name for field in fields), real)

    def head(self, table: str) -> int | None:
        """The newest committed version, pinned or not; ``None`` when there is no such table."""
        from deltalake.exceptions import TableNotFoundError

        try:
            return self._open(table).version()
        except TableNotFoundError:
            return None

    def rollback_to(self, table: str, version: int) -> int:
        """Make the content of ``version`` the head's content again; the head that this made, or the one that was ``version`` already."""
        delta = self._open(table)
        if delta.version() > version:
            with _translated(table):
                delta.restore(version, post_commithook_properties=_hooks())
        return self._open(table).version()

    def _commit(self, table: str, frame: "pl.DataFrame | Path", expected_head: int | None, mode: Mode) -> TablePin:
        import polars as pl
        from deltalake import CommitProperties, write_deltalake

        rows = to_arrow(pl.read_parquet(frame) if isinstance(frame, Path) else frame)
        first = expected_head is None
        with _translated(table):
            write_deltalake(
                self._uri(table) if first else self._open(table, expected_head),
                rows,
                mode="error" if first else mode,
                schema_mode="overwrite" if mode == "overwrite" and not first else None,
                configuration=_CONFIGURATION if first else None,
                # No retries: deltalake would quietly rebase an append on what another writer committed.
                commit_properties=CommitProperties(max_commit_retries=0),
                post_commithook_properties=_hooks(),
            )
        return self._pin(table, 0 if expected_head is None else expected_head + 1)

    def _pin(self, table: str, version: int) -> TablePin:
        files = _files(self._open(table, version))
        return TablePin(table, version, int(files["num_records"].sum()), int(files["size_bytes"].sum()))

    def _open(self, table: str, version: int | None = None) -> "DeltaTable":
        from deltalake import DeltaTable

        return DeltaTable(self._uri(table), version=version)

    def _uri(self, table: str) -> str:
        return "/".join([self._root, *(check_slug(part, "table") for part in table.split("/"))])


def _files(delta: "DeltaTable") -> "pl.DataFrame":
    import polars as pl

    return pl.DataFrame(delta.get_add_actions(flatten=True))


def _hooks() -> "PostCommitHookProperties":
    from deltalake import PostCommitHookProperties

    return PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)


@contextmanager
def _translated(table: str) -> Iterator[None]:
    """Delta's words for *somebody else committed* and *full* in ours."""
    from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

    try:
        yield
    except (CommitFailedError, TableNotFoundError) as error:
        raise Conflict(f"another writer committed to the table {table!r} first; nothing of this commit was kept, try again") from error
    except (DeltaError, OSError) as error:
        text = str(error)
        ours = refusal(error, f"the table {table!r}")
        if ours is not None:
            raise ours from error
        if "already exists" in text:
            raise Conflict(f"another writer made the table {table!r} first; nothing of this commit was kept, try again") from error
        raise
