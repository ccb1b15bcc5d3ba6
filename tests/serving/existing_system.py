"""An existing system for tests: a small scoring service of its own on loopback, which can be told to fail in every way that services do."""

import gzip
import json
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = "predictions.0.probability"
BODIES = {
    "no json": b"<html>busy</html>", "nan": b'{"predictions": [{"probability": NaN}]}', "no number": b'{"predictions": []}',
    "text": b'{"predictions": [{"probability": "0.5"}]}', "true": b'{"predictions": [{"probability": true}]}',
    "above": b'{"predictions": [{"probability": 1.5}]}', "empty": b"", "vast": b'{"predictions": [{"probability": ' + b"9" * 400 + b"}]}",
    "huge": b" " * (2 << 20), "nested": b"[" * 100_000,
}  # fmt: skip


class ExistingSystem:
    """``mode`` is how it behaves from the next request on: ``well``, one of ``BODIES``, or a way of ``_Handler``."""

    def __init__(self, port: int = 0) -> None:
        self.mode = "well"
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self.at_once = 0
        self.most_at_once = 0
        self.gate = threading.Event()
        """What ``hanging`` and ``dripping`` wait for, however long: a timeout that is tested has nothing to race with."""
        self.counting = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self.start(port)
        self.port = self._serving.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/score"

    @property
    def _serving(self) -> ThreadingHTTPServer:
        assert self._server is not None
        return self._server

    def start(self, port: int) -> None:
        system = self

        class Handler(_Handler):
            its = system

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Who asked is gone, as it is when its time is over."""

        self._server = Server(("127.0.0.1", port), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def kill(self) -> None:
        """Nobody listens on its port any more, and its connections are broken off."""
        self.mode = "broken off"
        self._serving.shutdown()
        self._serving.server_close()

    def come_back(self) -> None:
        self.mode = "well"
        self.start(self.port)

    @staticmethod
    def score(row: dict[str, Any]) -> float:
        """What it says of a row, rounded as its JSON has it."""
        return 1 / (1 + math.exp(-float(row.get("a") or 0.0) - 3.0 * float(row.get("size") or 0.0)))


class _Handler(BaseHTTPRequestHandler):
    its: ExistingSystem
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait 40 ms for the client's acknowledgement

    def setup(self) -> None:
        super().setup()
        self.its.connections += 1

    def log_message(self, format: str, *values: Any) -> None:  # noqa: A002 - the name is the standard library's
        """Nothing is printed."""

    def do_POST(self) -> None:
        its, mode = self.its, self.its.mode
        row = json.loads(self.rfile.read(int(self.headers["content-length"])))
        its.asked.append(row)
        its.headers.append({name.lower(): value for name, value in self.headers.items()})
        with its.counting:
            its.at_once += 1
            its.most_at_once = max(its.most_at_once, its.at_once)
        try:
            self._behave(mode, row)
        finally:
            with its.counting:
                its.at_once -= 1

    def _behave(self, mode: str, row: dict[str, Any]) -> None:
        body = BODIES.get(mode) if mode in BODIES else json.dumps({"predictions": [{"probability": ExistingSystem.score(row)}]}).encode()
        assert body is not None
        if mode == "broken off":
            self.close_connection = True
            return None
        if mode == "hanging":
            self.its.gate.wait()
        if mode == "a while":
            time.sleep(0.02)
        if mode == "picky" and row.get("a") == 13:
            return self._send(422, b'{"detail": "13"}')
        if mode.isdecimal():
            return self._send(int(mode), b"{}", location="/elsewhere")
        if mode == "compressed":
            return self._send(200, gzip.compress(body), **{"content-encoding": "gzip"})
        if mode == "dripping":
            return self._drip(body)
        return self._send(200, body, **{"set-cookie": "seen=1"})

    def _send(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _drip(self, body: bytes) -> None:
        """A byte now and then: each read is quick, and the last byte never comes."""
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        for byte in body[:-1]:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            if self.its.gate.wait(0.1):
                return
        self.its.gate.wait()


@contextmanager
def existing_system() -> Iterator[ExistingSystem]:
    system = ExistingSystem()
    try:
        yield system
    finally:
        system.gate.set()
        system.kill()
