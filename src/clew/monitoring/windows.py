"""Profiles of a monitor's windows: what the columns held in a week of answers, or of rows, in the bins of what they are held against.

A window's profile is kept with the look at it, without its bins: those are the reference's, which is kept once for all windows. So weeks
add up to longer windows without a row being read again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Any

import msgspec
import sqlalchemy as sa

from clew.datasets.bins import ORDERED
from clew.datasets.distances import shifts
from clew.datasets.profile import ColumnProfile, Profile, merge
from clew.monitoring.due import Span
from clew.monitoring.schema import WindowProfile, monitor_looks, reference_profiles
from clew.operations import Context

__all__ = ["Window", "cell_counts", "compact", "find", "keep_reference", "kept_weeks", "of_weeks", "restored"]


@dataclass(frozen=True)
class Window:
    """What the columns held in a window, and in what it is held against, ``before``."""

    profile: Profile
    before: Profile


def cell_counts(found: Profile) -> dict[str, list[int]]:
    """Counts by bin, and in a category of values without one: what the reference didn't know is as good as any other sign of change."""
    return {one.name: [*one.counts] if one.bins.kind in ORDERED else [*one.counts, one.rest.total] for one in found.columns}


def compact(found: Profile) -> dict[str, Any]:
    """The columns by name without their bins, as JSON."""
    return {
        one.name: {name: value for name, value in msgspec.to_builtins(one).items() if name not in ("name", "bins")} for one in found.columns
    }


def restored(body: dict[str, Any], before: Profile) -> Profile:
    """The profile that ``compact`` made shorter, in the bins of the reference; columns that this one lacks are left out."""
    columns = tuple(
        msgspec.convert(body[one.name] | {"name": one.name, "bins": msgspec.to_builtins(one.bins)}, ColumnProfile)
        for one in before.columns if one.name in body
    )  # fmt: skip
    return Profile(max((one.rows for one in columns), default=0), columns)


def of_weeks(
    weeks: Sequence[Span],
    owed: Sequence[Span],
    kept: Mapping[datetime, Any],
    before: Profile,
    count: Callable[[list[Span]], list[Profile]],
) -> list[Window]:
    """One window a week: as it was ``kept``, by the week's end and as ``compact`` left it, or else counted, as those that are owed are.

    ``count`` is given the weeks to be counted, in order, and returns a profile for each.
    """
    fresh = [week for week in weeks if week in owed or week.end not in kept]
    counted = dict(zip(fresh, count(fresh), strict=True)) if fresh else {}
    return [Window(counted[week] if week in counted else restored(kept[week.end], before), before) for week in weeks]


# ── kept ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def keep_reference(context: Context, source: str, before: Profile) -> None:
    """Once for a version: neither it nor its profile ever changes."""
    table = reference_profiles
    there = sa.select(table.c.source).where(table.c.project == context.project, table.c.source == source)
    if context.db.execute(there).first() is None:
        context.db.execute(sa.insert(table).values(project=context.project, source=source, body=before))


def kept_weeks(context: Context, monitor: str, source: str) -> dict[datetime, Any]:
    """The weeks that a monitor has held against a version, by their ends, as ``compact`` left them.

    A long-lived version has many, and they are large: they are read when a week of drift is owed, and not at every look.
    """
    looks = monitor_looks.c
    query = sa.select(looks.window_end, looks.profile).where(
        looks.project == context.project,
        looks.monitor == monitor,
        looks.kind == "drift",
        looks.source == source,
        looks.profile.is_not(None),
    )
    return {row.window_end: row.profile for row in context.db.execute(query)}


def find(context: Context, monitor: str, weeks: int) -> WindowProfile | None:
    """The newest ``weeks`` windows that follow each other and are held against the same version, as one; ``None`` without any."""
    looks = monitor_looks.c
    query = sa.select(looks.source, looks.window_start, looks.window_end, looks.profile).where(
        looks.project == context.project, looks.monitor == monitor, looks.kind == "drift", looks.profile.is_not(None)
    )
    rows = list(context.db.execute(query.order_by(looks.window_end.desc(), looks.id.desc()).limit(weeks)))
    if not rows:
        return None
    source = rows[0].source
    before = _reference(context, source)
    chosen = rows[: next((place for place in range(1, len(rows)) if not _follows(rows[place - 1], rows[place])), len(rows))]
    shared = set.intersection(*(set(row.profile) for row in chosen))
    parts = [restored({name: row.profile[name] for name in shared}, before) for row in chosen]
    found = reduce(merge, parts)
    held = Profile(before.rows, tuple(one for one in before.columns if one.name in shared))
    return WindowProfile(
        monitor, source, chosen[-1].window_start, chosen[0].window_end, len(chosen), found, held, tuple(shifts(held, found))
    )  # fmt: skip


def _follows(newer: Any, older: Any) -> bool:  # Any: SQLAlchemy rows
    return bool(newer.source == older.source and newer.window_start == older.window_end)


def _reference(context: Context, source: str) -> Profile:
    query = sa.select(reference_profiles.c.body).where(
        reference_profiles.c.project == context.project, reference_profiles.c.source == source
    )
    return msgspec.convert(context.db.execute(query).scalar_one(), Profile)
