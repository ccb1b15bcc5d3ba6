"""The bins of a profile's columns: how they are chosen from reference rows, and how values are counted in them.

Whatever is counted in the same bins adds up exactly. So bins are chosen once, from the reference (a training set, a version before), and
every later profile that is to be compared or merged with it counts in the same ones.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from clew.definitions import dtype_name
from clew.errors import Invalid

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    Array: TypeAlias = np.ndarray[Any, Any]

__all__ = [
    "ORDERED",
    "Bins",
    "Kind",
    "Rest",
    "bins_of_numbers",
    "bins_of_values",
    "chunks",
    "counts_between",
    "counts_of_values",
    "kind_of",
    "numbers_in",
    "value_counts",
]

Kind = Literal["number", "time", "category", "other"]
ORDERED: tuple[Kind, ...] = ("number", "time")

_BINS = 64
_VALUES = 200
"""How many values of a category have a bin, and how many of the others are followed by name."""

_SAMPLE = 65_536  # with 95 % confidence, every quantile of so many rows is within 0.6 % of the true one (Massart 1990)
_CHUNK = 65_536  # numbers that stay in the processor's cache while they are compared with every edge
_FLOAT32_STEP, _FLOAT32_LARGEST = 2.0**-23, 3.4028234663852886e38
_LONG, _KEPT = 100, 64


@dataclass(frozen=True)
class Bins:
    """What the values of one column are counted in. ``dtype`` is the reference's type.

    *number* and *time* (microseconds since 1970 in UTC): bin ``i`` holds ``edges[i - 1] <= x < edges[i]``; the first and the last are
    open, so there is one bin more than edges. *category*: a bin for each of ``values``, and whatever else comes is in the ``Rest``.
    *other* (lists, structs, bytes): values are only there or missing.
    """

    kind: Kind
    dtype: str
    edges: tuple[float, ...] = ()
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rest:
    """Values without a bin of their own: how many, and the heaviest by name.

    A named value's true count lies between its count and its count plus ``error``; one that isn't named has at most ``error``. As long
    as there are at most 200 different ones, ``error`` is 0 and the counts are exact. Otherwise it is at most ``total / 201`` (Misra and
    Gries 1982; merged as by Agarwal et al. 2012, *Mergeable summaries*).
    """

    total: int = 0
    heaviest: tuple[tuple[str, int], ...] = ()
    error: int = 0

    def __add__(self, other: "Rest") -> "Rest":
        together = dict(self.heaviest)
        for value, count in other.heaviest:
            together[value] = together.get(value, 0) + count
        total, error = self.total + other.total, self.error + other.error
        # The count of the 201st is taken from all: what is left are 200 at most, and each lost the same.
        cut = sorted(together.values(), reverse=True)[_VALUES] if len(together) > _VALUES else 0
        kept = [(value, count - cut) for value, count in together.items() if count > cut]
        return Rest(total, tuple(sorted(kept, key=_heavier_first)), error + cut)


def _heavier_first(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]


# ── choosing ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def bins_of_numbers(values: "Array", kind: Kind, dtype: "pl.DataType") -> Bins | None:
    """Bins at the quantiles of reference numbers or times; ``None`` for numbers that are a category.

    That is when there are at most 64 different ones and next to none was seen only once (at most 5 % of the rows): then a new one is
    hardly to be expected (Good 1953).
    """
    import numpy as np

    ordered = np.sort(_sampled(values))
    if kind == "number" and _is_category(ordered):
        return None
    return Bins(kind, dtype_name(dtype), edges=_quantile_edges(ordered, near=0.5 if _is_whole(dtype) else None))


def bins_of_values(found: "pl.DataFrame", dtype: "pl.DataType") -> Bins:
    """A bin for each value that ``value_counts`` found, when they are few; else for the commonest that were seen more than once."""
    import polars as pl

    if found.height > _VALUES:
        found = found.filter(pl.col("count") >= max(2, _largest(found["count"].to_numpy(), _VALUES)))
    ranked = sorted(found.iter_rows(), key=_heavier_first)
    return Bins("category", dtype_name(dtype), values=tuple(value for value, _ in ranked[:_VALUES]))


def kind_of(dtype: "pl.DataType") -> Kind:
    """How values of a type are counted, until their number says otherwise."""
    import polars as pl

    if dtype in (pl.Datetime, pl.Date):
        return "time"
    if dtype.is_numeric() or dtype in (pl.Duration, pl.Time):
        return "number"
    return "category" if dtype in (pl.String, pl.Categorical, pl.Enum, pl.Boolean, pl.Null) else "other"


def _is_whole(dtype: "pl.DataType") -> bool:
    return dtype.is_integer() or dtype.is_temporal()  # times are whole microseconds


def _sampled(values: "Array") -> "Array":
    import numpy as np

    is_finite = np.isfinite(values)
    finite = values if is_finite.all() else values[is_finite]
    if len(finite) <= _SAMPLE:
        return finite
    # Drawn, not every n-th: rows come in rhythms (hours, sensors), and a stride can meet one of them only. Seeded, so that the same
    # rows always have the same bins.
    return finite[np.random.default_rng(0).integers(0, len(finite), _SAMPLE)]


def _is_category(ordered: "Array") -> bool:
    import numpy as np

    starts = np.flatnonzero(np.diff(ordered, prepend=-np.inf))
    once = np.sum(np.diff(starts, append=len(ordered)) == 1)
    return 0 < len(starts) <= _BINS and int(once) <= 0.05 * len(ordered)


def _quantile_edges(ordered: "Array", near: float | None) -> tuple[float, ...]:
    """Cuts between values, a little below each quantile: a float64 of the reference and the same number served as float32 meet.

    A value that holds several quantiles (no rain, in nine of ten hours) gets a bin of its own, from a little below to a little above.
    """
    import numpy as np

    if not len(ordered):
        return ()
    values, times = np.unique(ordered[np.arange(1, _BINS) * len(ordered) // _BINS], return_counts=True)
    step = np.maximum(np.abs(values) * _FLOAT32_STEP, np.finfo(np.float32).tiny) if near is None else near
    edges = np.concatenate([values - step, (values + step)[times > 1]])
    return tuple(np.unique(edges[np.isfinite(edges)]).tolist())


def _largest(counts: "Array", place: int) -> int:
    """The count in a place, counted from the largest."""
    import numpy as np

    return int(np.partition(counts, len(counts) - place)[len(counts) - place])


# ── counting ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def numbers_in(column: "pl.Series", kind: Kind) -> "Array":
    """The values as 64-bit floats: times as microseconds since 1970 in UTC, durations and times of day in microseconds.

    Raises ``Invalid`` for a column that isn't of the kind.
    """
    import polars as pl

    dtype = column.dtype
    if kind == "time" and dtype == pl.Date:
        column = column.cast(pl.Datetime("us")).to_physical()
    elif kind == "time" and dtype == pl.Datetime:
        column = column.dt.cast_time_unit("us").to_physical()
    elif kind == "number" and dtype == pl.Duration:
        column = column.dt.total_microseconds()
    elif kind == "number" and dtype == pl.Time:
        column = column.to_physical() // 1_000
    elif dtype != pl.Null and (kind == "time" or not (dtype.is_numeric() or dtype == pl.Boolean)):
        raise Invalid(
            f"{column.name} is {dtype_name(dtype)}, and a {kind} in the reference; profile it with a reference of its own",
            column=column.name,
        )
    return column.cast(pl.Float64).to_numpy()


def chunks(values: "Array") -> "Iterator[Array]":
    return (values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK))


def counts_between(values: "Array", edges: tuple[float, ...]) -> tuple[int, ...]:
    """How many values lie in each bin.

    Counting what is at least as large as each edge costs a third of a binary search by value, whatever the distribution: it is
    one comparison without branches, for eight numbers at once.
    """
    import numpy as np

    at_least = np.zeros(len(edges), np.int64)
    for chunk in chunks(values):
        at_least += np.array([np.count_nonzero(chunk >= edge) for edge in edges], np.int64)
    counted: list[int] = (-np.diff([len(values), *at_least, 0])).tolist()
    return tuple(counted)


def value_counts(column: "pl.Series", reference: str) -> "pl.DataFrame":
    """Each different value as text (``value``) and how often it is there (``count``); ``reference`` is the type that it has there."""
    import polars as pl

    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        raise Invalid(
            f"{column.name} is {dtype_name(column.dtype)}, and a category in the reference; profile it with a reference of its own",
            column=column.name,
        )
    found = column.alias("value").value_counts(name="count").with_columns(pl.col("count").cast(pl.Int64))
    texts = _texts(found["value"], reference)
    if texts.len() and texts.str.len_bytes().max() > _LONG:  # type: ignore[operator]  # bytes of a text that is there
        texts = pl.Series("value", [_shortened(text) for text in texts], dtype=pl.String)
    found = found.with_columns(texts.alias("value"))
    merges = column.dtype.is_numeric() and not column.dtype.is_integer()  # what is one number to float32's precision
    return found.group_by("value").sum() if merges else found


def _texts(values: "pl.Series", reference: str) -> "pl.Series":
    import polars as pl

    dtype = values.dtype
    if dtype.is_integer() and reference != "Boolean":
        return values.cast(pl.String)
    if dtype.is_numeric():
        names = {0.0: "false", 1.0: "true"} if reference == "Boolean" else {}  # features are served as numbers
        return pl.Series([names.get(value) or _number_text(value) for value in values.cast(pl.Float64)], dtype=pl.String)
    if dtype in (pl.Duration, pl.Time, pl.Datetime, pl.Date):
        kind = kind_of(dtype)
        return pl.Series([_number_text(value) for value in numbers_in(values, kind)], dtype=pl.String)
    return values.cast(pl.String)


def _number_text(value: float) -> str:
    """The number to float32's precision, whole ones as integers: a float64, the float32 and the integer are one category."""
    import numpy as np

    if math.isfinite(value) and value == int(value) and abs(value) < 2**53:
        return str(int(value))
    return str(np.float32(value) if abs(value) < _FLOAT32_LARGEST else value)


def _shortened(text: str) -> str:
    """A long text by its beginning and its digest."""
    if len(text.encode()) <= _LONG:
        return text
    return f"{text[:_KEPT]}… #{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def counts_of_values(found: "pl.DataFrame", values: tuple[str, ...]) -> tuple[tuple[int, ...], Rest]:
    """How often each of the values is there, and the rest."""
    import polars as pl

    has_bin = pl.col("value").is_in(list(values))
    counts = dict(found.filter(has_bin).iter_rows())
    others = found.filter(~has_bin)
    total, error = int(others["count"].sum()), 0
    if others.height > _VALUES:
        error = _largest(others["count"].to_numpy(), _VALUES + 1)
        others = others.filter(pl.col("count") > error).with_columns(pl.col("count") - error)
    heaviest = tuple(sorted(others.iter_rows(), key=_heavier_first))
    return tuple(counts.get(value, 0) for value in values), Rest(total, heaviest, error)
