import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clew.tracking.capture import recover_output
from clew.tracking.frames import OUTPUT, Kind
from clew.tracking.journal import Journal, dead_journals

SCRIPT = """
import ctypes, os, signal, subprocess, sys
from pathlib import Path
from clew.tracking.capture import Capture
from clew.tracking.journal import Journal, JournalHeader

journal = Journal.create(Path(sys.argv[1]), JournalHeader("w", "run_1", "test", "here", True, os.getpid(), "h"))
capture = Capture(journal)
assert capture.start()
print("python: grüße")
sys.stdout.flush()
libc = ctypes.CDLL(None)
libc.puts(b"from C")
libc.fflush(None)
subprocess.run(["echo", "from a child"], check=True)
print("to stderr", file=sys.stderr)
print("x" * 200_000)
if sys.argv[2] == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
capture.stop()
print("after the run")
journal.close()
"""
EXPECTED = "python: grüße\nfrom C\nfrom a child\n" + "x" * 200_000 + "\n"


def output(journal: Journal, stream: int) -> str:
    pieces = [item.payload for item in journal.frames() if item.kind is Kind.OUTPUT]
    return b"".join(piece[OUTPUT.size :] for piece in pieces if OUTPUT.unpack_from(piece)[0] == stream).decode()


@pytest.mark.parametrize("how", ["end", "kill"])
def test_everything_printed_is_kept_from_python_c_and_children_even_through_kill_9(tmp_path: Path, how: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path), how], capture_output=True, text=True, timeout=60, check=False)
    if how == "end":
        assert done.returncode == 0, done.stderr
        assert done.stdout == EXPECTED + "after the run\n", "the console has it as before, and what comes after the run"
        assert done.stderr == "to stderr\n"
    else:
        assert done.returncode == -signal.SIGKILL
    [path] = dead_journals(tmp_path)
    journal = Journal.adopt(path)
    assert journal is not None
    recover_output(journal)
    recover_output(journal)  # twice adds nothing
    assert output(journal, 1) == EXPECTED
    assert output(journal, 2) == "to stderr\n"
    journal.close()


def test_descriptors_are_as_before_when_the_run_ends(local_backend: object) -> None:
    from clew.sdk.runs import run

    before = [os.fstat(stream).st_ino for stream in (1, 2)]
    with run():
        print("hello")
        assert [os.fstat(stream).st_ino for stream in (1, 2)] != before
    assert [os.fstat(stream).st_ino for stream in (1, 2)] == before


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="descriptors are counted in /proc, which Linux has")
def test_runs_leave_no_descriptors_behind(local_backend: object) -> None:
    from clew.sdk.runs import run

    counts = []
    for _ in range(4):
        with run():
            print("hello")
        counts.append(len(list(Path("/proc/self/fd").iterdir())))
    assert counts[3] <= counts[1], counts
