"""How far apart two profiles are, in numbers that other tools know. They are distances, not verdicts: whether the world changed is for a
test that knows how rows hang together (``docs/explanation/statistics.md``).

Each takes two sequences of counts (or shares) over the same cells, in any scale, and raises ``Invalid`` where one of them is empty.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clew.datasets.profile import ColumnProfile, Profile, check_bins
from clew.errors import Invalid

if TYPE_CHECKING:
    from clew.datasets.bins import Array

__all__ = [
    "FLOOR", "Shift", "cells", "jensen_shannon", "kolmogorov_smirnov", "population_stability", "shifts", "total_variation",
]  # fmt: skip

FLOOR = 1e-4
"""The least share of a cell in ``population_stability``, whose logarithm would otherwise be infinite wherever a cell is empty."""


def jensen_shannon(one: Sequence[float], other: Sequence[float]) -> float:
    """The Jensen–Shannon distance: the square root of the divergence in bits, 0 for equal shares, 1 for none in common (Lin 1991).

    >>> jensen_shannon([1, 1], [2, 2]), jensen_shannon([1, 0], [0, 1])
    (0.0, 1.0)
    """
    import numpy as np

    p, q = _shares(one, other)
    middle = (p + q) / 2
    divergence = 0.0
    for shares in (p, q):
        there = shares > 0
        divergence += float((shares[there] * np.log2(shares[there] / middle[there])).sum()) / 2
    return float(np.sqrt(min(max(divergence, 0.0), 1.0)))


def total_variation(one: Sequence[float], other: Sequence[float]) -> float:
    """The share of rows that would have to be in another cell: half the sum of absolute differences.

    >>> total_variation([3, 1], [1, 1])
    0.25
    """
    p, q = _shares(one, other)
    return float(abs(p - q).sum() / 2)


def population_stability(one: Sequence[float], other: Sequence[float], floor: float = FLOOR) -> float:
    """The population stability index, the sum of (q - p) ln(q / p), with shares below ``floor`` taken for the floor (Siddiqi 2006)."""
    import numpy as np

    p, q = (np.maximum(shares, floor) for shares in _shares(one, other))
    return float(((q - p) * np.log(q / p)).sum())


def kolmogorov_smirnov(one: Sequence[float], other: Sequence[float]) -> float:
    """The largest difference between the two distribution functions at the ends of the cells, which must be in order.

    Between the ends it may be larger by the share of a cell at most.
    """
    p, q = _shares(one, other)
    return float(abs((p - q).cumsum()).max())


def _shares(one: Sequence[float], other: Sequence[float]) -> "tuple[Array, Array]":
    import numpy as np

    p, q = np.asarray(one, float), np.asarray(other, float)
    if p.shape != q.shape or p.ndim != 1:
        raise Invalid(f"counts over {len(p)} cells can't be compared with counts over {len(q)}")
    if not (p.sum() > 0 and q.sum() > 0):
        raise Invalid("nothing was counted on one side, so that there is nothing to compare")
    return p / p.sum(), q / q.sum()


# ── between profiles ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Shift:
    """How far a column moved; the largest is 1 for all but ``population_stability``, which has no bound.

    Missing values count as a cell of their own, and so do all values without a bin. ``kolmogorov_smirnov`` is of numbers and times, among
    those that are there. Distances are ``None`` where one side has no rows (or, for the last, no values). ``new`` are values that only
    the later profile has, the commonest first, where the earlier one can rule them out.
    """

    name: str
    jensen_shannon: float | None
    total_variation: float | None
    population_stability: float | None
    kolmogorov_smirnov: float | None
    missing_before: float | None
    missing_after: float | None
    new: tuple[str, ...] = ()


def cells(column: ColumnProfile) -> list[int]:
    """The column's counts with those of missing values first, and of values without a bin last."""
    return [column.missing, *column.counts, column.rest.total]


def shifts(before: Profile, after: Profile) -> list[Shift]:
    """How far each column moved that both have, the farthest first. Raises ``Invalid`` for columns in different bins."""
    names = {column.name for column in before.columns}
    shared = [column for column in after.columns if column.name in names]
    check_bins(before, after, [column.name for column in shared])
    found = [_shift(before[column.name], column) for column in shared]
    return sorted(found, key=lambda shift: -(shift.jensen_shannon or 0.0))


def _shift(before: ColumnProfile, after: ColumnProfile) -> Shift:
    if not before.rows or not after.rows:
        return Shift(after.name, None, None, None, None, _missing(before), _missing(after))
    p, q = cells(before), cells(after)
    ordered = bool(after.bins.edges) and sum(before.counts) > 0 and sum(after.counts) > 0
    ks = kolmogorov_smirnov(before.counts, after.counts) if ordered else None
    return Shift(
        after.name, jensen_shannon(p, q), total_variation(p, q), population_stability(p, q), ks, _missing(before), _missing(after),
        _new(before, after),
    )  # fmt: skip


def _missing(column: ColumnProfile) -> float | None:
    return column.missing / column.rows if column.rows else None


def _new(before: ColumnProfile, after: ColumnProfile) -> tuple[str, ...]:
    if before.rest.error:
        return ()  # a value that isn't named may have been there
    known = {value for value, _ in before.rest.heaviest}
    unseen = {value for value, count in zip(before.bins.values, before.counts, strict=False) if not count}
    counted = [*zip(after.bins.values, after.counts, strict=False), *after.rest.heaviest]
    new = [(value, count) for value, count in counted if count and (value in unseen or value not in {*before.bins.values, *known})]
    return tuple(value for value, _ in sorted(new, key=lambda item: (-item[1], item[0])))
