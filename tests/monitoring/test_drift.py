"""Evidence of drift: an exact expectation of one, a distance that sample size does not move, and alarms that come when they should."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from clew.errors import Invalid
from clew.monitoring.drift import changed_at, distances, evidence, rank_evidence

COUNTS = st.lists(st.integers(1, 500), min_size=4, max_size=4)


def weeks(rng: np.random.Generator, count: int, *, rows: int = 5_000, moved: float = 0.0, bins: int = 40) -> np.ndarray:
    """Histograms of weeks, each tilted by its own luck, and all by what moved."""
    slope = np.linspace(-1, 1, bins)
    tilts = np.exp(np.outer(rng.normal(0, 0.1, count) + moved, slope))
    return np.array([rng.multinomial(rows, shares / shares.sum()) for shares in tilts])


@given(st.lists(st.integers(50, 500), min_size=4, max_size=4), COUNTS)
def test_the_distance_is_scipys_less_what_a_sample_adds(counts: list[int], anchor: list[int]) -> None:
    rows, shares = sum(counts), np.array(anchor) / sum(anchor)
    if (rows * shares).min() > 32:  # many rows a bin, where the series holds: see the module
        added = (3 / 8 + (3 / 64 / (rows * shares)).sum()) / rows
        assert distances([counts], anchor)[0] + added == pytest.approx(jensenshannon(counts, anchor) ** 2, abs=1e-9)


@pytest.mark.parametrize("rows", [100, 500, 5_000, 50_000])
@pytest.mark.parametrize("shares", [np.full(64, 1 / 64), np.geomspace(1, 1e-4, 64)], ids=["even", "uneven"])
def test_samples_of_the_anchor_are_no_distance_from_it_on_average_however_small(rows: int, shares: np.ndarray) -> None:
    shares = shares / shares.sum()
    found = distances(np.random.default_rng(0).multinomial(rows, shares, 4_000), shares)
    assert abs(found.mean()) < 4 * found.std() / math.sqrt(4_000) + 0.01 * 63 / (8 * rows)


def test_under_exchangeability_the_expected_evidence_is_one_exactly() -> None:
    among = np.arange(4, 8)
    outcomes = list(itertools.product(*(range(1, size + 1) for size in among)))
    logs = np.array([rank_evidence(np.array(ranks), among) for ranks in outcomes])
    assert np.exp(logs).mean(axis=0) == pytest.approx(np.ones(4))


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12), st.data())
def test_a_stranger_week_is_never_less_evidence(steps: list[int], data: st.DataObject) -> None:
    among = np.arange(10, 10 + len(steps))
    ranks = np.minimum(np.array(steps) + 1, among)
    where = data.draw(st.integers(0, len(steps) - 1))
    stranger = ranks.copy()
    stranger[where] = max(1, ranks[where] - 1)
    assert (rank_evidence(stranger, among) >= rank_evidence(ranks, among) - 1e-9).all()


def test_what_comes_later_changes_no_earlier_evidence() -> None:
    rng = np.random.default_rng(1)
    reference, run = weeks(rng, 12), weeks(rng, 10)
    assert evidence(reference, run)[:6] == pytest.approx(evidence(reference, run[:6]))


def test_a_run_without_drift_seldom_alarms_even_when_the_traffic_changes() -> None:
    rng, alarms = np.random.default_rng(2), 0
    for run in range(100):
        rows = (5_000, 2_500, 400, 10_000)[run % 4]
        found = evidence(weeks(rng, 13), weeks(rng, 30, rows=rows))
        alarms += changed_at(found, features=1, alpha=0.05) is not None
    assert alarms <= 8  # 5 are allowed; 8 leave room for the luck of these hundred


@pytest.mark.parametrize("calm", [0, 20])
def test_a_change_is_found_within_weeks_whenever_it_begins(calm: int) -> None:
    rng, found = np.random.default_rng(3), []
    for _ in range(20):
        run = np.vstack([weeks(rng, calm), weeks(rng, 12, moved=0.6)]) if calm else weeks(rng, 12, moved=0.6)
        found.append(changed_at(evidence(weeks(rng, 13), run), features=27))
    assert sum(week is not None and calm < week < calm + 12 for week in found) >= 18


def test_the_threshold_is_features_over_alpha() -> None:
    assert changed_at([math.log(540) - 1e-9], features=27) is None
    assert changed_at([0.0, math.log(540)], features=27, alpha=0.05) == 1


@pytest.mark.parametrize(
    ("reference", "run", "says"),
    [
        (np.ones((5, 4)), np.ones((1, 4)), "at least 6 weeks"),
        (np.ones((8, 4)), np.ones((1, 5)), "4 bins and the weeks 5"),
        (np.ones((8, 4)), np.zeros((1, 4)), "block 0 has no rows"),
        (np.ones((8, 4)), -np.ones((1, 4)), "none below zero"),
        (np.ones(4), np.ones((1, 4)), "a table"),
    ],
)
def test_what_cannot_be_compared_is_refused(reference: np.ndarray, run: np.ndarray, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        evidence(reference, run)


def test_an_anchor_of_nothing_is_refused() -> None:
    with pytest.raises(Invalid, match="not only zeros"):
        distances([[1, 2]], [0, 0])
    with pytest.raises(Invalid, match="one feature at least"):
        changed_at([1.0], features=0)
