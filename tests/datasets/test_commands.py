"""``clew ingest``, ``datasets`` and ``cut`` as a person calls them."""

import json
from pathlib import Path
from typing import Any

import pytest

from clew.backend import LocalBackend
from clew.cli import main
from clew.datasets import service
from clew.sdk import declarations

FILE = """
from pathlib import Path
import clew
import polars as pl

@clew.dataset(key="flight", time="landed", zone="America/New_York")
def landings(file: Path) -> pl.LazyFrame:
    return pl.scan_csv(file, try_parse_dates=True)
"""


@pytest.fixture
def folder(local_backend: LocalBackend) -> Path:
    declarations.forget()
    root = local_backend.settings.root
    (root / "commanded.py").write_text(FILE)
    (root / "a.csv").write_text("flight,landed,delay\n1,2013-01-01T09:00:00,5\n2,2013-01-01T09:30:00,7\n")
    (root / "b.csv").write_text("flight,landed,delay\n2,2013-01-01T09:30:00,7\n3,2013-01-01T10:00:00,6\n")
    (root / "bad.csv").write_text("flight,landed,delay\n4,2013-01-01T09:30:00,700\n")
    return root


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return int(left.value.code or 0), printed.out, printed.err


def answer(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> Any:
    status, out, err = run(capsys, *arguments, "--json")
    assert status == 0, err
    return json.loads(out)


def test_files_are_ingested_in_order_and_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "ingest", "landings", folder / "a.csv", folder / "b.csv")
    assert status == 0
    assert "a.csv: landings@1: 2 rows added, 2 in all\n" in out
    assert f"review {folder / 'expectations' / 'landings.toml'}" in out
    assert "b.csv: landings@2: 1 rows added, 1 known before, 3 in all\n" in out
    assert "a.csv: landings@2, as before: 3 rows, none of them new" in run(capsys, "ingest", "landings", folder / "a.csv")[1]
    listed = run(capsys, "datasets")[1]
    assert "landings" in listed
    shown = run(capsys, "datasets", "landings")[1]
    assert "landings@2: 3 rows; data: 1 rows from b.csv" in shown
    assert "Datetime in America/New_York" in shown.replace("\n", " ") or "America/New" in shown
    assert (
        "landings@1 → landings@2: 1 rows added, 0 removed, 0 changed, 2 the same" in run(capsys, "datasets", "landings", "--diff", "1")[1]
    )


def test_a_refused_file_is_one_message_and_status_1(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "ingest", "landings", folder / "a.csv")
    status, out, err = run(capsys, "ingest", "landings", folder / "bad.csv")
    assert (status, out) == (1, "")
    assert "delay: must be between 0 and 13; broken in row 1 (700)" in err


def test_a_refused_file_among_several_says_what_became_of_the_others(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [folder / name for name in ("a.csv", "bad.csv", "b.csv")]
    status, _, err = run(capsys, "ingest", "landings", *names)
    assert status == 1
    assert f"{names[0]} is in; {names[2]} was not tried" in err
    status, out, _ = run(capsys, "ingest", "landings", names[1], names[0], names[2], "--json")
    details = json.loads(out)["error"]["details"]
    assert (status, details["taken"], details["untried"]) == (1, [], [str(names[0]), str(names[2])])


def test_commands_answer_in_json(folder: Path, local_backend: LocalBackend, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = answer(capsys, "ingest", "landings", folder / "a.csv")
    assert (line["version"], line["added"], line["expectations"]) == ("landings@1", 2, str(folder / "expectations" / "landings.toml"))
    row = {"flight": 9, "landed": "2013-01-02T00:00:00-05:00", "delay": 6}
    local_backend.context("test").run_write(lambda inside: service.append_rows(inside, "landings", [row]))
    assert answer(capsys, "datasets")["items"][0]["tail_rows"] == 1
    assert answer(capsys, "cut", "landings")["version"]["number"] == 2
    assert answer(capsys, "datasets", "landings@2", "--rows", "9")["total"] == 3
    assert answer(capsys, "datasets", "landings", "--diff", "1")["added"] == 1
    assert answer(capsys, "datasets", "landings")["details"]["rows"] == 3


def test_rows_without_a_dataset_are_asked_back(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys, "datasets", "--rows", "3")
    assert status == 1
    assert "name the dataset" in err


def test_a_profile_is_a_table_and_against_another_version_says_what_moved(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "ingest", "landings", folder / "a.csv", folder / "b.csv")
    assert run(capsys, "datasets", "profile", "landings")[1].splitlines() == [
        "landings@2: 3 rows",
        "column  type                          missing  what it holds                                         ",
        "flight  Int64                         none     1 … 2 … 3, mean 2 ± 1                                 ",
        "landed  Datetime in America/New_York  none     2013-01-01 09:00 … 2013-01-01 09:30 … 2013-01-01 10:00",
        "delay   Int64                         none     5 … 6 … 7, mean 6 ± 1                                 ",
    ]
    status, out, _ = run(capsys, "datasets", "profile", "landings@2", "--against", "landings@1")
    assert status == 0
    assert "landings@1 → landings@2: 2 → 3 rows; the farthest first" in out
    assert "until 2013-01-01 09:30 → 2013-01-01 10:00" in out
    found = answer(capsys, "datasets", "profile", "landings@2", "--against", "1")
    assert (found["against"], found["profile"]["rows"], len(found["shifts"])) == ("landings@1", 3, 3)
    assert answer(capsys, "datasets", "profile", "landings@1")["profile"]["format"] == 1


def test_a_profile_is_not_held_against_another_dataset(
    folder: Path, local_backend: LocalBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "ingest", "landings", folder / "a.csv")
    (folder / "others.py").write_text(FILE.replace("def landings", "def others"))
    run(capsys, "ingest", "others", folder / "a.csv", "--file", folder / "others.py")
    status, _, err = run(capsys, "datasets", "profile", "landings", "--against", "others@1")
    assert status == 1
    assert "others@1 is a version of another dataset" in err
