"""A profile as people read it."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from clew.datasets.profile_words import rows_of, shift_rows_of
from clew.datasets.profiling import profile_rows

START = datetime(2013, 3, 10, 5, tzinfo=UTC)


def told(values: Any, dtype: Any = None) -> tuple[object, ...]:
    """Type, missing values, and what the column holds."""
    (row,) = rows_of(profile_rows("x@1", pl.LazyFrame({"x": pl.Series(values, dtype=dtype, strict=False)})))
    return row[1:]


def moved(before: Any, after: Any, dtype: Any = None) -> tuple[object, ...]:
    """The row of a column that is held against another version's."""
    frames = [pl.LazyFrame({"x": pl.Series(values, dtype=dtype, strict=False)}) for values in (before, after)]
    return shift_rows_of(profile_rows("x@2", frames[1], "x@1", frames[0]))[0]


def test_each_kind_of_column_is_told_in_its_own_way() -> None:
    assert told([None, None], pl.Float64) == ("Float64", "2 (100.0 %)", "nothing")
    assert told([0.5, 1.5, 2.5, math.nan]) == ("Float64", "1 (25.0 %)", "0.5 … 1.5 … 2.5, mean 1.5 ± 1")
    assert told([1.0, math.inf])[2] == "1 … 1 … 1, mean 1, 1 infinite"
    assert told([math.inf])[2] == "1 values"
    assert told([12345.678, 12347.678])[2] == "12,346 … 12,346 … 12,348, mean 12,347 ± 1.41"
    assert told(["UA"] * 5 + ["AA"] * 3 + ["B6", "DL"])[2] == "UA 50.0 %, AA 30.0 %, B6 10.0 %, and 1 more"
    assert told([True, False, False])[2] == "false 66.7 %, true 33.3 %"
    assert told([f"id {place}" for place in range(1_000)])[2] == "hardly one twice"
    assert told(["a"] * 9 + [f"id {place}" for place in range(1_000)])[2] == "a 0.9 %, and many more"
    assert told(["", " a", "x" * 50])[2] == "'' 33.3 %, ' a' 33.3 %, xxxxxxxxxxxxxxxxxxxxxxx… 33.3 %"
    assert told([[1], None])[2] == "1 values"


def test_times_are_told_in_their_own_zone() -> None:
    times = pl.Series([START, START + timedelta(hours=4)]).dt.convert_time_zone("America/New_York")
    assert told(times)[0] == "Datetime in America/New_York"
    assert str(told(times)[2]).startswith("2013-03-10 00:00 … ")
    assert str(told(times)[2]).endswith(" … 2013-03-10 05:00")


def test_a_few_and_almost_all_are_not_rounded_away() -> None:
    assert told([None] + [1.0] * 2_000)[1] == "1 (<0.1 %)"
    assert told([1.0] + [None] * 2_000)[1] == "2,000 (>99.9 %)"


def test_what_moved_is_named() -> None:
    assert moved(["a", "b"] * 5, ["a", "c"] * 5)[5:] == ("none", "b 50.0 % → 0.0 %; new: c")
    assert moved([0.5, 1.5, 2.5], [2.5, None, None], pl.Float64)[5:] == ("0.0 % → 66.7 %", "mean 1.5 → 2.5, half 1.5 → 2.5")
    assert moved([START], [START + timedelta(days=1)])[6] == "until 2013-03-10 05:00 → 2013-03-11 05:00"
    assert moved([1.5], [], pl.Float64)[1:6] == (None,) * 5
    assert moved([None], [1.5], pl.Float64)[1:4] == ("1.000", "1.000", None)


def test_columns_that_can_not_be_compared_say_why() -> None:
    before = pl.LazyFrame({"gone": [1.5], "other": [1.5]})
    after = pl.LazyFrame({"other": ["a"], "new": [2.5]})
    assert [(row[0], row[6]) for row in shift_rows_of(profile_rows("x@2", after, "x@1", before))] == [
        ("other", "Float64 → String"), ("new", "new"), ("gone", "gone"),
    ]  # fmt: skip
