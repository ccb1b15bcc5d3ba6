"""Channels: signed, tried again with patience, at least once; and one that is broken holds nobody up."""

import hashlib
import hmac
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import sqlalchemy as sa

from clew.backend import LocalBackend
from clew.clock import wall_now
from clew.errors import Invalid
from clew.monitoring import channels
from clew.monitoring.channels import ATTEMPTS, Delivered, deliver_alerts, queue, sign, wait_before
from clew.monitoring.schema import Alert, alert_deliveries
from clew.server.maintenance import DUTIES
from clew.settings import load_settings

SECRET = "a long random text"
AT = datetime(2013, 12, 31, 5, tzinfo=UTC)
ALERT = Alert(7, "late_quality", "missing", "origin_weather", "open", "missing", "the newest row is old", 3, AT, AT, None, None, None, "")


@dataclass
class Hook:
    """A receiver on loopback that checks signatures as its author was told to; ``answers`` are given one after another, then 200."""

    url: str
    answers: list[int] = field(default_factory=list)
    received: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    refused: int = 0


@pytest.fixture
def hook() -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            timestamp = self.headers["Clew-Timestamp"]
            wanted = hmac.new(SECRET.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
            genuine = hmac.compare_digest(f"sha256={wanted}", self.headers["Clew-Signature"])
            fresh = abs(wall_now().timestamp() - int(timestamp)) < 60
            made.refused += not (genuine and fresh)
            status = made.answers.pop(0) if made.answers else 200
            made.received.append((self.headers["Clew-Delivery"], json.loads(body)))
            self.send_response(status)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Hook(f"http://127.0.0.1:{server.server_address[1]}/hook?token=hidden")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def hooked(backend: LocalBackend, url: str) -> LocalBackend:
    backend.settings = replace(backend.settings, alert_webhook=url, alert_secret=SECRET)
    return backend


def tell(backend: LocalBackend, notice: channels.Notice = "opened") -> None:
    backend.context("test").run_write(lambda inside: queue(inside, ALERT, notice))


def make_due(backend: LocalBackend) -> None:
    with backend.database.write() as connection:
        connection.execute(sa.update(alert_deliveries).values(next_at=wall_now() - timedelta(seconds=1)))


def rows(backend: LocalBackend) -> dict[str, tuple[str, int]]:
    with backend.database.read() as connection:
        return {row.channel: (row.state, row.attempts) for row in connection.execute(sa.select(alert_deliveries))}


def test_an_alert_goes_to_the_log_and_signed_to_the_webhook_once(
    backend: LocalBackend, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    hooked(backend, hook.url)
    tell(backend)
    with caplog.at_level(logging.WARNING, "clew.alerts"):
        assert backend.call(deliver_alerts) == Delivered(2, 0, 0)
        assert backend.call(deliver_alerts) == Delivered(0, 0, 0)
    ((_, body),) = hook.received
    assert hook.refused == 0
    assert (body["notice"], body["project"], body["alert"]["subject"]) == ("opened", "test", "origin_weather")  # type: ignore[index]
    assert "alert 7 opened: late_quality: missing of origin_weather, missing: the newest row is old" in caplog.text
    assert SECRET not in caplog.text and "hidden" not in caplog.text


def test_without_a_webhook_there_is_the_log_alone(backend: LocalBackend) -> None:
    tell(backend)
    assert backend.call(deliver_alerts) == Delivered(1, 0, 0)


def test_a_webhook_that_answers_500_is_tried_again_later_under_the_same_delivery(backend: LocalBackend, hook: Hook) -> None:
    hooked(backend, hook.url)
    hook.answers = [500, 302]
    tell(backend)
    assert backend.call(deliver_alerts) == Delivered(1, 1, 0)
    assert backend.call(deliver_alerts) == Delivered(0, 0, 0)  # it waits
    make_due(backend)
    assert backend.call(deliver_alerts) == Delivered(0, 1, 0)  # a redirect is not followed
    make_due(backend)
    assert backend.call(deliver_alerts) == Delivered(1, 0, 0)
    assert len({delivery for delivery, _ in hook.received}) == 1 and len(hook.received) == 3
    assert rows(backend) == {"log": ("delivered", 1), "webhook": ("delivered", 3)}


def test_after_one_failure_the_others_wait_without_being_sent(backend: LocalBackend, hook: Hook) -> None:
    hooked(backend, hook.url)
    hook.answers = [500]
    for _ in range(3):
        tell(backend)
    assert backend.call(deliver_alerts) == Delivered(3, 3, 0)
    assert len(hook.received) == 1


def test_a_delivery_is_given_up_after_the_last_attempt(backend: LocalBackend, caplog: pytest.LogCaptureFixture) -> None:
    hooked(backend, "http://127.0.0.1:1/hidden")
    tell(backend)
    for attempt in range(1, ATTEMPTS + 1):
        found = backend.call(deliver_alerts)
        assert (found.waiting, found.failed) == ((1, 0) if attempt < ATTEMPTS else (0, 1))
        make_due(backend)
    assert backend.call(deliver_alerts) == Delivered(0, 0, 0)
    assert "could not be told by webhook after 12 attempts: the webhook could not be reached (ConnectError)" in caplog.text
    assert "hidden" not in caplog.text


@pytest.mark.parametrize("drip", [False, True])
def test_a_webhook_that_hangs_is_left_at_the_deadline(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch, drip: bool) -> None:
    """Though a byte comes now and then, which no limit on a single read would end."""
    monkeypatch.setattr(channels, "_DEADLINE_SECONDS", 0.4)
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_hang, args=(server, stop, drip))
        thread.start()
        hooked(backend, f"http://127.0.0.1:{server.getsockname()[1]}/")
        tell(backend)
        try:
            assert backend.call(deliver_alerts) == Delivered(1, 1, 0)
        finally:
            stop.set()
            thread.join()
    with backend.database.read() as connection:
        errors = set(connection.scalars(sa.select(alert_deliveries.c.error)))
    told = {"", "the webhook gave no answer within 0.4 s", "the webhook could not be reached (ReadTimeout)"}  # either limit may end it
    assert errors <= told and len(errors) == 2


def _hang(server: socket.socket, stop: threading.Event, drip: bool) -> None:
    connection, _ = server.accept()
    with connection:
        while not stop.wait(0.05):
            if drip:
                try:
                    connection.sendall(b"H")
                except OSError:  # the other side has gone, as it should
                    return


def test_a_round_that_was_killed_leaves_its_deliveries_to_a_later_one(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(backend)

    def killed(*_: object) -> Callable[..., str]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(channels, "_attempt", killed)
        with pytest.raises(KeyboardInterrupt):
            backend.call(deliver_alerts)
    assert rows(backend) == {"log": ("waiting", 0)}
    make_due(backend)
    assert backend.call(deliver_alerts) == Delivered(1, 0, 0)


def test_waits_double_up_to_an_hour() -> None:
    waits = [wait_before(attempt) for attempt in range(1, ATTEMPTS + 1)]
    assert waits[0] == timedelta(seconds=10) and waits[-1] == timedelta(hours=1) and waits == sorted(waits)


def test_the_signature_is_that_of_the_definition() -> None:
    expected = hmac.digest(b"Jefe", b"12.what do ya want", "sha256").hex()
    assert sign("Jefe", "12", b"what do ya want") == f"sha256={expected}"


def test_the_server_delivers_by_itself() -> None:
    assert "tell of alerts" in {duty.name for duty in DUTIES}


def test_a_webhook_without_a_secret_or_an_address_is_refused_and_secrets_are_not_shown(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Invalid, match="CLEW_ALERT_SECRET"):
        load_settings(tmp_path, {"CLEW_ALERT_WEBHOOK": "https://alerts.example/hook"})
    with pytest.raises(Invalid, match="begins with https"):
        load_settings(tmp_path, {"CLEW_ALERT_WEBHOOK": "alerts.example", "CLEW_ALERT_SECRET": SECRET})
    found = load_settings(tmp_path, {"CLEW_ALERT_WEBHOOK": "https://alerts.example/hook", "CLEW_ALERT_SECRET": SECRET})
    assert (found.alert_webhook, found.alert_secret) == ("https://alerts.example/hook", SECRET)
    assert SECRET not in repr(found) and "alerts.example" not in repr(found)
