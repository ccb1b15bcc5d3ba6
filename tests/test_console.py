"""What people read: times with their offset, cells as they are, and where a command writes."""

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from clew import backend as backends
from clew import console
from clew.cli import app


@pytest.mark.parametrize(
    ("zone", "shown"),
    [("UTC", "2013-04-01 12:00:00 UTC"), ("EST5", "2013-04-01 07:00:00 -05:00"), ("IST-5:30", "2013-04-01 17:30:00 +05:30")],
)
def test_a_time_is_shown_by_this_machines_clock_and_says_its_offset(zone: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", zone)
        time.tzset()
        found = console.instant(datetime(2013, 4, 1, 12, tzinfo=UTC))
    time.tzset()
    assert found == shown


def test_a_cell_in_brackets_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_rows([], ("change",), [("over [late] → [bold]",)], empty="")
    assert "over [late] → [bold]" in capsys.readouterr().out


@pytest.fixture
def below(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, a folder of the project ``flights`` that lies above it."""
    (tmp_path / "pyproject.toml").write_text('[tool.clew]\nproject = "flights"\n')
    (tmp_path / "flights.py").write_text('import clew\n\n\n@clew.dataset(key="id")\ndef landings(file):\n    return file\n')
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    return Path.cwd()


def told(*arguments: str) -> str:
    """What a command says on standard error."""
    console.use_json(False)
    backends.use(None)
    result = CliRunner().invoke(app, list(arguments))
    console.use_json(False)
    return result.stderr


def test_a_command_that_writes_in_a_project_above_says_so_once(below: Path) -> None:
    line = f"in the project 'flights' of ../ ({below.parent / '.clew'})\n"
    assert told("apply") == line
    assert told("alerts", "ack", "1") == line, "before what it is told may be refused"
    assert told("triggers", "pause", "nightly") == line


def test_a_command_that_only_reads_or_answers_a_program_says_nothing_of_where(below: Path) -> None:
    told("apply")
    assert [told(*words) for words in (("datasets",), ("plan", "landings"), ("why", "landings"), ("triggers",))] == [""] * 4
    assert told("apply", "--json") == ""


def test_a_command_in_its_projects_own_folder_says_nothing_of_where(below: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(below.parent)
    assert told("apply") == ""


def test_a_script_says_nothing_of_where(below: Path) -> None:
    script = "from clew.backend import current; current().upload(b'rows')"
    done = subprocess.run([sys.executable, "-c", script], cwd=below, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
