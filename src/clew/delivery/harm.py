"""The half of a guard that waits for labels: does the candidate lose more than it may, on the rows that both have scored?"""

import itertools
import math
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from clew.definitions import GuardDefinition
from clew.delivery.schema import Harm, HarmDay
from clew.monitoring.betting import HarmTest
from clew.serving.pairs import Pair

__all__ = ["judge_harm"]


def judge_harm(pairs: Sequence[Pair], guard: GuardDefinition, *, block: str, zone: str, until: datetime) -> Harm:
    """The harm test over pairs in order of event time, all matured by ``until``.

    *Worse* when the test has crossed at any row, *safe* when its interval lies below the tolerance, else *not enough data yet*.
    """
    import numpy as np
    import polars as pl

    from clew.feature_store.training_data import block_numbers
    from clew.pipelines.comparison import clipped_log_loss, unit_of

    assert guard.harm is not None  # the caller asked
    test = HarmTest(tolerance=guard.harm, alpha=guard.alpha)
    daily: list[HarmDay] = []
    if pairs:
        times = pl.Series([pair.event_time for pair in pairs], dtype=pl.Datetime("us", "UTC"))
        numbers = block_numbers(times, block, zone)
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
