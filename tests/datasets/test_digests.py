"""Digests that outlive sessions: fixed values, order, pieces, equality as Polars means it."""

# ruff: noqa: DTZ001 - naive times are among what is tested

import hashlib
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clew.datasets.digests import EMPTY, add, content_digest, row_digests, sum_of


def test_the_digests_of_today_are_those_of_every_version_before() -> None:
    frame = pl.DataFrame(
        {
            "t": pl.Series([datetime(2013, 1, 1, 14, tzinfo=UTC)]).dt.convert_time_zone("America/New_York"),
            "n": [7],
            "x": [0.1],
            "s": ["é|:"],
            "b": [True],
            "d": [date(2013, 1, 1)],
            "none": pl.Series([None], dtype=pl.String),
        }
    )
    bits = "4591870180066957722"
    text = f"1|15706|7|~|4:é|:|{1357048800_000000}|{bits}"
    assert row_digests(frame) == [hashlib.sha256(text.encode()).digest()]
    assert content_digest([("n", "Int64")], 1, "0" * 63 + "7") == (
        "sha256:" + hashlib.sha256(b'[[["n","Int64"]],1,"' + b"0" * 63 + b'7"]').hexdigest()
    )


def test_the_order_of_rows_and_of_columns_does_not_count() -> None:
    frame = pl.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"]})
    same = frame.reverse().select("b", "a")
    assert sum_of(row_digests(frame)) == sum_of(row_digests(same))
    assert sum_of(row_digests(frame)) != sum_of(row_digests(frame.head(2)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pl.Series([float("nan")]), pl.Series([-float("nan")])),
        (pl.Series([0.0]), pl.Series([-0.0])),
        (
            pl.Series([datetime(2013, 1, 1)], dtype=pl.Datetime("ms", "UTC")),
            pl.Series([datetime(2013, 1, 1)], dtype=pl.Datetime("us", "UTC")),
        ),
        (pl.Series(["a"], dtype=pl.Categorical), pl.Series(["a"])),
    ],
)
def test_equal_values_have_one_digest(one: pl.Series, other: pl.Series) -> None:
    assert row_digests(one.alias("c").to_frame()) == row_digests(other.alias("c").to_frame())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": ["x|"], "b": ["y"]}, {"a": ["x"], "b": ["|y"]}),
        ({"a": [None], "b": ["~"]}, {"a": ["~"], "b": [None]}),
        ({"a": [float("nan")]}, {"a": [None]}),
        ({"a": [""]}, {"a": [None]}),
        ({"a": [[1, 2]]}, {"a": [[12]]}),
        ({"a": [1.0]}, {"a": [1.0000000000000002]}),
    ],
)
def test_different_rows_have_different_digests(one: dict[str, Any], other: dict[str, Any]) -> None:
    schema = {"a": pl.String, "b": pl.String} if "b" in one else None
    assert row_digests(pl.DataFrame(one, schema)) != row_digests(pl.DataFrame(other, schema))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.binary(min_size=32, max_size=32), max_size=40), st.integers(0, 40))
def test_a_sum_is_extended_without_the_old_rows(digests: list[bytes], cut: int) -> None:
    assert add(sum_of(digests[:cut]), sum_of(digests[cut:])) == sum_of(digests)
    assert sum_of(digests) == f"{sum(int.from_bytes(digest) for digest in digests) % 2**256:064x}"
    assert add(EMPTY, sum_of(digests)) == sum_of(digests)
