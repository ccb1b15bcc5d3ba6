"""Intervals over blocks: reference values, and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from clew.errors import Invalid
from clew.pipelines.intervals import auc_difference, auc_interval, blocked_difference, blocked_mean, pair_counts, tail_probability


def test_blocks_of_one_row_give_students_interval() -> None:
    values = np.array([1.0, 4.0, 2.0, 8.0, 5.0])
    interval = blocked_mean(values, np.arange(5))
    reference = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert interval.low == pytest.approx(reference.low)
    assert interval.high == pytest.approx(reference.high)


def test_repeating_rows_inside_a_block_does_not_narrow_the_interval() -> None:
    values = np.array([1.0, 4.0, 2.0, 8.0, 5.0])
    once = blocked_mean(values, np.arange(5))
    often = blocked_mean(np.repeat(values, 100), np.repeat(np.arange(5), 100))
    assert (often.low, often.high) == pytest.approx((once.low, once.high))
    assert (often.blocks, often.rows) == (5, 500)


def test_the_blocked_interval_covers_as_often_as_it_says_when_days_differ() -> None:
    rng, hits = np.random.default_rng(5), 0
    for _ in range(1_000):
        blocks = np.repeat(np.arange(20), rng.integers(5, 50, 20))
        values = rng.normal(size=20)[blocks] + rng.normal(size=len(blocks))
        interval = blocked_mean(values, blocks)
        hits += interval.low <= 0 <= interval.high
    assert 0.92 < hits / 1_000 < 0.97


@given(st.data())
def test_pairs_by_block_give_the_auc_of_scikit_learn(data: st.DataObject) -> None:
    size = data.draw(st.integers(4, 60))
    labels = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    scores = np.array(data.draw(st.lists(st.integers(0, 5), min_size=size, max_size=size)), dtype=float)
    blocks = np.array(data.draw(st.lists(st.integers(0, 4), min_size=size, max_size=size)))
    if labels.all() or not labels.any():
        return
    codes = np.unique(blocks, return_inverse=True)[1]
    counts = pair_counts(labels, scores, codes, codes.max() + 1)
    assert counts.sum() / (labels.sum() * (~labels).sum()) == pytest.approx(roc_auc_score(labels, scores))


def test_a_model_against_itself_differs_by_nothing() -> None:
    rng = np.random.default_rng(1)
    labels, scores, blocks = rng.random(500) < 0.3, rng.random(500), rng.integers(0, 10, 500)
    interval = auc_difference(labels, scores, scores, blocks)
    assert (interval.estimate, interval.low, interval.high) == (0, 0, 0)


def test_the_same_seed_gives_the_same_interval() -> None:
    rng = np.random.default_rng(1)
    labels, scores, blocks = rng.random(500) < 0.3, rng.random(500), rng.integers(0, 10, 500)
    assert auc_interval(labels, scores, blocks) == auc_interval(labels, scores, blocks)


@pytest.mark.parametrize("labels", [np.zeros(10, bool), np.ones(10, bool)])
def test_auc_of_one_class_is_refused(labels: np.ndarray) -> None:
    with pytest.raises(Invalid, match="both classes"):
        auc_interval(labels, np.arange(10.0), np.arange(10))


def test_one_block_has_no_interval() -> None:
    with pytest.raises(Invalid, match="at least two"):
        blocked_mean(np.arange(10.0), np.zeros(10))


VALUES = np.array([0.3, 1.2, -0.4, 2.2, 0.9, 1.1, -0.7, 0.5, 3.1, 0.0, 1.4, 0.2])
BLOCKS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3, 4])
ALTERNATE = np.arange(12) % 2 == 0


def test_the_blocked_mean_is_that_of_statsmodels() -> None:
    # statsmodels 0.14: OLS(VALUES, ones).fit(cov_type="cluster", cov_kwds={"groups": BLOCKS}, use_t=True).conf_int()
    interval = blocked_mean(VALUES, BLOCKS)
    assert (interval.low, interval.high) == pytest.approx((0.24136612, 1.39196721))


def test_the_blocked_difference_is_that_of_statsmodels() -> None:
    # The same on an indicator, use_correction=False: its standard error is 0.50006172, ours counts blocks less one (times √(5/4)).
    interval = blocked_difference(VALUES, ALTERNATE, BLOCKS)
    reach = stats.t.ppf(0.975, 4) * 0.50006172 * np.sqrt(5 / 4)
    assert (interval.estimate, interval.high - interval.estimate) == pytest.approx((-0.1, reach))


def test_the_p_value_agrees_with_the_interval() -> None:
    interval = blocked_difference(VALUES, ALTERNATE, BLOCKS)
    assert tail_probability(interval, interval.high) == pytest.approx(0.05)
    assert tail_probability(interval, interval.high, below=True) == pytest.approx(0.025)
    assert tail_probability(interval, interval.estimate) == pytest.approx(1.0)


def test_a_difference_without_spread_is_certain() -> None:
    same = blocked_mean(np.full(6, 2.0), np.arange(6))
    assert (tail_probability(same, 2.0), tail_probability(same, 0.0)) == (1.0, 0.0)
    assert tail_probability(same, 3.0, below=True) == 0.0
    assert tail_probability(same, 1.0, below=True) == 1.0


def test_a_difference_needs_rows_on_both_sides() -> None:
    with pytest.raises(Invalid, match="both sides"):
        blocked_difference(VALUES, np.ones(12, bool), BLOCKS)


def test_a_day_that_is_bad_for_all_is_no_difference() -> None:
    rng = np.random.default_rng(4)
    blocks, chosen = np.repeat(np.arange(28), 40), np.tile([True, False], 28 * 20)
    day = rng.normal(scale=5, size=28)[blocks]
    interval = blocked_difference(day + rng.normal(size=len(blocks)), chosen, blocks)
    assert interval.high - interval.low < 0.4  # of the rows' own noise; days alone would make it wider than 3


def obuchowski(labels: np.ndarray, scores: np.ndarray, blocks: np.ndarray) -> float:
    """The standard error of AUC with clustered rows (Obuchowski 1997, *Biometrics* 53, equations 2 to 5), straight from the paper."""
    positives, negatives = scores[labels], scores[~labels]
    order = (positives[:, None] > negatives[None, :]) + 0.5 * (positives[:, None] == negatives[None, :])
    area, many, few = order.mean(), len(positives), len(negatives)
    count = blocks.max() + 1
    upper = np.bincount(blocks[labels], weights=order.mean(axis=1) - area, minlength=count)
    lower = np.bincount(blocks[~labels], weights=order.mean(axis=0) - area, minlength=count)
    with_positives, with_negatives = len(set(blocks[labels])), len(set(blocks[~labels]))
    s10 = with_positives / ((with_positives - 1) * many) * np.square(upper).sum()
    s01 = with_negatives / ((with_negatives - 1) * few) * np.square(lower).sum()
    s11 = count / (count - 1) * (upper * lower).sum()
    return float(np.sqrt(s10 / many + s01 / few + 2 * s11 / (many * few)))


def clustered(rng: np.random.Generator, days: int = 28, per_day: int = 60) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    blocks = np.repeat(np.arange(days), per_day)
    day = rng.normal(size=days)[blocks]
    x = rng.normal(size=len(blocks))
    labels = rng.random(len(blocks)) < 1 / (1 + np.exp(1.3 - x - 0.8 * day))
    return labels, x + 0.3 * day, blocks


@pytest.mark.parametrize("seed", range(4))
def test_the_spread_of_auc_over_days_is_that_of_obuchowski(seed: int) -> None:
    labels, scores, blocks = clustered(np.random.default_rng(seed))
    interval = auc_interval(labels, scores, blocks)
    error = (interval.high - interval.estimate) / stats.t.ppf(0.975, 27)
    assert error == pytest.approx(obuchowski(labels, scores, blocks), rel=0.1)


def test_days_make_the_interval_of_auc_wider_than_rows_do() -> None:
    rng = np.random.default_rng(1)
    labels, scores, blocks = clustered(rng)
    misled = scores + 1.5 * rng.normal(size=28)[blocks]  # a forecast that is off by the day, as with weather
    by_day, by_row = (auc_interval(labels, misled, unit) for unit in (blocks, np.arange(len(blocks)) // 4))
    assert by_day.high - by_day.low > 1.5 * (by_row.high - by_row.low)


def test_the_interval_of_auc_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    labels, scores, _ = clustered(rng, days=20_000, per_day=10)
    truth, hits = roc_auc_score(labels, scores), 0
    for _ in range(300):
        interval = auc_interval(*clustered(rng))
        hits += interval.low <= truth <= interval.high
    assert 0.90 < hits / 300 < 0.985


@given(st.integers(0, 1_000), st.floats(0.1, 10), st.floats(-5, 5))
def test_auc_does_not_care_for_the_scale_of_scores(seed: int, scale: float, shift: float) -> None:
    labels, scores, blocks = clustered(np.random.default_rng(seed), days=5, per_day=20)
    scores = np.round(scores, 2)
    if labels.all() or not labels.any():
        return
    assert auc_interval(labels, np.round(scores * 100) * scale + shift, blocks).estimate == pytest.approx(
        auc_interval(labels, scores, blocks).estimate
    )


def test_an_interval_of_auc_over_two_blocks_ends_where_auc_does() -> None:
    rng = np.random.default_rng(4)
    labels, blocks = rng.random(60) < 0.5, np.repeat([0, 1], 30)
    scores = np.where(blocks == 0, labels + rng.random(60) / 2, rng.random(60))
    interval = auc_interval(labels, scores, blocks)
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
