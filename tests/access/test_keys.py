"""One key, one effect: two requests at once, a client that gave up waiting, a server that died in the middle."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
import uvicorn

import clew.backend
from clew import operations
from clew.access import keys
from clew.backend import HttpBackend, LocalBackend
from clew.clock import wall_now
from clew.errors import Conflict, Invalid, StillRunning
from clew.operations import Context, Operation
from clew.server.app import build_app
from clew.storage.schema import idempotency_keys


class Slow:
    """A staged operation that is at work until it is let go, and counts how many are at work at once."""

    def __init__(self) -> None:
        self.entered, self.go = threading.Event(), threading.Event()
        self.calls = 0

        def slow(context: Context, fail: bool = False) -> int:
            self.calls += 1
            mine = self.calls
            self.entered.set()
            assert self.go.wait(30)
            if fail and mine == 1:
                raise Invalid("the first one fails")
            return mine

        self.operation = Operation("access.slow", "POST", "/projects/{project}/slow", "access.slow", "staged", slow)
        slow.__operation__ = self.operation  # type: ignore[attr-defined]
        self.function = slow


@pytest.fixture
def slow() -> Slow:
    return Slow()


def run(backend: LocalBackend, slow: Slow, key: str = "k", **values: object) -> object:
    return backend.run(slow.operation, values, project="test", key=key)


def held_elsewhere(backend: LocalBackend, slow: Slow, seconds: float) -> None:
    """The key ``k`` as a server on another machine left it, whose lease ends in so many seconds."""
    with backend.database.write() as connection:
        keys.take(replace(backend.context("test"), connection=connection), slow.operation, {}, "k", "elsewhere 1 0 holder_1")
        connection.execute(sa.update(idempotency_keys).values(expires_at=wall_now() + timedelta(seconds=seconds)))


def test_two_requests_of_one_key_at_once_act_once(backend: LocalBackend, slow: Slow) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(run, backend, slow) for _ in range(4)]
        assert slow.entered.wait(30)
        slow.go.set()
        assert {answer.result(60) for answer in answers} == {1}
    assert slow.calls == 1


def test_a_request_that_may_not_wait_longer_is_told_so(backend: LocalBackend, slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_WAIT_SECONDS", 0.0)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(run, backend, slow)
        assert slow.entered.wait(30)
        with pytest.raises(StillRunning, match="ask again with the same key"):
            run(backend, slow)
        with pytest.raises(Conflict, match="another request"):
            run(backend, slow, fail=True)
        slow.go.set()
        assert first.result(60) == run(backend, slow) == 1


def test_a_key_whose_request_failed_may_be_used_again(backend: LocalBackend, slow: Slow) -> None:
    slow.go.set()
    with pytest.raises(Invalid, match="the first one fails"):
        run(backend, slow, fail=True)
    assert run(backend, slow, fail=True) == 2


def test_a_dead_server_elsewhere_holds_a_key_no_longer_than_its_lease(
    backend: LocalBackend, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_WAIT_SECONDS", 0.0)
    slow.go.set()
    held_elsewhere(backend, slow, 60)
    with pytest.raises(StillRunning):
        run(backend, slow)
    with backend.database.write() as connection:
        connection.execute(sa.update(idempotency_keys).values(expires_at=wall_now() - timedelta(seconds=1)))
    assert run(backend, slow) == 1


def test_work_that_is_longer_than_its_lease_keeps_its_key(backend: LocalBackend, slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(keys, "_BEAT_SECONDS", 0.01)
    monkeypatch.setattr(keys, "_renewal", keys._Renewal())
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(run, backend, slow)
        assert slow.entered.wait(30)
        past = wall_now() - timedelta(seconds=1)
        with backend.database.write() as connection:
            connection.execute(sa.update(idempotency_keys).values(expires_at=past))
        while _expires_at(backend) <= past:
            time.sleep(0.01)
        with pytest.raises(StillRunning):
            run(backend, slow)
        slow.go.set()
        assert first.result(60) == 1


def _expires_at(backend: LocalBackend) -> object:
    with backend.database.read() as connection:
        return connection.scalar(sa.select(idempotency_keys.c.expires_at))


def test_one_that_was_thought_dead_does_not_overwrite_the_answer(backend: LocalBackend, slow: Slow) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(run, backend, slow)
        assert slow.entered.wait(30)
        with backend.database.write() as connection:
            connection.execute(sa.delete(idempotency_keys))
        slow.go.set()
        second = run(backend, slow)
        first.result(60)
    assert run(backend, slow) == second == 2


DIES = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from clew.backend import LocalBackend
from clew.operations import Operation
from clew.settings import load_settings

def slow(context, fail: bool = False) -> int:
    os.kill(os.getpid(), signal.SIGKILL)

backend = LocalBackend(replace(load_settings(Path(sys.argv[1]), {}), project="test", database_url=sys.argv[2]))
operation = Operation("access.slow", "POST", "/projects/{project}/slow", "access.slow", "staged", slow)
backend.run(operation, {}, project="test", key="k")
"""


def test_a_server_that_was_killed_in_the_middle_holds_nobody_up(backend: LocalBackend, slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_WAIT_SECONDS", 0.0)
    command = [sys.executable, "-c", DIES, str(backend.settings.root), backend.settings.database_url]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert killed.returncode == -9, killed.stderr
    slow.go.set()
    assert run(backend, slow) == 1


@contextmanager
def serving(backend: LocalBackend) -> Iterator[Callable[[], HttpBackend]]:
    """A server in a thread, and clients of it."""
    server = uvicorn.Server(uvicorn.Config(build_app(backend), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    clients: list[HttpBackend] = []

    def client() -> HttpBackend:
        clients.append(HttpBackend(replace(backend.settings, url=url), url))
        return clients[-1]

    try:
        yield client
    finally:
        for one in clients:
            one.dispose()
        server.should_exit = True
        thread.join()


def test_a_client_that_gave_up_waiting_gets_the_first_requests_answer(
    backend: LocalBackend, slow: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clew.backend, "_TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr(keys, "_WAIT_SECONDS", 0.1)
    monkeypatch.setitem(operations._REGISTRY, "POST /projects/{project}/slow", slow.operation)
    with serving(backend) as client, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client().call, slow.function)
        assert slow.entered.wait(30)
        time.sleep(2.5)  # past the client's patience, more than once
        slow.go.set()
        assert answer.result(60) == 1
    assert slow.calls == 1


def test_a_key_is_forgotten_after_a_day_unless_its_work_goes_on(backend: LocalBackend, slow: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_FORGET_AT_ONCE", 2)
    slow.go.set()
    for number in range(5):
        run(backend, slow, f"old-{number}")
    held_elsewhere(backend, slow, 60)  # a build that takes longer than a day
    with backend.database.write() as connection:
        connection.execute(sa.update(idempotency_keys).values(at=wall_now() - timedelta(days=1, seconds=1)))
    answered = run(backend, slow, "new")
    assert keys.forget_old(backend.context("test")) == 5
    assert keys.forget_old(backend.context("test")) == 0
    with backend.database.read() as connection:
        assert set(connection.scalars(sa.select(idempotency_keys.c.key))) == {"k", "new"}
    assert run(backend, slow, "new") == answered
    assert run(backend, slow, "old-0") == slow.calls, "it acts anew"


def test_an_answer_is_kept_for_a_day_from_when_it_was_given(backend: LocalBackend, slow: Slow) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(run, backend, slow)
        assert slow.entered.wait(30)
        with backend.database.write() as connection:
            connection.execute(sa.update(idempotency_keys).values(at=wall_now() - timedelta(days=2)))
        slow.go.set()
        assert first.result(60) == 1
    assert keys.forget_old(backend.context("test")) == 0
    assert run(backend, slow) == 1


def test_one_key_that_cannot_be_renewed_costs_no_other_its_lease(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_BEAT_SECONDS", 0.01)
    renewal = keys._Renewal()
    renewed = threading.Event()

    class Broken:
        def run_write(self, write: object) -> None:
            raise OSError("a defect")

    class Well:
        def run_write(self, write: object) -> None:
            renewed.set()

    renewal.begin(Broken(), "a", "holder")  # type: ignore[arg-type]  # all that a renewal asks of a context
    renewal.begin(Well(), "b", "holder")  # type: ignore[arg-type]
    assert renewed.wait(30)
    renewed.clear()
    assert renewed.wait(30)
    renewal.end("a", "holder")
    renewal.end("b", "holder")
