"""What keeping the champion costs: its loss minus that of a fresh model, on the same rows, summed up day by day.

This is where benefit is measured, over months of served rows, since neither a gate nor a canary is long enough to see it. Both models answer
the same rows and each was trained on older ones only, so that a season that is hard for both counts for neither.

A verdict is for windows that were chosen beforehand, such as the 28 days before each refresh. Say how many such looks a run has, and the
level is that of all of them together (Bonferroni). A verdict that is read every day comes up *worse* by chance in most runs: see
``docs/explanation/error-rates.md``.

Sources
-------
Dawid (1984), *Statistical theory: the prequential approach*, JRSS A 147: judging a forecaster by what it said before each outcome.
Interval: see ``clew.pipelines.intervals``.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from clew.errors import Invalid
from clew.pipelines.comparison import MINIMUM_BLOCKS
from clew.pipelines.intervals import Interval, blocked_mean

__all__ = ["BlockRegret", "Regret", "paired_regret"]


@dataclass(frozen=True)
class BlockRegret:
    """One block: the champion's total loss minus the other model's over its rows, and the sum up to and with this block."""

    block: int
    rows: int
    regret: float
    cumulated: float


@dataclass(frozen=True)
class Regret:
    """What the champion cost against the other model; above zero it was the worse one.

    ``mean`` is per row over the window, ``None`` while that has fewer than two blocks; ``per_block`` the window's sum by its blocks;
    ``total`` over all blocks given. *worse* says that the whole interval lies above ``threshold``. *not worse* says only that it does
    not, and is no proof of equality.
    """

    word: Literal["worse", "not worse", "not enough data yet"]
    mean: Interval | None
    threshold: float
    per_block: float
    total: float
    blocks: int
    rows: int
    by_block: tuple[BlockRegret, ...]


def paired_regret(
    champion: npt.ArrayLike,
    other: npt.ArrayLike,
    blocks: npt.NDArray[np.integer],
    *,
    window: int = 28,
    threshold: float = 0.0,
    level: float = 0.95,
    looks: int = 1,
) -> Regret:
    """Regret of the champion's losses against the other's on the same matured rows, ``(n,)`` each; the window is the newest blocks.

    ``looks`` is how many windows the run has, this one among them: the interval is the wider for it.

    >>> days = np.repeat(np.arange(20), 50)
    >>> found = paired_regret(np.full(1_000, 0.42), np.full(1_000, 0.40), days, threshold=0.005)
    >>> found.word, round(found.per_block, 6), round(found.total, 6), found.blocks
    ('worse', 1.0, 20.0, 20)
    """
    differences = np.asarray(champion, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    if differences.shape != blocks.shape or differences.ndim != 1:
        raise Invalid(f"both models have one loss a row and each row a block: there are {differences.shape} and {blocks.shape}")
    if not np.isfinite(differences).all():
        raise Invalid(f"losses are finite numbers; row {int(np.argmin(np.isfinite(differences)))} has none. Leave unlabelled rows out")
    if window < 2:
        raise Invalid(f"an interval over blocks needs a window of at least two of them, not {window}")
    if looks < 1:
        raise Invalid(f"a run has at least one look, not {looks}")
    numbers, codes = np.unique(blocks, return_inverse=True)
    counts = np.bincount(codes, minlength=len(numbers))
    sums = np.bincount(codes, weights=differences, minlength=len(numbers))
    by_block = tuple(
        BlockRegret(int(number), int(rows), float(regret), float(cumulated))
        for number, rows, regret, cumulated in zip(numbers, counts, sums, np.cumsum(sums), strict=True)
    )
    recent = codes >= len(numbers) - window
    held = min(window, len(numbers))
    mean = blocked_mean(differences[recent], blocks[recent], level=1 - (1 - level) / looks) if held > 1 else None
    per_block = float(sums[-window:].sum()) / held if held else 0.0
    return Regret(_word(mean, held, threshold), mean, threshold, per_block, float(sums.sum()), held, int(recent.sum()), by_block)


def _word(mean: Interval | None, blocks: int, threshold: float) -> Literal["worse", "not worse", "not enough data yet"]:
    if mean is None or blocks < MINIMUM_BLOCKS:
        return "not enough data yet"
    return "worse" if mean.low > threshold else "not worse"
