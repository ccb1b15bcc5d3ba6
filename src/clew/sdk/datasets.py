"""``@clew.dataset``: a table that grows by files and rows, and whose every state is a version."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from clew.bounds import Bounds
from clew.definitions import DatasetDefinition
from clew.errors import Invalid
from clew.sdk import declarations
from clew.sdk.assets import FunctionAsset
from clew.sdk.border import errors_end_here

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from clew.feature_store.schema import PushResult
    from clew.sdk.versions import Version

__all__ = ["Column", "Dataset", "dataset"]

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Column:
    """A column of a dataset, as ``landings["late"]`` names it."""

    dataset: str
    name: str


@errors_end_here
class Dataset(FunctionAsset[P, R]):
    """A dataset. ``[]`` names a column, methods touch storage."""

    definition: DatasetDefinition

    def __getitem__(self, column: str) -> Column:
        return Column(self.name, column)

    def ingest(self, file: "str | Path") -> "Version":
        """Read a file through the function, check it against the expectations, and add its rows: the version after it.

        Raises ``Refused`` naming column, rows and rule when a rule is broken; nothing of the file is kept then.
        """
        from pathlib import Path

        from clew.backend import current
        from clew.sdk.ingest import ingest_file
        from clew.sdk.versions import Version

        return Version(ingest_file(current(), self, Path(file)))

    def append(self, rows: "Sequence[Mapping[str, Any]] | Mapping[str, Any] | pl.DataFrame") -> "PushResult":
        """Add rows to the stream, or a single one, readable at once, online windows with them. Idempotent by key."""
        from clew.backend import current
        from clew.feature_store.service import push_rows

        return current().call(push_rows, name=self.name, rows=_plain(rows, self.name))

    def cut(self) -> "Version":
        """Take the rows appended so far into a version; without any, the version that there is. A build does it by itself."""
        from clew.backend import current
        from clew.datasets.service import cut_tail
        from clew.sdk.versions import Version

        return Version(current().call(cut_tail, self.name).version)


def _plain(rows: Any, name: str) -> list[dict[str, Any]]:  # Any: what a caller gives is checked here
    if isinstance(rows, Mapping):
        return [dict(rows)]
    if hasattr(rows, "to_dicts"):
        found: list[dict[str, Any]] = rows.to_dicts()
        return found
    listed: list[object] = list(rows) if isinstance(rows, Sequence) and not isinstance(rows, str | bytes) else [rows]
    made = [dict(row) for row in listed if isinstance(row, Mapping)]
    if len(made) < len(listed):
        wrong = next(row for row in listed if not isinstance(row, Mapping))
        raise Invalid(
            f"{name}.append() takes a row as a mapping of column to value, a list of such rows, or a Polars frame, and not a "
            f"{type(wrong).__qualname__}"
        )
    return made


def dataset(
    *,
    key: str | Sequence[str],
    time: str | None = None,
    known: str | None = None,
    zone: str | None = None,
    bounds: Mapping[str, Bounds] | None = None,
) -> Callable[[Callable[P, R]], Dataset[P, R]]:
    """Declare a dataset; the function below turns one raw file into its rows.

    ``key`` names the columns that together name a row, ``time`` the event time, ``known`` the column that says when a row became
    known (``time`` where it is left out). Event times need a zone: in the column, or declared by ``zone``. ``bounds`` are hard limits of
    columns, both included, ``None`` for an open side: ``{"delay": (-120, 3000)}``. A row outside of them never gets in.
    """
    names = (key,) if isinstance(key, str) else tuple(key)
    if not names:
        raise Invalid("a dataset needs a key: the columns that together name one row")

    def decorate(function: Callable[P, R]) -> Dataset[P, R]:
        declarations.ordinary_function(function, "@clew.dataset")
        reference = declarations.function_ref(function)
        limits = {} if bounds is None else bounds
        return Dataset(function, DatasetDefinition(function.__name__, names, time, known, reference, zone, limits))

    return decorate
