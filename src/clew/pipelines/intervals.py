"""Intervals over blocks: rows of one day move together, so the day is what is counted.

Sources
-------
Cochran (1977), *Sampling Techniques*, 3rd ed., section 6.4 and 9A: a mean over clusters of unequal size as a ratio estimator.
Efron and Tibshirani (1993), *An Introduction to the Bootstrap*, section 6 (standard error) and 8 (resampling the independent unit).
DeLong, DeLong and Clarke-Pearson (1988): AUC as the share of ordered pairs, ties counting half.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from clew.errors import Invalid

__all__ = ["Interval", "auc_difference", "auc_interval", "blocked_difference", "blocked_mean", "pair_counts", "tail_probability"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_RESAMPLES = 2_000


@dataclass(frozen=True)
class Interval:
    """An estimate and its two-sided interval at ``level``, over ``blocks`` independent blocks that hold ``rows`` rows."""

    estimate: float
    low: float
    high: float
    level: float
    blocks: int
    rows: int

    def __str__(self) -> str:
        return (
            f"{self.estimate:+.4f} ({self.level * 100:.0f} % {self.low:+.4f} to {self.high:+.4f}; {self.blocks} blocks, {self.rows:,} rows)"
        )


def _codes(blocks: npt.NDArray[np.generic]) -> tuple[Integers, int]:
    names, codes = np.unique(blocks, return_inverse=True)
    if len(names) < 2:
        raise Invalid(f"an interval over blocks needs at least two of them; these {len(blocks)} rows lie in {len(names)}")
    return codes.astype(np.int64), len(names)


def blocked_mean(values: npt.ArrayLike, blocks: npt.NDArray[np.generic], *, level: float = 0.95) -> Interval:
    """The mean over rows ``(n,)`` with Student's interval over blocks (Cochran 1977, ratio estimator).

    >>> blocked_mean([1.0, 3.0], np.array([0, 1])).estimate
    2.0
    """
    numbers = np.asarray(values, dtype=np.float64)
    codes, count = _codes(blocks)
    estimate = float(numbers.mean())
    residuals = np.bincount(codes, weights=numbers - estimate, minlength=count)
    error = float(np.sqrt(count / (count - 1) * np.square(residuals).sum()) / len(numbers))
    return _student(estimate, error, level, count, len(numbers))


def blocked_difference(
    values: npt.ArrayLike, chosen: npt.NDArray[np.bool_], blocks: npt.NDArray[np.generic], *, level: float = 0.95
) -> Interval:
    """The mean over the chosen rows minus the mean over the others, with Student's interval over blocks.

    Both means share their blocks, so a day that is bad for all is bad for neither: the error is that of the regression on an indicator
    with clustered residuals (Cochran 1977, both ratios linearised).

    >>> blocked_difference([1.0, 4.0, 2.0, 5.0], np.array([False, True, False, True]), np.array([0, 0, 1, 1])).estimate
    3.0
    """
    numbers = np.asarray(values, dtype=np.float64)
    codes, count = _codes(blocks)
    inside = int(chosen.sum())
    if not 0 < inside < len(numbers):
        raise Invalid("a difference needs rows on both sides; these are all on one")
    first, second = float(numbers[chosen].mean()), float(numbers[~chosen].mean())
    influence = np.where(chosen, (numbers - first) / inside, -(numbers - second) / (len(numbers) - inside))
    sums = np.bincount(codes, weights=influence, minlength=count)
    error = float(np.sqrt(count / (count - 1) * np.square(sums).sum()))
    return _student(first - second, error, level, count, len(numbers))


def tail_probability(interval: Interval, null: float = 0.0, *, below: bool = False) -> float:
    """The p-value of ``null`` under the interval's own Student distribution: two-sided, or with ``below`` that the truth lies under it."""
    from scipy import stats

    freedom = interval.blocks - 1
    error = (interval.high - interval.estimate) / float(stats.t.ppf((1 + interval.level) / 2, freedom))
    if error == 0:
        return 1.0 if interval.estimate == null or (below and interval.estimate > null) else 0.0
    t = (interval.estimate - null) / error
    return float(stats.t.cdf(t, freedom)) if below else float(2 * stats.t.sf(abs(t), freedom))


def _student(estimate: float, error: float, level: float, blocks: int, rows: int) -> Interval:
    from scipy import stats  # half a second to import, and only needed here

    reach = float(stats.t.ppf((1 + level) / 2, blocks - 1)) * error
    return Interval(estimate, estimate - reach, estimate + reach, level, blocks, rows)


def pair_counts(labels: npt.ArrayLike, scores: npt.ArrayLike, codes: Integers, count: int) -> Floats:
    """``(blocks, blocks)``: how many pairs of a positive row in block *i* and a negative in block *j* are in order, ties half.

    Any reweighting of blocks then has its AUC by two small products, so that thousands of resamples cost less than one sort.
    """
    truth, numbers = np.asarray(labels).astype(bool), np.asarray(scores, dtype=np.float64)
    positives, positive_codes = numbers[truth], codes[truth]
    counts = np.empty((count, count))
    for block in range(count):
        negatives = np.sort(numbers[~truth & (codes == block)])
        below = np.searchsorted(negatives, positives, "left")
        up_to = np.searchsorted(negatives, positives, "right")
        counts[:, block] = np.bincount(positive_codes, weights=(below + up_to) / 2, minlength=count)
    return counts


@dataclass(frozen=True)
class _Resampling:
    """Block weights of the sample itself (first row) and of its resamples, with the pairs that each weighting has."""

    weights: Floats
    pairs: Floats

    def auc(self, counts: Floats) -> Floats:
        ordered: Floats = np.einsum("ri,ij,rj->r", self.weights, counts, self.weights, optimize=True)
        return ordered / self.pairs


def _resampling(labels: npt.ArrayLike, codes: Integers, count: int, seed: int) -> _Resampling:
    truth = np.asarray(labels).astype(bool)
    positives = np.bincount(codes[truth], minlength=count).astype(np.float64)
    negatives = np.bincount(codes[~truth], minlength=count).astype(np.float64)
    if not positives.sum() or not negatives.sum():
        raise Invalid("AUC needs rows of both classes; these have one")
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=_RESAMPLES).astype(np.float64)
    weights = np.vstack([np.ones(count), drawn])
    pairs = (weights @ positives) * (weights @ negatives)
    usable = pairs > 0  # a resample without one of the classes has no AUC
    return _Resampling(weights[usable], pairs[usable])


def auc_interval(
    labels: npt.ArrayLike, scores: npt.ArrayLike, blocks: npt.NDArray[np.generic], *, level: float = 0.95, seed: int = 0
) -> Interval:
    """AUC with an interval from the bootstrap over whole blocks: its standard error, and Student's t over the blocks.

    The interval ends at 0 and 1, where AUC does; over two or three blocks it may fill all of that, and says nothing.
    """
    codes, count = _codes(blocks)
    resampling = _resampling(labels, codes, count, seed)
    values = resampling.auc(pair_counts(labels, scores, codes, count))
    found = _student(float(values[0]), float(values[1:].std(ddof=1)), level, count, len(codes))
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def auc_difference(
    labels: npt.ArrayLike,
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    blocks: npt.NDArray[np.generic],
    *,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """AUC of the first scores minus AUC of the second on the same rows; both are resampled together, block by block."""
    codes, count = _codes(blocks)
    resampling = _resampling(labels, codes, count, seed)
    values = resampling.auc(pair_counts(labels, first, codes, count)) - resampling.auc(pair_counts(labels, second, codes, count))
    return _student(float(values[0]), float(values[1:].std(ddof=1)), level, count, len(codes))
