"""The road from a script to a real server, when the server is there and when it is not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from clew.backend import use
from clew.sdk.runs import get_run, run, sync
from clew.testing.server import LiveServer
from clew.tracking.service import list_runs

SCRIPT = """
import os, signal, sys, time
import clew
with clew.run("over the wire") as run:
    for step in range(5_000):
        run.log(loss=float(step), step=step)
    print("all is logged")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_over_http_goes_on_through_a_killed_server_and_loses_nothing(live_server: LiveServer) -> None:
    use(live_server.backend())
    with run("over the wire", params={"lr": 0.1}) as one:
        for step in range(1_000):
            one.log(loss=float(step), step=step)
        one.flush()
        live_server.kill()
        for step in range(1_000, 2_000):
            one.log(loss=float(step), step=step)
        one.artifact(b"kept while the server is away", "note.txt")
        time.sleep(0.6)
        live_server.start()
    view = get_run(one.id)
    assert view.history("loss")["step"].to_list() == list(range(2_000))
    assert view.status == "finished"
    assert view.artifact("note.txt").read_bytes() == b"kept while the server is away"


def test_a_killed_script_is_shipped_by_the_next_process_that_talks_to_the_server(live_server: LiveServer, tmp_path: Path) -> None:
    backend = live_server.backend()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")}
    environ |= {"CLEW_URL": live_server.url, "CLEW_PROJECT": "test", "CLEW_HOME": str(backend.settings.home)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, env=environ, timeout=60, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    report = sync(backend)
    assert len(report.runs) == 1
    use(backend)
    view = get_run(report.runs[0])
    assert view.history("loss")["step"].to_list() == list(range(5_000))
    assert (view.status, view.output()) == ("lost", "all is logged\n")
    assert sync(backend).runs == []


def test_the_server_ships_what_a_script_on_its_folder_left(live_server: LiveServer) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")} | {"CLEW_PROJECT": "test"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=live_server.root, env=environ, timeout=60, check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL
    backend = live_server.backend()
    end = time.monotonic() + 20
    while not (rows := backend.call(list_runs, "status = 'lost' and metrics.loss = 4999").items) and time.monotonic() < end:
        time.sleep(0.2)
    assert [row.title for row in rows] == ["over the wire"]
