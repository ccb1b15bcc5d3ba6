"""The inference front: ``POST /endpoints/{name}/predict``, the Open Inference Protocol under ``/v2``, health."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from clew.errors import ClewError, NotFound, OutOfBounds, StorageFull, TooLarge, Unavailable
from clew.feature_store.bounds import counted_from
from clew.serving import open_inference
from clew.serving.prediction_log import PredictionLog
from clew.serving.records import Record, encode_record
from clew.serving.requests import MAX_BODY_BYTES, decode_json
from clew.serving.runtime import LiveRoute
from clew.serving.statistics import Statistics, exposition

__all__ = ["Front", "create_app"]

log = logging.getLogger("clew.serving")
_DRAINED_BYTES = 128 << 20
_ROWS_AT_ONCE = 64
_LOGGED_BODY_BYTES = 2_048
_encoder = msgspec.json.Encoder()


class Front:
    """What the handlers share. ``live`` is replaced entry by entry when a route flips; everything happens on the event loop."""

    def __init__(self, predictions: PredictionLog, statistics: Statistics, *, best_effort: bool = False) -> None:
        self.live: dict[str, LiveRoute] = {}
        self.predictions = predictions
        self.statistics = statistics
        self._best_effort = best_effort

    def find(self, name: str) -> LiveRoute:
        live = self.live.get(name)
        if live is None:
            there = (
                f"this process serves {', '.join(sorted(self.live))}"
                if self.live
                else "nothing is deployed here yet: `clew deploy <model>@<version>`"
            )
            raise NotFound(f"no endpoint is named {name!r}; {there}")
        return live

    async def answer(self, live: LiveRoute, rows: Sequence[dict[str, Any]], began: int) -> tuple[list[str], list[float], list[list[str]]]:
        """Answer and log; identifiers, probabilities and missing views, row by row. Large requests let others in between."""
        identifiers: list[str] = []
        probabilities: list[float] = []
        missing: list[list[str]] = []
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            part = rows[start : start + _ROWS_AT_ONCE]
            try:
                answered = live.answer(part)
            except OutOfBounds as error:
                raise counted_from(error, start) from error
            found = [float(value) for value in answered.probabilities]
            latency_us = (time.perf_counter_ns() - began) // 1_000
            at = time.time_ns() // 1_000
            identifiers += self._append([
                encode_record(Record(
                    at, live.event_time(row), live.document.endpoint, live.epoch, live.document.model, live.document.number, _as_json(row),
                    answered.matrix[number].tobytes(), live.views, answered.missing[number], found[number], latency_us,
                ))
                for number, row in enumerate(part)
            ])  # fmt: skip
            probabilities += found
            missing += answered.missing
        return identifiers, probabilities, missing

    def _append(self, payloads: list[bytes]) -> list[str]:
        try:
            return self.predictions.append(payloads)
        except StorageFull:
            if not self._best_effort:
                raise
            return [""] * len(payloads)

    def note_error(self, live: LiveRoute, body: bytes, error: ClewError, began: int) -> None:
        """Log a request that got an error. The error is answered even where the log is full."""
        latency_us = (time.perf_counter_ns() - began) // 1_000
        at = time.time_ns() // 1_000
        asked = {"body": body[:_LOGGED_BODY_BYTES].decode("utf-8", "replace")}
        document = live.document
        record = Record(
            at, 0, document.endpoint, live.epoch, document.model, document.number, asked, b"", live.views, [], None, latency_us,
            f"{error.code}: {error.message}",
        )  # fmt: skip
        self.statistics.count(document.endpoint, at, 0, latency_us, error=True)
        try:
            self.predictions.append([encode_record(record)])
        except ClewError as full:
            log.error("an error answer could not be logged: %s", full.message)


def _as_json(row: dict[str, Any]) -> dict[str, Any]:
    """The row as it is kept: instants as text with their offset."""
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(_encoder.encode(content), status, headers, "application/json")


def _error(error: ClewError) -> Response:
    return _json({"error": error.to_wire()}, error.status, {"retry-after": "1"} if isinstance(error, Unavailable) else None)


async def _body(request: Request) -> bytes:
    """The request's body. Raises ``TooLarge``, after reading on for a while: a client that is still sending would not see the answer."""
    declared = request.headers.get("content-length", "0")
    size = int(declared) if declared.isdecimal() else 0
    refused = TooLarge(f"the body is over {MAX_BODY_BYTES} bytes; send fewer rows at once", limit=MAX_BODY_BYTES)
    if size > _DRAINED_BYTES:
        raise refused
    parts, received = [], 0
    async for part in request.stream():
        received += len(part)
        if received <= MAX_BODY_BYTES:
            parts.append(part)
        elif received > _DRAINED_BYTES:
            break
        else:
            parts.clear()
    if received > MAX_BODY_BYTES:
        raise refused
    return b"".join(parts)


def create_app(front: Front, *, lifespan: Any = None) -> Starlette:  # Any: Starlette's own union of lifespan types
    """The application over what ``front`` holds."""

    async def predict(request: Request) -> Response:
        began = time.perf_counter_ns()
        live = front.find(request.path_params["name"])
        body = await _body(request)

        async def answer() -> dict[str, Any]:
            rows = live.requests.read(body)
            identifiers, probabilities, missing = await front.answer(live, rows, began)
            predictions = [
                {"prediction_id": identifier, live.document.output: probability, "model": live.model, "missing": views}
                for identifier, probability, views in zip(identifiers, probabilities, missing, strict=True)
            ]
            _count(front, live, len(rows), began)
            return {"predictions": predictions, "features": live.views, "epoch": live.epoch}

        return await _logged(front, live, body, began, answer)

    async def infer(request: Request) -> Response:
        began = time.perf_counter_ns()
        live = front.find(request.path_params["name"])
        body = await _body(request)

        async def answer() -> dict[str, Any]:
            document = decode_json(body)
            rows = live.requests.convert(open_inference.rows_of(live, document))
            identifiers, probabilities, _ = await front.answer(live, rows, began)
            _count(front, live, len(rows), began)
            return open_inference.response(live, identifiers, probabilities, document.get("id"))

        return await _logged(front, live, body, began, answer)

    async def model(request: Request) -> Response:
        return _json(open_inference.metadata(front.find(request.path_params["name"])))

    async def model_ready(request: Request) -> Response:
        live = front.find(request.path_params["name"])
        missing = await asyncio.to_thread(live.hindrances)
        return _json({"name": live.document.endpoint, "ready": not missing, "missing": missing}, 503 if missing else 200)

    async def server(request: Request) -> Response:
        from clew import __version__

        return _json({"name": "clew", "version": __version__, "extensions": []})

    async def live(request: Request) -> Response:
        return _json({"live": True})

    async def ready(request: Request) -> Response:
        live = sorted(front.live.items())
        missing = [f"{name}: {words}" for name, one in live for words in await asyncio.to_thread(one.hindrances)]
        endpoints = {name: {"model": one.model, "epoch": one.epoch} for name, one in live}
        return _json({"ready": not missing, "missing": missing, "endpoints": endpoints}, 503 if missing else 200)

    async def metrics(request: Request) -> Response:
        return Response(exposition(front.statistics.totals), media_type="text/plain; version=0.0.4")

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, ClewError)
        return _error(error)

    async def gone(request: Request, error: Exception) -> Response:
        return Response(status_code=499)  # nobody reads it

    async def crashed(request: Request, error: Exception) -> Response:
        log.error("a request failed", exc_info=error)
        return _error(ClewError("the serving process failed on this request; its log says why"))

    return Starlette(
        routes=[
            Route("/endpoints/{name}/predict", predict, methods=["POST"]),
            Route("/v2", server),
            Route("/v2/health/live", live),
            Route("/v2/health/ready", ready),
            Route("/v2/models/{name}", model),
            Route("/v2/models/{name}/ready", model_ready),
            Route("/v2/models/{name}/infer", infer, methods=["POST"]),
            Route("/healthz", live),
            Route("/readyz", ready),
            Route("/metrics", metrics),
        ],
        exception_handlers={ClewError: refused, ClientDisconnect: gone, Exception: crashed},
        lifespan=lifespan,
    )


def _count(front: Front, live: LiveRoute, rows: int, began: int) -> None:
    front.statistics.count(live.document.endpoint, time.time_ns() // 1_000, rows, (time.perf_counter_ns() - began) // 1_000)


async def _logged(front: Front, live: LiveRoute, body: bytes, began: int, answer: Any) -> Response:
    """The answer, or the error that it raised, which is logged first."""
    try:
        return _json(await answer())
    except ClewError as error:
        front.note_error(live, body, error, began)
        return _error(error)
    except Exception as error:
        log.error("the endpoint %s failed", live.document.endpoint, exc_info=error)
        failed = ClewError(f"{live.model} failed on this request: {type(error).__name__}; the serving process's log says where")
        front.note_error(live, body, failed, began)
        return _error(failed)
