"""Paired regret: sums that add up, words with their interval, and days rather than rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from clew.errors import Invalid
from clew.monitoring.regret import paired_regret


def days_of(count: int, rows: int = 50) -> np.ndarray:
    return np.repeat(np.arange(100, 100 + count), rows)


def test_equal_days_give_students_interval_over_days() -> None:
    daily = np.random.default_rng(0).normal(0.01, 0.02, 28)
    blocks = days_of(28)
    found = paired_regret(np.repeat(daily, 50), np.zeros(1_400), blocks)
    reference = stats.ttest_1samp(daily, 0).confidence_interval(0.95)
    assert found.mean is not None
    assert (found.mean.low, found.mean.high) == pytest.approx((reference.low, reference.high))
    assert found.per_block == pytest.approx(50 * daily.mean())


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(-3, 3), st.floats(-3, 3)), min_size=1, max_size=80), st.integers(2, 40))
def test_days_add_up_to_the_total_whatever_the_order_of_rows(rows: list[tuple[int, float, float]], window: int) -> None:
    blocks, champion, other = (np.array(column) for column in zip(*rows, strict=True))
    found = paired_regret(champion, other, blocks, window=window)
    assert found.total == pytest.approx((champion - other).sum(), abs=1e-9)
    assert found.by_block[-1].cumulated == pytest.approx(found.total, abs=1e-9)
    assert sum(day.rows for day in found.by_block) == len(rows)
    assert found.blocks == min(window, len(set(blocks.tolist())))
    order = np.random.default_rng(0).permutation(len(rows))
    assert paired_regret(champion[order], other[order], blocks[order], window=window).total == pytest.approx(found.total, abs=1e-9)


@given(st.lists(st.floats(-1, 1), min_size=30, max_size=30))
def test_the_other_model_regrets_the_opposite(daily: list[float]) -> None:
    losses, blocks = np.repeat(daily, 5), days_of(30, 5)
    one, other = paired_regret(losses, np.zeros(150), blocks), paired_regret(np.zeros(150), losses, blocks)
    assert (one.total, one.per_block) == pytest.approx((-other.total, -other.per_block), abs=1e-9)


def test_worse_means_that_the_whole_interval_lies_above_the_threshold() -> None:
    daily = np.random.default_rng(1).normal(0.01, 0.004, 28)
    champion, blocks = np.repeat(daily, 50), days_of(28)
    low = paired_regret(champion, np.zeros(1_400), blocks).mean.low  # type: ignore[union-attr]
    assert paired_regret(champion, np.zeros(1_400), blocks, threshold=low - 1e-6).word == "worse"
    assert paired_regret(champion, np.zeros(1_400), blocks, threshold=low + 1e-6).word == "not worse"


def test_many_looks_share_the_level_of_one() -> None:
    daily, blocks = np.random.default_rng(3).normal(0.01, 0.02, 28), days_of(28)
    found = paired_regret(np.repeat(daily, 50), np.zeros(1_400), blocks, looks=10).mean
    assert found is not None and found.level == pytest.approx(0.995)
    assert found.low == pytest.approx(stats.ttest_1samp(daily, 0).confidence_interval(0.995).low)


@pytest.mark.parametrize(("count", "word"), [(1, "not enough data yet"), (13, "not enough data yet"), (14, "worse")])
def test_under_fourteen_days_nothing_is_said(count: int, word: str) -> None:
    blocks = days_of(count)
    found = paired_regret(np.full(len(blocks), 0.5), np.full(len(blocks), 0.3), blocks)
    assert (found.word, found.mean is None) == (word, count == 1)


def test_only_the_window_is_judged_and_everything_is_counted() -> None:
    blocks = days_of(60, 10)
    champion = np.where(blocks < 130, 1.0, 0.0)
    found = paired_regret(champion, np.zeros(600), blocks, window=28)
    assert (found.word, found.per_block, found.total, found.rows) == ("not worse", 0.0, 300.0, 280)


def test_the_same_model_has_no_regret() -> None:
    losses, blocks = np.random.default_rng(2).random(700), days_of(14)
    found = paired_regret(losses, losses, blocks)
    assert (found.word, found.total) == ("not worse", 0.0)


def test_what_has_no_rows_has_not_enough() -> None:
    assert paired_regret([], [], np.array([], np.int64)).word == "not enough data yet"


def test_unpaired_and_unlabelled_rows_are_refused() -> None:
    with pytest.raises(Invalid, match="one loss a row"):
        paired_regret([0.1, 0.2], [0.1, 0.2], np.array([1]))
    with pytest.raises(Invalid, match="row 1 has none"):
        paired_regret([0.1, np.nan], [0.1, 0.2], np.array([1, 2]))
    with pytest.raises(Invalid, match="at least two"):
        paired_regret([0.1], [0.1], np.array([1]), window=1)
    with pytest.raises(Invalid, match="at least one look"):
        paired_regret([0.1], [0.1], np.array([1]), looks=0)
