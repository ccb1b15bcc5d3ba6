"""The tests behind a guard keep their rate however often one looks, and find what they should."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from clew.definitions import GuardDefinition
from clew.serving.guarding import LocalGuard, RateTest, ShiftTest, Trial

ALPHA = 0.005


@given(st.lists(st.booleans(), max_size=40), st.sampled_from([0.01, 0.05, 0.3]))
def test_the_capital_is_the_integral_that_it_is_said_to_be(rows: list[bool], limit: float) -> None:
    test = RateTest(limit)
    for hit in rows:
        test.observe(hit)
    hits, misses = sum(rows), len(rows) - sum(rows)
    value, _ = quad(lambda p: (p / limit) ** hits * ((1 - p) / (1 - limit)) ** misses / (1 - limit), limit, 1, epsrel=1e-10, limit=200)
    assert test.capital == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_a_rate_at_its_limit_is_stopped_no_more_often_than_stated(rate: float) -> None:
    random = np.random.default_rng(7)
    stopped = 0
    for _ in range(600):
        test = RateTest(rate)
        for hit in random.random(2_000) < rate:
            test.observe(bool(hit))
            if hit and test.capital >= 1 / ALPHA:
                stopped += 1
                break
    assert stopped / 600 <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / 600)


def test_a_rate_of_five_times_the_limit_is_found_within_a_few_hundred_rows() -> None:
    random = np.random.default_rng(7)
    needed = []
    for _ in range(100):
        test = RateTest(0.01)
        for row, hit in enumerate(random.random(5_000) < 0.05):
            test.observe(bool(hit))
            if hit and test.capital >= 1 / ALPHA:
                needed.append(row)
                break
    assert len(needed) == 100
    assert np.median(needed) < 400


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_shift_is_found_on_either_side_and_one_at_the_limit_is_not(sign: float) -> None:
    random = np.random.default_rng(7)

    def stopped(mean: float) -> int:
        count = 0
        for _ in range(200):
            test = ShiftTest(0.1)
            for difference in np.clip(random.normal(sign * mean, 0.15, 500), -1, 1):
                test.observe(float(difference))
                if test.capital >= 1 / ALPHA:
                    count += 1
                    break
        return count

    assert stopped(0.1) <= 4
    assert stopped(0.2) == 200


def test_a_guard_that_watches_nothing_closes_for_broken_bounds_only() -> None:
    guard = LocalGuard(None)
    for _ in range(100):
        assert guard.observe(Trial(0.5, None, 10**9, "broken")) is None
    assert guard.observe(Trial(0.5, None, 1, "delay_6h is 900", bounds=True)) == "out of bounds: delay_6h is 900"


def test_a_guard_says_what_it_saw() -> None:
    guard = LocalGuard(GuardDefinition(errors=0.01))
    assert guard.observe(Trial(0.5, None, 1, "first")) is None
    assert guard.observe(Trial(0.5, None, 1, "second")) == "2 of 2 rows failed, where 1.00 % may; the last: second"
