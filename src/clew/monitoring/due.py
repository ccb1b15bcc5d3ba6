"""When a monitor is to look, and at which windows: by the local clock of a zone, so that a day of 23 hours is a day. Pure.

Windows of one kind are disjoint and begin with the first whole day that a version answers. So the same data have the same looks, whether
somebody looks every hour or once a month.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from clew.clock import parse_duration
from clew.definitions import MonitorDefinition

__all__ = [
    "QUARTERS_A_DAY",
    "Span",
    "first_whole_day",
    "local_day",
    "midnight",
    "next_look",
    "quarters",
    "spans",
    "unit_days",
    "window_days",
]

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local on purpose: days are counted by the local clock
_WEEK = 7
QUARTERS_A_DAY = 4
"""Missing data is looked for at 0, 6, 12 and 18 o'clock."""


@dataclass(frozen=True)
class Span:
    """From ``start`` to before ``end``, in UTC; ``day`` is the number of its first day from 1970 in the zone."""

    start: datetime
    end: datetime
    day: int


def local_day(at: datetime, zone: str) -> int:
    """The number of the day that an instant lies in, from 1970 by the local clock.

    >>> local_day(datetime(1970, 1, 2, 3, tzinfo=UTC), "America/New_York")
    0
    """
    return (at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) - _EPOCH).days


def midnight(day: int, zone: str, hour: int = 0) -> datetime:
    """The instant at which a day begins, or an hour of it by the local clock.

    >>> midnight(1, "America/New_York").isoformat()
    '1970-01-02T05:00:00+00:00'
    """
    return (_EPOCH + timedelta(days=day, hours=hour)).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def first_whole_day(since: datetime, zone: str) -> int:
    """The first day that begins at or after an instant."""
    day = local_day(since, zone)
    return day if midnight(day, zone) >= since else day + 1


def window_days(window: str, block: str = "1d") -> int:
    """The days of one look at performance: whole weeks, or whole blocks where these are longer, and at least one.

    >>> window_days("30d"), window_days("28d", block="10d")
    (28, 20)
    """
    unit = unit_days(block)
    return max(1, parse_duration(window).days // unit) * unit


def unit_days(block: str) -> int:
    """Weeks are the unit by which performance and drift are judged; days of one week hang together."""
    return max(_WEEK, parse_duration(block).days)


def spans(first_day: int, days: int, until: datetime, zone: str) -> list[Span]:
    """The disjoint spans of so many days, from a day on, that have ended by an instant."""
    found = []
    day = first_day
    while (end := midnight(day + days, zone)) <= until:
        found.append(Span(midnight(day, zone), end, day))
        day += days
    return found


def quarters(since: datetime, until: datetime, zone: str) -> list[Span]:
    """The quarters of days that begin at or after ``since`` and have ended by ``until``."""
    found = []
    day = local_day(since, zone)
    while midnight(day, zone) < until:
        edges = [midnight(day, zone, hour) for hour in range(0, 24, 24 // QUARTERS_A_DAY)] + [midnight(day + 1, zone)]
        found += [Span(start, end, day) for start, end in pairwise(edges) if since <= start < end <= until]
        day += 1
    return found


def next_look(definition: MonitorDefinition, now: datetime, zone: str = "UTC", block: str = "1d") -> datetime:
    """The first time after ``now`` at which a monitor may have something to look at: every window ends at one of these.

    That is the next midnight of the zone, where missing data is watched the next of 0, 6, 12 and 18 o'clock, and the next end of a
    block where that is shorter than a day. Looking at other times does no harm and finds nothing more.

    >>> watched = MonitorDefinition("quality", "late")
    >>> next_look(watched, datetime(2013, 7, 1, 3, 59, tzinfo=UTC), "America/New_York").isoformat()
    '2013-07-01T04:00:00+00:00'
    """
    day = local_day(now, zone)
    hours = {0} | ({hour * 24 // QUARTERS_A_DAY for hour in range(QUARTERS_A_DAY)} if definition.missing else set())
    short = parse_duration(block)
    if timedelta(hours=1) <= short < timedelta(days=1):
        hours |= set(range(0, 24, short // timedelta(hours=1)))
    return min(at for later in (day, day + 1) for hour in hours if (at := midnight(later, zone, hour)) > now)
