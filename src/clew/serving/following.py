"""Following the routes: poll, load, acknowledge, flip. What answers goes on while the next is loaded, or nothing can be reached."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from datetime import datetime

from clew.backend import Backend
from clew.clock import from_micros, wall_now
from clew.errors import ClewError
from clew.serving import service
from clew.serving.app import Front
from clew.serving.loading import Kept, load
from clew.serving.runtime import LiveRoute
from clew.serving.schema import Acknowledgement, Minute, Route
from clew.serving.trying import Closed
from clew.settings import Settings

__all__ = ["Follower"]

log = logging.getLogger("clew.serving")
_POLL_SECONDS = 0.2
_REPORT_SECONDS = 2.0
_LONGEST_PAUSE_SECONDS = 5.0
_RETRY_LOAD_SECONDS = 10.0


class Follower:
    """Keeps ``front.live`` at the routes in force. ``connect`` is called again until it succeeds; loading happens in a thread."""

    def __init__(
        self, front: Front, settings: Settings, connect: Callable[[], Backend], *, process: str, url: str, only: Collection[str] = ()
    ) -> None:
        self._front = front
        self._settings = settings
        self._project = settings.project
        self._connect = connect
        self._process = process
        self._url = url
        self._only = frozenset(only)
        self._kept = Kept(settings, settings.project)
        self._backend: Backend | None = None
        self._started_at: datetime = wall_now()
        self._said: dict[str, Acknowledgement] = {}
        self._unsaid: list[Acknowledgement] = []
        self._failed: dict[tuple[str, int], float] = {}
        self._closed: dict[str, Closed] = {}
        self._next_report = 0.0
        self._reporting = asyncio.Lock()

    def restore(self) -> None:
        """Load the last good routes from disk, without anybody's help. A route that can't be loaded is logged and left to ``follow``.

        With some, the process can answer at once; without any it waits for the routes before it calls itself ready.
        """
        for kept in self._kept.last_good():
            route = kept.route
            if kept.closed is not None:
                self._closed[route.endpoint] = Closed(route, kept.closed, kept.closed_at)
            if self._only and route.endpoint not in self._only:
                continue
            try:
                self._front.live[route.endpoint] = load(route, self._kept, self._settings, self._project, None)
            except Exception as error:  # the files may be damaged in any way; what follows loads them anew
                log.warning("the last good route of %s could not be loaded: %s", route.endpoint, error)
            else:
                self._say(Acknowledgement(route.endpoint, route.epoch, "serving"))
        self._front.reads_routes = not self._front.live

    async def follow(self) -> None:
        """Until cancelled. A Clew that can't be reached changes nothing of what is served."""
        pause = _POLL_SECONDS
        while True:
            try:
                await self.step()
                pause = _POLL_SECONDS
            except asyncio.CancelledError:
                raise
            except Exception as error:  # whatever a database, a network or a disk may raise: serving goes on with what it has
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
                log.warning("routes can't be followed just now: %s; trying again in %.1f s", error, pause)
                self._backend = None if not isinstance(error, ClewError) else self._backend
            await asyncio.sleep(pause)

    async def keep_alive(self) -> None:
        """Until cancelled: a sign of life while ``follow`` waits for a route to load, which may take longer than a process counts as alive."""
        while True:
            await asyncio.sleep(_REPORT_SECONDS)
            if time.monotonic() >= self._next_report:
                await self._report_quietly()

    async def step(self) -> None:
        """One look: flip to every route that is new, then report when it is time to."""
        if self._backend is None:
            self._backend = await asyncio.to_thread(self._connect)
        backend = self._backend
        for endpoint, epoch in (await asyncio.to_thread(backend.call, service.live_epochs)).items():
            if self._is_news(endpoint, epoch):
                await self._take(await asyncio.to_thread(backend.call, service.whole_route, endpoint, epoch), backend)
        self._front.reads_routes = False
        await self._tell_closed(backend)
        if self._unsaid or time.monotonic() >= self._next_report:
            await self.report()

    async def _tell_closed(self, backend: Backend) -> None:
        """A candidate that the guard closed stays closed here, through a restart too; the others hear of it by the next route."""
        for closed in self._front.take_closed():
            self._closed[closed.route.endpoint] = closed
            await asyncio.to_thread(self._kept.keep, closed.route, closed.reason, closed.event_time)
        for endpoint, closed in list(self._closed.items()):
            at = from_micros(closed.event_time) if closed.event_time else None
            await asyncio.to_thread(backend.call, service.close_candidate, endpoint, closed.route.epoch, closed.reason, "guard", at)
            del self._closed[endpoint]

    def _is_news(self, endpoint: str, epoch: int) -> bool:
        if self._only and endpoint not in self._only:
            return False
        live = self._front.live.get(endpoint)
        if live is not None and live.epoch == epoch:
            return False
        return time.monotonic() >= self._failed.get((endpoint, epoch), 0.0)

    async def _take(self, route: Route, backend: Backend) -> None:
        """Load, acknowledge, flip. The route that answers now goes on answering if this fails."""
        try:
            live = await asyncio.to_thread(self._load, route, backend)
        except Exception as error:  # user code is imported and files are fetched: anything may be raised, and all of it is reported
            self._failed[route.endpoint, route.epoch] = time.monotonic() + _RETRY_LOAD_SECONDS
            log.error("route %d of %s could not be loaded", route.epoch, route.endpoint, exc_info=error)
            self._say(Acknowledgement(route.endpoint, route.epoch, "failed", str(error) or type(error).__name__))
            return
        self._say(Acknowledgement(route.endpoint, route.epoch, "loaded"))
        await self._report_quietly()
        before = self._front.live.get(route.endpoint)
        self._front.live[route.endpoint] = live
        if before is not None:
            before.retire()
        log.info("%s answers with %s, epoch %d", route.endpoint, live.model, live.epoch)
        self._say(Acknowledgement(route.endpoint, route.epoch, "serving"))
        await self._report_quietly()

    def _load(self, route: Route, backend: Backend) -> LiveRoute:
        live = load(route, self._kept, self._settings, self._project, backend)
        self._kept.keep(route)
        return live

    def _say(self, said: Acknowledgement) -> None:
        if self._said.get(said.endpoint) != said:
            self._said[said.endpoint] = said
            self._unsaid.append(said)

    async def _report_quietly(self) -> None:
        """The flip does not wait for a database that went away after it gave the route; what is unsaid is said later."""
        try:
            await self.report()
        except Exception as error:  # as in ``follow``
            log.warning("an acknowledgement could not be delivered yet: %s", error)

    async def report(self) -> None:
        """A sign of life, acknowledgements and counts. What can't be delivered is kept for the next time."""
        async with self._reporting:  # one at a time, so that acknowledgements arrive in their order
            if self._backend is None:
                return
            said, minutes = self._unsaid, self._front.statistics.take()
            self._unsaid = []
            try:
                await asyncio.to_thread(self._send, self._backend, said, minutes)
            except BaseException:
                self._unsaid = said + self._unsaid
                self._front.statistics.give_back(minutes)
                raise
            self._next_report = time.monotonic() + _REPORT_SECONDS

    def _send(self, backend: Backend, said: list[Acknowledgement], minutes: dict[str, list[Minute]]) -> None:
        backend.call(service.report_serving, self._process, self._url, self._started_at, said, minutes)
