"""The tail: rows that were appended since the newest version, readable at once, until a cut or an ingest takes them into a version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from clew.catalog import service as catalog
from clew.catalog.schema import versions
from clew.clock import wall_now
from clew.datasets.rows import ReadRow, RowReader, to_frame
from clew.datasets.schema import Append, AppendedRow, DatasetDetails, dataset_tail
from clew.errors import Conflict, Invalid, NotFound
from clew.operations import Context

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from clew.storage.tables import TablePin

__all__ = [
    "Stream",
    "append",
    "cut_count",
    "forget_cut",
    "last_sequence",
    "mark_cut",
    "read_keys",
    "reader_of",
    "stream_of",
    "uncut",
    "uncut_count",
]

_CHUNK = 500  # SQLite takes so many keys in one list with room to spare
_MOST_STREAMS = 256
_MOST_KEYED = 32

# Built once: making a statement and its cache key takes as long as running it, and a stream appends a row or two at a time.
_HERE = (dataset_tail.c.project == sa.bindparam("project"), dataset_tail.c.name == sa.bindparam("name"))
_KNOWN = sa.select(dataset_tail.c.key_digest, dataset_tail.c.row_digest).where(
    *_HERE, dataset_tail.c.key_digest.in_(sa.bindparam("keys", expanding=True))
)
_LAST = sa.select(sa.func.max(dataset_tail.c.sequence)).where(*_HERE)
_INSERT = sa.insert(dataset_tail)
_NEWEST = (
    sa.select(versions.c.kind, versions.c.number, versions.c.content_digest, versions.c.definition_digest)
    .where(versions.c.project == sa.bindparam("project"), versions.c.name == sa.bindparam("name"))
    .order_by(versions.c.number.desc())
    .limit(1)
)


@dataclass(frozen=True)
class Stream:
    """What rows are held against: the newest version, and the reader that follows from it."""

    details: DatasetDetails
    reader: RowReader


_streams: dict[tuple[object, ...], Stream] = {}
"""By version: a version never changes, and reading its columns and rules takes longer than reading a row."""


def stream_of(context: Context, name: str) -> Stream:
    """Raises ``NotFound`` for a dataset without a version: its columns are not known yet."""
    newest = context.db.execute(_NEWEST, {"project": context.project, "name": name}).first()
    if newest is None:
        raise NotFound(f"{name!r} has no version yet, so its columns are not known; ingest a first file, then append")
    if newest.kind != "dataset":
        raise Invalid(f"{name!r} is a {newest.kind.replace('_', ' ')}, not a dataset")
    key = (context.database.name, context.project, name, *newest)
    if key not in _streams:
        if len(_streams) >= _MOST_STREAMS:
            _streams.clear()
        details = msgspec.convert(catalog.get_version(context, name, newest.number).details, DatasetDetails)
        _streams[key] = Stream(details, reader_of(name, details))
    return _streams[key]


def reader_of(dataset: str, details: DatasetDetails) -> RowReader:
    required = [column for column in (details.time, details.known) if column]
    return RowReader(dataset, details.columns, details.key, required, details.zone, details.expectations, details.bounds)


def append(context: Context, name: str, rows: Sequence[Mapping[str, Any]]) -> Append:
    """Add the rows that are not known yet. Raises ``Conflict`` for a known key with other values; then no row is added."""
    stream = stream_of(context, name)
    details = stream.details
    fresh: dict[str, ReadRow] = {}
    for place, row in enumerate(rows, 1):
        read = stream.reader.read(row, place)
        before = fresh.setdefault(read.key_digest, read)
        if before.row_digest != read.row_digest:
            raise _clash(name, details, read, "stands twice in these rows, with different values")
    for key_digest, row_digest in _known_in_tail(context, name, list(fresh)):
        read = fresh.pop(key_digest)
        if read.row_digest != row_digest:
            raise _clash(name, details, read, "was appended before with other values")
    for read in _known_in_version(context, name, details, list(fresh.values())):
        del fresh[read.key_digest]
    sequence = max(last_sequence(context, name), details.tail_sequence)
    inserted = [
        {
            "project": context.project, "name": name, "key_digest": read.key_digest, "sequence": sequence + place,
            "row_digest": read.row_digest, "row": read.stored, "cut_in": None, "appended_at": wall_now(),
        }
        for place, read in enumerate(fresh.values(), 1)
    ]  # fmt: skip
    if inserted:
        context.db.execute(_INSERT, inserted)
    added = tuple(AppendedRow(sequence + place, read.values) for place, read in enumerate(fresh.values(), 1))
    return Append(added, len(rows) - len(added))


def _clash(name: str, details: DatasetDetails, read: ReadRow, how: str) -> Conflict:
    key = {column: str(read.values[column]) for column in details.key}
    named = ", ".join(f"{column}={value}" for column, value in key.items())
    return Conflict(f"the row of {name} with {named} {how}; no row is stored. A row, once known, stays", dataset=name, key=key)


def _known_in_tail(context: Context, name: str, keys: list[str]) -> list[tuple[str, str]]:
    found = []
    for start in range(0, len(keys), _CHUNK):
        values = {"project": context.project, "name": name, "keys": keys[start : start + _CHUNK]}
        found += [(row.key_digest, row.row_digest) for row in context.db.execute(_KNOWN, values)]
    return found


def _known_in_version(context: Context, name: str, details: DatasetDetails, rows: list[ReadRow]) -> list[ReadRow]:
    """The rows whose keys the newest version holds. Of rows later than all of it few can be among them, so a stream does not come here."""
    old: list[ReadRow] = rows
    later: list[ReadRow] = []
    if details.time is not None and details.time_max is not None:
        old, later = [], []
        for read in rows:
            (later if read.values[details.time] > details.time_max else old).append(read)
    if later and details.time not in details.key:
        old += _with_a_key_of_the_version(context, name, details, later)
    if not old:
        return []
    import polars as pl

    frame = to_frame([read.stored for read in old], details.columns).with_row_index("_place")
    # A look into the Delta table inside a transaction, against the rule, so that no cut can come between the look and the insert.
    stored = context.tables.scan(details.pin).join(frame.lazy().select(details.key), on=details.key, how="semi").collect(engine="streaming")
    joined = frame.join(
        stored.with_columns(_there=pl.lit(value=True)), on=details.key, how="inner", suffix="_stored", maintain_order="left"
    )
    others = [column.name for column in details.columns if column.name not in details.key]
    known = []
    for row in joined.iter_rows(named=True):
        read = old[row["_place"]]
        if any(row[column] != row[f"{column}_stored"] for column in others):
            raise _clash(name, details, read, "was ingested before with other values")
        known.append(read)
    return known


_Keys = tuple["TablePin", "npt.NDArray[np.uint64]"]
_keys: dict[tuple[str, str, str], _Keys] = {}
"""By dataset: the keys of a version as sorted hashes, 8 bytes a row. They say of most rows that a version does not hold them, without
a look into its table; reading them takes some 0.2 s a million rows, once for each version."""


def _with_a_key_of_the_version(context: Context, name: str, details: DatasetDetails, rows: list[ReadRow]) -> list[ReadRow]:
    """Those whose key seems to be in the version: all that are, and of the others one in 2^64 for each row of it."""
    import numpy as np

    keys = _keys_of(context, name, details)
    columns = {column.name: column for column in details.columns}
    hashes = to_frame([read.stored for read in rows], [columns[name] for name in details.key]).hash_rows().to_numpy()
    places = np.searchsorted(keys, hashes)
    found = (places < len(keys)) & (keys[np.minimum(places, len(keys) - 1)] == hashes) if len(keys) else np.zeros(len(rows), np.bool_)
    return [rows[place] for place in np.flatnonzero(found)]


def _keys_of(context: Context, name: str, details: DatasetDetails) -> "npt.NDArray[np.uint64]":
    import numpy as np

    of = (context.database.name, context.project, name)
    known = _keys.get(of)
    if known is None or known[0] != details.pin:
        if len(_keys) >= _MOST_KEYED:
            _keys.clear()
        rows = context.tables.scan(details.pin).select(details.key).collect(engine="streaming")
        known = _keys[of] = (details.pin, np.sort(rows.hash_rows().to_numpy()))
    return known[1]


def read_keys(context: Context, name: str) -> None:
    """Read what appends to a dataset are held against, where nothing of it was read yet, so that no transaction has to wait for it."""
    if (context.database.name, context.project, name) in _keys:
        return
    with context.reading() as inside:
        details = stream_of(inside, name).details
    if details.time is not None and details.time not in details.key:
        _keys_of(context, name, details)


def _of(context: Context, name: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return dataset_tail.c.project == context.project, dataset_tail.c.name == name


def last_sequence(context: Context, name: str) -> int:
    """The number of the last appended row, cut or not; 0 before the first."""
    return int(context.db.scalar(_LAST, {"project": context.project, "name": name}) or 0)


def uncut(
    context: Context, name: str, *, number: int | None = None, after: int = 0, limit: int | None = None
) -> list[tuple[int, dict[str, Any]]]:
    """Sequence and stored values of the rows past ``after`` that no version holds, or no version up to ``number``; in order."""
    outside: sa.ColumnElement[bool] = dataset_tail.c.cut_in.is_(None)
    if number is not None:
        outside = outside | (dataset_tail.c.cut_in > number)
    query = sa.select(dataset_tail.c.sequence, dataset_tail.c.row).where(*_of(context, name), outside, dataset_tail.c.sequence > after)
    return [(row.sequence, row.row) for row in context.db.execute(query.order_by(dataset_tail.c.sequence).limit(limit))]


def uncut_count(context: Context, name: str) -> int:
    query = sa.select(sa.func.count()).where(*_of(context, name), dataset_tail.c.cut_in.is_(None))
    return int(context.db.scalar(query) or 0)


def cut_count(context: Context, name: str, number: int) -> int:
    """How many rows of the stream a version took in."""
    query = sa.select(sa.func.count()).where(*_of(context, name), dataset_tail.c.cut_in == number)
    return int(context.db.scalar(query) or 0)


def mark_cut(context: Context, name: str, number: int, upto: int) -> None:
    """Note that a version holds the rows up to a sequence number."""
    waiting = (*_of(context, name), dataset_tail.c.cut_in.is_(None), dataset_tail.c.sequence <= upto)
    context.db.execute(sa.update(dataset_tail).where(*waiting).values(cut_in=number))


def forget_cut(context: Context, name: str) -> None:
    """Forget the rows that versions hold: the dataset starts anew without them, so their keys are free again."""
    context.db.execute(sa.delete(dataset_tail).where(*_of(context, name), dataset_tail.c.cut_in.is_not(None)))
