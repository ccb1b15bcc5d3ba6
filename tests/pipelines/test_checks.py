"""The measurements of a gate's report, each by itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.pipelines.checks import calibration, holm

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def test_holm_rejects_step_by_step() -> None:
    # 0.01 ≤ 0.05/4, 0.015 ≤ 0.05/3, 0.03 > 0.05/2, and everything after it stays. statsmodels' multipletests(…, method="holm") agrees.
    assert holm([0.03, 0.01, 0.04, 0.015], 0.05) == [False, True, False, True]


@given(P_VALUES, st.floats(0.001, 0.2))
def test_holm_rejects_what_bonferroni_does_and_nothing_that_stands_alone_would_not(p_values: list[float], alpha: float) -> None:
    for p_value, rejected in zip(p_values, holm(p_values, alpha), strict=True):
        assert rejected or p_value > alpha / len(p_values)
        assert not rejected or p_value <= alpha


@given(P_VALUES, st.randoms())
def test_holm_does_not_care_for_the_order(p_values: list[float], random: object) -> None:
    order = list(range(len(p_values)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert [holm([p_values[index] for index in order], 0.05)[order.index(index)] for index in range(len(order))] == holm(p_values, 0.05)


def test_holm_holds_the_family_wise_error_under_dependence() -> None:
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(2_000):
        shared = rng.normal()
        z = 0.7 * shared + np.sqrt(1 - 0.49) * rng.normal(size=8)
        from scipy import stats

        wrong += any(holm(list(2 * stats.norm.sf(np.abs(z))), 0.05))
    assert wrong / 2_000 < 0.06


def test_a_calibrated_model_lies_on_the_line_and_a_boastful_one_does_not() -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.05, 0.6, 20_000)
    labels, blocks = (rng.random(20_000) < truth).astype(int), np.arange(20_000) // 700
    honest = calibration(labels, truth, blocks)
    assert sum(one.low <= one.predicted <= one.high for one in honest) >= 8
    boastful = calibration(labels, np.clip(truth * 1.5, 0, 1), blocks)
    assert sum(one.predicted > one.high for one in boastful) >= 8
    assert sum(one.rows for one in honest) == 20_000


def test_repeated_scores_make_fewer_bins() -> None:
    scores = np.repeat([0.2, 0.8], 500)
    bins = calibration((scores > 0.5).astype(int), scores, np.arange(1_000) % 10)
    assert [(one.predicted, one.observed) for one in bins] == [pytest.approx((0.2, 0)), pytest.approx((0.8, 1))]
