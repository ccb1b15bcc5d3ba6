"""``clew.replay``: a project whose event time a driver moves, so that a year passes as fast as the machine can work."""

import time
from datetime import datetime

from clew import console
from clew.access.service import get_project, set_event_time
from clew.backend import Backend, current
from clew.delivery.schema import Advance
from clew.delivery.service import advance_clock
from clew.sdk.border import errors_end_here

__all__ = ["Replay", "replay"]

_SHORTEST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.2
_SAY_AFTER_SECONDS = 5.0
"""A server takes up a build within a second: what nobody has taken up for so long waits for a server."""


@errors_end_here
class Replay:
    """The event clock of a project opened for replay. One driver moves it; everything that counts event time follows."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def now(self) -> datetime:
        """The project's event time, in UTC."""
        found = self._backend.call(get_project).event_time
        assert found is not None  # ``replay`` opened it
        return found

    def advance(self, to: datetime) -> datetime | None:
        """Move event time on to ``to``. What is due on the way is done first, at its own time: looks, rollouts' steps, builds.

        Returns when something is due next; ``None`` where nothing is. A driver that brings the rows up to that time, and then moves
        there, lets what is due see all that was known by then and nothing later. Time stands still while a build that is due is not done;
        builds are done by the server, and where none takes one up, that is said on stderr. Raises ``Conflict`` for a time before the
        present one: it never moves back.
        """
        pause, taken_up, said = _SHORTEST_PAUSE_SECONDS, time.monotonic(), False
        while True:
            moved = self._backend.call(advance_clock, to)
            if not moved.waiting:
                return moved.next_due
            if any("(running)" in one for one in moved.waiting):
                taken_up = time.monotonic()
            if not said and time.monotonic() - taken_up >= _SAY_AFTER_SECONDS:
                said = True
                _say(moved)
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


def _say(moved: Advance) -> None:
    hint = "; builds are done by the server, and none has taken it up: start `clew up`" if "(queued)" in moved.waiting[0] else ""
    console.note(f"event time stands at {moved.event_time:%Y-%m-%d %H:%M} UTC and waits for: {', '.join(moved.waiting)}{hint}")


def replay(at: datetime) -> Replay:
    """Open the project for replay at an event time, or go on with one that is open already.

    Raises ``Conflict`` for a project in which something has happened by the wall clock.
    """
    backend = current()
    backend.call(set_event_time, at)
    return Replay(backend)
