"""Served predictions against their labels: matured cohorts only, counted by the day."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from clew.errors import Invalid
from clew.monitoring.performance import Performance, measure

START = datetime(2013, 4, 1, tzinfo=UTC)


def served(days: int = 20, per_day: int = 50, seed: int = 0) -> tuple[pl.Series, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    times = pl.Series([START + timedelta(days=day, minutes=20 * row) for day in range(days) for row in range(per_day)])
    x = rng.normal(size=len(times))
    scores = 1 / (1 + np.exp(-x))
    return times, scores, (rng.random(len(times)) < scores).astype(float)


def measured(times: pl.Series, scores: np.ndarray, labels: np.ndarray, *, at_day: float, zone: str = "UTC") -> Performance:
    return measure(times, scores, labels, now=START + timedelta(days=at_day), label_within="1d", zone=zone)


def test_figures_are_those_of_scikit_learn() -> None:
    times, scores, labels = served()
    found = measured(times, scores, labels, at_day=30)
    assert found.auc is not None
    assert found.log_loss is not None
    assert found.brier is not None
    assert found.auc.estimate == pytest.approx(roc_auc_score(labels, scores))
    assert found.log_loss.estimate == pytest.approx(log_loss(labels, np.clip(scores, 0.01, 0.99)))
    assert found.brier.estimate == pytest.approx(brier_score_loss(labels, scores))
    assert (found.blocks, found.unit, found.rows, found.enough) == (20, "days", 1_000, True)


def test_a_day_is_judged_when_its_last_row_has_matured_and_not_before() -> None:
    times, scores, labels = served()
    assert measured(times, scores, labels, at_day=10.99).blocks == 9
    assert measured(times, scores, labels, at_day=11).blocks == 10


def test_labels_that_came_early_judge_nothing() -> None:
    # Flights on time say so first: the newest days' labels are all zeros, and the figures must not move.
    times, scores, labels = served()
    full = measured(times, scores, labels, at_day=15)
    early = labels.copy()
    early[14 * 50 :] = np.where(np.arange(300) % 3, np.nan, 0)
    partial = measured(times, scores, early, at_day=15)
    assert (partial.auc, partial.log_loss, partial.bias) == (full.auc, full.log_loss, full.bias)
    young = partial.by_block[-1]
    assert (young.matured, young.labelled, young.positives, young.auc) == (False, 16, 0.0, None)
    assert partial.waiting == 300


def test_a_label_that_never_came_is_counted_as_such() -> None:
    times, scores, labels = served()
    labels[::50] = np.nan
    found = measured(times, scores, labels, at_day=40)
    assert (found.rows, found.unlabelled, found.waiting) == (980, 20, 0)


def test_six_days_are_not_enough_to_say_anything() -> None:
    assert not measured(*served(6), at_day=30).enough
    assert measured(*served(7), at_day=30).enough


@pytest.mark.parametrize("days", [0, 1])
def test_no_interval_without_two_days(days: int) -> None:
    times, scores, labels = served()
    found = measured(times, scores, labels, at_day=1 + days)
    assert (found.auc, found.log_loss, found.blocks) == (None, None, days)


def test_nothing_served_is_nothing_measured() -> None:
    found = measured(pl.Series([], dtype=pl.Datetime("us", "UTC")), np.array([]), np.array([]), at_day=3)
    assert (found.rows, found.by_block, found.enough) == (0, (), False)


def test_days_are_those_of_the_zone_also_when_the_clocks_change() -> None:
    # New York lost an hour on 10 March 2013: that day begins at 05:00 UTC and ends at 04:00.
    hours = pl.Series([datetime(2013, 3, 9, 5, tzinfo=UTC) + timedelta(hours=hour) for hour in range(24 + 23 + 24)])
    labels = np.arange(len(hours)) % 2
    found = measure(
        hours, np.full(len(hours), 0.5), labels, now=datetime(2013, 4, 1, tzinfo=UTC), label_within="1d", zone="America/New_York"
    )
    assert [one.rows for one in found.by_block] == [24, 23, 24]
    assert [one.starts for one in found.by_block] == [datetime(2013, 3, day, hour, tzinfo=UTC) for day, hour in ((9, 5), (10, 5), (11, 4))]


def test_wrong_labels_and_lengths_are_refused() -> None:
    times, scores, labels = served(2)
    with pytest.raises(Invalid, match="row 3 has 2"):
        measured(times, scores, np.where(np.arange(100) == 3, 2, labels), at_day=5)
    with pytest.raises(Invalid, match="100, 99 and 100"):
        measured(times, scores[1:], labels, at_day=5)


def test_it_travels_as_json() -> None:
    found = measured(*served(), at_day=30)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Performance) == found


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0, 25))
def test_every_row_is_counted_once_and_order_does_not_matter(seed: int, at_day: float) -> None:
    times, scores, labels = served(20, 10, seed)
    rng = np.random.default_rng(seed)
    labels[rng.random(200) < 0.1] = np.nan
    found = measured(times, scores, labels, at_day=at_day)
    assert found.rows + found.unlabelled + found.waiting == 200 == sum(one.rows for one in found.by_block)
    order = rng.permutation(200)
    again = measured(times[order], scores[order], labels[order], at_day=at_day)
    assert (again.rows, again.blocks, len(again.by_block)) == (found.rows, found.blocks, len(found.by_block))
    if found.auc is not None:
        assert again.auc is not None
        assert again.auc.low == pytest.approx(found.auc.low)
