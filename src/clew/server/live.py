"""Live events to pages and scripts, as server-sent events.

One task watches the database for all listeners, and rests while there are none. On SQLite ``pragma data_version`` says that some process committed; on PostgreSQL the
snapshot's upper bound moves with every transaction that wrote. Either costs microseconds, so the page of a script that
writes into the folder is live without a word between the two processes.
"""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse

from clew.access import service as access
from clew.backend import LocalBackend
from clew.errors import ClewError, Invalid
from clew.operations import operation_of
from clew.storage.schema import Event

__all__ = ["Live"]

_POLL_SECONDS = 0.25
_PING_SECONDS = 15.0
_BATCH = 500
_log = logging.getLogger("clew.server")


class Live:
    """The watcher and its listeners. Everything but ``touch`` is called from the server's event loop."""

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend
        self._changed = asyncio.Condition()
        self._version = 0
        self._touched = False
        self._closed = False
        self._listeners = 0
        self._wanted = asyncio.Event()

    def touch(self) -> None:
        """Look at once instead of at the next poll: something was just written here."""
        self._touched = True

    async def watch(self) -> None:
        """Runs for as long as the server does."""
        probe = _probe(self._backend)
        last: object = None
        while not self._closed:
            if not self._listeners:
                last = None  # whoever comes next is told at once: something may have changed since it read
                await self._wanted.wait()
                continue
            try:
                seen = await run_in_threadpool(probe)
            except Exception as error:  # the database may be away for a while; the stream goes on when it is back
                _log.warning("live events can't look at the database: %s", error)
                await asyncio.sleep(2)
                probe = _probe(self._backend)
                continue
            if seen != last:
                last = seen
                await self._announce()
            for _ in range(10):
                if self._touched or self._closed:
                    break
                await asyncio.sleep(_POLL_SECONDS / 10)
            self._touched = False

    async def _announce(self) -> None:
        async with self._changed:
            self._version += 1
            self._changed.notify_all()

    async def _change_after(self, seen: int) -> None:
        async with self._changed:
            with contextlib.suppress(TimeoutError):  # nothing happened: the comment that follows keeps proxies from closing the line
                await asyncio.wait_for(self._changed.wait_for(lambda: self._version != seen), _PING_SECONDS)

    async def close(self) -> None:
        """End all streams, so that the server can stop."""
        self._closed = True
        self._wanted.set()
        await self._announce()

    async def stream(self, request: Request) -> StreamingResponse:
        """``GET …/live?after=<sequence>``: events past ``after`` (default: from now on), and ``changed`` when anything was committed."""
        project = request.path_params["project"]
        after = await self._start(request, project)
        return StreamingResponse(
            self._listened(self._events(request, project, after)),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    async def _start(self, request: Request, project: str) -> int:
        given = request.headers.get("last-event-id") or request.query_params.get("after")
        if given is not None and not given.isdecimal():
            raise Invalid(f"after is {given!r}; it is an event's sequence number")
        newest = await self._read(project, after=0, newest_first=True, limit=1)
        return int(given) if given is not None else (newest[0].sequence if newest else 0)

    async def _read(self, project: str, **values: object) -> list[Event]:
        declared = operation_of(access.list_events)
        page = await run_in_threadpool(self._backend.run, declared, values, project=project)
        found: list[Event] = page.items
        return found

    async def _listened(self, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        self._listeners += 1
        self._wanted.set()
        try:
            async for event in events:
                yield event
        finally:
            self._listeners -= 1
            if not self._listeners and not self._closed:
                self._wanted.clear()

    async def _events(self, request: Request, project: str, after: int) -> AsyncIterator[bytes]:
        yield f"retry: 1000\nevent: hello\ndata: {after}\n\n".encode()
        while not self._closed and not await request.is_disconnected():
            seen = self._version
            try:
                found = await self._read(project, after=after, limit=_BATCH)
            except ClewError as error:
                yield b"event: trouble\ndata: " + msgspec.json.encode(error.to_wire()) + b"\n\n"
                return
            for event in found:
                after = event.sequence
                yield f"id: {after}\nevent: event\ndata: ".encode() + msgspec.json.encode(event) + b"\n\n"
            if len(found) == _BATCH:
                continue
            yield b"event: changed\ndata: {}\n\n"
            await self._change_after(seen)
            yield b": still here\n\n"


def _probe(backend: LocalBackend) -> Callable[[], object]:
    """A function whose value changes when something was committed. It keeps one connection: SQLite's counter is per connection."""
    if backend.database.is_sqlite:
        connection = sqlite3.connect(str(backend.database.url.database), isolation_level=None, check_same_thread=False)
        return lambda: connection.execute("pragma data_version").fetchone()[0]

    def horizon() -> object:
        with backend.database.read() as connection:
            return connection.exec_driver_sql("select pg_snapshot_xmax(pg_current_snapshot())::text").scalar_one()

    return horizon
