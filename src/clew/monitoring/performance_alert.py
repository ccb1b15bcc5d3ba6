"""Does the model do worse than on rows held out from its training? One look a window, at a rate that is that of a whole run.

A run is a known number of looks at disjoint windows. Each look compares the window's blocks with the reference's by shuffling which are
which: if the window is a block like the others, its figure is as likely to be the highest as any other choice of as many blocks. The
threshold is where ``rate / looks`` of the shuffles lie above, so that all looks together alarm by chance in at most ``rate`` of runs,
whatever they share (Bonferroni). A row-wise test in its place alarms in nearly every healthy year.

Blocks are what has to be exchangeable. Days are not: a week of storms is bad day after day, and the loss of one day tells much of the next
(a correlation of 0.5 on the flights). Shuffled days then alarm in a third of healthy runs where 5 % are promised, shuffled weeks in 8 %; so
judge by weeks, with a reference of three months. Where blocks are too few for the rate, the answer is *not enough data yet*.

A season that is harder for every model is worse here too. Paired regret, against a fresh model on the same rows, is not misled by it.

Sources
-------
Phipson and Smyth (2010), *Permutation p-values should never be zero*, Statistical Applications in Genetics and Molecular Biology 9.
DeLong, DeLong and Clarke-Pearson (1988) for AUC as ordered pairs: see ``clew.pipelines.intervals``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from clew.errors import Invalid
from clew.pipelines.intervals import pair_counts

__all__ = ["Look", "complete_windows", "look_at_auc", "look_at_mean"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
_SHUFFLES = 9_999


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
    enough = 1 / math.comb(blocks, chosen) <= level and not np.isnan(badness[0])
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
