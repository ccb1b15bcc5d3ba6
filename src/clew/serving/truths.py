"""What came of a prediction: its label, found by the key that the request named, once it has come and within its horizon."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from clew.catalog import service as catalog
from clew.catalog.schema import VersionRef
from clew.clock import from_micros, parse_duration
from clew.datasets.growth import details_of
from clew.datasets.rows import ReadRow, RowReader, to_frame
from clew.datasets.schema import DatasetDetails, dataset_tail
from clew.operations import Context
from clew.serving.documents import training_set_of
from clew.serving.records import Record
from clew.serving.schema import RouteDocument, Truth, routes

__all__ = ["in_time", "keys_of", "labels_of", "of"]

_CHUNK = 500  # SQLite takes so many keys in one list with room to spare
_NONE = Truth("none")


@dataclass(frozen=True)
class _Label:
    """Where a training set's labels come from."""

    dataset: str
    column: str
    within: timedelta
    key: tuple[str, ...]


def of(context: Context, records: Sequence[Record]) -> list[Truth]:
    """What came of each answer, as of the project's event time."""
    outcomes = [_NONE] * len(records)
    groups: dict[tuple[str, int], list[int]] = {}
    for place, record in enumerate(records):
        if record.error is None:
            groups.setdefault((record.endpoint, record.epoch), []).append(place)
    by_label: dict[_Label, list[int]] = {}
    for (endpoint, epoch), places in groups.items():
        label = _label_of(context, endpoint, epoch)
        if label is not None:
            by_label.setdefault(label, []).extend(places)
    for label, places in by_label.items():
        found = labels_of(context, label.dataset, label.column, label.key, [records[place].row for place in places])
        for place, value in zip(places, found, strict=True):
            outcomes[place] = _truth(value, from_micros(records[place].event_time), label.within, context.now)
    return outcomes


def in_time(found: tuple[float, datetime | None] | None, event_time: datetime, within: timedelta) -> float | None:
    """The label of a row, as ``labels_of`` found it, where it came within its horizon; ``None`` for a row that is unlabelled."""
    return found[0] if found is not None and (found[1] is None or found[1] <= event_time + within) else None


def _truth(found: tuple[float, datetime | None] | None, event_time: datetime, within: timedelta, now: datetime) -> Truth:
    value = in_time(found, event_time, within)
    if value is not None:
        return Truth("known", value)
    return Truth("waiting" if now < event_time + within else "unlabelled")


def _label_of(context: Context, endpoint: str, epoch: int) -> _Label | None:
    query = sa.select(routes.c.document).where(routes.c.project == context.project, routes.c.endpoint == endpoint, routes.c.epoch == epoch)
    document = context.db.scalar(query)
    if document is None:
        return None
    return _declared_label(context, msgspec.convert(document, RouteDocument).training_set)


def _declared_label(context: Context, training_set: VersionRef | None) -> _Label | None:
    """Where the labels of a training set's version come from."""
    details = training_set_of(context, training_set)
    if details is None:
        return None
    return _Label(details.label_dataset.name, details.label, parse_duration(details.label_within), details.key)


def labels_of(
    context: Context, dataset: str, column: str, key: Sequence[str], rows: Sequence[dict[str, Any]]
) -> list[tuple[float, datetime | None] | None]:
    """For each row, found by its key among all that is known today, the label and its event time; ``None`` where none has come."""
    latest = catalog.latest_version(context, dataset)
    if latest is None:
        return [None] * len(rows)
    details = details_of(latest)
    read = _read_keys(dataset, details, key, rows)
    found = _in_tail(context, dataset, details, column, {one.key_digest for one in read})
    absent = {one.key_digest: one.stored for one in read if one.key_digest not in found}
    if absent:
        found |= _in_version(context, details, column, absent)
    return [found.get(one.key_digest) for one in read]


def keys_of(context: Context, dataset: str, key: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[str]:
    """A digest of each row's key, the same for the same key however it is written; nothing tells keys apart where no label has ever come."""
    latest = catalog.latest_version(context, dataset)
    if latest is None:
        return [""] * len(rows)
    return [one.key_digest for one in _read_keys(dataset, details_of(latest), key, rows)]


def _read_keys(dataset: str, details: DatasetDetails, key: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[ReadRow]:
    columns = [one for one in details.columns if one.name in key]
    reader = RowReader(dataset, columns, key, key, details.zone, None)
    return [reader.read({name: row[name] for name in key}, place) for place, row in enumerate(rows, 1)]


def _in_tail(
    context: Context, dataset: str, details: DatasetDetails, column: str, digests: Iterable[str]
) -> dict[str, tuple[float, datetime | None]]:
    ordered = sorted(digests)
    found = {}
    for start in range(0, len(ordered), _CHUNK):
        query = sa.select(dataset_tail.c.key_digest, dataset_tail.c.row).where(
            dataset_tail.c.project == context.project,
            dataset_tail.c.name == dataset,
            dataset_tail.c.key_digest.in_(ordered[start : start + _CHUNK]),
        )
        for digest, row in context.db.execute(query):
            if row.get(column) is not None:
                time = row.get(details.time) if details.time else None
                found[digest] = (float(row[column]), None if time is None else from_micros(time))
    return found


def _in_version(
    context: Context, details: DatasetDetails, column: str, absent: dict[str, dict[str, Any]]
) -> dict[str, tuple[float, datetime | None]]:
    import polars as pl

    columns = [one for one in details.columns if one.name in details.key]
    keys = to_frame(list(absent.values()), columns).with_columns(_digest=pl.Series(list(absent)))
    wanted = dict.fromkeys([*details.key, column, *([details.time] if details.time else [])])
    rows = context.tables.scan(details.pin).select(*wanted).join(keys.lazy(), on=details.key, how="inner").collect()
    times: pl.Series | list[None] = rows[details.time] if details.time else [None] * rows.height
    return {
        digest: (float(value), time) for digest, value, time in zip(rows["_digest"], rows[column], times, strict=True) if value is not None
    }
