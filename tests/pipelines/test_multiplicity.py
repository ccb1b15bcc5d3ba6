"""Many tests at once: reference values from statsmodels and scipy, and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from clew.pipelines.multiplicity import benjamini_hochberg, holm

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
        wrong += any(holm(list(2 * stats.norm.sf(np.abs(z))), 0.05))
    assert wrong / 2_000 < 0.06


@given(P_VALUES, st.floats(0.001, 0.2))
def test_benjamini_and_hochberg_agree_with_scipy(p_values: list[float], rate: float) -> None:
    adjusted = stats.false_discovery_control(p_values)
    for value, rejected in zip(adjusted, benjamini_hochberg(p_values, rate), strict=True):
        if value != pytest.approx(rate):  # on the very edge, either rounding is right
            assert rejected == (value <= rate)


@given(P_VALUES, st.floats(0.001, 0.2))
def test_holm_finds_nothing_that_benjamini_and_hochberg_miss(p_values: list[float], level: float) -> None:
    assert all(often or not seldom for seldom, often in zip(holm(p_values, level), benjamini_hochberg(p_values, level), strict=True))


def test_few_of_the_findings_of_benjamini_and_hochberg_are_false() -> None:
    rng, shares = np.random.default_rng(0), []
    for _ in range(1_000):
        z = rng.normal(size=50) + np.where(np.arange(50) < 10, 3.0, 0.0)
        found = np.array(benjamini_hochberg(list(2 * stats.norm.sf(np.abs(z))), 0.1))
        shares.append(found[10:].sum() / max(found.sum(), 1))
    assert np.mean(shares) < 0.1


@pytest.mark.parametrize("procedure", [holm, benjamini_hochberg])
def test_no_tests_give_no_findings(procedure: object) -> None:
    assert procedure([], 0.05) == []  # type: ignore[operator]
