"""``clew.replay``: a project whose event time a driver moves, so that a year passes as fast as the machine can work."""

import time
from datetime import datetime

from clew.access.service import get_project, set_event_time
from clew.backend import Backend, current
from clew.delivery.service import advance_clock
from clew.sdk.border import errors_end_here

__all__ = ["Replay", "replay"]

_SHORTEST_PAUSE_SECONDS = 0.01
_LONGEST_PAUSE_SECONDS = 0.2


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
        there, lets what is due see all that was known by then and nothing later. Raises ``Conflict`` for a time before the present one: it never moves back.
        """
        pause = _SHORTEST_PAUSE_SECONDS
        while True:
            moved = self._backend.call(advance_clock, to)
            if not moved.waiting:
                return moved.next_due
            time.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)


def replay(at: datetime) -> Replay:
    """Open the project for replay at an event time, or go on with one that is open already.

    Raises ``Conflict`` for a project in which something has happened by the wall clock.
    """
    backend = current()
    backend.call(set_event_time, at)
    return Replay(backend)
