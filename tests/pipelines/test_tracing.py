"""What a step reads is recorded, whoever reads it, and a cached result holds only while it still matches."""

import importlib
import json
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import dedent

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from clew.pipelines.tracing import Trace, matches, tracing


def read_open(path: Path) -> None:
    path.read_text("utf-8")


def scan_csv(path: Path) -> None:
    pl.scan_csv(path).collect()


def read_parquet(path: Path) -> None:
    pl.read_parquet(path)


def read_arrow(path: Path) -> None:
    pq.read_table(path)


@pytest.mark.parametrize("reader", [read_open, scan_csv])
def test_a_text_file_is_seen_and_its_change_is_named(reader: object, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a\n1\n")
    with tracing(tmp_path) as trace:
        reader(file)  # type: ignore[operator]
    record = trace.to_dict()
    assert list(record) == ["file rows.csv"]
    assert matches(record, tmp_path) is None
    file.write_text("a\n2\n")
    assert matches(record, tmp_path) == "the file rows.csv changed"
    file.unlink()
    assert matches(record, tmp_path) == "the file rows.csv is gone"


@pytest.mark.parametrize("reader", [read_parquet, read_arrow])
def test_parquet_is_seen_though_it_is_read_behind_pythons_back(reader: object, tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    pl.DataFrame({"a": [1]}).write_parquet(file)
    with tracing(tmp_path) as trace:
        reader(file)  # type: ignore[operator]
    assert "rows.parquet" in trace.files
    pl.DataFrame({"a": [2]}).write_parquet(file)
    assert matches(trace.to_dict(), tmp_path) is not None


def test_a_glob_sees_a_file_that_comes_later(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    pl.DataFrame({"a": [1]}).write_csv(tmp_path / "parts" / "1.csv")
    with tracing(tmp_path) as trace:
        pl.scan_csv(tmp_path / "parts" / "*.csv").collect()
    assert matches(trace.to_dict(), tmp_path) is None
    pl.DataFrame({"a": [1]}).write_csv(tmp_path / "parts" / "2.csv")
    assert matches(trace.to_dict(), tmp_path) == "the files parts/*.csv changed"


@pytest.mark.parametrize("pattern", ["*.csv", "ro[wx]s_?.csv", "**/rows_*.csv", "./*.csv"])
def test_of_a_glob_in_the_projects_root_only_what_matches_counts(pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        pl.DataFrame({"a": [number]}).write_csv(f"rows_{number}.csv")
    with tracing(tmp_path) as trace:
        assert pl.scan_csv(pattern).collect().height == 2
    record = trace.to_dict()
    Path("notes.txt").write_text("unrelated")
    Path("unrelated").mkdir()
    assert matches(record, tmp_path) is None
    pl.DataFrame({"a": [3]}).write_csv("rows_3.csv")
    assert matches(record, tmp_path) == f"the files {pattern.removeprefix('./')} changed"
    Path("rows_3.csv").unlink()
    pl.DataFrame({"a": [7]}).write_csv("rows_2.csv")
    assert matches(record, tmp_path) == "the file rows_2.csv changed"
    Path("rows_2.csv").unlink()
    assert matches(record, tmp_path) == "the file rows_2.csv is gone"


def test_a_glob_that_matched_nothing_counts_by_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with tracing(tmp_path) as trace, pytest.raises(pl.exceptions.PolarsError):
        pl.scan_parquet("*.parquet").collect()
    assert matches(trace.to_dict(), tmp_path) is None
    pl.DataFrame({"a": [1]}).write_parquet("late.parquet")
    assert matches(trace.to_dict(), tmp_path) == "the files *.parquet appeared"


def test_a_glob_outside_of_the_project_and_one_of_several_count_too(tmp_path: Path) -> None:
    root, outside = tmp_path / "project", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    for name in ("a.csv", ".hidden.csv"):
        pl.DataFrame({"a": [1]}).write_csv(outside / name)
    with tracing(root) as trace:
        pl.scan_csv([outside / "*.csv"]).collect()
    assert matches(trace.to_dict(), root) is None
    pl.DataFrame({"a": [2]}).write_csv(outside / ".hidden.csv")  # Polars reads it, so it counts
    assert matches(trace.to_dict(), root) == f"the file {outside / '.hidden.csv'} changed"


def test_a_name_with_brackets_that_is_no_pattern_is_a_file(tmp_path: Path) -> None:
    file = tmp_path / "rows[1].csv"
    file.write_text("a\n1\n")
    with tracing(tmp_path) as trace:
        pl.scan_csv(file, glob=False).collect()
    file.write_text("a\n2\n")
    assert matches(trace.to_dict(), tmp_path) == "the file rows[1].csv changed"


def test_a_glob_of_scratch_files_that_are_gone_again_is_no_input(tmp_path: Path) -> None:
    with tracing(tmp_path) as trace:
        (tmp_path / "scratch").mkdir()
        pl.DataFrame({"a": [1]}).write_csv(tmp_path / "scratch" / "1.csv")
        pl.scan_csv(tmp_path / "scratch" / "*.csv").collect()
        shutil.rmtree(tmp_path / "scratch")
    assert trace.to_dict() == {}


def test_a_delta_table_is_seen_whole(tmp_path: Path) -> None:
    write_deltalake(str(tmp_path / "table"), pa.table({"a": [1]}))
    import deltalake

    with tracing(tmp_path) as trace:
        deltalake.DeltaTable(str(tmp_path / "table")).version()
    write_deltalake(str(tmp_path / "table"), pa.table({"a": [2]}), mode="append")
    assert matches(trace.to_dict(), tmp_path) == "the file table changed"
    assert deltalake.DeltaTable is DeltaTable, "the readers are themselves again"


def test_a_file_that_was_looked_for_and_not_there_counts(tmp_path: Path) -> None:
    with tracing(tmp_path) as trace, pytest.raises(FileNotFoundError):
        (tmp_path / "optional.json").read_text("utf-8")
    (tmp_path / "optional.json").write_text(json.dumps({}))
    assert matches(trace.to_dict(), tmp_path) == "the file optional.json appeared"


def test_what_a_step_writes_is_not_what_it_read(tmp_path: Path) -> None:
    with tracing(tmp_path) as trace:
        (tmp_path / "out.txt").write_text("x")
    assert trace.files == {}


def test_a_scratch_file_that_is_gone_again_is_no_input(tmp_path: Path) -> None:
    with tracing(tmp_path) as trace:
        (tmp_path / "scratch").write_text("x")
        (tmp_path / "scratch").read_text("utf-8")
        (tmp_path / "scratch").unlink()
    assert trace.files == {}


def test_ignored_folders_and_code_are_left_out(tmp_path: Path) -> None:
    (tmp_path / ".clew").mkdir()
    (tmp_path / ".clew" / "db").write_text("x")
    with tracing(tmp_path, (tmp_path / ".clew",)) as trace:
        (tmp_path / ".clew" / "db").read_text("utf-8")
    assert trace.files == {}


def test_a_variable_that_the_users_code_reads_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "asks.py").write_text(dedent('import os\ndef ask():\n    return os.environ.get("RATE"), os.getenv("OTHER")\n'))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("RATE", "secret")
    asks = importlib.import_module("asks")
    with tracing(tmp_path) as trace:
        asks.ask()
    sys.modules.pop("asks")
    record = trace.to_dict()
    assert set(record) == {"variable RATE", "variable OTHER"}
    assert "secret" not in str(record)
    monkeypatch.setenv("RATE", "changed")
    assert matches(record, tmp_path) == "the environment variable RATE changed"


def test_variables_that_libraries_read_are_not(tmp_path: Path) -> None:
    import os

    with tracing(tmp_path) as trace:
        os.environ.get("PATH")
    assert trace.variables == {}


def test_traces_nest(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    with tracing(tmp_path) as outer, tracing(tmp_path) as inner:
        (tmp_path / "a").read_text("utf-8")
    assert isinstance(inner, Trace) and inner.files == outer.files != {}


def test_a_folder_that_is_listed_counts_by_its_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lists.py").write_text("def names(folder):\n    return sorted(path.name for path in folder.iterdir())\n")
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.csv").write_text("1")
    monkeypatch.syspath_prepend(str(tmp_path))
    lists = importlib.import_module("lists")
    with tracing(tmp_path) as trace:
        assert lists.names(tmp_path / "parts") == ["a.csv"]
    sys.modules.pop("lists")
    record = trace.to_dict()
    assert matches(record, tmp_path) is None
    (tmp_path / "parts" / "a.csv").write_text("2")
    assert matches(record, tmp_path) is None, "what a listed file holds was not read"
    (tmp_path / "parts" / "b.csv").write_text("1")
    assert matches(record, tmp_path) == "the file parts changed"


def test_blocks_that_overlap_leave_the_readers_as_they_were(tmp_path: Path) -> None:
    original = pl.read_csv
    first, second = tracing(tmp_path), tracing(tmp_path)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert pl.read_csv is not original
    second.__exit__(None, None, None)
    assert pl.read_csv is original


def test_threads_read_through_watched_readers_and_all_is_seen(tmp_path: Path) -> None:
    for number in range(8):
        pl.DataFrame({"a": [number]}).write_parquet(tmp_path / f"{number}.parquet")
        write_deltalake(str(tmp_path / f"table{number}"), pa.table({"a": [number]}))
    import deltalake

    def read(number: int) -> int:
        rows = pl.read_parquet(tmp_path / f"{number}.parquet").height + pl.scan_parquet(tmp_path / "*.parquet").collect().height
        return rows + deltalake.DeltaTable(str(tmp_path / f"table{number}")).version()

    with tracing(tmp_path) as trace, ThreadPoolExecutor(8) as pool:
        assert set(pool.map(read, range(8))) == {9}
    assert set(trace.files) == {f"{number}.parquet" for number in range(8)} | {f"table{number}" for number in range(8)}
    assert list(trace.patterns) == ["*.parquet"]
