"""Profiles: what the columns of any rows hold, in numbers that add up. Of dataset versions, training sets and windows of predictions.

Each value is read once and counted in bins (``bins.py``). Two profiles in the same bins merge to the profile of both sets of rows, so that
the days of an endpoint make its weeks, and the distance between two profiles is a matter of a few hundred numbers (``distances.py``).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

import msgspec

from clew.datasets.bins import (
    ORDERED,
    Bins,
    Rest,
    bins_of_numbers,
    bins_of_values,
    chunks,
    counts_between,
    counts_of_values,
    kind_of,
    numbers_in,
    value_counts,
)
from clew.definitions import dtype_name
from clew.errors import Invalid, NotFound

if TYPE_CHECKING:
    import polars as pl

    from clew.datasets.bins import Array

__all__ = ["FORMAT", "ColumnProfile", "Moments", "Profile", "check_bins", "decode", "encode", "fitting", "merge", "profile", "quantile"]

FORMAT = 1
"""Of the document; a profile in another one is computed anew, never guessed at."""

_GROUP_BYTES = 32 << 20


@dataclass(frozen=True)
class Moments:
    """Of the finite values: ``squared`` is the sum of squared deviations from the mean, ``None`` where it is too large for a float."""

    count: int
    minimum: float
    maximum: float
    mean: float
    squared: float | None

    @property
    def variance(self) -> float | None:
        """The unbiased estimate; ``None`` of fewer than two values."""
        return None if self.squared is None or self.count < 2 else self.squared / (self.count - 1)

    @property
    def deviation(self) -> float | None:
        return None if self.variance is None else math.sqrt(self.variance)

    def __add__(self, other: "Moments") -> "Moments":
        """Those of both sets (Chan, Golub and LeVeque 1979, eq. 2.1), written so that the order makes no difference."""
        count = self.count + other.count
        squared = None
        if self.squared is not None and other.squared is not None:
            apart = other.mean - self.mean
            squared = _finite(self.squared + other.squared + apart * apart * (self.count * other.count / count))
        mean = self.mean * (self.count / count) + other.mean * (other.count / count)
        return Moments(count, min(self.minimum, other.minimum), max(self.maximum, other.maximum), mean, squared)


@dataclass(frozen=True)
class ColumnProfile:
    """One column. ``counts`` has a number for each bin; together with ``nulls``, ``nans`` and ``rest.total`` they make ``rows``.

    Infinities are counted in the first and the last bin, and once more in ``infinite``. ``moments`` are those of numbers and times;
    ``None`` for other kinds, and where no value is finite.
    """

    name: str
    bins: Bins
    rows: int
    nulls: int
    nans: int
    infinite: int
    counts: tuple[int, ...]
    rest: Rest
    moments: Moments | None

    @property
    def missing(self) -> int:
        """Null and NaN: neither is a value."""
        return self.nulls + self.nans


@dataclass(frozen=True)
class Profile:
    """The columns of some rows. ``[]`` names a column."""

    rows: int
    columns: tuple[ColumnProfile, ...]
    format: int = FORMAT

    def __getitem__(self, name: str) -> ColumnProfile:
        for column in self.columns:
            if column.name == name:
                return column
        raise NotFound(f"the profile has no column {name!r}; it has {', '.join(column.name for column in self.columns) or 'none'}")


def profile(rows: "pl.LazyFrame | pl.DataFrame", reference: Profile | None = None) -> Profile:
    """The profile of the rows, in bins of their own or, for columns that it has, in those of the reference.

    Stored rows are read a few columns at a time (32 MiB, at least one column), each column once; hand in what is stored, not a query that
    joins. Raises ``Invalid`` for a column of the reference that the rows lack or hold as another kind: ``fitting`` leaves those out.
    """
    import polars as pl

    lazy = rows.lazy()
    names = lazy.collect_schema().names()
    known = {} if reference is None else {column.name: column.bins for column in reference.columns}
    absent = [name for name in known if name not in names]
    if absent:
        raise Invalid(f"the rows lack {', '.join(absent)}, which the reference has; they have {', '.join(names)}", columns=absent)
    height = int(lazy.select(pl.len()).collect().item())
    width = max(1, _GROUP_BYTES // (8 * max(height, 1)))
    columns: list[ColumnProfile] = []
    for start in range(0, len(names), width):
        frame = lazy.select(names[start : start + width]).collect(engine="streaming")
        columns += [_column(column, known.get(column.name)) for column in frame.iter_columns()]
    return Profile(height, tuple(columns))


def fitting(reference: Profile, rows: "pl.LazyFrame | pl.DataFrame") -> Profile:
    """The reference without the columns that the rows lack, or hold as another kind of value."""
    import polars as pl

    empty = pl.DataFrame(schema=rows.lazy().collect_schema())
    return replace(reference, columns=tuple(column for column in reference.columns if _fits(column, empty)))


def _fits(column: ColumnProfile, empty: "pl.DataFrame") -> bool:
    if column.name not in empty.columns:
        return False
    try:
        _column(empty[column.name], column.bins)
    except Invalid:
        return False
    return True


def _column(column: "pl.Series", bins: Bins | None) -> ColumnProfile:
    present = column.drop_nulls()
    nulls = column.len() - present.len()
    if present.dtype.is_float() and present.is_nan().any():
        present = present.filter(present.is_not_nan())
    nans = column.len() - nulls - present.len()
    if bins is None and kind_of(present.dtype) == "other":
        bins = Bins("other", dtype_name(present.dtype))
    kind = bins.kind if bins is not None and bins.kind in ORDERED else kind_of(present.dtype)
    counts: tuple[int, ...] = ()
    rest, infinite, moments = Rest(), 0, None
    if kind in ORDERED:
        values = numbers_in(present, kind)
        infinite, moments = _moments(values)
        bins = bins or bins_of_numbers(values, kind, present.dtype)  # None for few numbers, which are a category
        if bins is not None and bins.kind in ORDERED:
            counts = counts_between(values, bins.edges)
    if bins is None or bins.kind == "category":
        found = value_counts(present, dtype_name(present.dtype) if bins is None else bins.dtype)
        bins = bins or bins_of_values(found, present.dtype)
        counts, rest = counts_of_values(found, bins.values)
    elif bins.kind == "other":
        rest = Rest(present.len(), error=present.len())
    return ColumnProfile(column.name, bins, column.len(), nulls, nans, infinite, counts, rest, moments)


def _moments(values: "Array") -> tuple[int, Moments | None]:
    """How many values are infinite, and the moments of the others."""
    parts = [_moments_of_chunk(chunk) for chunk in chunks(values)]
    found = None
    for _, part in parts:
        found = part if found is None else found + part if part is not None else found
    return sum(infinite for infinite, _ in parts), found


def _moments_of_chunk(values: "Array") -> tuple[int, Moments | None]:
    import numpy as np

    infinite = 0
    minimum, maximum = float(values.min()), float(values.max())
    if math.isinf(minimum) or math.isinf(maximum):
        finite = values[np.isfinite(values)]
        infinite, values = len(values) - len(finite), finite
        if not len(values):
            return infinite, None
        minimum, maximum = float(values.min()), float(values.max())
    with np.errstate(over="ignore"):
        mean = float(values.mean())
        if math.isinf(mean):  # the sum is too large, the mean is not
            mean = float((values / len(values)).sum())
        apart = values - mean
        apart *= apart
        return infinite, Moments(len(values), minimum, maximum, mean, _finite(float(apart.sum())))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


# ── adding up ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def merge(one: Profile, other: Profile) -> Profile:
    """The profile of both sets of rows. Counts are exact in any order; moments but for rounding, ``rest`` within its stated error.

    Raises ``Invalid`` for profiles in different bins, naming the columns.
    """
    ours, theirs = ({column.name for column in item.columns} for item in (one, other))
    if ours != theirs:
        differing = ", ".join(sorted(ours ^ theirs))
        raise Invalid(f"only one of the two profiles has {differing}; profiles of the same columns can be merged")
    check_bins(one, other, [column.name for column in one.columns])
    return Profile(one.rows + other.rows, tuple(_merged(column, other[column.name]) for column in one.columns))


def check_bins(one: Profile, other: Profile, names: Sequence[str]) -> None:
    """Raise ``Invalid`` naming the columns that were counted in different bins."""
    differing = [name for name in names if one[name].bins != other[name].bins]
    if differing:
        shown = ", ".join(differing[:5]) + (f" and {len(differing) - 5} more" if len(differing) > 5 else "")
        raise Invalid(f"{shown}: counted in different bins; profile both sets of rows with the same reference", columns=differing)


def _merged(one: ColumnProfile, other: ColumnProfile) -> ColumnProfile:
    moments = one.moments + other.moments if one.moments and other.moments else one.moments or other.moments
    return ColumnProfile(
        one.name, one.bins, one.rows + other.rows, one.nulls + other.nulls, one.nans + other.nans, one.infinite + other.infinite,
        tuple(ours + theirs for ours, theirs in zip(one.counts, other.counts, strict=True)), one.rest + other.rest, moments,
    )  # fmt: skip


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def quantile(column: ColumnProfile, share: float) -> float | None:
    """Where a share of a number's or a time's values lies below, to within its bin; ``None`` where there is none to say.

    Inside a bin the values are taken to be spread evenly; the outermost reach to the least and the greatest.
    """
    if column.moments is None or not column.bins.edges or not sum(column.counts):
        return None
    wanted = share * sum(column.counts)
    for (low, high), count, below in zip(_spans(column), column.counts, accumulate(column.counts, initial=0), strict=False):
        if count and below + count >= wanted:
            inside = max(0.0, wanted - below) / count
            return low * (1 - inside) + high * inside
    return column.moments.maximum


def _spans(column: ColumnProfile) -> Iterator[tuple[float, float]]:
    assert column.moments is not None
    least, greatest = column.moments.minimum, column.moments.maximum
    ends = [min(max(edge, least), greatest) for edge in column.bins.edges]
    return zip([least, *ends], [*ends, greatest], strict=True)


def encode(document: Profile) -> bytes:
    """The document as JSON, described in ``docs/explanation/profiles.md``."""
    return msgspec.json.encode(document)


def decode(content: bytes) -> Profile:
    """The profile of a document. Raises ``Invalid`` for one in another format."""
    found = msgspec.json.decode(content)
    version = found.get("format") if isinstance(found, dict) else None
    if version != FORMAT:
        raise Invalid(f"a profile in format {version}, and this Clew reads format {FORMAT}; profile the rows again")
    return msgspec.convert(found, Profile)
