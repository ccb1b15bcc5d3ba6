"""The serving process beside the API: it comes back when it is killed, outlives a killed API, and goes with a stopped one."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from clew.testing.server import LiveServer, live_server

WaitFor = Callable[[Callable[[], object]], None]


def pid_of(server: LiveServer) -> int:
    return int(json.loads((server.home / "serving.json").read_text())["pid"])


def listens(server: LiveServer) -> bool:
    try:
        httpx.get(f"{server.serving_url}/healthz", timeout=2)
    except httpx.TransportError:
        return False
    return True


def test_a_killed_serving_process_is_started_again_on_its_port(live_server: LiveServer, wait_for: WaitFor) -> None:
    first, url = pid_of(live_server), live_server.serving_url
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: pid_of(live_server) != first and listens(live_server))
    assert live_server.serving_url == url
    assert httpx.get(f"{live_server.url}/readyz").status_code == 200


def test_the_serving_process_outlives_a_killed_api_and_is_taken_over(live_server: LiveServer) -> None:
    first, url = pid_of(live_server), live_server.serving_url
    live_server.kill()
    assert httpx.get(f"{url}/healthz", timeout=5).status_code < 500
    live_server.start()
    assert pid_of(live_server) == first
    assert live_server.serving_url == url


def test_both_processes_log_in_one_format(live_server: LiveServer, wait_for: WaitFor) -> None:
    wait_for(lambda: '"clew.serving"' in live_server.log.read_text())
    # What `clew up` says to a person on standard output stands in the same file.
    logged = [line for line in live_server.log.read_text().splitlines() if not line.startswith(("Clew serves", "  "))]
    loggers = {json.loads(line)["logger"] for line in logged}
    assert {"clew.server.serving", "clew.serving"} <= loggers
    assert all(name.startswith("clew.") for name in loggers)


def test_a_stopped_server_takes_its_serving_process_with_it(tmp_path: Path) -> None:
    with live_server(tmp_path) as server:
        serving = psutil.Process(pid_of(server))
    assert not serving.is_running()
    assert not (tmp_path / ".clew" / "serving.json").exists()


@pytest.mark.parametrize("note", ["{", '{"pid": 1, "host": "127.0.0.1", "port": 1, "version": "0"}'])
def test_a_note_that_names_a_stranger_is_not_believed(tmp_path: Path, note: str) -> None:
    (tmp_path / ".clew").mkdir()
    (tmp_path / ".clew" / "serving.json").write_text(note)
    with live_server(tmp_path) as server:
        assert pid_of(server) != 1
