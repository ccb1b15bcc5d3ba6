"""A real serving process in front of an existing system: hot swap, a restart without the API, a system that dies and comes back."""

import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from existing_system import ANSWER, ExistingSystem, existing_system
from serving_process import serving, wait

from clew.backend import LocalBackend
from clew.catalog.schema import AssetVersion
from clew.errors import Unavailable
from clew.registry.schema import ExternalSystem
from clew.registry.service import register_external
from clew.serving import service
from clew.serving.answers import find_record, latest_answers
from clew.serving.deploying import deploy, rollback

Register = Callable[..., AssetVersion]
ROW = {"a": 2.0, "b": None, "income": 7}


@pytest.fixture
def system() -> Iterator[ExistingSystem]:
    with existing_system() as found:
        yield found


def put_behind(backend: LocalBackend, system: ExistingSystem, **changed: Any) -> str:
    """The system as a version of ``late``, deployed."""
    external = ExternalSystem(system.url, **({"answer": ANSWER, "timeout_ms": 60_000} | changed))
    made = backend.call(register_external, "late", external).version
    backend.call(service.deploy_ungated, "late", str(made.ref), "the existing system")
    return str(made.ref)


def ask(client: httpx.Client, **changed: Any) -> httpx.Response:
    return client.post("/endpoints/late/predict", json={"rows": [ROW | changed]})


def test_the_route_is_switched_from_it_and_back_under_load_without_a_failed_request(
    backend: LocalBackend, register: Register, system: ExistingSystem
) -> None:
    put_behind(backend, system)
    register(backend, "late", slope=-1.0)
    with serving(backend.settings) as (client, process):
        wait(lambda: ask(client).is_success, process)
        seen: list[tuple[int, str, float]] = []
        done = threading.Event()

        def go_on() -> None:
            with httpx.Client(base_url=client.base_url, timeout=60) as mine:
                while not done.is_set():
                    response = ask(mine)
                    one = response.json()["predictions"][0] if response.is_success else {"model": response.text, "probability": 0.0}
                    seen.append((response.status_code, one["model"], round(one["probability"], 5)))

        threads = [threading.Thread(target=go_on) for _ in range(3)]
        for thread in threads:
            thread.start()
        wait(lambda: bool(seen), process)
        deploy(backend, "late", "late@2", ungated=True, reason="a version")
        wait(lambda: seen[-1][1] == "late@2", process)
        rollback(backend, "late", reason="it was better")
        wait(lambda: seen[-1][1] == "late@1", process)
        done.set()
        for thread in threads:
            thread.join()
        its, ours = round(ExistingSystem.score(ROW), 5), round(1 - ExistingSystem.score(ROW), 5)
        assert set(seen) == {(200, "late@1", its), (200, "late@2", ours)}
        last = ask(client).json()["predictions"][0]["prediction_id"]
    context = backend.context(backend.project)
    with context.reading() as inside:
        assert find_record(inside, last).row == ROW


def test_a_process_starts_without_database_and_api_and_before_the_system_is_up(
    sqlite_backend: LocalBackend, system: ExistingSystem
) -> None:
    put_behind(sqlite_backend, system)
    with serving(sqlite_backend.settings) as (client, process):
        wait(lambda: ask(client).is_success, process)
        process.send_signal(signal.SIGKILL)
        process.wait(20)
    system.kill()
    with serving(replace(sqlite_backend.settings, database_url="postgresql://nobody@127.0.0.1:9/nothing")) as (client, _):
        assert client.get("/readyz").status_code == 200, "the other endpoints of the process are well"
        failed = ask(client)
        assert failed.status_code == 502 and "can't be reached" in failed.json()["error"]["message"]
        system.come_back()
        assert ask(client).json()["predictions"][0]["probability"] == ExistingSystem.score(ROW)


def test_nothing_is_lost_from_the_log_while_it_dies_and_comes_back(sqlite_backend: LocalBackend, system: ExistingSystem) -> None:
    put_behind(sqlite_backend, system)
    with serving(sqlite_backend.settings) as (client, process):
        wait(lambda: ask(client).is_success, process)
        answered, failed = 1, 0
        for number in range(60):
            if number == 20:
                system.kill()
            if number == 40:
                system.come_back()
            response = ask(client, a=float(number))
            answered, failed = answered + response.is_success, failed + (response.status_code == 502)
        assert (answered, failed) == (41, 20)
        assert "clew_serving_errors_total" in client.get("/metrics").text
    found = sqlite_backend.call(latest_answers, "late", limit=500).items
    waited = sum(1 for one in found if one.error is None) - answered
    assert 0 <= waited <= 1, "one more may have been asked while the process was waited for"
    assert sum(1 for one in found if one.error is not None) == 20
    assert all(one.error is None or "late@1, the existing system at" in one.error for one in found)


def test_a_route_whose_token_is_not_there_changes_nothing_and_says_so(
    sqlite_backend: LocalBackend, register: Register, system: ExistingSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(sqlite_backend, "late", slope=1.0)
    sqlite_backend.call(service.deploy_ungated, "late", "late@1", "a version")
    with serving(sqlite_backend.settings) as (client, process):
        wait(lambda: ask(client).is_success, process)
        sqlite_backend.call(register_external, "late", ExternalSystem(system.url, ANSWER, token_env="LATE_TOKEN"))
        with pytest.raises(Unavailable, match="set LATE_TOKEN where the serving process starts"):
            deploy(sqlite_backend, "late", "late@2", ungated=True, reason="a test")
        assert ask(client).json()["predictions"][0]["model"] == "late@1"
    monkeypatch.setenv("LATE_TOKEN", "s3cr3t")
    with serving(sqlite_backend.settings) as (client, process):
        wait(lambda: ask(client).json()["predictions"][0]["model"] == "late@2", process)
    assert system.headers[-1]["authorization"] == "Bearer s3cr3t"
    kept = [path for path in sqlite_backend.settings.home.rglob("*") if path.is_file() and b"s3cr3t" in path.read_bytes()]
    assert kept == [], "the token stands in no file of Clew's"
