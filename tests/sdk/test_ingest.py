"""From a file through the user's function into a version."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import clew
from clew.backend import LocalBackend
from clew.errors import Invalid, NotFound, Refused
from clew.sdk.ingest import ingest, ingest_file, ingest_frame

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)
MADE: dict[str, Any] = {
    "lazy": lambda: pl.LazyFrame({"k": [1], "t": [NOON]}),
    "frame": lambda: pl.DataFrame({"k": [1], "t": [NOON]}),
    "pandas": lambda: pd.DataFrame({"k": [1], "t": [NOON]}),
    "arrow": lambda: pa.table({"k": [1], "t": pa.array([NOON], pa.timestamp("us", "UTC"))}),
    "nothing": lambda: None,
}


@clew.dataset(key="k", time="t")
def anything(file: Path) -> Any:
    return MADE[file.read_text()]()


@clew.dataset(key="n", zone="Europe/Berlin")
def numbers(file: Path) -> pl.LazyFrame:
    return pl.scan_csv(file).select(pl.col("n"), at=pl.col("at").str.to_datetime("%Y-%m-%d %H:%M"))


@pytest.mark.parametrize("form", ["lazy", "frame", "pandas", "arrow"])
def test_a_function_may_return_any_frame(sqlite_backend: LocalBackend, tmp_path: Path, form: str) -> None:
    (tmp_path / "file").write_text(form)
    version = ingest_file(sqlite_backend, anything, tmp_path / "file")
    assert version.why == "data: the first rows, 1 rows from file"
    assert [column["name"] for column in version.details["columns"]] == ["k", "t"]


def test_a_function_that_returns_nothing_is_told(sqlite_backend: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("nothing")
    with pytest.raises(Invalid, match="the function of anything returned NoneType; it should return a Polars frame"):
        ingest_file(sqlite_backend, anything, tmp_path / "file")


def test_a_file_of_naive_times_is_read_in_the_declared_zone(local_backend: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,at\n1,2013-07-01 09:00\n")
    version = numbers.ingest(tmp_path / "a.csv")
    assert version.scan().collect()["at"].dt.convert_time_zone("UTC").dt.hour().to_list() == [7]
    assert clew.get("numbers@1").collect().height == 1
    assert version.number == 1


def test_a_zone_that_changed_is_refused_naming_the_file_of_the_rule(sqlite_backend: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("n,at\n1,2013-07-01 09:00\n")
    ingest(sqlite_backend, numbers, tmp_path / "a.csv")
    moved = replace(numbers.definition, zone="America/New_York")
    rows = numbers.function(tmp_path / "a.csv").collect()
    with pytest.raises(Refused, match=r"must be in the zone Europe/Berlin(.|\n)*expectations/numbers\.toml .* edit it"):
        ingest_frame(sqlite_backend, moved, rows, replace=True)
    (sqlite_backend.settings.root / "expectations" / "numbers.toml").unlink()
    assert ingest_frame(sqlite_backend, moved, rows, replace=True).growth.new


def test_a_row_alone_is_appended_as_a_list_of_rows_and_a_frame_are(local_backend: LocalBackend, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("lazy")
    anything.ingest(tmp_path / "file")
    row: dict[str, Any] = {"k": 2, "t": NOON}
    assert anything.append(row).added == 1
    assert anything.append([row, row | {"k": 3}]).added == 1
    assert anything.append(({"k": 4, "t": NOON},)).added == 1
    assert anything.append(pl.DataFrame([row | {"k": 5}])).added == 1
    assert anything.cut().scan().collect()["k"].to_list() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("rows", "what"), [("k=2", "str"), (None, "NoneType"), (7, "int"), ([{"k": 2, "t": NOON}, ("k", 2)], "tuple"), ([[2, NOON]], "list")]
)
def test_what_is_no_row_is_told_what_rows_are(local_backend: LocalBackend, rows: Any, what: str) -> None:
    with pytest.raises(Invalid, match=rf"anything\.append\(\) takes a row as a mapping of column to value, .* and not a {what}"):
        anything.append(rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("n,at\n1,noon\n", "a.csv can't be read by the function of numbers, nothing of it is stored"),
        ("m\n1\n", 'ColumnNotFoundError: unable to find column "n"'),
        ("", "NoDataError"),
        ("n,at\n", "there are no rows in a.csv"),
    ],
)
def test_a_broken_file_is_refused_in_one_line(sqlite_backend: LocalBackend, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(Refused) as raised:
        ingest(sqlite_backend, numbers, tmp_path / "a.csv")
    assert message in raised.value.message
    assert "\n" not in raised.value.message
    assert sqlite_backend.tables.head("test/datasets/numbers") is None


def test_a_file_that_is_not_there_is_not_found(sqlite_backend: LocalBackend, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"there is no file .*none\.csv to ingest into numbers"):
        ingest_file(sqlite_backend, numbers, tmp_path / "none.csv")
