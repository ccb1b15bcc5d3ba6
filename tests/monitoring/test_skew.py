"""Differences of served and recomputed values, by hand."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clew.monitoring.skew import TOLERANCE, compare, differences

NAN = float("nan")


def matrix(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float32)


def test_equal_values_and_values_missing_on_both_sides_agree() -> None:
    both = matrix([1.5, NAN, np.inf], [0.0, -3.0, 1e30])
    assert not differences(both, both.copy()).any()


def test_a_value_that_one_side_misses_is_infinitely_far() -> None:
    assert differences(matrix([NAN, 1.0]), matrix([1.0, NAN])).tolist() == [[np.inf, np.inf]]


@given(st.floats(-(2.0**80), 2.0**80, width=32))
def test_the_last_digit_of_a_float32_is_within_tolerance(value: float) -> None:
    one = np.float32([[value]])
    assert differences(one, np.nextafter(one, np.float32(np.inf)))[0, 0] <= TOLERANCE


def test_the_example_is_the_row_that_differs_most() -> None:
    (fine, wrong) = compare(matrix([1, 1], [1, 2], [1, 3]), matrix([1, 1], [1, 2.5], [1, 9]), [("a", "v@1"), ("b", "v@1")], ["p", "q", "r"])
    assert (fine.differing, fine.example) == (0, None)
    assert (wrong.rows, wrong.differing, wrong.example, wrong.served, wrong.recomputed) == (3, 2, "r", 3.0, 9.0)


def test_no_rows_have_no_skew() -> None:
    (none,) = compare(np.empty((0, 1), np.float32), np.empty((0, 1), np.float32), [("a", "v@1")], [])
    assert (none.rows, none.differing) == (0, 0)
