"""What a dataset takes in: zones, keys, types, and rows that are known."""

# ruff: noqa: DTZ001 - naive times are among what is tested

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from clew.datasets.columns import columns_of
from clew.datasets.preparation import conform, prepare, split_known
from clew.definitions import DatasetDefinition
from clew.errors import Conflict, Invalid, Refused

DECLARED = DatasetDefinition("d", ("k",), "t", None, None)
NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)


def rows(**columns: Any) -> pl.DataFrame:
    return pl.DataFrame({"k": [1, 2], "t": [NOON, NOON], "x": [1.0, None], **columns})


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (rows().drop("t"), "t: is declared, and missing; there are k, x"),
        (rows(t=[NOON, None]), "t: must have a value; broken in row 2 (None)"),
        (rows(k=[None, 1]), "k: must have a value; broken in row 1 (None)"),
        (rows(k=[7, 7]), "k: the key must name one row, and names several; broken in row 1 (7), row 2 (7)"),
        (rows(t=["noon", "noon"]), "t: must be a time with a zone (pl.Datetime), and is String"),
        (rows(x=[[1], [2]]), "x: is List(Int64), and a dataset holds numbers, text"),
        (rows().clear(), "there are no rows in a.csv for d"),
        (rows(t=[datetime(2013, 1, 1)] * 2), "t: its times have no zone; give them one"),
        (rows(x=[datetime(2013, 1, 1)] * 2), "x: its times have no zone"),
    ],
)
def test_what_the_declaration_rules_out_is_refused_by_name(frame: pl.DataFrame, message: str) -> None:
    with pytest.raises(Refused) as raised:
        prepare(frame, DECLARED, "a.csv")
    assert message in raised.value.message


def test_naive_times_are_in_the_declared_zone() -> None:
    declared = DatasetDefinition("d", ("k",), "t", None, None, zone="America/New_York")
    made = prepare(rows(t=[datetime(2013, 7, 1, 9)] * 2), declared)
    assert made["t"].dtype == pl.Datetime("us", "America/New_York")
    assert made["t"].dt.convert_time_zone("UTC").dt.hour().to_list() == [13, 13]


@pytest.mark.parametrize("time", [datetime(2013, 3, 10, 2, 30), datetime(2013, 11, 3, 1, 30)])
def test_a_clock_time_that_is_not_there_or_there_twice_is_refused(time: datetime) -> None:
    declared = DatasetDefinition("d", ("k",), "t", None, None, zone="America/New_York")
    with pytest.raises(Refused, match="happens never or twice in America/New_York"):
        prepare(rows(t=[time, datetime(2013, 1, 1)]), declared)


def test_a_zone_that_is_not_known_is_said() -> None:
    with pytest.raises(Invalid, match="Mars/Olympus"):
        prepare(rows(t=[datetime(2013, 1, 1)] * 2), DatasetDefinition("d", ("k",), "t", None, None, zone="Mars/Olympus"))


def test_rows_take_the_order_and_types_of_the_versions_before() -> None:
    columns = columns_of(rows().lazy())
    other = pl.DataFrame(
        {"x": [3, 4], "k": pl.Series([1, 2], dtype=pl.Int8), "t": pl.Series([NOON] * 2).dt.convert_time_zone("Asia/Tokyo")}
    )
    assert_frame_equal(conform(other, columns, "d"), rows(x=[3.0, 4.0]))
    nothing = other.with_columns(x=pl.lit(None))
    assert conform(nothing, columns, "d")["x"].dtype == pl.Float64


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (rows(y=[1, 2]), "y: is new"),
        (rows().drop("x"), "x: must be there, and is missing"),
        (rows(x=["1", "abc"]), "x: must be Float64, as in the versions before, and is String; broken in row 1 (1), row 2 (abc)"),
        (rows(x=["1", None]), "x: must be Float64, as in the versions before, and is String; broken in row 1 (1)"),
        (rows(k=[1.0, 1.5]), "k: must be Int64, as in the versions before, and is Float64; broken in row 2 (1.5)"),
    ],
)
def test_a_column_that_does_not_fit_the_versions_before_is_refused(frame: pl.DataFrame, message: str) -> None:
    with pytest.raises(Refused) as raised:
        conform(frame, columns_of(rows().lazy()), "d")
    assert message in raised.value.message


def test_codes_that_look_like_numbers_in_one_file_are_refused() -> None:
    columns = columns_of(rows(x=["007", "abc"]).lazy())
    with pytest.raises(Refused, match="x: must be String, as in the versions before, and is Int64; broken in row 1"):
        conform(rows(x=[7, 8]), columns, "d")


def test_rows_that_are_stored_are_skipped_and_changed_ones_clash() -> None:
    stored = rows(x=[1.0, float("nan")]).lazy()
    more = pl.concat([stored.collect(), rows(k=[3, 4])])
    assert split_known(more, stored, ("k",), "d")["k"].to_list() == [3, 4]
    assert split_known(stored.collect(), stored, ("k",), "d").height == 0
    with pytest.raises(Conflict) as raised:
        split_known(rows(x=[1.0, 2.0]), stored, ("k",), "d", "a.csv")
    assert "1 of 2 rows of a.csv have a key that d holds with other values: row 2 (2) differs in x" in raised.value.message
    assert raised.value.details["rows"] == [{"row": 2, "key": {"k": "2"}, "columns": ["x"]}]


def test_a_null_and_a_value_differ() -> None:
    with pytest.raises(Conflict, match="differs in x"):
        split_known(rows(x=[1.0, 0.0]), rows().lazy(), ("k",), "d")


def test_a_dataset_may_be_nothing_but_keys() -> None:
    keys = pl.DataFrame({"a": [1, 2], "b": [1, 1]})
    assert split_known(keys, keys.head(1).lazy(), ("a", "b"), "d").height == 1
