"""Which of the servers on one database does what is done once: moves event time, tells of alerts, cuts appended rows."""

import logging
import threading
import time
from datetime import timedelta

from clew.backend import LocalBackend
from clew.storage import leadership
from clew.storage.holders import new_holder

__all__ = ["Leadership"]

_ROLE = "server"
_LEASE = timedelta(seconds=20)
_RENEW_SECONDS = 5.0
_log = logging.getLogger("clew.server.leading")


class Leadership:
    """A lease that is renewed while this server runs; ``stop`` gives it back. After ``kill -9`` a server on the same machine has it within
    seconds, one on another when it has run out.

    What a leader began before it lost the lease goes on: each step is safe to be done by two, and none is done twice.
    """

    def __init__(self, backend: LocalBackend) -> None:
        self._backend = backend
        self._holder = new_holder()
        self._until = 0.0
        self._leader = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leadership", daemon=True)

    def leads(self) -> bool:
        """Whether this server leads, as of its last renewal."""
        return time.monotonic() < self._until

    def start(self) -> None:
        self._renew()
        self._thread.start()

    def stop(self, timeout_seconds: float = 20) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        self._until = 0.0
        context = self._backend.context(self._backend.project)
        try:
            context.run_write(lambda inside: leadership.step_down(inside, _ROLE, self._holder))
        except Exception as error:  # the lease runs out by itself
            _log.warning("the lead could not be given back: %s", error)

    def _run(self) -> None:
        while not self._stopping.wait(_RENEW_SECONDS):
            self._renew()

    def _renew(self) -> None:
        asked = time.monotonic()
        context = self._backend.context(self._backend.project)
        try:
            leader = context.run_write(lambda inside: leadership.lead(inside, _ROLE, self._holder, _LEASE))
        except Exception as error:  # a database that is away for a while; the lease says until when this server leads
            _log.warning("the lead could not be renewed: %s", error)
            return
        self._until = asked + _LEASE.total_seconds() if leader == self._holder else 0.0
        if leader != self._leader:
            self._leader = leader
            _log.info("this server leads" if leader == self._holder else "another server leads", extra={"leader": leader})
