"""The inference front: ``POST /endpoints/{name}/predict``, the Open Inference Protocol under ``/v2``, health."""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from clew.errors import ClewError, ExternalFailed, MissingFeature, NotFound, OutOfBounds, StorageFull, TooLarge, Unavailable
from clew.feature_store.bounds import counted_from
from clew.serving import open_inference
from clew.serving.external import LiveExternal
from clew.serving.prediction_log import PredictionLog
from clew.serving.records import Other, Record, encode_record
from clew.serving.requests import MAX_BODY_BYTES, Asked, as_json, decode_json
from clew.serving.runtime import LiveModel, LiveRoute
from clew.serving.statistics import Statistics, exposition
from clew.serving.trying import Closed, LiveCandidate, Scored

__all__ = ["Front", "Given", "create_app"]

log = logging.getLogger("clew.serving")
_DRAINED_BYTES = 128 << 20
_ROWS_AT_ONCE = 64
_LOGGED_BODY_BYTES = 2_048
_encoder = msgspec.json.Encoder()


class Given(NamedTuple):
    """One answer as a client gets it."""

    prediction_id: str
    probability: float
    missing: list[str]
    by: LiveModel | LiveExternal


@dataclass(frozen=True)
class _Answer:
    """One answer as it is logged; ``other`` is what the version that did not answer said."""

    by: LiveModel | LiveExternal
    features: bytes
    missing: list[str]
    probability: float
    other: Other | None = None

    def beside(self, other: Other) -> "_Answer":
        return replace(self, other=other)


@dataclass(frozen=True)
class _Said:
    """What the champion says of one row. An existing system may give no answer to one, and ``failed`` says why."""

    by: LiveModel | LiveExternal
    features: bytes
    missing: list[str]
    probability: float | None
    latency_us: int
    failed: ExternalFailed | None = None

    def answer(self) -> _Answer:
        """Raises why there is none."""
        if self.failed is not None:
            raise self.failed
        assert self.probability is not None  # nothing has failed
        return _Answer(self.by, self.features, self.missing, self.probability)

    def as_other(self) -> Other:
        error = None if self.failed is None else f"{self.failed.code}: {self.failed.message}"
        return Other(self.by.document.number, self.features, self.by.views, self.missing, self.probability, self.latency_us, error)

    @property
    def computing_us(self) -> int:
        """How long this machine was at it: an existing system that is slow says nothing about how busy we are."""
        return 0 if isinstance(self.by, LiveExternal) else self.latency_us


def _counted_from(error: ExternalFailed, first: int) -> ExternalFailed:
    """What was raised of a row of a part of a request, for the whole; where the system itself is down, it is no row's failure."""
    if "row" not in error.details:
        return error
    row = first + int(error.details["row"])
    return type(error)(f"row {row}: {error.message}", **error.details | {"row": row})


async def _by_champion(live: LiveRoute, rows: Sequence[dict[str, Any]]) -> list[_Said]:
    champion = live.champion
    if isinstance(champion, LiveExternal):
        return [_Said(champion, b"", [], one.probability, one.latency_us, one.failed) for one in await champion.ask(rows)]
    began = time.perf_counter_ns()
    answered = champion.answer(rows)
    latency_us = (time.perf_counter_ns() - began) // 1_000
    return [
        _Said(champion, answered.matrix[place].tobytes(), answered.missing[place], float(answered.probabilities[place]), latency_us)
        for place in range(len(rows))
    ]


def _other(scored: Scored, tried: LiveCandidate) -> Other:
    number, views = tried.model.document.number, tried.model.views
    return Other(number, scored.features, views, scored.missing, scored.probability, scored.latency_us, scored.error)


class Front:
    """What the handlers share. ``live`` is replaced entry by entry when a route flips; everything happens on the event loop."""

    def __init__(self, predictions: PredictionLog, statistics: Statistics, *, best_effort: bool = False) -> None:
        self.live: dict[str, LiveRoute] = {}
        self.predictions = predictions
        self.statistics = statistics
        self.reads_routes = False
        """Whether somebody is about to say for the first time what is served; until then nobody knows that an endpoint is not."""
        self._best_effort = best_effort
        self._closed: list[Closed] = []

    def find(self, name: str) -> LiveRoute:
        live = self.live.get(name)
        if live is None and self.reads_routes:
            raise Unavailable(f"this process has just begun and does not know yet whether it serves {name!r}; ask again in a moment")
        if live is None:
            there = (
                f"this process serves {', '.join(sorted(self.live))}"
                if self.live
                else "nothing is deployed here yet: `clew deploy <model>@<version>`"
            )
            raise NotFound(f"no endpoint is named {name!r}; {there}")
        return live

    async def answer(self, live: LiveRoute, rows: Sequence[dict[str, Any]], began: int) -> list[Given]:
        """Answer and log, row by row. Large requests let others in between."""
        given: list[Given] = []
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            part = rows[start : start + _ROWS_AT_ONCE]
            tried = live.candidate
            try:
                if tried is None or tried.closed:
                    answers = [one.answer() for one in await _by_champion(live, part)]
                else:
                    answers = await self._beside(live, tried, part)
            except (OutOfBounds, MissingFeature) as error:  # by the champion; a candidate that refuses a row raises nothing
                raise counted_from(error, start) from error
            except ExternalFailed as error:
                raise _counted_from(error, start) from error
            latency_us = (time.perf_counter_ns() - began) // 1_000
            at = time.time_ns() // 1_000
            identifiers = self._append([
                encode_record(Record(
                    at, live.event_time(row), live.document.endpoint, live.epoch, live.document.model, one.by.document.number, as_json(row),
                    one.features, one.by.views, one.missing, one.probability, latency_us, None, one.other,
                ))
                for row, one in zip(part, answers, strict=True)
            ])  # fmt: skip
            given += [Given(identifier, one.probability, one.missing, one.by) for identifier, one in zip(identifiers, answers, strict=True)]
        return given

    async def _beside(self, live: LiveRoute, tried: LiveCandidate, rows: Sequence[dict[str, Any]]) -> list[_Answer]:
        """Both score every row; the candidate answers its share, and the champion what the candidate can't.

        A row of its share is answered by the candidate also where the champion is an existing system that failed: the key is its own
        already, and nobody would be served by an error. The other rows get the system's error, though the candidate has a score for them:
        a version that is on trial answers no more than its share.
        """
        scoring = asyncio.ensure_future(tried.score(rows))
        try:
            champions = await _by_champion(live, rows)
        except BaseException:
            scoring.cancel()
            raise
        paired = []
        failed: ExternalFailed | None = None
        for row, said, scored in zip(rows, champions, await scoring, strict=True):
            reason = None if tried.closed else tried.observe(scored, said.probability, said.computing_us)
            if reason is not None:
                self.close_candidate(live, tried, reason, live.event_time(row))
            if scored.probability is not None and not tried.closed and tried.answers(row):
                paired.append(_Answer(tried.model, scored.features, scored.missing, scored.probability, said.as_other()))
            elif said.failed is not None:
                failed = failed or said.failed
            else:
                paired.append(said.answer().beside(_other(scored, tried)))
        if failed is not None:
            raise failed
        return paired

    def close_candidate(self, live: LiveRoute, tried: LiveCandidate, reason: str, event_time: int) -> None:
        """The champion answers all from the next row on; whoever follows the routes hears of it by ``take_closed``."""
        tried.close(reason)
        name = live.document.endpoint
        if self.live.get(name) is live:
            self.live[name] = live.without_candidate()
        self._closed.append(Closed(live.route, reason, event_time))
        log.warning("the candidate %s of %s is closed: %s", tried.model.name, name, reason)

    def take_closed(self) -> list[Closed]:
        """The routes whose candidates were closed since the last call."""
        closed, self._closed = self._closed, []
        return closed

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
        self.statistics.count(document.endpoint, at, 0, latency_us, error=True, refused=error.status < 500)
        try:
            self.predictions.append([encode_record(record)])
        except ClewError as full:
            log.error("an error answer could not be logged: %s", full.message)


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
            asked = live.requests.read(body)
            predictions = [_prediction(live, one) for one in await front.answer(live, asked.rows, began)]
            _count(front, live, asked, began)
            told = {"predictions": predictions, "features": live.views, "epoch": live.epoch}
            return {**told, "ignored": asked.ignored} if asked.ignored else told

        return await _logged(front, live, body, began, answer)

    async def infer(request: Request) -> Response:
        began = time.perf_counter_ns()
        live = front.find(request.path_params["name"])
        body = await _body(request)

        async def answer() -> dict[str, Any]:
            document = decode_json(body)
            asked = live.requests.convert(open_inference.rows_of(live, document))
            given = await front.answer(live, asked.rows, began)
            _count(front, live, asked, began)
            return open_inference.response(
                live, [one.prediction_id for one in given], [one.probability for one in given], asked.ignored, document.get("id")
            )

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
        missing = ["the routes are not read yet"] if front.reads_routes else []
        missing += [f"{name}: {words}" for name, one in live for words in await asyncio.to_thread(one.hindrances)]
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


def _prediction(live: LiveRoute, one: Given) -> dict[str, Any]:
    """One prediction of an answer; the versions of its features stand beside them all, but for those by a candidate."""
    told = {"prediction_id": one.prediction_id, live.document.output: one.probability, "model": one.by.name, "missing": one.missing}
    return told if one.by is live.champion else {**told, "features": one.by.views}


def _count(front: Front, live: LiveRoute, asked: Asked, began: int) -> None:
    latency_us = (time.perf_counter_ns() - began) // 1_000
    front.statistics.count(live.document.endpoint, time.time_ns() // 1_000, len(asked.rows), latency_us, ignored=asked.ignored)


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
