"""A real server process: it starts, refuses a second one, survives ``kill -9``, and answers bad input in words."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

import clew
from clew.access import service as access
from clew.errors import Conflict
from clew.server.folder_lock import FolderLock
from clew.server.leading import Leadership
from clew.server.up import Addresses, UpOptions, up
from clew.settings import Settings
from clew.testing.server import LiveServer, live_server


@pytest.fixture
def server(tmp_path: Path):
    with live_server(tmp_path, "--no-serving") as found:
        yield found


def run_up(root: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "clew.cli", "up", "--no-serving", *arguments]
    return subprocess.run(
        command, cwd=root, env={"CLEW_PROJECT": "test", "PATH": "", **environ}, capture_output=True, text=True, timeout=60
    )


def test_a_client_reaches_the_operations(server: LiveServer) -> None:
    assert server.backend().call(access.get_project).slug == "test"


def doctor(server: LiveServer, **environ: str) -> dict[str, tuple[bool, str]]:
    (server.root / "client").mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "clew.cli", "doctor", "--json"], cwd=server.root / "client", capture_output=True, text=True, timeout=60,
        env={"PATH": "", "CLEW_PROJECT": "test", "CLEW_URL": server.url, **environ},
    )  # fmt: skip
    findings = {item["what"]: (item["fine"], item["words"]) for item in json.loads(done.stdout)}
    assert done.returncode == (0 if all(fine for fine, _ in findings.values()) else 1)
    return findings


def test_the_doctor_tries_the_server_that_a_client_is_told_of(server: LiveServer) -> None:
    findings = doctor(server)
    assert set(findings) == {"python", "folder", "server"}
    assert findings["server"] == (True, f"{server.url} answers, Clew {clew.__version__}, project 'test'")
    fine, words = doctor(server, CLEW_PROJECT="other")["server"]
    assert (fine, "no project is named 'other'" in words) == (False, True)
    fine, words = doctor(server, CLEW_URL="http://127.0.0.1:9")["server"]
    assert (fine, "no Clew server answers at http://127.0.0.1:9" in words) == (False, True)


def test_a_second_server_on_the_same_folder_is_refused_and_names_the_first(server: LiveServer) -> None:
    second = run_up(server.root, "--port", "0")
    assert second.returncode == 1
    assert f"already serves {server.home}" in second.stderr
    assert server.url in second.stderr
    assert httpx.get(f"{server.url}/readyz").status_code == 200


def test_a_taken_port_is_refused_with_the_option_that_helps(server: LiveServer, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    second = run_up(elsewhere, "--port", server.url.rpartition(":")[2])
    assert second.returncode == 1
    assert "--port" in second.stderr
    assert not (elsewhere / ".clew").exists(), "a refused start leaves nothing behind"


def test_a_killed_server_starts_again_with_what_it_had(server: LiveServer) -> None:
    server.backend().call(access.create_project, slug="flights")
    server.kill()
    server.start()
    assert {item.slug for item in server.backend().call(access.list_projects).items} == {"test", "flights"}


def test_it_stops_in_order_when_asked(server: LiveServer) -> None:
    with httpx.stream("GET", f"{server.url}/api/v1/projects/test/live", timeout=10) as stream:
        next(stream.iter_lines())
        server.stop()
    assert server.process is not None
    assert server.process.returncode == 0


def test_ctrl_c_pressed_once_more_does_not_disturb_the_cleaning_up(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def press(addresses: Addresses) -> None:
        def when_it_answers() -> None:
            end = time.monotonic() + 60
            while time.monotonic() < end:
                try:
                    httpx.get(f"{addresses.url}/healthz", timeout=10)
                    break
                except httpx.HTTPError:
                    time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

        threading.Thread(target=when_it_answers, daemon=True).start()

    stop, stopped = Leadership.stop, []

    def press_and_stop(leadership: Leadership) -> None:
        signal.raise_signal(signal.SIGINT)
        stop(leadership)
        stopped.append(leadership)

    monkeypatch.setattr(Leadership, "stop", press_and_stop)
    before = signal.getsignal(signal.SIGINT)
    try:
        up(settings, UpOptions(port=0, serving=False), press)
    except KeyboardInterrupt:
        pytest.fail("it was disturbed")
    assert len(stopped) == 1
    assert signal.getsignal(signal.SIGINT) is before
    FolderLock(settings.home, url="http://127.0.0.1:1").release()


def test_away_from_loopback_a_token_is_made_and_demanded(tmp_path: Path) -> None:
    with live_server(tmp_path, "--no-serving", "--host", "0.0.0.0") as server:
        address = f"{server.url}/api/v1/projects"
        token = (server.home / "token").read_text()
        assert httpx.get(address).status_code == 401
        assert httpx.get(address, headers={"authorization": "Bearer wrong"}).status_code == 401
        assert httpx.get(address, headers={"authorization": f"Bearer {token}"}).status_code == 200
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        assert (server.home / "token").stat().st_mode & 0o077 == 0, "only its owner reads the token"


def test_the_lock_falls_with_its_holder(tmp_path: Path) -> None:
    first = FolderLock(tmp_path, url="http://127.0.0.1:1")
    with pytest.raises(Conflict, match="already serves"):
        FolderLock(tmp_path, url="http://127.0.0.1:2")
    first.release()
    FolderLock(tmp_path, url="http://127.0.0.1:2").release()


def test_the_endpoints_demand_the_same_token(tmp_path: Path) -> None:
    with live_server(tmp_path, "--host", "0.0.0.0") as server:
        token = (server.home / "token").read_text()
        address = f"{server.serving_url}/v2"
        assert httpx.get(address).status_code == 401
        assert httpx.get(address, headers={"authorization": f"Bearer {token}"}).status_code == 200
        assert httpx.get(f"{server.serving_url}/v2/health/ready").status_code == 200
