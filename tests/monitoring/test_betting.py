"""The betting test for harm: exact values, what its error rate means, and that nothing is lost over a restart."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.errors import Invalid
from clew.monitoring.betting import LOG_LOSS_BOUND, HarmTest

DIFFERENCES = st.lists(st.floats(-LOG_LOSS_BOUND, LOG_LOSS_BOUND), min_size=1, max_size=60)
FRACTIONS = [0.95 / 2**j for j in range(10)]
WEIGHTS = [1.1 / ((j + 1) * (j + 2)) for j in range(10)]


def defined(differences: list[float], mean: float, bound: float = LOG_LOSS_BOUND) -> float:
    """Waudby-Smith and Ramdas (2024), the capital process of constant bets on ``d - mean``, averaged over the gamblers."""
    capital = 0.0
    for fraction, weight in zip(FRACTIONS, WEIGHTS, strict=True):
        bet = fraction / bound
        bet /= 1 + bet * mean
        capital += weight * math.prod(1 + bet * (value - mean) for value in differences)
    return capital


def test_the_bound_is_that_of_clipped_probabilities() -> None:
    assert math.log(99) == pytest.approx(LOG_LOSS_BOUND)


@given(DIFFERENCES)
def test_the_capital_is_that_of_the_definition(differences: list[float]) -> None:
    test = HarmTest(blocks_needed=1).observe(differences, block=0)
    assert math.exp(test.log_capital) == pytest.approx(defined(differences, 0.02), rel=1e-9)
    assert test.mean == pytest.approx(np.mean(differences))


@pytest.mark.parametrize("blocks_needed", [1, 2])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_at_the_tolerance_the_game_is_fair_and_a_limit_makes_it_worse_only_for_the_gamblers(share: float, blocks_needed: int) -> None:
    # Every sequence of two outcomes whose mean is the tolerance, weighed by its probability: the expected capital is 1, exactly.
    high, tolerance = 1.0, 0.02
    low = (tolerance - share * high) / (1 - share)
    bound = max(abs(low), high)
    expected = 0.0
    for outcome in itertools.product([True, False], repeat=8):
        test = HarmTest(tolerance=tolerance, bound=bound, blocks_needed=blocks_needed, alpha=0.2)
        for block in range(4):
            test = test.observe([high if up else low for up in outcome[2 * block : 2 * block + 2]], block=block)
        expected += share ** sum(outcome) * (1 - share) ** (8 - sum(outcome)) * math.exp(test.log_capital)
    assert expected == pytest.approx(1.0) if blocks_needed == 1 else expected <= 1 + 1e-12


@given(DIFFERENCES, st.lists(st.integers(0, 60), max_size=4), st.integers(1, 3))
def test_rows_may_come_in_any_portions_and_over_restarts(differences: list[float], cuts: list[int], blocks_needed: int) -> None:
    at_once = HarmTest(blocks_needed=blocks_needed).observe(differences, block=7)
    portions = HarmTest(blocks_needed=blocks_needed)
    for part in np.split(np.array(differences), sorted(cuts)):
        portions = HarmTest.from_json(json.loads(json.dumps(portions.observe(part, block=7).to_json())))
    assert portions.log_capital == pytest.approx(at_once.log_capital, abs=1e-9)
    assert (portions.rows, portions.blocks, portions.harmful) == (at_once.rows, at_once.blocks, at_once.harmful)
    assert portions.interval() == pytest.approx(at_once.interval(), abs=1e-9)


def test_a_restart_changes_nothing_to_the_last_bit() -> None:
    test = HarmTest().observe(np.random.default_rng(0).normal(0.1, 0.4, 500), block=3)
    assert HarmTest.from_json(json.loads(json.dumps(test.to_json()))) == test


def test_what_was_stored_by_something_else_is_refused() -> None:
    with pytest.raises(Invalid, match="no stored test of harm"):
        HarmTest.from_json({"rows": 3})


@given(DIFFERENCES, st.floats(0.5, 0.99))
def test_the_interval_holds_the_mean_and_grows_with_its_level(differences: list[float], level: float) -> None:
    test = HarmTest().observe(differences, block=0)
    (low, high), (wider_low, wider_high) = test.interval(level), test.interval((1 + level) / 2)
    assert wider_low <= low <= test.mean + 1e-9 and test.mean - 1e-9 <= high <= wider_high


def test_the_interval_ends_where_the_capital_of_the_definition_is_two_over_alpha() -> None:
    differences = np.random.default_rng(1).normal(0.3, 0.5, 200).tolist()
    low, high = HarmTest().observe(differences, block=0).interval(0.95)
    assert defined(differences, low) == pytest.approx(40, rel=1e-6)
    assert defined([-value for value in differences], -high) == pytest.approx(40, rel=1e-6)


def test_the_test_and_its_interval_agree() -> None:
    test = HarmTest(alpha=0.025, blocks_needed=1)
    for value in np.random.default_rng(2).normal(0.12, 0.4, 2_000):
        test = test.observe([value], block=0)
        above = test.interval(0.95)[0] >= test.tolerance
        assert above == (test.log_capital >= math.log(40))


def test_the_average_of_the_rows_seen_lies_in_all_intervals_as_often_as_stated_though_the_mean_wanders() -> None:
    rng, missed, alarms = np.random.default_rng(3), 0, 0
    for _ in range(150):
        expected = rng.choice([-0.3, 0.3], size=12).repeat(60)  # blocks that are good and blocks that are bad
        test, out = HarmTest(alpha=0.05, blocks_needed=1), False
        values = expected + np.where(rng.random(len(expected)) < 0.5, 0.7, -0.7)
        for end in range(60, len(values) + 1, 60):
            test = test.observe(values[end - 60 : end], block=end)
            low, high = test.interval(0.95)
            out |= not low <= expected[:end].mean() <= high
        missed += out
        steady = HarmTest(alpha=0.05, blocks_needed=1).observe(np.where(rng.random(2_000) < 0.5, 0.72, -0.68), block=0)
        alarms += steady.harmful
    assert missed / 150 <= 0.05
    assert alarms / 150 <= 0.05


def test_great_harm_is_found_and_stays_found() -> None:
    rng, test = np.random.default_rng(4), HarmTest()
    for day in range(4):
        test = test.observe(rng.normal(0.4, 0.6, 100), block=day)
    assert test.harmful and test.harmful_after is not None and 100 < test.harmful_after <= 400
    assert test.observe(np.full(2_000, -0.5), block=9).harmful


def test_one_bad_day_decides_nothing_unless_it_is_allowed_to() -> None:
    bad_day = np.full(900, 1.5)
    assert not HarmTest().observe(bad_day, block=0).harmful
    assert HarmTest(blocks_needed=1).observe(bad_day, block=0).harmful
    assert HarmTest().observe(bad_day, block=0).observe(bad_day, block=1).harmful
    assert not HarmTest().observe(bad_day, block=0).observe(np.full(900, -0.05), block=1).harmful


@pytest.mark.parametrize("wrong", [5.0, -5.0, math.nan, math.inf])
def test_a_difference_out_of_bounds_is_refused(wrong: float) -> None:
    with pytest.raises(Invalid, match=r"±4\.595"):
        HarmTest().observe([0.1, wrong], block=0)


def test_rows_of_an_older_block_are_refused() -> None:
    with pytest.raises(Invalid, match="block 1 is older than 2"):
        HarmTest().observe([0.1], block=2).observe([0.1], block=1)


def test_before_the_first_row_nothing_is_known() -> None:
    test = HarmTest().observe([], block=0)
    assert (test.interval(), test.harmful, test.log_capital) == ((-LOG_LOSS_BOUND, LOG_LOSS_BOUND), False, pytest.approx(0, abs=1e-12))
    assert math.isnan(test.mean) and test.blocks == 0


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"alpha": 1.0}, {"tolerance": -0.1}, {"tolerance": 5.0}, {"blocks_needed": 0}])
def test_rules_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(Invalid):
        HarmTest(**wrong)  # type: ignore[arg-type]
