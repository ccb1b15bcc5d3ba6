"""What the server does by itself while it runs: a few duties, each at its own pace, none able to stop another."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from clew.access import keys
from clew.access import service as access
from clew.backend import LocalBackend
from clew.clock import wall_now
from clew.errors import ClewError
from clew.operations import operation_of

__all__ = ["DUTIES", "Duty", "Maintenance"]

_CUT_AFTER = timedelta(days=1)
_log = logging.getLogger("clew.server.maintenance")


@dataclass(frozen=True)
class Duty:
    """Something to do every so often; ``name`` completes *could not …*. What is done ``once`` for a database is left to its leader."""

    name: str
    every_seconds: float
    perform: Callable[[LocalBackend], object]
    once: bool = False


def _ship_journals(backend: LocalBackend) -> None:
    """Runs whose process is gone left frames in their journals; it is also how a run becomes *lost*."""
    from clew.sdk.runs import sync

    sync(backend)


def _compact_predictions(backend: LocalBackend) -> None:
    from clew.serving.answers import compact_predictions

    for project in _projects(backend):
        backend.run(operation_of(compact_predictions), {}, project=project)


def _catch_up_online(backend: LocalBackend) -> None:
    """Rows that were appended by a process that died before its push, or ingested by a client that did not wait, come online."""
    from clew.feature_store import service as features

    for project in _projects(backend):
        backend.run(operation_of(features.catch_up), {}, project=project)


def _deliver_alerts(backend: LocalBackend) -> None:
    from clew.monitoring.channels import deliver_alerts

    for project in _projects(backend):
        backend.run(operation_of(deliver_alerts), {}, project=project)


def _cut_tails(backend: LocalBackend) -> None:
    """Appended rows become a version once a day: a dataset whose newest version is a day old and that has a tail."""
    from clew.datasets import service as datasets

    for project in _projects(backend):
        for item in backend.run(operation_of(datasets.list_datasets), {}, project=project).items:
            if item.tail_rows and item.updated_at is not None and wall_now() - item.updated_at > _CUT_AFTER:
                backend.run(operation_of(datasets.cut_tail), {"name": item.name}, project=project)


def _forget_keys(backend: LocalBackend) -> None:
    keys.forget_old(backend.context(backend.project, actor="clew"))


def _projects(backend: LocalBackend) -> Iterator[str]:
    for project in backend.call(access.list_projects).items:
        yield project.slug


DUTIES = (
    Duty("ship the journals of dead processes", 5, _ship_journals),
    Duty("bring rows that were left behind online", 5, _catch_up_online),
    Duty("tell of alerts", 10, _deliver_alerts, once=True),
    Duty("compact the prediction log", 60, _compact_predictions),
    Duty("cut appended rows into versions", 3600, _cut_tails, once=True),
    Duty("forget old idempotency keys", 3600, _forget_keys, once=True),
)


class Maintenance:
    """One thread that runs the duties one after another. ``stop`` waits for the one that runs."""

    def __init__(self, backend: LocalBackend, leads: Callable[[], bool], duties: Iterable[Duty] = DUTIES) -> None:
        self._backend = backend
        self._leads = leads
        self._duties = tuple(duties)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="maintenance", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_seconds: float = 20) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        due = {duty: time.monotonic() + min(duty.every_seconds, 60) for duty in self._duties}
        while due:
            duty = min(due, key=due.__getitem__)
            if self._stopping.wait(max(0.0, due[duty] - time.monotonic())):
                return
            self._perform(duty)
            due[duty] = time.monotonic() + duty.every_seconds

    def _perform(self, duty: Duty) -> None:
        if duty.once and not self._leads():
            return
        try:
            duty.perform(self._backend)
        except ClewError as error:
            _log.warning("could not %s: %s", duty.name, error.message)
        except Exception:  # a defect in one duty must not end the others; the log has the traceback
            _log.exception("could not %s", duty.name)
