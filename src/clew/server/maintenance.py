"""What the server does by itself while it runs: a few duties, each at its own pace, none able to stop another."""

import importlib
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from clew.backend import LocalBackend
from clew.errors import ClewError

__all__ = ["DUTIES", "Duty", "Maintenance"]

_log = logging.getLogger("clew.server.maintenance")


@dataclass(frozen=True)
class Duty:
    """``function`` is ``module:name`` of a callable that takes the backend; it is imported when first due."""

    name: str
    every_seconds: float
    function: str

    def resolve(self) -> Callable[[LocalBackend], object]:
        module, _, name = self.function.partition(":")
        found: Callable[[LocalBackend], object] = getattr(importlib.import_module(module), name)
        return found


DUTIES = (Duty("ship the journals of dead processes", 5, "clew.sdk.runs:sync"),)


class Maintenance:
    """One thread that runs the duties one after another. ``stop`` waits for the one that runs."""

    def __init__(self, backend: LocalBackend, duties: Iterable[Duty] = DUTIES) -> None:
        self._backend = backend
        self._duties = tuple(duties)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="maintenance", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float = 20) -> None:
        self._stopping.set()
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        due = dict.fromkeys(self._duties, time.monotonic() + 1)
        while due and not self._stopping.is_set():
            duty = min(due, key=due.__getitem__)
            if self._stopping.wait(max(0.0, due[duty] - time.monotonic())):
                return
            self._perform(duty)
            due[duty] = time.monotonic() + duty.every_seconds

    def _perform(self, duty: Duty) -> None:
        try:
            duty.resolve()(self._backend)
        except ClewError as error:
            _log.warning("could not %s: %s", duty.name, error.message)
        except Exception:  # a defect in one duty must not end the others; the log has the traceback
            _log.exception("could not %s", duty.name)
