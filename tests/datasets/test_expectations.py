"""Rules inferred from rows, and what breaks them."""

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.bounds import Bounds, within
from clew.datasets.expectations import ColumnExpectation, Expectations, break_of, check, check_bounds, infer, refuse
from clew.errors import Refused


def frame_of(**columns: list[object]) -> pl.DataFrame:
    return pl.DataFrame(columns)


def only(**rules: ColumnExpectation) -> Expectations:
    return Expectations(rules)


def test_a_broken_rule_names_column_rows_values_and_rule() -> None:
    rows = frame_of(delay=[1.0, 5000.0, None, float("nan"), -900.0])
    found = check(rows, only(delay=ColumnExpectation(between=(-100, 100))))
    assert [(item.column, item.count, item.rows) for item in found] == [("delay", 3, (2, 4, 5))]
    with pytest.raises(Refused) as raised:
        refuse("landings", "2013-04.csv", found)
    message = raised.value.message
    assert "2013-04.csv" in message
    assert "delay: must be between -100 and 100; broken in row 2 (5000.0), row 4 (nan), row 5 (-900.0)" in message
    assert "nothing of them is stored" in message
    assert raised.value.details["violations"][0]["rows"] == [2, 4, 5]


def test_nothing_broken_is_nothing_said() -> None:
    refuse("landings", "", [])


@pytest.mark.parametrize(
    ("rules", "rule"),
    [
        (ColumnExpectation(type="Float64"), "must be Float64, and is String"),
        (ColumnExpectation(one_of=("a", "b")), "must be one of a, b"),
        (ColumnExpectation(nulls=0), "must have a value"),
        (ColumnExpectation(between=(0, 1)), "must be between 0 and 1, and is String, no number"),
        (ColumnExpectation(nulls=0.25), "at most 25.00 % may be missing"),
    ],
)
def test_each_rule_is_checked(rules: ColumnExpectation, rule: str) -> None:
    assert [item.rule for item in check(frame_of(c=["a", "z", None, None]), only(c=rules))] == [rule]


def test_a_missing_column_and_a_wrong_zone_are_violations() -> None:
    rows = pl.DataFrame({"t": pl.Series([datetime(2013, 1, 1, tzinfo=UTC)])})
    found = check(rows, only(t=ColumnExpectation(zone="America/New_York"), gone=ColumnExpectation()))
    assert [str(item) for item in found] == [
        "t: must be in the zone America/New_York, and is in UTC",
        "gone: must be there, and is missing",
    ]


def test_a_small_file_may_lack_a_value_where_a_share_may() -> None:
    assert check(frame_of(c=["a", None]), only(c=ColumnExpectation(nulls=0.001))) == []


@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt8, pl.Float64])
def test_zeros_and_ones_stay_zeros_and_ones(dtype: pl.DataType) -> None:
    def between(*values: int | None) -> object:
        return infer(frame_of(repaid=pl.Series("repaid", values, dtype=dtype))).columns["repaid"].between

    assert between(0, 1, 1, 0, None) == (0.0, 1.0)
    assert between(0, 0, 0, 1) == (0.0, 4.0), "a count that has just begun to count"
    assert between(0, 1, 2, 1, 0) == (0.0, 8.0)
    assert between(0, 0) is None, "nothing is known of other values"


def test_rows_keep_the_rules_that_were_inferred_from_them() -> None:
    rows = frame_of(
        delay=[float(value) for value in range(-50, 50)],
        origin=["EWR", "JFK"] * 50,
        tailnum=[f"N{value}" for value in range(100)],
        temp=[None, 30.0] * 50,
        flights=list(range(100)),
    )
    rules = infer(rows, required=("origin",))
    assert check(rows, rules) == []
    assert rules.columns["origin"] == ColumnExpectation("String", None, 0.0, None, ("EWR", "JFK"), "")
    assert rules.columns["delay"].between == (-350.0, 350.0)
    assert rules.columns["flights"].between == (0.0, 400.0)
    assert rules.columns["tailnum"].one_of is None
    assert rules.columns["temp"].nulls == 1.0
    assert rules.columns["temp"].seen == "30 to 30, 50.00 % missing"


def test_a_column_with_declared_bounds_gets_no_range_beside_them() -> None:
    rules = infer(frame_of(delay=[1.0, 2.0]), bounded=("delay",))
    assert rules.columns["delay"].between is None
    assert (rules.columns["delay"].type, rules.columns["delay"].seen) == ("Float64", "1 to 2")


SIDES = st.none() | st.integers(-50, 50).map(float)
VALUES = st.none() | st.integers(-60, 60) | st.floats(-60, 60) | st.just(float("nan"))


@given(st.lists(VALUES), SIDES, SIDES)
def test_declared_bounds_are_broken_by_the_values_outside_and_by_no_other(
    values: list[float | None], low: float | None, high: float | None
) -> None:
    bounds: Bounds = (low, high) if low is None or high is None or low <= high else (high, low)
    if bounds == (None, None):
        return
    expected = [place for place, value in enumerate(values, 1) if value is not None and not within(value, bounds)]
    found = check_bounds(pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64, strict=False)}), {"x": bounds})
    assert [(item.column, item.count, list(item.rows)) for item in found] == ([("x", len(expected), expected[:5])] if expected else [])


def test_bounds_of_a_column_that_is_not_there_or_holds_no_numbers_are_broken() -> None:
    rows = pl.DataFrame({"origin": ["EWR"], "nothing": [None], "count": [7]})
    found = check_bounds(rows, {"dealy": (0, 1), "origin": (0, 1), "nothing": (0, 1), "count": (None, 6)})
    assert [str(item) for item in found] == [
        "dealy: is declared with bounds, and missing; there are origin, nothing, count",
        "origin: is declared with bounds, and is String; only columns of numbers have bounds",
        "count: must be at most 6, as bounds= declares; broken in row 1 (7)",
    ]


def test_text_that_was_seen_once_is_no_choice() -> None:
    assert infer(frame_of(carrier=["UA", "UA", "OO"])).columns["carrier"].one_of is None


def test_a_column_without_values_has_no_range() -> None:
    rules = infer(pl.DataFrame({"x": pl.Series([None, None], dtype=pl.Float64), "y": pl.Series([float("nan")] * 2)}))
    assert (rules.columns["x"].between, rules.columns["y"].between) == (None, None)


@pytest.mark.parametrize(
    ("value", "rules", "rule"),
    [
        (None, ColumnExpectation(nulls=0), "must have a value"),
        (None, ColumnExpectation(nulls=0.1), None),
        (7, ColumnExpectation(between=(0, 5)), "must be between 0 and 5"),
        (7, ColumnExpectation(between=(None, 5)), "must be at most 5"),
        (-1, ColumnExpectation(between=(0, None)), "must be at least 0"),
        ("z", ColumnExpectation(one_of=("a",)), "must be one of a"),
        ("z", ColumnExpectation(between=(0, 1)), "must be between 0 and 1"),
        ("a", ColumnExpectation(one_of=("a",), nulls=0), None),
    ],
)
def test_a_single_value_is_held_against_the_same_rules(value: object, rules: ColumnExpectation, rule: str | None) -> None:
    assert break_of(value, rules) == rule
