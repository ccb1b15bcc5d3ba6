"""Is a candidate harmful? A bet against its harmlessness, row by row, that may be looked at after every row.

Each row brings the candidate's loss minus the champion's, bounded by ``bound``. Gamblers bet fixed fractions of what they own that the
candidate costs more than the tolerance. While it does not, the game is unfair to them, and their joint capital exceeds ``1 / alpha`` at any
time with a probability of at most ``alpha`` (Ville 1939). Because the fractions are fixed, more is true: by the inequality of the
arithmetic and the geometric mean the same bound holds as long as the *average* expected difference over the rows seen is within the
tolerance, so that one bad hour among good ones is no alarm. That is what ``alpha`` means: false alarms about harm *on the rows seen*.

It does not say that the candidate will be as bad next week. Rows of one day move together, and a candidate that is equal in the long run
truly is worse on some days. ``blocks_needed`` limits what one block can win, so that at least so many blocks have to agree; what is left of
the error over days is measured in ``docs/explanation/error-rates.md``. One bet a day on the day's mean (call ``observe`` with it) would be
valid for exchangeable days too, and is blind: a bounded mean wins at most a factor of two a day, and that only at the very bound.

Feed rows in order of their events and only when their whole block has matured: labels that come early are not a fair sample.

Sources
-------
Waudby-Smith and Ramdas (2024), *Estimating means of bounded random variables by betting*, JRSS B 86: the capital process (section 4) and
diversified betting over a grid of fractions (section 5). Ryu and Bhatt (2024), *On confidence sequences for bounded random processes via
universal gambling strategies*: one sum a gambler serves every null, see ``_log_capital``. The predictable plug-in bets of the first paper
(aGRAPA) found the same harm a little later on the flights, and need the order of rows to be told what they own.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from clew.errors import Invalid
from clew.pipelines.comparison import CLIP

__all__ = ["LOG_LOSS_BOUND", "HarmTest"]

Floats = npt.NDArray[np.float64]

LOG_LOSS_BOUND = math.log((1 - CLIP) / CLIP)
"""The largest difference of two log losses of probabilities that are held inside [0.01, 0.99]: log 99."""

_GAMBLERS = 10
_FRACTIONS: Floats = np.ldexp(0.95, -np.arange(_GAMBLERS))
"""Of what would be lost at the worst possible row. Great harm is found by the first, a long-run average of millions of rows by the last."""
_LOG_WEIGHTS: Floats = np.log([1 / ((j + 1) * (j + 2)) for j in range(_GAMBLERS)]) - math.log(1 - 1 / (_GAMBLERS + 1))
_NOTHING = (0.0,) * _GAMBLERS
_CHUNK = 65_536


@dataclass(frozen=True)
class HarmTest:
    """The test's rules and all that it remembers of the rows it has seen. ``observe`` gives the next one; this one stays.

    ``to_json`` and ``from_json`` carry it over a restart without a loss. Two tests over different rows cannot be joined, since the first
    crossing depends on the order: replay the rows instead.

    Parameters
    ----------
    tolerance
        In the unit of the differences; nats for log loss. Harm is an average above it.
    alpha
        The probability of ever calling harm while the average over the rows seen is within the tolerance.
    bound
        No difference is greater than this, in either direction.
    blocks_needed
        At least so many blocks (days) have to speak for harm; with 1 a single bad day may decide.

    Examples
    --------
    >>> test = HarmTest()
    >>> for day in range(4):
    ...     test = test.observe(np.full(100, 0.3), block=day)
    >>> test.harmful, test.harmful_after, test.blocks
    (True, 152, 4)
    >>> low, high = test.interval(0.95)
    >>> low < 0.3 < high
    True
    """

    tolerance: float = 0.02
    alpha: float = 0.005
    bound: float = LOG_LOSS_BOUND
    blocks_needed: int = 2
    rows: int = 0
    blocks: int = 0
    block: int | None = None
    """The newest block; more rows of it may come, rows of an older one may not."""
    total: float = 0.0
    harmful_after: int | None = None
    """The number of rows at which the capital first reached ``1 / alpha``."""
    won_for: tuple[float, ...] = _NOTHING
    won_against: tuple[float, ...] = _NOTHING
    """Log winnings of the gamblers who bet that the mean is above, and below, zero: what the interval is made of."""
    settled: tuple[float, ...] = _NOTHING
    """Log capital against the tolerance at the end of the last whole block, each block's part limited."""
    won_before: tuple[float, ...] = _NOTHING
    rows_before: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise Invalid(f"alpha is a probability between 0 and 1, not {self.alpha:g}")
        if not 0 <= self.tolerance < self.bound:
            raise Invalid(f"a tolerance lies from 0 to below the bound {self.bound:.4g}; {self.tolerance:g} does not")
        if self.blocks_needed < 1:
            raise Invalid(f"harm needs at least one block to show in, not {self.blocks_needed}")

    def observe(self, differences: npt.ArrayLike, block: int) -> "HarmTest":
        """The test after more rows of one block: candidate's loss minus champion's, ``(n,)``, in order.

        Raises ``Invalid`` for a difference that is no number or out of bounds, and for a block older than the newest.
        """
        values = np.asarray(differences, dtype=np.float64).reshape(-1)
        if self.block is not None and block < self.block:
            raise Invalid(f"rows come block by block in order; block {block} is older than {self.block}, which was there already")
        if not (np.abs(values) <= self.bound * (1 + 1e-9)).all():  # NaN fails this too
            wrong = values[~(np.abs(values) <= self.bound * (1 + 1e-9))][0]
            raise Invalid(f"a difference lies within ±{self.bound:.4g}, and {wrong:g} does not; hold probabilities inside [0.01, 0.99]")
        if not len(values):
            return self
        test = self if block == self.block else self._next_block(block)
        for start in range(0, len(values), _CHUNK):
            test = test._after(values[start : start + _CHUNK])
        return test

    def _next_block(self, block: int) -> "HarmTest":
        return replace(
            self, block=block, blocks=self.blocks + 1, settled=tuple(self._standing(np.array([self.won_for]), np.array([self.rows]))[0]),
            won_before=self.won_for, rows_before=self.rows,
        )  # fmt: skip

    def _after(self, values: Floats) -> "HarmTest":
        bets = np.outer(values, _FRACTIONS / self.bound)
        won = self.won_for + np.cumsum(np.log1p(bets), axis=0)
        counts = self.rows + np.arange(1, len(values) + 1)
        capital = np.logaddexp.reduce(self._standing(won, counts) + _LOG_WEIGHTS, axis=1)
        looking = self.harmful_after is None and self.blocks >= self.blocks_needed
        crossed = np.flatnonzero(capital >= -math.log(self.alpha)) if looking else np.empty(0, np.int64)
        return replace(
            self, rows=self.rows + len(values), total=self.total + float(values.sum()), won_for=tuple(won[-1, :].tolist()),
            won_against=tuple((self.won_against + np.log1p(-bets).sum(axis=0)).tolist()),
            harmful_after=int(counts[crossed[0]]) if len(crossed) else self.harmful_after,
        )  # fmt: skip

    def _standing(self, won: Floats, counts: npt.NDArray[np.int64]) -> Floats:
        """Log capital of each gambler against the tolerance, ``(n, gamblers)``, when they have ``won`` so much after ``counts`` rows."""
        gained = won - self.won_before - np.outer(counts - self.rows_before, np.log1p(_FRACTIONS / self.bound * self.tolerance))
        if self.blocks_needed > 1:
            # A gambler who wins the limit in each of the blocks needed decides alone, whatever share of the capital was his.
            gained = np.minimum(gained, (-math.log(self.alpha) - _LOG_WEIGHTS) / self.blocks_needed)
        return np.asarray(self.settled + gained, dtype=np.float64)

    @property
    def harmful(self) -> bool:
        """Whether harm has been shown at any look; it stays so."""
        return self.harmful_after is not None

    @property
    def mean(self) -> float:
        """The average difference over the rows seen; NaN before the first."""
        return self.total / self.rows if self.rows else math.nan

    @property
    def log_capital(self) -> float:
        """What the gamblers own now, as a natural logarithm; 0 is what they began with, and ``-log(alpha)`` shows harm."""
        return float(np.logaddexp.reduce(self._standing(np.array([self.won_for]), np.array([self.rows]))[0] + _LOG_WEIGHTS))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Lower and upper end for the average expected difference over the rows seen, at once for every look.

        It is about these rows, not about other days: a comparison over days has its own interval, in ``clew.pipelines.intervals``.
        """
        if not 0 < level < 1:
            raise Invalid(f"a level lies between 0 and 1, not {level:g}")
        needed = math.log(2 / (1 - level))
        return self._least(self.won_for, needed), -self._least(self.won_against, needed)

    def _least(self, won: tuple[float, ...], needed: float) -> float:
        """The greatest mean that is ruled out from below; the capital falls as the mean rises, so bisection finds it."""
        low, high = -self.bound, self.bound
        if self._log_capital(won, low) < needed:
            return low
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self._log_capital(won, middle) >= needed else (low, middle)
        return low

    def _log_capital(self, won: tuple[float, ...], mean: float) -> float:
        # The gambler who bets b on d against 0 bets b / (1 + b·mean) on (d - mean) against the mean: (1 + b·d) / (1 + b·mean) is his
        # factor. So one sum a gambler gives the capital against every mean, with all bets that the bound allows.
        return float(np.logaddexp.reduce(won - self.rows * np.log1p(_FRACTIONS / self.bound * mean) + _LOG_WEIGHTS))

    def to_json(self) -> dict[str, Any]:
        """Plain numbers and lists; floats survive JSON bit by bit."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> "HarmTest":
        """The test that ``to_json`` gave, ready for the next row."""
        unknown = stored.keys() ^ {field.name for field in fields(cls)}
        if unknown:
            raise Invalid(f"this is no stored test of harm: {sorted(unknown)[0]!r} is missing or unknown")
        values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
        return cls(**values)
