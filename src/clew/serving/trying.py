"""A candidate beside the champion: it scores every row in a thread of its own, within a time, and whatever it does, requests are answered."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from clew.errors import ClewError, OutOfBounds, Unavailable
from clew.serving.external import LiveExternal
from clew.serving.guarding import LocalGuard, Trial
from clew.serving.runtime import LiveModel
from clew.serving.schema import Candidate, Route
from clew.serving.splitting import falls_to_candidate

__all__ = ["Closed", "LiveCandidate", "Scored"]

_SHORTEST_SECONDS = 1.0
_PATIENCE = 20


@dataclass(frozen=True)
class Scored:
    """What the candidate said of one row: a score, or an error. ``features`` as the model got them, float32."""

    features: bytes
    missing: list[str]
    probability: float | None
    latency_us: int
    error: str | None = None
    bounds: bool = False
    unavailable: bool = False
    """What it needs could not be reached, which is nobody's fault here and no ground to close it."""


class Closed(NamedTuple):
    """A route whose candidate the guard has closed, why, and the event time of the row that did it, in microseconds; 0 for none."""

    route: Route
    reason: str
    event_time: int


class LiveCandidate:
    """A version on trial. The event loop asks it; ``score`` does not raise.

    One thread computes, so a candidate that hangs holds nothing but that thread: rows that wait for it go to the champion after
    ``timeout_seconds``, and the guard closes it. The thread is left to itself then; it can't be ended from outside. An existing system
    on trial needs none: it is asked on the event loop.
    """

    def __init__(self, candidate: Candidate, model: LiveModel | LiveExternal, *, timeout_seconds: float | None = None) -> None:
        self.candidate = candidate
        self.model = model
        self.closed = ""
        """Why it answers nobody any more; empty while it is tried."""
        self._guard = LocalGuard(candidate.guard)
        limit = candidate.guard.p95_ms if candidate.guard is not None else None
        self._timeout = timeout_seconds or max(_SHORTEST_SECONDS, _PATIENCE * (limit or 0.0) / 1_000)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"candidate-{model.document.endpoint}")

    def answers(self, row: dict[str, Any]) -> bool:
        """Whether the row's key is one of those that the candidate answers."""
        tried = self.candidate
        return tried.share > 0 and falls_to_candidate(tried.salt, [row[name] for name in self.model.document.key or row], tried.share)

    async def score(self, rows: Sequence[dict[str, Any]]) -> list[Scored]:
        """A score or an error for each row, in order."""
        began = time.perf_counter_ns()
        try:
            return await asyncio.wait_for(self._scored(rows), self._timeout)
        except TimeoutError:
            return [_failed(began, f"no answer within {self._timeout:g} s")] * len(rows)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return [_failed(began, self.closed or "closed")] * len(rows)  # it was closed while the rows waited for its thread
        except RuntimeError as error:  # closed while the request was under way
            return [_failed(began, str(error))] * len(rows)

    async def _scored(self, rows: Sequence[dict[str, Any]]) -> list[Scored]:
        if isinstance(self.model, LiveExternal):
            replies = await self.model.ask(rows)
            return [Scored(b"", [], one.probability, one.latency_us, None if one.failed is None else _words(one.failed)) for one in replies]
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._score, self.model, rows)

    def observe(self, scored: Scored, champion: float | None, champion_us: int) -> str | None:
        """Tell the guard of one row; why the candidate must be closed, or ``None``."""
        if scored.unavailable:
            return None
        return self._guard.observe(Trial(champion, scored.probability, scored.latency_us, scored.error, scored.bounds, champion_us))

    def close(self, reason: str) -> None:
        """Let it score no more; a row that it computes just now is not waited for."""
        self.closed = reason
        self._thread.shutdown(wait=False, cancel_futures=True)
        if isinstance(self.model, LiveExternal):
            self.model.retire()

    def _score(self, model: LiveModel, rows: Sequence[dict[str, Any]]) -> list[Scored]:
        began = time.perf_counter_ns()
        try:
            answered = model.answer(rows)
        except Unavailable as error:  # a store that is away: trying row by row would wait for each
            return [replace(_failed(began, _words(error)), unavailable=True)] * len(rows)
        except Exception as error:  # a candidate may fail in any way, and none of them is the client's
            if len(rows) == 1:
                return [_failed(began, _words(error), bounds=isinstance(error, OutOfBounds))]
            return [scored for row in rows for scored in self._score(model, [row])]  # one bad row is not the others' fault
        latency_us = (time.perf_counter_ns() - began) // 1_000
        return [
            Scored(answered.matrix[place].tobytes(), answered.missing[place], float(answered.probabilities[place]), latency_us)
            for place in range(len(rows))
        ]


def _failed(began: int, error: str, *, bounds: bool = False) -> Scored:
    return Scored(b"", [], None, (time.perf_counter_ns() - began) // 1_000, error, bounds)


def _words(error: Exception) -> str:
    if isinstance(error, OutOfBounds):  # the guard says what it is
        return error.message
    return f"{error.code}: {error.message}" if isinstance(error, ClewError) else f"{type(error).__name__}: {error}"
