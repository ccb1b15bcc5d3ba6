"""Delta tables: pins, zones, heads that moved, and heads that nobody pinned."""

# ruff: noqa: DTZ001 - naive times are among what is tested

import subprocess
import sys
import threading
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from clew.errors import Conflict, Invalid, NotFound
from clew.storage.tables import TablePin, Tables


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(f"file://{tmp_path / 'a folder'}")


def numbers(*values: int) -> pl.DataFrame:
    return pl.DataFrame({"n": pl.Series(values, dtype=pl.Int64)})


def zoned(*values: datetime, zone: str = "America/New_York", unit: Any = "us") -> pl.Series:
    return pl.Series(values, dtype=pl.Datetime(unit)).dt.replace_time_zone(zone)


def read(tables: Tables, pin: TablePin) -> list[int]:
    return sorted(tables.scan(pin).collect()["n"].to_list())


def test_each_version_stays_as_it_was(tables: Tables) -> None:
    first = tables.append("p/t", numbers(1, 2), expected_head=None)
    second = tables.append("p/t", numbers(3), expected_head=first.version)
    third = tables.overwrite("p/t", pl.DataFrame({"other": ["x"]}), expected_head=second.version)
    assert (read(tables, first), read(tables, second)) == ([1, 2], [1, 2, 3])
    assert (first.rows, second.rows, third.rows) == (2, 3, 1)
    assert second.size_bytes > first.size_bytes > 0
    assert tables.scan(third).collect()["other"].to_list() == ["x"]
    assert tables.head("p/t") == third.version


def test_a_table_that_is_not_there_has_no_head(tables: Tables) -> None:
    assert tables.head("p/none") is None
    with pytest.raises(NotFound, match="has no version 0"):
        tables.scan(TablePin("p/none", 0, 0, 0))


def test_a_version_that_is_not_there_is_not_found(tables: Tables) -> None:
    pin = tables.append("t", numbers(1), expected_head=None)
    with pytest.raises(NotFound, match="no version 7"):
        tables.scan(TablePin("t", pin.version + 7, 0, 0)).collect()


def test_nine_in_new_york_is_read_as_nine_in_new_york(tables: Tables) -> None:
    frame = pl.DataFrame({"departs": zoned(datetime(2013, 1, 1, 9), datetime(2013, 7, 1, 9))})
    rows = tables.scan(tables.append("t", frame, expected_head=None)).collect()
    assert rows["departs"].dt.hour().to_list() == [9, 9]
    assert_frame_equal(rows, frame)


@pytest.mark.parametrize(
    "column",
    [
        pl.Series("c", [1, None, 255], dtype=pl.UInt8),
        pl.Series("c", [65_535], dtype=pl.UInt16),
        pl.Series("c", [2**32 - 1], dtype=pl.UInt32),
        pl.Series("c", [-1], dtype=pl.Int8),
        pl.Series("c", [1.5, float("nan"), None], dtype=pl.Float32),
        pl.Series("c", ["a", "b", None], dtype=pl.Categorical),
        pl.Series("c", [True, None]),
        pl.Series("c", [date(2013, 1, 1)]),
        pl.Series("c", [time(9, 30)]),
        pl.Series("c", [b"\x00", None], dtype=pl.Binary),
        pl.Series("c", [[1, 2], None], dtype=pl.List(pl.Int64)),
        pl.Series("c", [datetime(2013, 1, 1)], dtype=pl.Datetime("ms", "UTC")),
        zoned(datetime(2013, 1, 1), zone="Europe/Berlin", unit="ns").alias("c"),
    ],
    ids=lambda column: str(column.dtype),
)
def test_a_column_comes_back_in_its_own_type(tables: Tables, column: pl.Series) -> None:
    frame = column.to_frame()
    first = tables.append("t", frame, expected_head=None)
    second = tables.append("t", frame, expected_head=first.version)
    assert_frame_equal(tables.scan(first).collect(), frame)
    assert tables.scan(second).collect_schema() == frame.schema
    assert tables.scan(tables.append("empty", frame.clear(), expected_head=None)).collect().schema == frame.schema


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pl.Series("c", [2**63], dtype=pl.UInt64), r"2\*\*63"),
        (pl.Series("c", [None], dtype=pl.Null), "no type"),
        (pl.Series("c", [1], dtype=pl.Duration("us")), "seconds"),
        (pl.Series("c", [1], dtype=pl.Datetime("ns")), "finer than a microsecond"),
    ],
)
def test_a_type_that_delta_cannot_keep_is_refused_before_anything_is_written(tables: Tables, column: pl.Series, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        tables.append("t", column.to_frame(), expected_head=None)
    assert tables.head("t") is None


@pytest.mark.parametrize("write", ["append", "overwrite"])
def test_a_writer_that_saw_an_old_head_is_refused(tables: Tables, write: str) -> None:
    old = tables.append("t", numbers(1), expected_head=None)
    new = tables.append("t", numbers(2), expected_head=old.version)
    with pytest.raises(Conflict, match="another writer"):
        getattr(tables, write)("t", numbers(3), expected_head=old.version)
    with pytest.raises(Conflict):
        getattr(tables, write)("t", numbers(3), expected_head=None)
    assert tables.head("t") == new.version
    assert read(tables, new) == [1, 2]


def test_of_writers_at_once_one_commits_and_the_others_are_told(tables: Tables) -> None:
    head = tables.append("t", numbers(0), expected_head=None).version
    outcomes: list[TablePin | Conflict] = []
    barrier = threading.Barrier(4)

    def write(value: int) -> None:
        barrier.wait()
        try:
            outcomes.append(tables.append("t", numbers(value), expected_head=head))
        except Conflict as error:
            outcomes.append(error)

    threads = [threading.Thread(target=write, args=(value,)) for value in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    committed = [outcome for outcome in outcomes if isinstance(outcome, TablePin)]
    assert len(committed) == 1
    assert len(outcomes) == 4
    assert len(read(tables, committed[0])) == 2


def test_a_head_that_nobody_pinned_does_not_ride_along(tables: Tables) -> None:
    pinned = tables.append("t", numbers(1), expected_head=None)
    tables.append("t", numbers(666), expected_head=pinned.version)
    head = tables.rollback_to("t", pinned.version)
    after = tables.append("t", numbers(2), expected_head=head)
    assert read(tables, after) == [1, 2]
    assert read(tables, pinned) == [1]
    assert tables.rollback_to("t", after.version) == after.version


def test_a_parquet_file_is_appended_as_it_is(tables: Tables, tmp_path: Path) -> None:
    frame = pl.DataFrame({"departs": zoned(datetime(2013, 1, 1, 9))})
    frame.write_parquet(tmp_path / "staged.parquet")
    assert_frame_equal(tables.scan(tables.append("t", tmp_path / "staged.parquet", expected_head=None)).collect(), frame)


def test_old_versions_are_still_read_after_many_commits(tables: Tables) -> None:
    pin = first = tables.append("t", numbers(0), expected_head=None)
    for value in range(1, 45):
        pin = tables.append("t", numbers(value), expected_head=pin.version)
    assert (read(tables, first), pin.rows) == ([0], 45)
    assert read(tables, pin) == list(range(45))


@pytest.mark.parametrize("name", ["../escape", "a//b", "", "a/..", "/etc"])
def test_a_name_cannot_leave_the_storage(tables: Tables, name: str) -> None:
    with pytest.raises(Invalid, match="table"):
        tables.append(name, numbers(1), expected_head=None)


def test_threads_read_while_another_one_writes_each_its_own_version(tables: Tables) -> None:
    pins = [tables.append("t", numbers(0), expected_head=None)]
    wrong: list[object] = []

    def read_on() -> None:
        for _ in range(15):
            pin = pins[-1]
            found = read(tables, pin)
            if found != list(range(pin.version + 1)) or len(found) != pin.rows:
                wrong.append((pin, found))

    threads = [threading.Thread(target=read_on) for _ in range(6)]
    for thread in threads:
        thread.start()
    for number in range(1, 25):  # past a checkpoint of the log
        pins.append(tables.append("t", numbers(number), expected_head=pins[-1].version))
    for thread in threads:
        thread.join()
    assert wrong == []


FILLS = """
import sys
import numpy as np
import polars as pl
from clew.errors import StorageFull
from clew.storage.tables import Tables

tables = Tables(f"file://{sys.argv[1]}")
pin = tables.append("t", pl.DataFrame({"n": [1]}), expected_head=None)
try:
    tables.append("t", pl.DataFrame({"n": np.random.default_rng(0).integers(0, 2**62, 400_000)}), expected_head=pin.version)
except StorageFull as error:
    print(error.message)
after = tables.append("t", pl.DataFrame({"n": [2]}), expected_head=tables.head("t"))
print(tables.scan(after).collect()["n"].to_list())
"""


def test_a_full_disk_is_said_and_leaves_the_table_as_it_was(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=1m none "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(disk), sys.executable, FILLS]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "unshare" in ended.stderr or "mount:" in ended.stderr:
        pytest.skip(f"no user namespace to mount a small disk in (sysctl kernel.unprivileged_userns_clone=1): {ended.stderr.strip()}")
    assert ended.stdout == "the disk under the table 't' is full; nothing was kept. Free some space and try again\n[1, 2]\n", ended.stderr
