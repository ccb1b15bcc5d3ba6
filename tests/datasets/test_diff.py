"""What differs between two sets of rows."""

import polars as pl
import pytest

from clew.datasets.columns import columns_of
from clew.datasets.diff import Diff, compare
from clew.errors import Invalid


def diff(before: pl.DataFrame, after: pl.DataFrame, *key: str) -> Diff:
    return compare(before.lazy(), after.lazy(), columns_of(before.lazy()), columns_of(after.lazy()), key)


def test_rows_are_matched_by_the_whole_key() -> None:
    before = pl.DataFrame({"a": [1, 1, 2], "b": ["x", "y", "x"], "v": [1.0, None, float("nan")]})
    after = pl.DataFrame({"a": [1, 1, 3], "b": ["x", "y", "x"], "v": [1.0, 0.0, 9.0]})
    found = diff(before, after, "a", "b")
    assert (found.added, found.removed, found.changed, found.unchanged) == (1, 1, 1, 1)
    assert (found.added_examples, found.removed_examples, found.changed_examples) == ([[3, "x"]], [[2, "x"]], [[1, "y"]])


def test_the_same_rows_differ_in_nothing() -> None:
    rows = pl.DataFrame({"a": [1, 2], "v": [None, float("nan")]})
    found = diff(rows, rows.reverse(), "a")
    assert (found.added, found.removed, found.changed, found.unchanged) == (0, 0, 0, 2)


def test_a_column_of_another_type_differs_in_every_row() -> None:
    found = diff(pl.DataFrame({"a": [1, 2], "v": [1, 2]}), pl.DataFrame({"a": [1, 2], "v": [1.0, 2.0]}), "a")
    assert found.changed == 2
    assert {change.name: change.changed_rows for change in found.columns} == {"a": 0, "v": 2}


def test_datasets_of_keys_only_can_be_compared() -> None:
    found = diff(pl.DataFrame({"a": [1, 2]}), pl.DataFrame({"a": [2, 3]}), "a")
    assert (found.added, found.removed, found.changed, found.unchanged) == (1, 1, 0, 1)


def test_examples_are_few() -> None:
    found = diff(pl.DataFrame({"a": [0]}), pl.DataFrame({"a": range(1_000)}), "a")
    assert (found.added, len(found.added_examples)) == (999, 20)


@pytest.mark.parametrize(
    ("before", "was"),
    [(pl.DataFrame({"b": [1]}), "not there"), (pl.DataFrame({"a": ["1"]}), "String"), (pl.DataFrame({"a": [1.0]}), "Float64")],
)
def test_versions_with_other_keys_say_that_they_can_not_be_matched(before: pl.DataFrame, was: str) -> None:
    with pytest.raises(Invalid, match=f"can't be matched by key: a is Int64 now, and was {was}"):
        diff(before, pl.DataFrame({"a": [1]}), "a")
