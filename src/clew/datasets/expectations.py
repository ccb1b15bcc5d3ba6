"""Expectations: what a dataset's columns must look like, inferred from rows, then kept and enforced.

A broken rule is a ``Violation`` that names the column, the rule, and the rows; whoever brings the rows is refused as a whole.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clew.bounds import Bounds, bounds_in_words
from clew.datasets.columns import Scalar, plain
from clew.errors import Refused

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "ColumnExpectation",
    "Expectations",
    "Violation",
    "bounds_rule",
    "break_of",
    "check",
    "check_bounds",
    "infer",
    "refuse",
    "violation",
]

_NAMED_ROWS = 5
_MOST_CHOICES = 32


@dataclass(frozen=True)
class ColumnExpectation:
    """The rules of one column; ``None`` where there is none. ``nulls`` is the largest share of rows without a value."""

    type: str | None = None
    zone: str | None = None
    nulls: float | None = None
    between: tuple[float | None, float | None] | None = None
    one_of: tuple[str, ...] | None = None
    seen: str = ""
    """What the rows held from which the rules were inferred: for whoever reviews them, not a rule."""


@dataclass(frozen=True)
class Expectations:
    columns: dict[str, ColumnExpectation] = field(default_factory=dict)


@dataclass(frozen=True)
class Violation:
    """A broken rule: ``rows`` counts from 1 and names the first few of ``count``; ``values`` are what stands there."""

    column: str
    rule: str
    count: int
    rows: tuple[int, ...] = ()
    values: tuple[Scalar, ...] = ()

    def __str__(self) -> str:
        if not self.rows:
            return f"{self.column}: {self.rule}"
        places = ", ".join(f"row {row:,} ({value})" for row, value in zip(self.rows, self.values, strict=True))
        more = f" and {self.count - len(self.rows):,} more" if self.count > len(self.rows) else ""
        return f"{self.column}: {self.rule}; broken in {places}{more}"


def refuse(dataset: str, source: str, violations: list[Violation], unexpected: Sequence[Violation] = ()) -> None:
    """Raise ``Refused`` naming every violation, or return when there is none.

    ``unexpected`` are those of the dataset's file of expectations, which is then named as the place to change them.
    """
    violations = [*violations, *unexpected]
    if not violations:
        return
    where = f" from {source}" if source else ""
    listed = "\n".join(f"  {violation}" for violation in violations)
    broken = "a rule" if len(violations) == 1 else f"{len(violations)} rules"
    if unexpected:
        listed += f"\nexpectations/{dataset}.toml holds what is expected; edit it where that is no longer right"
    raise Refused(
        f"the rows{where} break {broken} of {dataset}; nothing of them is stored\n{listed}",
        dataset=dataset,
        source=source,
        violations=[
            {"column": item.column, "rule": item.rule, "count": item.count, "rows": list(item.rows), "values": list(item.values)}
            for item in violations
        ],
    )


def violation(frame: "pl.DataFrame", column: str, rule: str, broken: "pl.Series") -> Violation | None:
    """The violation of the rows where ``broken`` is true, or ``None``."""
    rows = broken.fill_null(value=False).arg_true()
    if not len(rows):
        return None
    first = rows.head(_NAMED_ROWS).to_list()
    return Violation(column, rule, len(rows), tuple(row + 1 for row in first), tuple(plain(frame[column][row]) for row in first))


# ── enforcing ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def check(frame: "pl.DataFrame", expectations: Expectations) -> list[Violation]:
    """Every broken rule, column by column."""
    return [item for name, rules in expectations.columns.items() for item in _check_column(frame, name, rules)]


def _check_column(frame: "pl.DataFrame", name: str, rules: ColumnExpectation) -> list[Violation]:
    if name not in frame.columns:
        return [Violation(name, "must be there, and is missing", frame.height)]
    column = frame[name]
    kind, zone = _type_of(column.dtype)
    if rules.type is not None and kind != rules.type:
        return [Violation(name, f"must be {rules.type}, and is {kind}", frame.height)]
    if rules.zone is not None and zone != rules.zone:
        return [Violation(name, f"must be in the zone {rules.zone}, and is in {zone or 'none'}", frame.height)]
    found = []
    if rules.nulls is not None and column.null_count() > _allowed_nulls(rules.nulls, frame.height):
        found.append(violation(frame, name, _null_rule(rules.nulls), column.is_null()))
    if rules.between is not None and not column.dtype.is_numeric():
        found.append(Violation(name, f"{_range_rule(rules.between)}, and is {kind}, no number", frame.height))
    elif rules.between is not None:
        low, high = rules.between
        broken = column.is_nan() if column.dtype.is_float() else column.is_null() & False
        broken = broken | (column < low) if low is not None else broken
        broken = broken | (column > high) if high is not None else broken
        found.append(violation(frame, name, _range_rule(rules.between), broken))
    if rules.one_of is not None:
        broken = ~column.cast(str).is_in(list(rules.one_of)) & column.is_not_null()
        found.append(violation(frame, name, _choice_rule(rules.one_of), broken))
    return [item for item in found if item is not None]


def check_bounds(frame: "pl.DataFrame", bounds: Mapping[str, Bounds]) -> list[Violation]:
    """What breaks declared bounds: a column that is not there or holds no numbers, and values outside. A missing value breaks none."""
    return [item for name, limit in bounds.items() if (item := _check_bounds_of(frame, name, limit))]


def _check_bounds_of(frame: "pl.DataFrame", name: str, bounds: Bounds) -> Violation | None:
    import polars as pl

    if name not in frame.columns:
        return Violation(name, f"is declared with bounds, and missing; there are {', '.join(frame.columns)}", frame.height)
    column = frame[name]
    if column.dtype == pl.Null:
        return None
    if not column.dtype.is_numeric():
        return Violation(name, f"is declared with bounds, and is {column.dtype}; only columns of numbers have bounds", frame.height)
    low, high = bounds
    values = column.fill_nan(None) if column.dtype.is_float() else column
    below = values < low if low is not None else None
    above = values > high if high is not None else None
    broken = below if above is None else above if below is None else below | above
    assert broken is not None  # bounds limit one side at least
    return violation(frame, name, bounds_rule(bounds), broken)


def bounds_rule(bounds: Bounds) -> str:
    """The rule in words. It says that it was declared: it stands in the code, and not in the file of expectations."""
    return f"must be {bounds_in_words(bounds)}, as bounds= declares"


def break_of(value: Any, rules: ColumnExpectation) -> str | None:  # Any: one value of any column
    """The rule that a single appended value breaks, in words. A share of nulls binds a single row only when it is zero."""
    if value is None:
        return _null_rule(0) if rules.nulls == 0 else None
    if rules.between is not None:
        low, high = rules.between
        if not isinstance(value, int | float) or (low is not None and value < low) or (high is not None and value > high):
            return _range_rule(rules.between)
    if rules.one_of is not None and str(value) not in rules.one_of:
        return _choice_rule(rules.one_of)
    return None


def _allowed_nulls(share: float, rows: int) -> int:
    # Rounded up: a file of four rows may lack one value where one in a thousand may be missing.
    return math.ceil(share * rows)


def _null_rule(share: float) -> str:
    return "must have a value" if share == 0 else f"at most {share * 100:.2f} % may be missing"


def _range_rule(between: tuple[float | None, float | None]) -> str:
    low, high = between
    if low is not None and high is not None:
        return f"must be between {low:g} and {high:g}"
    return f"must be at least {low:g}" if low is not None else f"must be at most {high:g}"


def _choice_rule(choices: tuple[str, ...]) -> str:
    return f"must be one of {', '.join(choices)}"


def _type_of(dtype: "pl.DataType") -> tuple[str, str | None]:
    import polars as pl

    return type(dtype).__name__, dtype.time_zone if isinstance(dtype, pl.Datetime) else None


# ── inferring ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def infer(frame: "pl.DataFrame", required: tuple[str, ...] = (), bounded: Collection[str] = ()) -> Expectations:
    """Rules that the rows keep, with room for what the next file may hold; ``required`` columns never lack a value.

    Columns that are ``bounded`` by their declaration get no range beside it.

    Missing values: four times the share that was seen (they come in clusters) plus 3/n, the upper 95 % bound where none was seen among
    n rows (the rule of three). Numbers: the seen range, widened by three times its length on both sides (enough for the next month's
    storm, too little for another unit), not beyond zero where zero was not crossed; a column of zeros and ones, none of them seen only
    once, is a yes or no, and stays one, and one of nothing but zeros gets no range. Text is a choice when there are few values and none
    was seen only once: then next to no new one is to be expected (Good 1953).
    """
    return Expectations({
        name: _infer_column(frame[name], required=name in required, bounded=name in bounded) for name in frame.columns
    })  # fmt: skip


def _infer_column(column: "pl.Series", *, required: bool, bounded: bool) -> ColumnExpectation:
    import polars as pl

    kind, zone = _type_of(column.dtype)
    nulls = column.null_count() / max(column.len(), 1)
    share = 0.0 if required else _round_up(min(1.0, 4 * nulls + 3 / max(column.len(), 1)))
    between = one_of = None
    seen = [f"{nulls * 100:.2f} % missing"] if nulls else []
    values = column.drop_nulls()
    if column.dtype.is_numeric() and values.len():
        finite = values.filter(values.is_finite()) if column.dtype.is_float() else values
        if finite.len() and not required:  # a key grows: an order's number tells nothing of the next one's
            low, high = (float(value) for value in (finite.min(), finite.max()))  # type: ignore[arg-type]  # numbers, as the dtype says
            between = None if bounded else (0.0, 1.0) if _is_flag(finite) else _widened(low, high)
            seen.insert(0, f"{low:g} to {high:g}")
    elif column.dtype == pl.String and values.len():
        counts = values.value_counts()
        if counts.height <= _MOST_CHOICES and counts["count"].min() != 1:
            one_of = tuple(sorted(counts[column.name].to_list()))
        else:
            seen.insert(0, f"{counts.height:,} different values")
    elif isinstance(column.dtype, pl.Datetime) and values.len():
        seen.insert(0, f"{plain(values.min())} to {plain(values.max())}")
    return ColumnExpectation(kind, zone, share, between, one_of, ", ".join(seen))


def _is_flag(values: "pl.Series") -> bool:
    counts = values.value_counts()
    return set(counts[values.name].to_list()) == {0, 1} and counts["count"].min() != 1


def _widened(low: float, high: float) -> tuple[float, float] | None:
    if low == high == 0:  # nothing says how large another value is, or on which side it lies
        return None
    span = 3 * ((high - low) or max(abs(high), 1.0))
    wide_low, wide_high = low - span, high + span
    if low >= 0 > wide_low:
        wide_low = 0.0
    if high <= 0 < wide_high:
        wide_high = 0.0
    return -_round_up(-wide_low), _round_up(wide_high)


def _round_up(value: float) -> float:
    """The next number with two significant digits that is not below ``value``."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return float(f"{math.ceil(round(value / unit, 9)) * unit:.12g}")
