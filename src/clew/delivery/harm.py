"""The half of a guard that waits for labels: does the candidate lose more than it may, on the rows that both have scored?"""

import itertools
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from clew.definitions import GuardDefinition
from clew.delivery.schema import Harm, HarmDay
from clew.monitoring.betting import HarmTest
from clew.serving.pairs import Pair

__all__ = ["judge_harm", "next_maturity"]


def next_maturity(after: datetime, *, within: timedelta, block: str, zone: str) -> datetime:
    """The first time past ``after`` at which a whole block of rows has its labels, or will never have them.

    >>> from datetime import UTC
    >>> next_maturity(datetime(2013, 4, 1, 4, tzinfo=UTC), within=timedelta(days=1), block="1d", zone="America/New_York").isoformat()
    '2013-04-02T04:00:00+00:00'
    """
    from clew.feature_store.training_data import block_of, block_start

    following = itertools.count(block_of(after - within, block, zone) + 1)
    # In the hour that comes twice the next blocks have begun already, the first time.
    return next(at for at in (block_start(number, block, zone) + within for number in following) if at > after)


def judge_harm(pairs: Sequence[Pair], guard: GuardDefinition, *, block: str, zone: str, until: datetime) -> Harm:
    """The harm test over pairs in order of event time, all matured by ``until``.

    Only whole blocks count: labels arrive by outcome, so those of a day of which a part has matured are no fair sample of the day.
    *Worse* when the test has crossed at any row, *safe* when its interval lies below the tolerance, else *not enough data yet*.
    """
    import numpy as np
    import polars as pl

    from clew.feature_store.training_data import block_numbers, block_of
    from clew.pipelines.comparison import clipped_log_loss, unit_of

    assert guard.harm is not None  # the caller asked
    test = HarmTest(tolerance=guard.harm, alpha=guard.alpha)
    daily: list[HarmDay] = []
    times = pl.Series([pair.event_time for pair in pairs], dtype=pl.Datetime("us", "UTC"))
    # The local clock goes back once a year; a block that would come twice is one.
    numbers = np.maximum.accumulate(block_numbers(times, block, zone)) if pairs else np.empty(0, np.int64)
    numbers = numbers[numbers < block_of(until, block, zone)]
    pairs = pairs[: len(numbers)]
    if pairs:
        labels = np.array([pair.label for pair in pairs])
        losses = [clipped_log_loss(labels, np.array(scores)) for scores in zip(*((p.champion, p.candidate) for p in pairs), strict=True)]
        differences = losses[1] - losses[0]
        edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(pairs)]
        for first, last in itertools.pairwise(edges):
            test = test.observe(differences[first:last], block=int(numbers[first]))
            daily.append(HarmDay(pairs[first].event_time, last - first, test.mean, *test.interval()))
    low, high = test.interval() if test.rows else (None, None)
    word: Literal["safe", "worse", "not enough data yet"] = (
        "worse" if test.harmful else "safe" if high is not None and high <= guard.harm else "not enough data yet"
    )
    return Harm(
        word, test.rows, test.blocks, unit_of(block), test.mean if test.rows else None, low, high, guard.harm,
        math.exp(min(test.log_capital, 700.0)), guard.alpha, until, daily,
    )  # fmt: skip
