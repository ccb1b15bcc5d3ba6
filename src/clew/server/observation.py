"""What the server says of itself: a log line and figures for each request, health, and Prometheus' page."""

import logging
import time
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from clew.identifiers import new_id
from clew.logs import REQUESTS

__all__ = ["Figures", "Observed"]

_log = logging.getLogger(REQUESTS)
_QUIET = {"/healthz", "/readyz", "/metrics"}


class Figures:
    """The Prometheus figures of one server. A registry of its own, so that several servers fit into one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "clew_requests_total", "Requests by operation and status.", ["operation", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "clew_request_seconds", "Seconds until the answer began, by operation.", ["operation"], registry=self._registry,
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
        )  # fmt: skip
        ProcessCollector(registry=self._registry)

    def page(self, request: Request) -> Response:
        return PlainTextResponse(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)


@dataclass(frozen=True)
class Observed:
    """ASGI middleware: each request gets an id, a log line and its figures."""

    app: ASGIApp
    figures: Figures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        number = new_id("req")
        scope["clew.request_id"] = number
        began = time.perf_counter()
        status = 500

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", number.encode())]
                self._count(scope, status, time.perf_counter() - began)
            await send(message)

        try:
            await self.app(scope, receive, note_status)
        finally:
            if scope["path"] not in _QUIET:
                milliseconds = round((time.perf_counter() - began) * 1e3, 2)
                fields = {"request_id": number, "actor": scope.get("clew.actor"), "milliseconds": milliseconds, "status": status}
                _log.info("%s %s", scope["method"], scope["path"], extra=fields)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        # The route's name, never the path: paths are without number, and each would be a series of its own.
        name = getattr(scope.get("route"), "name", None) or "none"
        self.figures.requests.labels(name, str(status)).inc()
        self.figures.seconds.labels(name).observe(seconds)
