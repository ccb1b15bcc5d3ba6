"""Has the world changed since training? Evidence against *these weeks are like those of training*, gathered week by week.

Evidence is a product of bets (an e-process): while weeks are exchangeable with the reference's, it ever exceeds ``1 / alpha`` with a
probability of at most ``alpha``, however long the run. Over several features each must exceed ``features / alpha``: that rate is of a
whole run, and of all features together. It says *changed*, and nothing of whether the model suffers.

How a week's bet is made
------------------------
The reference's weeks are dealt to three folds. One fold gives the *anchor*, its mean histogram; the other weeks and then those of the run
have a score, the distance of their histogram from it. A new week is ranked among all scored weeks up to itself, and the bet is on a high
rank. The evidence is the mean over the three choices of the fold. So each week is compared with training, and the ranks are independent
of each other under exchangeability. Ranking each week among the reference alone would not give that: all weeks would share the luck of
one small reference, and the product alarmed in 26 of 60 runs over shuffled weeks of the flights where 3 were promised.

Two kinds of gambler share the capital, and each begins anew with every week, since nobody knows when a change begins. One has the density
κ u^(κ - 1) for the rank's share u, averaged over the rank's cell so that it is exact without randomisation; he wins when each week is
stranger than the last. The other bets that the weeks since he began are all stranger than those before; he wins when the world moved once.

Weeks are to be whole. Their numbers of rows may differ: see ``distances``. At a tenth of the reference's rows that is not enough where weeks
are otherwise alike, since the spread of a distance grows too; pool such weeks. Begin with a new reference after each promotion.

Sources
-------
Vovk and Wang (2021), *E-values: calibration, combination and applications*, Annals of Statistics 49: calibrators and mean of e-values.
Vovk (2021), *Testing randomness online*, Statistical Science 36: products over ranks, and mixtures over when the change begins.
Lin (1991), *Divergence measures based on the Shannon entropy*, IEEE Transactions on Information Theory 37: the distance.
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from clew.errors import Invalid
from clew.monitoring.conformal import sequential_ranks

__all__ = ["MINIMUM_REFERENCE", "changed_at", "distances", "evidence", "rank_evidence"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

MINIMUM_REFERENCE = 6
"""Fewer weeks of training than this are no reference: there would be too few to rank among."""
_FOLDS = 3
_POWERS: Floats = np.arange(0.05, 1, 0.1)
_BELIEFS: Floats = np.array([0.5, 0.8, 0.95])
"""How much of the capital the second kind of gambler stakes on each week."""
_LOG_SHARES: Floats = -np.log(np.concatenate([np.full(len(_POWERS), 2 * len(_POWERS)), np.full(len(_BELIEFS), 2 * len(_BELIEFS))]))


def distances(counts: npt.ArrayLike, anchor: npt.ArrayLike) -> Floats:
    """How far each block's histogram ``(blocks, bins)`` is from the shares of the anchor ``(bins,)``: Jensen–Shannon divergence in nats.

    A sample of the anchor's own shares is expected to be a little away from them, by about (bins - 1) / (8 rows). What is expected is taken
    off, so that a distance may be below zero. Else half the traffic would look like drift: it did in 8 of 10 simulated runs.

    >>> distances([[500, 500], [900, 100]], [1, 1]).round(3).tolist()
    [-0.0, 0.102]
    """
    table, centre = _counts(counts), np.asarray(anchor, dtype=np.float64)
    if centre.shape != table.shape[1:] or not centre.sum() > 0:
        raise Invalid(f"an anchor has a share for each of the {table.shape[1]} bins, and not only zeros")
    rows = table.sum(axis=1, keepdims=True)
    shares, centre = table / rows, centre / centre.sum()
    divergence = _entropy((shares + centre) / 2) - (_entropy(shares) + _entropy(centre)) / 2
    expected = (_excess(rows * centre).sum(axis=1) - 1 / 8) / rows[:, 0]  # an eighth less, since the shares of a sample add up to one
    return np.asarray(divergence - expected, dtype=np.float64)


def _excess(expected: Floats) -> Floats:
    """Rows times the divergence that a bin adds by chance, by how many rows are expected in it: 1/8 for many, and then 0.35 of a few."""
    grid, values = _excess_table()
    many = 1 / 8 + 3 / (64 * np.maximum(expected, grid[-1]))  # the Taylor series of the divergence around equal shares
    return np.asarray(np.where(expected < grid[-1], np.interp(expected, grid, values), many), dtype=np.float64)


@lru_cache(maxsize=1)
def _excess_table() -> tuple[Floats, Floats]:
    """The same in full for Poisson counts, where the series fails."""
    grid = np.concatenate([[0.0], np.geomspace(0.01, 32, 120)])
    counts = np.arange(128.0)
    logs = np.log(grid[1:, None]) * counts - grid[1:, None] - np.cumsum(np.log(np.maximum(counts, 1)))
    middle = (counts + grid[1:, None]) / 2
    apart = (_x_log_x(counts) + _x_log_x(grid[1:, None])) / 2 - _x_log_x(middle)
    return grid, np.concatenate([[0.0], (np.exp(logs) * apart).sum(axis=1)])


def evidence(reference: npt.ArrayLike, weeks: npt.ArrayLike) -> Floats:
    """Log evidence after each week that one feature changed, ``(weeks,)``, from counts by block and bin, ``(blocks, bins)`` each.

    >>> rng = np.random.default_rng(0)
    >>> training = rng.multinomial(5_000, [0.25, 0.25, 0.25, 0.25], size=12)
    >>> moved = rng.multinomial(5_000, [0.22, 0.25, 0.25, 0.28], size=8)
    >>> changed_at(evidence(training, moved), features=20)
    6
    """
    known, new = _counts(reference), _counts(weeks)
    if len(known) < MINIMUM_REFERENCE:
        raise Invalid(f"drift needs at least {MINIMUM_REFERENCE} weeks of training to compare with; there are {len(known)}")
    if known.shape[1] != new.shape[1]:
        raise Invalid(f"the reference has {known.shape[1]} bins and the weeks {new.shape[1]}; both are binned by the reference's edges")
    shares = known / known.sum(axis=1, keepdims=True)
    logs = []
    for fold in range(_FOLDS):
        chosen = np.arange(len(known)) % _FOLDS == fold
        scores = distances(np.concatenate([known[~chosen], new]), shares[chosen].mean(axis=0))
        logs.append(rank_evidence(*sequential_ranks(scores, int((~chosen).sum()))))
    return np.asarray(np.logaddexp.reduce(logs, axis=0) - math.log(_FOLDS), dtype=np.float64)


def rank_evidence(ranks: Integers, among: Integers) -> Floats:
    """Log evidence after each of a sequence of ranks, ``(weeks,)``: that strange ones became more frequent at some time.

    >>> rank_evidence(np.array([1, 1, 1]), np.array([10, 11, 12])).round(2).tolist()
    [1.23, 2.77, 4.41]
    """
    weeks = len(ranks)
    shares = np.empty((0, len(_LOG_SHARES)))  # log capital of each gambler, by the week in which he began
    found = []
    for week in range(weeks):
        shares = np.concatenate([shares, np.full((1, len(_LOG_SHARES)), -math.log((week + 1) * (week + 2))) + _LOG_SHARES])
        since = np.arange(week + 1, 0, -1)[:, None]  # how many weeks each has been betting, this one included
        rank, size = int(ranks[week]), int(among[week])
        powers = math.log(size) + np.log((rank / size) ** _POWERS - ((rank - 1) / size) ** _POWERS)
        beliefs = np.log(1 - _BELIEFS + _BELIEFS * (size / np.minimum(since, size)) * (rank <= since))
        shares = shares + np.concatenate([np.broadcast_to(powers, (week + 1, len(_POWERS))), beliefs], axis=1)
        waiting = -math.log(week + 2)  # what is kept for the weeks to come
        found.append(np.logaddexp(np.logaddexp.reduce(shares, axis=None), waiting))
    return np.array(found, dtype=np.float64)


def changed_at(log_evidence: npt.ArrayLike, features: int, alpha: float = 0.05) -> int | None:
    """The index of the first week at which one of ``features`` has changed; ``None`` while it has not been shown.

    >>> changed_at([1.0, 5.9, 6.1, 4.0], features=20)
    2
    """
    if features < 1 or not 0 < alpha < 1:
        raise Invalid(f"one feature at least and an alpha between 0 and 1 are needed, not {features} and {alpha:g}")
    crossed = np.flatnonzero(np.asarray(log_evidence, dtype=np.float64) >= math.log(features / alpha))
    return int(crossed[0]) if len(crossed) else None


def _counts(counts: npt.ArrayLike) -> Floats:
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or not (table >= 0).all():
        raise Invalid("counts are a table of blocks by bins, none below zero")
    if not (table.sum(axis=1) > 0).all():
        raise Invalid(f"block {int(np.argmin(table.sum(axis=1)))} has no rows; leave out blocks without any")
    return table


def _entropy(shares: Floats) -> Floats:
    return np.asarray(-_x_log_x(shares).sum(axis=-1), dtype=np.float64)


def _x_log_x(values: Floats) -> Floats:
    return np.asarray(values * np.log(values, out=np.zeros_like(values), where=values > 0), dtype=np.float64)
