"""How strange a block is among others: conformal p-values, never randomised.

If blocks are exchangeable, the newest is as likely to be the strangest of ``n`` as any other. A rank among them is a p-value without
any assumption on how scores are distributed. Ties count as stranger, so a p-value is at times too large and never too small. Breaking
them at random would be exact, and would move an alarm by weeks from one run to the next.

Sources
-------
Vovk, Gammerman and Shafer (2005), *Algorithmic Learning in a Random World*, sections 2.2 and 8.2: conservative p-values, and that the
ranks of exchangeable scores, each among those up to itself, are independent.
"""

import numpy as np
import numpy.typing as npt

from clew.errors import Invalid

__all__ = ["p_value", "sequential_p_values", "sequential_ranks"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def p_value(score: float, reference: npt.ArrayLike) -> float:
    """The share of blocks that are at least as strange as this one, itself among them; ``reference`` is ``(n,)``.

    P-values of several blocks against one reference are not independent: they share its luck. Use ``sequential_p_values`` for a run.

    >>> p_value(0.9, [0.1, 0.5, 0.2])
    0.25
    """
    others = _scores(reference)
    if not np.isfinite(score):
        raise Invalid(f"a score is a finite number, not {score:g}")
    return float(1 + (others >= score).sum()) / (len(others) + 1)


def sequential_ranks(scores: npt.ArrayLike, first: int) -> tuple[Integers, Integers]:
    """The rank of each score from index ``first`` on among all up to itself (1 is the strangest), and how many those are.

    >>> ranks, among = sequential_ranks([0.1, 0.5, 0.2, 0.9, 0.3], first=3)
    >>> ranks.tolist(), among.tolist()
    ([1, 3], [4, 5])
    """
    values = _scores(scores)
    if not 0 <= first <= len(values):
        raise Invalid(f"the first score to rank has an index from 0 to {len(values)}, not {first}")
    ranks = [int((values[: index + 1] >= values[index]).sum()) for index in range(first, len(values))]
    return np.array(ranks, dtype=np.int64), np.arange(first + 1, len(values) + 1, dtype=np.int64)


def sequential_p_values(scores: npt.ArrayLike, first: int) -> Floats:
    """The p-value of each score from index ``first`` on, among all up to itself: independent of each other under exchangeability.

    >>> sequential_p_values([0.1, 0.5, 0.2, 0.9, 0.3], first=3).tolist()
    [0.25, 0.6]
    """
    ranks, among = sequential_ranks(scores, first)
    return ranks / among


def _scores(scores: npt.ArrayLike) -> Floats:
    values = np.asarray(scores, dtype=np.float64).reshape(-1)
    if not np.isfinite(values).all():
        raise Invalid("scores are finite numbers; leave out blocks that have none")
    return values
