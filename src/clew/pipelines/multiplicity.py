"""Many tests at once: which of them still say something.

Holm bounds the chance of a single false finding among all, whatever the tests share: for verdicts. Benjamini and Hochberg bound the
expected share of false ones among the findings, for independent or positively dependent tests: for lists that a person looks through.

Sources
-------
Holm (1979), *A simple sequentially rejective multiple test procedure*, Scandinavian Journal of Statistics 6.
Benjamini and Hochberg (1995), *Controlling the false discovery rate*, JRSS B 57; Benjamini and Yekutieli (2001) for dependence.
"""

from collections.abc import Sequence

__all__ = ["benjamini_hochberg", "holm"]


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which hypotheses fall at family-wise error ``alpha`` (Holm 1979).

    >>> holm([0.001, 0.04, 0.03], 0.05)
    [True, False, False]
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    rejected = [False] * len(p_values)
    for rank, index in enumerate(order):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected


def benjamini_hochberg(p_values: Sequence[float], rate: float) -> list[bool]:
    """Which hypotheses fall at false discovery rate ``rate`` (Benjamini and Hochberg 1995).

    >>> benjamini_hochberg([0.001, 0.04, 0.03], 0.05)
    [True, True, True]
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    fallen = [rank for rank, index in enumerate(order, 1) if p_values[index] <= rate * rank / len(p_values)]
    rejected = [False] * len(p_values)
    for index in order[: max(fallen, default=0)]:
        rejected[index] = True
    return rejected
