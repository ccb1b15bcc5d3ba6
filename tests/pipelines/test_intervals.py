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
