"""Appended rows in plain Python: types, zones, and frames that agree with ingested files."""

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from clew.datasets.columns import columns_of
from clew.datasets.expectations import ColumnExpectation, Expectations
from clew.datasets.rows import RowReader, to_frame
from clew.errors import ClewError, Invalid, Refused

NEW_YORK = "America/New_York"
FRAME = pl.DataFrame(
    {
        "t": pl.Series([datetime(2013, 1, 1, 14, tzinfo=UTC)]).dt.convert_time_zone(NEW_YORK),
        "n": [1],
        "x": [0.5],
        "small": pl.Series([0.1], dtype=pl.Float32),
        "b": [True],
        "s": ["a"],
        "d": [date(2013, 1, 1)],
    }
)
COLUMNS = columns_of(FRAME.lazy())


def reader(zone: str | None = None, **rules: ColumnExpectation) -> RowReader:
    return RowReader("d", COLUMNS, ("n",), ("t",), zone, Expectations(rules))


def row(**changes: Any) -> dict[str, Any]:
    return {"t": "2013-01-01T09:00:00-05:00", "n": 1, "x": 0.5, "small": 0.1, "b": True, "s": "a", "d": "2013-01-01", **changes}


def test_a_row_read_from_json_is_the_row_that_a_file_brings() -> None:
    read = reader().read(row(), 1)
    assert read.values["t"] == datetime(2013, 1, 1, 9, tzinfo=ZoneInfo(NEW_YORK))
    assert_frame_equal(to_frame([read.stored], COLUMNS), FRAME)
    assert reader().restore(read.stored) == read.values
    assert reader().read(FRAME.to_dicts()[0], 1) == read


def test_nulls_stay_nulls() -> None:
    read = reader().read(row(x=None, s=None, d=None, small=None, b=None), 1)
    assert to_frame([read.stored], COLUMNS).row(0)[2:] == (None,) * 5


def test_the_same_instant_in_another_zone_is_the_same_row() -> None:
    one, other = (reader().read(row(t=text), 1) for text in ("2013-01-01T09:00:00-05:00", "2013-01-01T14:00:00Z"))
    assert (one.row_digest, one.key_digest) == (other.row_digest, other.key_digest)
    assert one.row_digest != reader().read(row(x=0.25), 1).row_digest


def test_a_naive_time_is_refused_or_in_the_declared_zone() -> None:
    with pytest.raises(Invalid, match=r"row 3 of d: 't' is '2013-01-01T09:00:00', and .* has no zone"):
        reader().read(row(t="2013-01-01T09:00:00"), 3)
    assert reader(NEW_YORK).read(row(t="2013-01-01T09:00:00"), 1).stored["t"] == reader().read(row(), 1).stored["t"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n": "1"}, "'n' is '1', and must be a whole number"),
        ({"n": True}, "must be a whole number"),
        ({"n": 1.5}, "must be a whole number"),
        ({"x": "fast"}, "must be a number"),
        ({"x": float("nan")}, "must be finite"),
        ({"x": float("inf")}, "must be finite"),
        ({"b": 1}, "must be true or false"),
        ({"s": 1}, "must be text"),
        ({"t": "yesterday"}, "'t' is 'yesterday'"),
        ({"t": 1.5}, "must be a time"),
        ({"t": None}, "'t' must have a value"),
        ({"n": None}, "'n' must have a value"),
        ({"d": 0.5}, "must be a date"),
        ({"extra": 1}, "has extra, which the dataset has not"),
    ],
)
def test_a_bad_field_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ClewError) as raised:
        reader().read(row(**changes), 7)
    assert raised.value.message.startswith("row 7 of d")
    assert message in raised.value.message
    assert raised.value.details["row"] == 7


def test_a_missing_field_is_named() -> None:
    short = row()
    del short["x"]
    with pytest.raises(Invalid, match="row 1 of d lacks x; give null"):
        reader().read(short, 1)


def test_a_broken_rule_is_refused() -> None:
    with pytest.raises(Refused, match=r"'x' is 0\.5, and must be at least 1"):
        reader(x=ColumnExpectation(between=(1, None))).read(row(), 1)


def test_a_row_outside_the_declared_bounds_is_refused_and_a_missing_value_is_not() -> None:
    bounded = RowReader("d", COLUMNS, ("n",), ("t",), None, None, {"x": (0.0, 0.5), "n": (1.0, None)})
    assert bounded.read(row(x=0.5), 1).values["x"] == 0.5
    assert bounded.read(row(x=None), 1).values["x"] is None
    with pytest.raises(Refused, match=r"row 2 of d: 'x' is 0.51, and must be between 0 and 0.5, as bounds= declares; no row is stored"):
        bounded.read(row(x=0.51), 2)
    with pytest.raises(Refused, match="'n' is 0, and must be at least 1"):
        bounded.read(row(n=0), 1)


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("n", 2**63, "must be from -9223372036854775808 to 9223372036854775807"), ("n", -(10**400), "must be from"), ("n", 1e308, "must be from"),
        ("x", 10**400, "too large"), ("small", 1e39, "32 bits"), ("t", 2**63, "'t'"), ("t", "0001-01-01T00:00:00+14:00", "'t'"), ("d", 2**63, "'d'"),
        ("byte", 300, "must be from 0 to 255"),
    ],
)  # fmt: skip
def test_a_number_that_its_column_can_not_hold_is_refused_by_name(field: str, value: object, word: str) -> None:
    columns = columns_of(FRAME.with_columns(byte=pl.lit(1, pl.UInt8)).lazy())
    wide = RowReader("d", columns, ("n",), ("t",), None, None)
    with pytest.raises(Invalid, match=word):
        wide.read(row(byte=1, **{field: value}) if field != "byte" else row(byte=value), 1)
