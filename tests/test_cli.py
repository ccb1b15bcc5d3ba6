"""The command line's frame: errors that teach in one line, JSON where it is asked for, names completed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from clew import console
from clew.backend import LocalBackend
from clew.catalog import service as catalog


def clew(root: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")}
    command = [sys.executable, "-m", "clew.cli", *arguments]
    return subprocess.run(command, cwd=root, env={**kept, "CLEW_PROJECT": "test", **environ}, capture_output=True, text=True, timeout=60)


def test_an_error_is_one_line_that_teaches(tmp_path: Path) -> None:
    done = clew(tmp_path, "models", "nothing")
    assert done.returncode == 1
    assert done.stderr.startswith("clew: ")
    assert "nothing" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_what_a_declaration_says_wrongly_is_shown_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "churn.py").write_text("import clew\n\nsteps = [\n    clew.shadow('1y'),\n]  # @clew.model\n")
    done = clew(tmp_path, "apply")
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first.startswith("clew: '1y' is no duration")
    assert second == "  churn.py:4  clew.shadow('1y'),"
    error = json.loads(clew(tmp_path, "apply", "--json").stdout)["error"]
    assert error["details"] == {"file": "churn.py", "line": 4, "source": "clew.shadow('1y'),"}


def test_what_a_file_raises_is_shown_with_its_line_and_with_every_frame_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "churn.py").write_text("import clew\nfrom its_table import table\n\ntable()\n")
    (tmp_path / "its_table.py").write_text("def table():\n    return {}['absent']\n")
    done = clew(tmp_path, "apply", "churn.py")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "clew: churn.py can't be imported: KeyError: 'absent'\n  its_table.py:2  return {}['absent']\n"
    whole = clew(tmp_path, "apply", "churn.py", CLEW_TRACEBACK="full")
    assert whole.returncode == 1
    assert whole.stderr.endswith(done.stderr)
    assert whole.stderr.index("its_table.py") < whole.stderr.index("cli.py")


def test_an_error_is_one_document_with_json(tmp_path: Path) -> None:
    done = clew(tmp_path, "models", "nothing", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "not_found"


@pytest.mark.parametrize("command", ["runs", "datasets", "features", "models", "endpoints"])
def test_an_empty_list_says_what_fills_it_and_is_a_document_with_json(tmp_path: Path, command: str) -> None:
    words = clew(tmp_path, command)
    assert words.returncode == 0
    assert len(words.stdout) > 10
    assert json.loads(clew(tmp_path, command, "--json").stdout) is not None


def test_a_server_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    done = clew(tmp_path, "runs", CLEW_URL="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "clew up" in done.stderr


def test_a_wrong_setting_is_said_in_words(tmp_path: Path) -> None:
    done = clew(tmp_path, "runs", CLEW_DURABILITY="maybe")
    assert done.returncode == 1
    assert "CLEW_DURABILITY" in done.stderr


def test_a_wrong_option_is_a_usage_error(tmp_path: Path) -> None:
    done = clew(tmp_path, "up", "--prot", "1")
    assert done.returncode == 2
    assert "--port" in done.stderr


def test_doctor_tries_everything_and_ends_with_a_status(tmp_path: Path) -> None:
    findings = json.loads(clew(tmp_path, "doctor", "--json").stdout)
    found = {item["what"]: item["fine"] for item in findings}
    assert {name: fine for name, fine in found.items() if name != "page"} == dict.fromkeys(
        ["python", "folder", "database", "storage", "online store", "server"], True
    )


def test_names_of_assets_are_completed(local_backend: LocalBackend) -> None:
    def add(kind: str, name: str) -> None:
        local_backend.context("test").run_write(
            lambda context: catalog.add_version(
                context, kind=kind, name=name, definition_digest="sha256:d", content_digest="c", why="a test", details={}
            )  # type: ignore[arg-type]
        )

    add("dataset", "landings")
    add("model", "late")
    assert console.complete_assets()("la") == ["landings", "late"]
    assert console.complete_assets("model")("la") == ["late"]


def test_completion_is_quiet_where_nothing_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_DURABILITY", "maybe")
    assert console.complete_assets()("la") == []
