"""Wall time, instants in microseconds, and durations such as ``7d``. Event time belongs to a project: see ``access``."""

import re
from datetime import UTC, datetime, timedelta

from clew.errors import Invalid

__all__ = ["format_duration", "from_micros", "next_cron", "parse_duration", "to_micros", "wall_now"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000, "w": 604_800_000_000}
_CRON_FIELDS = 5
_MOST_DIGITS, _MOST_SHOWN = 18, 24
_DURATION = re.compile(r"0*([0-9]+)(ms|s|m|h|d|w)")
_LONGEST = timedelta(days=36_500)
"""A hundred years: further back from today than that is no instant that data have, and soon none that a calendar has."""


def wall_now() -> datetime:
    """Now, by this machine's clock, in UTC."""
    return datetime.now(UTC)


def to_micros(instant: datetime) -> int:
    """Microseconds since 1970 in UTC; a naive time is refused.

    >>> to_micros(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    if instant.tzinfo is None:
        raise Invalid(f"the time {instant.isoformat()} has no zone; give it one, for example +00:00")
    return (instant - _EPOCH) // timedelta(microseconds=1)


def from_micros(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def parse_duration(text: str) -> timedelta:
    """A positive duration of at most a hundred years: a whole number and one of ms, s, m, h, d, w.

    >>> parse_duration("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None or match[1] == "0":
        raise Invalid(f"{text!r} is no duration; write a whole number and a unit, such as '90s', '6h' or '7d'")
    if len(match[1]) > _MOST_DIGITS or int(match[1]) * _UNITS[match[2]] > _LONGEST // timedelta(microseconds=1):
        raise Invalid(f"{_short(text)!r} is longer than a duration may be: {_LONGEST.days}d, a hundred years")
    return timedelta(microseconds=int(match[1]) * _UNITS[match[2]])


def _short(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def format_duration(duration: timedelta) -> str:
    """The shortest text that ``parse_duration`` reads back.

    >>> format_duration(timedelta(hours=48))
    '2d'
    """
    micros = duration // timedelta(microseconds=1)
    for unit in ("w", "d", "h", "m", "s", "ms"):
        if micros % _UNITS[unit] == 0:
            return f"{micros // _UNITS[unit]}{unit}"
    raise Invalid(f"{duration} is finer than a millisecond")


def next_cron(expression: str, zone: str, after: datetime | None = None) -> datetime:
    """The first time of a cron expression past ``after`` (now, where it is left out), in UTC.

    Five fields as cron has them. Times that a change to summer skips come at the change, and those that autumn repeats come once, as
    Debian's cron does it.

    >>> next_cron("0 4 1 * *", "America/New_York", datetime(2013, 3, 1, 9, tzinfo=UTC)).isoformat()
    '2013-04-01T08:00:00+00:00'
    """
    from zoneinfo import ZoneInfo

    from cronsim import CronSim, CronSimError

    if len(expression.split()) != _CRON_FIELDS:  # the library would read a sixth as seconds
        raise Invalid(f"{expression!r} is no cron time of five fields; '0 4 1 * *' is 4 o'clock on the first of each month")
    try:
        return next(CronSim(expression, (after or wall_now()).astimezone(ZoneInfo(zone)))).astimezone(UTC)
    except CronSimError as error:
        raise Invalid(f"{expression!r} is no cron time ({error}); '0 4 1 * *' is 4 o'clock on the first of each month") from error
    except StopIteration:
        raise Invalid(f"the cron time {expression!r} never comes") from None
