"""What a version's columns hold, in a few words."""

from datetime import UTC, date, datetime

import polars as pl

from clew.datasets.columns import Column, columns_of, plain, time_range


def test_each_column_is_profiled_in_its_own_terms() -> None:
    times = pl.Series([datetime(2013, 1, 1, 14, tzinfo=UTC), None, None]).dt.convert_time_zone("America/New_York")
    rows = pl.DataFrame(
        {
            "t": times,
            "x": [1.0, float("nan"), None],
            "s": ["b", "a", "a"],
            "b": [True, None, False],
            "raw": [b"1", None, b"2"],
            "code": pl.Series(["u", "v", "v"], dtype=pl.Categorical),
            "empty": pl.Series([None] * 3, dtype=pl.Int64),
        }
    )
    t, x, s, b, raw, code, empty = columns_of(rows.lazy())
    text = "2013-01-01T09:00:00-05:00"
    assert t == Column("t", "Datetime(time_unit='us', time_zone='America/New_York')", "America/New_York", 2, text, text, 1)
    assert (x.nulls, x.minimum, x.maximum) == (1, 1.0, 1.0)
    assert (s.minimum, s.maximum, s.distinct) == ("a", "b", 2)
    assert (b.minimum, b.maximum, b.nulls) == (False, True, 1)
    assert (raw.minimum, raw.distinct, raw.nulls) == (None, None, 1)
    assert (code.minimum, code.distinct) == (None, 2)
    assert (empty.minimum, empty.maximum, empty.distinct, empty.nulls) == (None, None, 0, 3)


def test_values_are_as_json_can_hold_them() -> None:
    values = [None, True, 1, 1.5, "a", date(2013, 1, 1), float("inf"), float("nan"), b"x"]
    assert [plain(value) for value in values] == [None, True, 1, 1.5, "a", "2013-01-01", "inf", "nan", "b'x'"]


def test_a_dataset_without_a_time_has_no_range() -> None:
    assert time_range(pl.LazyFrame({"a": [1]}), None) == (None, None)
