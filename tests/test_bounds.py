"""Bounds: what may be declared, and what lies within."""

import math
from fractions import Fraction
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.bounds import Bounds, bounds_in_words, settled_bounds, within
from clew.errors import Invalid

NUMBERS = st.one_of(st.integers(-(2**60), 2**60), st.floats(allow_nan=False, allow_infinity=False))


@given(st.lists(NUMBERS, min_size=2, max_size=2).map(sorted), NUMBERS)
def test_both_limits_are_included_and_nothing_beyond_them(bounds: list[float], value: float) -> None:
    low, high = (float(side) for side in bounds)
    settled = settled_bounds(bounds, "here")
    assert settled == (low, high)
    assert within(low, settled) and within(high, settled)
    assert within(value, settled) == (low <= value <= high)
    assert within(value, (low, None)) == (low <= value)
    assert within(value, (None, high)) == (value <= high)
    assert within(math.nan, settled)


@given(NUMBERS, NUMBERS)
def test_bounds_are_settled_once_and_travel_as_json(one: float, other: float) -> None:
    for pair in ((min(one, other), max(one, other)), (one, None), (None, other), (one, math.inf), (-math.inf, other)):
        settled = settled_bounds(pair, "here")
        assert settled_bounds(settled, "here") == settled
        assert msgspec.json.decode(msgspec.json.encode(settled), type=Bounds) == settled


@given(NUMBERS)
def test_words_keep_every_digit(value: float) -> None:
    words = bounds_in_words(settled_bounds((value, None), "here"))
    assert float(words.removeprefix("at least ")) == float(value)


def test_any_real_number_is_a_bound() -> None:
    assert settled_bounds([np.int64(-3), Fraction(1, 2)], "here") == (-3.0, 0.5)
    assert settled_bounds((-0.0, 10**400), "here") == (0.0, None)
    assert math.copysign(1, settled_bounds((-0.0, 1), "here")[0] or 0.0) == 1


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ((1, 0), r"here: the lower bound lies above the upper one"),
        ((math.nan, 1), "NaN is no bound"),
        ((0, math.nan), "NaN is no bound"),
        (("0", 1), "'0' is no number"),
        ((False, True), "False is no number"),
        ((math.inf, None), "nothing can lie beyond inf"),
        ((None, -(10**400)), "nothing can lie beyond -inf"),
        ((None, None), "both sides are open"),
        ((-math.inf, math.inf), "both sides are open"),
        (7, r"bounds are a pair, .* such as \(0, 1\), or \(0, None\)"),
        ((1, 2, 3), "bounds are a pair"),
        ({"a": (0, 1)}, "bounds are a pair"),
        ("01", "bounds are a pair"),
    ],
)
def test_bounds_that_limit_nothing_or_leave_nothing_are_refused_in_words(bounds: Any, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        settled_bounds(bounds, "here")
