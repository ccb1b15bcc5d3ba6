"""The process that runs a view's function: what is left of it when the one that started it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import os, sys
import polars as pl
from clew.definitions import FunctionRef
from clew.feature_store.function_worker import FunctionWorker

worker = FunctionWorker(FunctionRef("views", "view", sys.argv[1] + "/views.py"), None)
assert worker(pl.DataFrame({"a": [1]}))["a"].to_list() == [2]
print(worker._process.pid, flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "views.py").write_text("import polars as pl\n\ndef view(rows):\n    return rows.with_columns(pl.col('a') + 1)\n")
    return tmp_path


def run(folder: Path, ending: str) -> "subprocess.CompletedProcess[str]":
    """The script in Python's development mode, which tells of everything that is left open."""
    command = [sys.executable, "-X", "dev", "-c", SCRIPT + ending, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("ending", ["", "del worker", "worker.close()", "kept = [worker, worker]; kept.append(kept)"])
def test_nothing_is_left_open_when_the_interpreter_ends(folder: Path, ending: str) -> None:
    done = run(folder, ending)
    assert (done.returncode, done.stderr) == (0, "")
    assert not is_alive(int(done.stdout))


def test_a_forked_child_that_ends_leaves_the_worker_to_its_parent(folder: Path) -> None:
    ending = """
import warnings; warnings.simplefilter("ignore")
child = os.fork()
if child == 0:
    sys.exit()
os.waitpid(child, 0)
assert worker(pl.DataFrame({"a": [2]}))["a"].to_list() == [3]
"""
    done = run(folder, ending)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_worker_ends_when_its_parent_is_killed(folder: Path) -> None:
    done = run(folder, "import signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert done.returncode == -signal.SIGKILL
    pid = int(done.stdout)
    for _ in range(600):
        if not is_alive(pid) or _is_zombie(pid):
            return
        time.sleep(0.1)
    raise AssertionError(f"the worker {pid} is still there")


def _is_zombie(pid: int) -> bool:
    """Ended, and not yet buried: by whom depends on what reaps orphans here."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True
