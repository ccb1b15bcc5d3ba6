"""An error that leaves Clew for a script shows the script's own frames and the message; every frame where that is asked for."""

import inspect
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

import clew
from clew.errors import BuildFailed, NotFound
from clew.sdk.border import bordered
from clew.sdk.models import Model
from clew.sdk.versions import get

SCRIPT = """
import clew
import polars as pl

@clew.dataset(key="id", time="at")
def events(file):
    return pl.DataFrame({"id": [1 / len(file.read_text())]})

def wanted():
    return events.at(3)

WHAT
"""


def frames_of(folder: Path, what: str, **environ: str) -> tuple[list[str], str]:
    """The files of the frames that a script's traceback shows, each by its name, and the whole of it."""
    (folder / "script.py").write_text(SCRIPT.replace("WHAT", what))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")}
    done = subprocess.run([sys.executable, "script.py"], cwd=folder, env=kept | environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    return [Path(name).name for name in re.findall(r'File "([^"]+)"', done.stderr)], done.stderr


def test_a_script_sees_its_own_frames_and_the_message(tmp_path: Path) -> None:
    frames, said = frames_of(tmp_path, "wanted()")
    assert frames == ["script.py", "script.py", "border.py"]
    assert said.rstrip().splitlines()[-1].startswith("clew.errors.NotFound: there is no events@3")
    assert "CLEW_TRACEBACK=full shows every frame" in said


def test_every_frame_is_shown_where_that_is_asked_for(tmp_path: Path) -> None:
    frames, _ = frames_of(tmp_path, "wanted()", CLEW_TRACEBACK="full")
    assert frames.index("border.py") < frames.index("backend.py") < len(frames) - 1


def test_an_error_of_a_declaration_ends_at_the_line_that_declares(tmp_path: Path) -> None:
    frames, said = frames_of(tmp_path, "clew.windows('w', events, entity=clew.entity('id'), over='6 hours', n=clew.count())")
    assert frames == ["script.py", "border.py"]
    assert "6 hours" in said


def test_what_a_users_own_function_raised_stays_whole_and_what_a_library_raised_is_in_the_message(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    frames, said = frames_of(tmp_path, "events.ingest('empty.csv')")
    assert frames.count("script.py") == 2  # the call, and the line in the function that divides; an error of his own is left as it is
    assert "ZeroDivisionError" in said
    (tmp_path / "full.csv").write_text("x")
    frames, said = frames_of(tmp_path, "events.ingest('full.csv')")
    assert (frames, "direct cause" in said) == (["script.py", "border.py"], False)


def test_a_public_function_is_found_by_its_name_and_keeps_its_signature() -> None:
    assert pickle.loads(pickle.dumps(clew.get)) is clew.get
    assert inspect.signature(clew.get) == inspect.signature(get)
    assert inspect.signature(Model.propose).parameters.keys() == {"self", "changes", "roll_out", "options"}


@pytest.mark.usefixtures("local_backend")
def test_the_frames_that_are_shown_are_those_of_the_file_that_called() -> None:
    with pytest.raises(NotFound) as raised:
        clew.get("nothing")
    assert [Path(entry.path).name for entry in raised.traceback] == ["test_border.py", "border.py"]


def test_a_step_that_failed_elsewhere_brings_what_it_said() -> None:
    @bordered
    def fail() -> None:
        raise BuildFailed("late failed", output="  File late.py, line 3\n")

    with pytest.raises(BuildFailed) as raised:
        fail()
    assert raised.value.__notes__ == ["  File late.py, line 3"]
