"""Datasets: ingesting, appending, cutting, reading and comparing. Rules and queries."""

from collections.abc import Mapping, Sequence
from typing import Any

from clew.access.service import owns_blob
from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion
from clew.datasets import profiling, tail
from clew.datasets.columns import plain
from clew.datasets.diff import Diff, compare
from clew.datasets.expectations import Expectations
from clew.datasets.growth import Arrival, details_of, grow
from clew.datasets.schema import Append, AppendedRow, DatasetSummary, DatasetVersion, Growth, KeptProfile, Preview, VersionProfile
from clew.definitions import DatasetDefinition
from clew.errors import Invalid, NotFound
from clew.operations import Context, Page, operation

__all__ = [
    "append_rows", "commit_ingest", "compute_profile", "cut_tail", "dataset_version", "details_of", "diff_versions", "list_datasets", "preview_rows",
    "read_tail", "tail_page", "version_profile",
]  # fmt: skip

_MAX_PREVIEW = 1_000
_MAX_TAIL = 10_000


@operation("POST /projects/{project}/datasets/{name}/ingests", permission="datasets.write", kind="staged")
def commit_ingest(
    context: Context,
    name: str,
    definition: DatasetDefinition,
    definition_digest: str,
    staged: str,
    expectations: Expectations | None = None,
    source: str = "",
    replace: bool = False,
    code: dict[str, str] | None = None,
) -> Growth:
    """Add the rows of a staged Parquet file to the dataset as its next version; ``replace`` starts anew with them.

    ``code`` is what the function that read the file could reach, by name with digests.

    Rows that are stored already, with the same values, are skipped; when all are, the version is the one that there is. Raises
    ``Refused`` for broken rules and ``Conflict`` for a known key with other values, naming rows; nothing is stored then. Sent twice it
    acts once.
    """
    if definition.name != name:
        raise Invalid(f"the definition is of {definition.name!r}, and the address names {name!r}")
    with context.reading() as inside:
        if not owns_blob(inside, staged):
            raise NotFound(f"no file {staged} was staged in {context.project!r}; upload it first")
    import polars as pl

    path = context.blobs.path(staged)
    try:
        frame = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise Invalid(f"the staged file of {name} is not Parquet that can be read: {error}") from error
    return grow(context, name, Arrival(frame, definition, definition_digest, expectations, source, replace, code or {}))


@operation("POST /projects/{project}/datasets/{name}/cuts", permission="datasets.write", kind="staged")
def cut_tail(context: Context, name: str) -> Growth:
    """Take the appended rows into a version; without any, the version that there is."""
    return grow(context, name, None)


@operation("GET /projects/{project}/datasets", permission="datasets.read", kind="read")
def list_datasets(context: Context) -> Page[DatasetSummary]:
    """Every dataset by name, with what its newest version and its tail hold."""
    return Page([_summary(context, asset.name) for asset in catalog.list_assets(context, "dataset", limit=1_000).items])


def _summary(context: Context, name: str) -> DatasetSummary:
    latest = catalog.latest_version(context, name)
    if latest is None:
        return DatasetSummary(name, None, 0, 0, None, None, None)
    details = details_of(latest)
    waiting = tail.uncut_count(context, name)
    return DatasetSummary(name, latest.number, details.rows, waiting, details.time_min, details.time_max, latest.created_at)


@operation("GET /projects/{project}/datasets/{name}/versions/{number}", permission="datasets.read", kind="read")
def dataset_version(context: Context, name: str, number: int) -> DatasetVersion:
    """One version with its columns, ranges and expectations."""
    version = _dataset(catalog.get_version(context, name, number))
    latest = catalog.latest_version(context, name)
    newest = latest is not None and latest.number == number
    return DatasetVersion(version, details_of(version), tail.uncut_count(context, name) if newest else 0)


def _dataset(version: AssetVersion) -> AssetVersion:
    if version.kind != "dataset":
        raise Invalid(f"{version.ref} is a {version.kind.replace('_', ' ')}, not a dataset")
    return version


@operation("GET /projects/{project}/datasets/{name}/versions/{number}/rows", permission="datasets.read", kind="read")
def preview_rows(context: Context, name: str, number: int, offset: int = 0, limit: int = 50) -> Preview:
    """Some rows of a version, in the order in which they were stored."""
    details = details_of(_dataset(catalog.get_version(context, name, number)))
    rows = context.tables.scan(details.pin).slice(max(offset, 0), max(0, min(limit, _MAX_PREVIEW))).collect()
    return Preview(details.columns, [[plain(value) for value in row] for row in rows.iter_rows()], details.rows)


@operation("GET /projects/{project}/datasets/{name}/diff", permission="datasets.read", kind="read")
def diff_versions(context: Context, name: str, base: int, target: int) -> Diff:
    """What ``target`` has that ``base`` has not: columns, rows by key, and ranges."""
    before, after = (details_of(_dataset(catalog.get_version(context, name, number))) for number in (base, target))
    return compare(context.tables.scan(before.pin), context.tables.scan(after.pin), before.columns, after.columns, after.key)


@operation("GET /projects/{project}/datasets/{name}/versions/{number}/profile", permission="datasets.read", kind="read")
def version_profile(context: Context, name: str, number: int, against: int | None = None) -> VersionProfile | None:
    """What a version's columns hold and, ``against`` another version, how far each moved. Nothing until ``compute_profile`` kept it."""
    version, base = _profiled(context, name, number, against)
    return profiling.find(context, version, base)


@operation("POST /projects/{project}/datasets/{name}/versions/{number}/profile", permission="datasets.read", kind="staged")
def compute_profile(context: Context, name: str, number: int, against: int | None = None) -> KeptProfile:
    """Profile a version, in the bins of the version that it is held ``against`` if any, and keep what is found; once, however often asked.

    Whoever may read the rows may ask for it: it tells nothing that the rows don't.
    """
    with context.reading() as inside:
        version, base = _profiled(inside, name, number, against)
    return profiling.keep(context, version, base)


def _profiled(context: Context, name: str, number: int, against: int | None) -> tuple[AssetVersion, AssetVersion | None]:
    if against == number:
        raise Invalid(f"{name}@{number} can't be held against itself; name another version, or none")
    base = None if against is None else _dataset(catalog.get_version(context, name, against))
    return _dataset(catalog.get_version(context, name, number)), base


# ── the tail ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def append_rows(context: Context, name: str, rows: Sequence[Mapping[str, Any]]) -> Append:
    """Add rows to the dataset in the context's transaction, readable at once; those known by key are skipped.

    A row names every column of the dataset; times carry an offset, or are in the declared zone. Raises ``Invalid``, ``Refused`` or
    ``Conflict`` naming the row, and then keeps none.
    """
    return tail.append(context, name, rows)


def read_tail(context: Context, name: str, after: int = 0, limit: int | None = None) -> list[AppendedRow]:
    """The appended rows past a sequence number that are in no version yet, typed, in order: to catch up with a stream."""
    reader = tail.stream_of(context, name).reader
    return [AppendedRow(sequence, reader.restore(row)) for sequence, row in tail.uncut(context, name, after=after, limit=limit)]


@operation("GET /projects/{project}/datasets/{name}/versions/{number}/tail", permission="datasets.read", kind="read")
def tail_page(context: Context, name: str, number: int, after: int = 0, limit: int = _MAX_TAIL) -> Page[AppendedRow]:
    """The rows appended since a version, times as microseconds since 1970 in UTC; the cursor is the last sequence number."""
    _dataset(catalog.get_version(context, name, number))
    limit = max(1, min(limit, _MAX_TAIL))
    rows = tail.uncut(context, name, number=number, after=after, limit=limit)
    return Page([AppendedRow(*row) for row in rows], str(rows[-1][0]) if len(rows) == limit else None)
