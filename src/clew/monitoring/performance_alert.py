"""Does the model do worse than on rows held out from its training? One look a window, at a rate that is that of a whole run.

A run is a known number of looks at disjoint windows. Each look compares the window's blocks with the reference's by shuffling which are
which: if the window is a block like the others, its figure is as likely to be the highest as any other choice of as many blocks. The
threshold is where ``rate / looks`` of the shuffles lie above, so that all looks together alarm by chance in at most ``rate`` of runs,
whatever they share (Bonferroni). A row-wise test in its place alarms in nearly every healthy year.

Blocks are what has to be exchangeable. Days are not: a week of storms is bad day after day, and the loss of one day tells much of the next
(a correlation of 0.5 on the flights). Shuffled days then alarm in a third of healthy runs where 5 % are promised, shuffled weeks in 8 %; so
judge by weeks, with a reference of three months. Where blocks are too few for the rate, the answer is *not enough data yet*, and
``would_do`` says what to ask for instead.

A season that is harder for every model is worse here too. Paired regret, against a fresh model on the same rows, is not misled by it.

Sources
-------
Phipson and Smyth (2010), *Permutation p-values should never be zero*, Statistical Applications in Genetics and Molecular Biology 9.
DeLong, DeLong and Clarke-Pearson (1988) for AUC as ordered pairs: see ``clew.pipelines.intervals``.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from clew.errors import Invalid
from clew.pipelines.intervals import pair_counts

__all__ = [
    "EARLIER_WINDOWS", "Look", "can_judge", "complete_windows", "fewest_reference", "look_at_auc", "look_at_mean", "most_reference", "too_few", "would_do",
]  # fmt: skip

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_SHUFFLES = 9_999
EARLIER_WINDOWS = 3
"""How many of a version's windows before the judged one stand beside the rows held out."""


@dataclass(frozen=True)
class Look:
    """What one look at a window found. The figure is a mean loss or an AUC; ``threshold`` is what the shuffles ask the window's to pass.

    ``level`` is the rate that is left for one look; ``p_value`` is the share of shuffles in which the window does as badly.
    """

    word: Literal["worse", "not worse", "not enough data yet"]
    reference: float
    window: float
    threshold: float | None
    p_value: float
    level: float
    reference_blocks: int
    window_blocks: int
    rows: int


def can_judge(reference: int, window: int, *, looks: int, rate: float) -> bool:
    """Can blocks of a window be chosen among all in so many ways that one look of the run can alarm at its share of the rate?

    >>> [can_judge(weeks, 4, looks=12, rate=0.05) for weeks in (6, 7)]
    [False, True]
    """
    return math.comb(reference + window, window) >= looks / rate


def fewest_reference(window: int, *, looks: int, rate: float) -> int:
    """The fewest blocks beside which a window can be judged.

    >>> [fewest_reference(4, looks=12 * metrics, rate=0.05) for metrics in (1, 2)]
    [7, 8]
    """
    enough = math.ceil(looks / rate)  # even for a window of one block, which can then be any of them
    return bisect_left(range(enough), x=True, key=lambda blocks: can_judge(blocks, window, looks=looks, rate=rate))


def most_reference(held: int, window: int) -> int:
    """The blocks that a window of an aged version is held against, of which ``held`` were held out."""
    return held + EARLIER_WINDOWS * window


def too_few(reference: int, window: int, held: int, *, looks: int, rate: float, metrics: int = 1, unit: int = 7) -> str:
    """In words: a window can't be judged, and whether that changes as the version ages or what would do; empty where it can.

    All count blocks of ``unit`` days: those that the window is held against, its own, and the part of the former that was held out.
    """
    tests = looks * metrics
    if can_judge(reference, window, looks=tests, rate=rate):
        return ""
    few = f"{_length(reference, unit)} of unseen rows and {_length(window, unit)} of the window are too few for that rate"
    most = most_reference(held, window)
    if can_judge(most, window, looks=tests, rate=rate):
        enough = fewest_reference(window, looks=tests, rate=rate)
        return f"{few}: {_length(enough, unit)} of unseen rows would do, and as the version ages there are up to {_length(most, unit)}"
    later = f", and so are the {_length(most, unit)} that there can be as the version ages" if most > reference else ""
    return f"{few}{later}: {would_do(held, window, looks=looks, rate=rate, metrics=metrics, unit=unit)}"


def would_do(held: int, window: int, *, looks: int, rate: float, metrics: int = 1, unit: int = 7) -> str:
    """Which holdout, window or number of looks, each alone, would let windows of an aged version be judged that now never can.

    A longer window also brings more reference, since earlier ones are part of it.

    >>> would_do(3, 2, looks=12, rate=0.05, metrics=2)
    'a holdout of 24 weeks, a window of 4 weeks or 1 look a run would do'
    """

    def judges(window: int, tests: int) -> bool:
        return can_judge(most_reference(held, window), window, looks=tests, rate=rate)

    tests = looks * metrics
    holdout = fewest_reference(window, looks=tests, rate=rate) - EARLIER_WINDOWS * window
    wider = 1 + bisect_left(range(1, math.ceil(tests / rate)), x=True, key=lambda window: judges(window, tests))
    fewer = bisect_left(range(1, tests + 1), x=True, key=lambda tests: not judges(window, tests)) // metrics
    told = [f"a holdout of {_length(holdout, unit)}", f"a window of {_length(wider, unit)}"]
    if fewer:
        told.append(f"{fewer} look{'s' if fewer > 1 else ''} a run")
    return f"{', '.join(told[:-1])} or {told[-1]} would do"


def _length(blocks: int, unit: int) -> str:
    if unit != 7:
        return f"{blocks * unit} days"
    return "1 week" if blocks == 1 else f"{blocks} weeks"


def complete_windows(since: int, until: int, size: int) -> list[range]:
    """The disjoint windows of ``size`` blocks from block ``since`` on that are over before block ``until``.

    >>> complete_windows(10, 25, 7)
    [range(10, 17), range(17, 24)]
    """
    if size < 1:
        raise Invalid(f"a window has at least one block, not {size}")
    return [range(start, start + size) for start in range(since, until - size + 1, size)]


def look_at_mean(
    losses: npt.ArrayLike,
    blocks: npt.NDArray[np.integer],
    recent: npt.NDArray[np.bool_],
    *,
    looks: int,
    rate: float = 0.05,
    seed: int = 0,
) -> Look:
    """Is the mean loss of the recent rows above that of the reference, the rows that are not recent? ``(n,)`` each.

    ``looks`` is how many windows the run has, this one among them. No block may lie on both sides.

    >>> rng = np.random.default_rng(0)
    >>> weeks = np.repeat(np.arange(16), 500)
    >>> losses = rng.normal(0.40, 0.02, 16)[weeks] + rng.normal(0, 0.2, len(weeks)) + 0.1 * (weeks >= 12)
    >>> look_at_mean(losses, weeks, weeks >= 12, looks=9).word
    'worse'
    """
    values = np.asarray(losses, dtype=np.float64)
    codes, inside = _sides(blocks, recent, len(values))
    sums, counts = np.bincount(codes, weights=values), np.bincount(codes).astype(np.float64)

    def means(weights: Floats) -> Floats:
        return np.asarray((weights @ sums) / (weights @ counts), dtype=np.float64)

    return _look(means, inside, looks, rate, seed, higher_is_worse=True, rows=int(recent.sum()))


def look_at_auc(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    blocks: npt.NDArray[np.integer],
    recent: npt.NDArray[np.bool_],
    *,
    looks: int,
    rate: float = 0.05,
    seed: int = 0,
) -> Look:
    """The same for AUC: is that of the recent rows below that of the reference?

    A choice of blocks that lacks one of the classes counts as doing as badly, so that rare positives make alarms rarer, not more frequent.
    """
    truth = np.asarray(labels).astype(bool)
    codes, inside = _sides(blocks, recent, len(truth))
    count = len(inside)
    ordered = pair_counts(truth, scores, codes, count)
    positives = np.bincount(codes[truth], minlength=count).astype(np.float64)
    negatives = np.bincount(codes[~truth], minlength=count).astype(np.float64)

    def aucs(weights: Floats) -> Floats:
        pairs = (weights @ positives) * (weights @ negatives)
        inverted = np.einsum("ri,ij,rj->r", weights, ordered, weights, optimize=True)
        return np.asarray(np.divide(inverted, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0), dtype=np.float64)

    return _look(aucs, inside, looks, rate, seed, higher_is_worse=False, rows=int(recent.sum()))


def _sides(blocks: npt.NDArray[np.integer], recent: npt.NDArray[np.bool_], rows: int) -> tuple[Integers, npt.NDArray[np.bool_]]:
    if not len(blocks) == len(recent) == rows:
        raise Invalid(f"one value, block and side each: there are {rows}, {len(blocks)} and {len(recent)}")
    names, codes = np.unique(blocks, return_inverse=True)
    inside = np.bincount(codes, weights=recent) > 0
    both = inside & (np.bincount(codes, weights=~recent) > 0)
    if both.any():
        raise Invalid(f"block {names[both.argmax()]} lies in the window and in the reference; a look compares whole blocks")
    if not 0 < inside.sum() < len(names):
        raise Invalid("a look needs blocks in the window and blocks in the reference")
    return codes.astype(np.int64), inside


def _look(
    figure: Callable[[Floats], Floats],
    inside: npt.NDArray[np.bool_],
    looks: int,
    rate: float,
    seed: int,
    *,
    higher_is_worse: bool,
    rows: int,
) -> Look:
    """``figure`` gives the figure of each choice of blocks, from weights ``(choices, blocks)``."""
    if looks < 1 or not 0 < rate < 1:
        raise Invalid(f"a run has at least one look and a rate between 0 and 1, not {looks} and {rate:g}")
    blocks, chosen, level = len(inside), int(inside.sum()), rate / looks
    weights = np.vstack([inside, _shuffles(blocks, chosen, seed)]).astype(np.float64)
    windows, references = figure(weights), figure(1 - weights)
    badness = (windows - references) if higher_is_worse else (references - windows)
    # Where a figure can't be had, the shuffle counts against an alarm. The small slack makes equal choices equal in spite of rounding.
    as_bad = np.isnan(badness) | (badness >= badness[0] - 1e-12)
    p_value = float(as_bad.mean())
    enough = can_judge(blocks - chosen, chosen, looks=looks, rate=rate) and not np.isnan(badness[0])
    word: Literal["worse", "not worse", "not enough data yet"] = "not enough data yet"
    if enough:
        word = "worse" if p_value <= level else "not worse"
    threshold = None
    if enough:
        worst = np.sort(np.where(np.isnan(badness), np.inf, badness))[::-1][min(int(level * len(badness)), len(badness) - 1)]
        threshold = float(references[0] + worst if higher_is_worse else references[0] - worst)
    return Look(word, float(references[0]), float(windows[0]), threshold, p_value, level, blocks - chosen, chosen, rows)


@lru_cache(maxsize=4)  # the looks of a run share them; a megabyte each
def _shuffles(blocks: int, chosen: int, seed: int) -> npt.NDArray[np.bool_]:
    order = np.argpartition(np.random.default_rng(seed).random((_SHUFFLES, blocks)), chosen - 1, axis=1)[:, :chosen]
    inside = np.zeros((_SHUFFLES, blocks), dtype=np.bool_)
    np.put_along_axis(inside, order, values=True, axis=1)
    inside.flags.writeable = False
    return inside
