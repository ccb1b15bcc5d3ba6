"""The half of a guard that serving keeps: what a candidate does to requests, judged at every row, and valid however often one looks.

Each watch is a test by betting (Shafer, 2021): capital that a gambler against *the candidate keeps to its limit* would have. If the
candidate does, the capital ever reaches ``1 / alpha`` with a chance of at most ``alpha`` (Ville, 1939), whenever one looks.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from clew.definitions import GuardDefinition

__all__ = ["LocalGuard", "RateTest", "ShiftTest", "Trial", "warm_up"]

_WARMING_ROWS = 20
"""So many rows of a process do not count for latency."""
_SLOW_SHARE = 0.05
"""A limit on the 95th percentile says that at most so many of the rows take longer."""


class RateTest:
    """Whether a rate exceeds a limit: a mixture of likelihood ratios over all rates above it, uniform between the limit and 1.

    The integral of ``(p/limit)^hits ((1-p)/(1-limit))^(n-hits)`` over p is a beta function (Robbins, 1970). Each ratio with p above the
    limit is a fair or losing bet for every true rate up to the limit, and a mixture of such bets is one too.

    >>> test = RateTest(limit=0.01)
    >>> for hit in [True, False, True]: test.observe(hit)
    >>> test.capital > 200
    True
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.count = 0
        self.hits = 0

    def observe(self, hit: bool) -> None:
        self.count += 1
        self.hits += hit

    @property
    def capital(self) -> float:
        """What a stake of 1 has become."""
        from scipy.special import betaincc, betaln

        hits, misses = self.hits, self.count - self.hits
        above = float(betaincc(hits + 1, misses + 1, self.limit))
        if above == 0.0:  # the rates seen are so far below the limit that the integral underflows
            return 0.0
        log = float(betaln(hits + 1, misses + 1)) + math.log(above) - math.log1p(-self.limit)
        log -= hits * math.log(self.limit) + misses * math.log1p(-self.limit)
        return math.exp(min(log, 700.0))


class ShiftTest:
    """Whether the mean of differences in [-1, 1] lies beyond a limit on either side: two bets, of half the stake each.

    The fraction staked before each row follows from the rows before it: the aGRAPA rule of Waudby-Smith and Ramdas (2024, section B.3),
    held within [0, 1/2] of what would ruin.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._log = [0.0, 0.0]
        self._sum = 0.0
        self._squares = 0.0
        self.count = 0

    def observe(self, difference: float) -> None:
        mean = self._sum / (self.count + 1)
        variance = max((self._squares + 1.0) / (self.count + 1) - mean * mean, 1e-6)
        for side, sign in enumerate((1.0, -1.0)):
            edge = sign * mean - self.limit
            stake = min(max(edge / (variance + edge * edge), 0.0), 0.5 / (1.0 + self.limit))
            self._log[side] += math.log1p(stake * (sign * difference - self.limit))
        self._sum += difference
        self._squares += difference * difference
        self.count += 1

    @property
    def capital(self) -> float:
        return 0.5 * sum(math.exp(min(one, 700.0)) for one in self._log)

    @property
    def mean(self) -> float:
        return self._sum / max(self.count, 1)


@dataclass(frozen=True)
class Trial:
    """One row that both scored: ``error`` in place of the candidate's ``score``; ``bounds`` where a feature broke its declared bounds.
    ``champion`` is ``None`` where the existing system that answers gave none, which is nothing to hold against the candidate.

    ``champion_us`` is what the champion took for the same row: where that is too long as well, the machine is busy, not the candidate slow.
    """

    champion: float | None
    score: float | None
    latency_us: int
    error: str | None = None
    bounds: bool = False
    champion_us: int = 0


def warm_up() -> None:
    """Import what the tests compute with, so that the first bad row does not wait for it."""
    test = RateTest(0.5)
    test.observe(hit=True)
    assert test.capital > 0


class LocalGuard:
    """Watches one candidate from its first row on. Not thread-safe; it starts anew with the process."""

    def __init__(self, definition: GuardDefinition | None) -> None:
        self._definition = definition or GuardDefinition()
        limits = self._definition
        self._errors = None if limits.errors is None else RateTest(limits.errors)
        self._slow = None if limits.p95_ms is None else RateTest(_SLOW_SHARE)
        self._shift = None if limits.shift is None else ShiftTest(limits.shift)
        self._rows = 0

    def observe(self, trial: Trial) -> str | None:
        """Why the candidate must be closed, after this row, or ``None``."""
        if trial.bounds:
            return f"out of bounds: {trial.error}"
        for check in (self._of_errors, self._of_latency, self._of_shift):
            reason = check(trial)
            if reason is not None:
                return reason
        return None

    def _of_errors(self, trial: Trial) -> str | None:
        def words(test: RateTest) -> str:
            return f"{test.hits} of {test.count} rows failed, where {test.limit * 100:.2f} % may; the last: {trial.error}"

        return self._rate(self._errors, trial.error is not None, words)

    def _of_latency(self, trial: Trial) -> str | None:
        limit = self._definition.p95_ms
        self._rows += 1
        # A version that has just been loaded reads every entity for the first time.
        if limit is None or self._rows <= _WARMING_ROWS or trial.champion_us > limit * 1_000:
            return None

        def words(test: RateTest) -> str:
            return f"slow: {test.hits} of {test.count} rows took longer than {limit:g} ms, where {test.limit * 100:.0f} % may"

        return self._rate(self._slow, trial.latency_us > limit * 1_000, words)

    def _of_shift(self, trial: Trial) -> str | None:
        test = self._shift
        if test is None or trial.score is None or trial.champion is None:
            return None
        test.observe(max(-1.0, min(1.0, trial.score - trial.champion)))
        if test.capital < 1 / self._definition.alpha:
            return None
        return f"scores shifted by {test.mean:+.3f} on {test.count} rows, where {test.limit:g} may be"

    def _rate(self, test: RateTest | None, hit: bool, words: "Callable[[RateTest], str]") -> str | None:
        if test is None:
            return None
        test.observe(hit)
        return words(test) if hit and test.capital >= 1 / self._definition.alpha else None
