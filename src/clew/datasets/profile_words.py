"""Profiles as lines of a table, for people."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC
from zoneinfo import ZoneInfo

from clew.clock import from_micros
from clew.datasets.distances import Shift
from clew.datasets.profile import ColumnProfile, Profile, quantile
from clew.datasets.schema import VersionProfile

__all__ = ["rows_of", "shift_rows_of"]

_NAMED = 3
Row = tuple[object, ...]


def rows_of(found: VersionProfile) -> list[Row]:
    """Column, type, missing values, and what the others are."""
    return [(column.name, _type(column), _missing(column), _holds(column)) for column in found.profile.columns]


def _type(column: ColumnProfile) -> str:
    zone = _zone(column)
    return column.bins.dtype if zone is None else f"Datetime in {zone.key}"


def _missing(column: ColumnProfile) -> str:
    if not column.missing:
        return "none"
    return f"{column.missing:,} ({_percent(column.missing / column.rows)})"


def _holds(column: ColumnProfile) -> str:
    there = column.rows - column.missing
    if not there:
        return "nothing"
    if column.bins.kind == "category":
        return _commonest(column, there)
    if column.bins.kind == "other" or column.moments is None:
        return f"{there:,} values"
    say = _teller(column)
    spread = f"{say(column.moments.minimum)} … {say(quantile(column, 0.5))} … {say(column.moments.maximum)}"
    if column.bins.kind == "time":
        return spread
    deviation = "" if column.moments.deviation is None else f" ± {say(column.moments.deviation)}"
    infinite = f", {column.infinite:,} infinite" if column.infinite else ""
    return f"{spread}, mean {say(column.moments.mean)}{deviation}{infinite}"


def _commonest(column: ColumnProfile, there: int) -> str:
    counted = sorted(_values(column).items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{_quoted(value)} {_percent(count / there)}" for value, count in counted[:_NAMED])
    unnamed = column.rest.total - sum(count for _, count in column.rest.heaviest)
    if unnamed:
        return f"{named}, and many more" if named else "hardly one twice"
    return f"{named}, and {len(counted) - _NAMED:,} more" if len(counted) > _NAMED else named


def _values(column: ColumnProfile) -> dict[str, int]:
    """Every value that is known by name and there, with its count (at least)."""
    counted = {**dict(zip(column.bins.values, column.counts, strict=True)), **dict(column.rest.heaviest)}
    return {value: count for value, count in counted.items() if count}


def shift_rows_of(found: VersionProfile) -> list[Row]:
    """Column, distances, missing values, and what moved; then the columns that can't be compared, and why."""
    assert found.before is not None
    moved = [_shift_row(shift, found.before[shift.name], found[shift.name]) for shift in found.shifts]
    compared = {shift.name for shift in found.shifts}
    return [*moved, *_incomparable(found.before, found.profile, compared)]


def _shift_row(shift: Shift, before: ColumnProfile, after: ColumnProfile) -> Row:
    distances = (shift.jensen_shannon, shift.total_variation, shift.kolmogorov_smirnov, shift.population_stability)
    told = [None if distance is None else f"{distance:.3f}" for distance in distances]
    return (shift.name, *told, _missing_moved(shift), _what_moved(shift, before, after))


def _missing_moved(shift: Shift) -> str | None:
    if shift.missing_before is None or shift.missing_after is None:
        return None
    before, after = (_percent(share) for share in (shift.missing_before, shift.missing_after))
    if shift.missing_before == shift.missing_after:
        return "none" if not shift.missing_after else after
    return f"{before} → {after}"


def _what_moved(shift: Shift, before: ColumnProfile, after: ColumnProfile) -> str:
    if before.bins.kind == "category":
        new = f"; new: {', '.join(_quoted(value) for value in shift.new[:_NAMED])}" if shift.new else ""
        return _most_moved(before, after) + new
    if before.moments is None or after.moments is None:
        return ""
    say = _teller(before)
    if before.bins.kind == "time":
        return f"until {say(before.moments.maximum)} → {say(after.moments.maximum)}"
    halves = f"half {say(quantile(before, 0.5))} → {say(quantile(after, 0.5))}"
    return f"mean {say(before.moments.mean)} → {say(after.moments.mean)}, {halves}"


def _most_moved(before: ColumnProfile, after: ColumnProfile) -> str:
    """The value whose share of the rows moved most."""
    if not before.rows or not after.rows:
        return ""
    shares = [{value: count / column.rows for value, count in _values(column).items()} for column in (before, after)]
    old, new = shares
    moved = sorted(old | new, key=lambda value: (-abs(new.get(value, 0) - old.get(value, 0)), value))[:1]
    return "".join(f"{_quoted(value)} {_percent(old.get(value, 0))} → {_percent(new.get(value, 0))}" for value in moved)


def _incomparable(before: Profile, after: Profile, compared: set[str]) -> Iterator[Row]:
    was, now = ({column.name: column for column in profile.columns} for profile in (before, after))
    for name in dict.fromkeys([*now, *was]):
        if name not in compared:
            why = "new" if name not in was else "gone" if name not in now else f"{was[name].bins.dtype} → {now[name].bins.dtype}"
            yield (name, None, None, None, None, None, why)


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _teller(column: ColumnProfile) -> Callable[[float | None], str]:
    if column.bins.kind != "time":
        return _number
    zone = _zone(column)
    return lambda micros: _instant(micros, zone)


def _zone(column: ColumnProfile) -> ZoneInfo | None:
    """The zone in which the reference has its times; ``None`` for what has none."""
    found = re.search(r"time_zone='(.+)'", column.bins.dtype)
    return None if found is None else ZoneInfo(found[1])


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    if abs(value) < 1e15 and (value == int(value) or abs(value) >= 1_000):
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _instant(micros: float | None, zone: ZoneInfo | None) -> str:
    if micros is None:
        return "–"
    try:
        instant = from_micros(int(micros)).astimezone(zone or UTC)
    except (OverflowError, ValueError):  # a year that Python has no calendar for
        return _number(micros)
    return instant.strftime("%Y-%m-%d %H:%M")


def _percent(share: float) -> str:
    """One decimal; a little is never said to be nothing, nor almost all to be all."""
    if 0 < share < 0.001:
        return "<0.1 %"
    return ">99.9 %" if 0.999 < share < 1 else f"{share:.1%}".replace("%", " %")


def _quoted(value: str) -> str:
    short = value if len(value) <= 24 else value[:23] + "…"
    return repr(short) if not short.isprintable() or short != short.strip() or not short else short
