"""What a monitor of a dataset owes: rows as they come, against the version that was newest when the monitor was declared."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import sqlalchemy as sa

from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion, versions
from clew.clock import to_micros
from clew.datasets import tail
from clew.datasets.growth import details_of
from clew.datasets.profile import Profile, fitting, profile
from clew.datasets.rows import to_frame
from clew.datasets.schema import DatasetDetails
from clew.definitions import MonitorDefinition
from clew.feature_store.training_data import block_numbers
from clew.monitoring.arrivals import arrivals_in, arrivals_of
from clew.monitoring.due import QUARTERS_A_DAY, Span, first_whole_day, quarters, spans, window_days
from clew.monitoring.findings import Counts, Finding, MissingRate, Stale, drift, missing
from clew.monitoring.references import worst_share
from clew.monitoring.seen import Seen
from clew.monitoring.windows import cell_counts, kept_weeks, of_weeks
from clew.operations import Context

if TYPE_CHECKING:
    import polars as pl

__all__ = ["findings_of_dataset"]

_MOST_KEPT = 8


def findings_of_dataset(context: Context, definition: MonitorDefinition, declared_at: datetime, seen: Seen) -> list[Finding]:
    """Everything that is due and has not been looked at. ``context`` is outside of any transaction.

    Nothing for a dataset whose rows have no event time, or which has no version yet: there is no window then.
    """
    assert definition.dataset is not None  # the caller has asked
    with context.reading() as inside:
        reference = _reference(inside, definition.dataset, declared_at)
    if reference is None or (details := details_of(reference)).time is None or details.time_max is None:
        return []
    zone = details.zone or _zone(details)
    since = details.time_max
    found: list[Finding] = []
    if definition.missing:
        found += _missing(context, definition, reference, zone, quarters(since, context.now, zone), seen)
    if definition.drift:
        found += _drift(context, definition, reference, zone, spans(first_whole_day(since, zone), 7, context.now, zone), seen)
    return found


def _reference(context: Context, name: str, declared_at: datetime) -> AssetVersion | None:
    """The newest version that was there when the monitor was declared, else the first since."""
    own = (versions.c.project == context.project, versions.c.name == name, versions.c.kind == "dataset")
    before = sa.select(sa.func.max(versions.c.number)).where(*own, versions.c.created_at <= declared_at)
    number = context.db.scalar(before) or context.db.scalar(sa.select(sa.func.min(versions.c.number)).where(*own))
    return None if number is None else catalog.get_version(context, name, int(number))


def _zone(details: DatasetDetails) -> str:
    return next((one.zone for one in details.columns if one.name == details.time and one.zone), "UTC")


def _watched(details: DatasetDetails) -> list[str]:
    """Keys and times say which row it is; what they hold always changes."""
    return [one.name for one in details.columns if one.name not in {*details.key, details.time, details.known}]


def _rows(context: Context, details: DatasetDetails, name: str, start: datetime, end: datetime) -> "pl.DataFrame":
    """Rows of a span of event time in the newest version, and those appended since."""
    import polars as pl

    with context.reading() as inside:
        newest = details_of(catalog.resolve(inside, name))
        appended = tail.uncut(inside, name)
    assert details.time is not None  # the caller has asked
    wanted = [details.time, *(one for one in _watched(details) if one in {column.name for column in newest.columns})]
    inside_span = (pl.col(details.time).dt.epoch("us") >= to_micros(start)) & (pl.col(details.time).dt.epoch("us") < to_micros(end))
    stored = context.tables.scan(newest.pin).filter(inside_span).select(wanted).collect()
    later = to_frame([row for _, row in appended], newest.columns).filter(inside_span).select(wanted)
    return pl.concat([stored, later])


@dataclass(frozen=True)
class _Before:
    """What the reference held: the most that was missing of each column, its profile and histograms by week, and its longest pause in seconds."""

    missing: dict[str, float | None]
    profile: Profile
    weeks: dict[str, "np.ndarray[tuple[int, int], np.dtype[np.int64]]"]
    longest_pause: float


_kept: OrderedDict[tuple[str, str, str, int], _Before] = OrderedDict()
"""A version never changes, and each is read whole once."""


def _before(context: Context, reference: AssetVersion, zone: str) -> _Before:
    key = (context.database.name, context.project, reference.name, reference.number)
    if key not in _kept:
        details, names = details_of(reference), _watched(details_of(reference))
        rows = context.tables.scan(details.pin).collect()
        quarters_of_days = block_numbers(rows[details.time or ""], f"{24 // QUARTERS_A_DAY}h", zone)
        gone = {name: worst_share(_absent(rows[name]), quarters_of_days) for name in names}
        whole = profile(rows.select(names)) if names else Profile(rows.height, ())
        _kept[key] = _Before(gone, whole, _by_week(rows, details, whole, zone), arrivals_in(rows, details).longest_pause())
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    return _kept[key]


def _missing(
    context: Context, definition: MonitorDefinition, reference: AssetVersion, zone: str, windows: list[Span], seen: Seen
) -> list[Finding]:
    owed = [span for span in windows if not seen.has("missing", span)]
    if not owed:
        return []
    details, name = details_of(reference), reference.name
    before = _before(context, reference, zone)
    arriving = arrivals_of(context, name)
    rows = _rows(context, details, name, owed[0].start, owed[-1].end)
    looks = definition.looks * window_days(definition.window) * QUARTERS_A_DAY
    found = []
    for span in owed:
        part = _between(rows, details, span)
        rates = [
            MissingRate(column, part.height, int(_absent(part[column]).sum()) if column in part.columns else part.height, expected)
            for column, expected in before.missing.items()
        ]
        stale = []
        if arriving is not None and (pause := 2 * before.longest_pause):
            # No ttl is declared for a dataset: twice the longest pause that the reference has is more than it has ever been.
            limit = f"twice the longest pause in {reference.ref} is {pause / 3_600:,.1f} hours"
            stale.append(Stale(name, arriving.newest(span.end), pause, limit))
        found.append(missing(span, rates, stale, rate=definition.rate, windows=looks, source=str(reference.ref)))
    return found


def _absent(column: "pl.Series") -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    import polars as pl

    gone = column.is_null() | column.is_nan().fill_null(value=True) if column.dtype in (pl.Float32, pl.Float64) else column.is_null()
    return gone.to_numpy()


def _between(rows: "pl.DataFrame", details: DatasetDetails, span: Span) -> "pl.DataFrame":
    import polars as pl

    time = pl.col(details.time or "").dt.epoch("us")
    return rows.filter(time >= to_micros(span.start), time < to_micros(span.end))


def _drift(
    context: Context, definition: MonitorDefinition, reference: AssetVersion, zone: str, weeks: list[Span], seen: Seen
) -> list[Finding]:
    owed = [span for span in weeks if not seen.has("drift", span)]
    if not owed:
        return []
    details, names = details_of(reference), _watched(details_of(reference))
    before = _before(context, reference, zone)
    with context.reading() as inside:
        kept = kept_weeks(inside, definition.name, str(reference.ref))

    def count(fresh: list[Span]) -> list[Profile]:
        rows = _rows(context, details, reference.name, fresh[0].start, fresh[-1].end)
        return [_profile(_between(rows, details, week), before.profile) for week in fresh]

    windows = of_weeks(weeks, owed, kept, before.profile, count)
    counted = [cell_counts(window.profile) for window in windows]
    found = []
    for place, span in enumerate(weeks):
        if span in owed:
            columns = {
                name: Counts(before.weeks[name], np.array([one[name] for one in counted[: place + 1]], dtype=np.int64))
                for name in names if all(name in one for one in counted[: place + 1])
            }  # fmt: skip
            starts = [one.start for one in weeks[: place + 1]]
            found.append(drift(span, starts, columns, {}, rate=definition.rate, window=windows[place], source=str(reference.ref)))
    return found


def _by_week(
    rows: "pl.DataFrame", details: DatasetDetails, whole: Profile, zone: str
) -> dict[str, "np.ndarray[tuple[int, int], np.dtype[np.int64]]"]:
    """Histograms of the reference's whole weeks, counted back from its last day."""
    import polars as pl

    days = block_numbers(rows[details.time or ""], "1d", zone)
    last = int(days.max())
    weeks = (last - int(days.min()) + 1) // 7
    numbers = weeks - 1 - (last - days) // 7
    parts = [cell_counts(_profile(rows.filter(pl.Series(numbers == week)), whole)) for week in range(weeks)]
    width = {name: len(counts) for name, counts in cell_counts(whole).items()}
    return {name: np.array([part[name] for part in parts], dtype=np.int64).reshape(weeks, width[name]) for name in width}


def _profile(rows: "pl.DataFrame", reference: Profile) -> Profile:
    """In the reference's bins, of the columns that it has and that still hold the same kind of value."""
    there = fitting(reference, rows)
    return profile(rows.select(column.name for column in there.columns), there) if there.columns else Profile(rows.height, ())
