"""Beginning a run: its journal, its output, and the notes about what it is made in, taken in the background."""

import atexit
import os
import platform
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clew.backend import Backend, HttpBackend, LocalBackend
from clew.clock import wall_now
from clew.errors import Invalid
from clew.identifiers import new_id
from clew.tracking.capture import Capture
from clew.tracking.environment import Sampler, command_line, hardware
from clew.tracking.frames import Kind
from clew.tracking.journal import Journal, JournalHeader
from clew.tracking.run import Run, current_run
from clew.tracking.shipping import Shipper, journal_folder, ship_dead, stage, target_of
from clew.tracking.source import snapshot

__all__ = ["JournalRecorder", "attach", "begin", "flush"]

_CLOSE_SECONDS = 20.0
_recorders: "weakref.WeakSet[JournalRecorder]" = weakref.WeakSet()


class JournalRecorder:
    """Writes a run into a journal of its own and ships it in the background. A forked child that logs gets another journal."""

    point: Callable[[str, float, int | None], int]
    """The journal's own method, bound once, so that the hot path goes straight to it."""

    def __init__(
        self, backend: Backend, run_id: str, *, owner: bool, start: dict[str, Any] | None, capture: bool, notes: "_Notes | None"
    ) -> None:
        self.run_id = run_id
        self._backend = backend
        self._lock = threading.Lock()
        self._forked = False
        self._open(owner)
        if start is not None:
            self._start(start)
        self._capture = Capture(self._journal) if capture else None
        if self._capture is not None and not self._capture.start():
            self._capture = None
            self._journal.document(Kind.FACTS, {"notes": {"output": "not captured: another thread's run has it"}})
        self._ship(notes)
        _recorders.add(self)

    def _start(self, start: dict[str, Any]) -> None:
        try:
            self._journal.document(Kind.START, start)
        except BaseException:
            self._journal.close(delete=True)  # nothing is in it: a run that did not begin
            raise

    def _open(self, owner: bool) -> None:
        header = JournalHeader(
            new_id("writer"), self.run_id, self._backend.project, target_of(self._backend), owner, os.getpid(), platform.node()
        )
        durable = self._backend.settings.durability == "full"
        self._journal = Journal.create(journal_folder(self._backend), header, durable=durable)
        self.point = self._journal.point

    def _ship(self, notes: "_Notes | None") -> None:
        first, duties = ([], []) if notes is None else (notes.first(self), notes.duties(self))
        self._shipper = Shipper(self._backend, self._journal, first=first, duties=duties)
        self._shipper.start()

    def document(self, kind: Kind, document: dict[str, Any]) -> None:
        self._renew()
        self._journal.document(kind, document)
        self._journal.settle()

    def settle(self) -> None:
        self._journal.settle()

    def artifact(self, name: str, source: bytes | Path) -> None:
        self._renew()
        with self._lock:
            digest, size_bytes = stage(self._journal, source)
            self._journal.document(Kind.ARTIFACT, {"name": name, "digest": digest, "size_bytes": size_bytes, "at": wall_now()})
        self._journal.settle()

    def flush(self, timeout_seconds: float) -> None:
        if self._forked:
            return  # nothing was written here yet
        if self._capture is not None:
            self._capture.pump()
        self._shipper.flush(timeout_seconds)

    def close(self, end: dict[str, Any]) -> None:
        """End the run, if it is ours to end, and wait until it is shipped; what is not stays in the journal."""
        _recorders.discard(self)
        if self._forked:
            return
        if self._capture is not None:
            self._capture.stop()
        if self._journal.header.owner:
            self._journal.document(Kind.END, end)
        if not self._shipper.stop(_CLOSE_SECONDS):
            words = (
                f"clew: {self.run_id} is kept in {self._journal.path} and not shipped yet ({self._shipper.trouble}); `clew sync` ships it"
            )
            print(words, file=sys.stderr)  # noqa: T201 - the script's author must hear of it, and has no log of ours

    def forked(self) -> None:
        """In a forked child: let go of what is the parent's. The child's first change opens a journal of its own."""
        self._journal.abandon()
        if self._capture is not None:
            self._capture.forget()
            self._capture = None
        self._lock = threading.Lock()
        self._forked = True
        self.point = self._point_after_fork

    def _point_after_fork(self, name: str, value: float, step: int | None) -> int:
        self._renew()
        return self._journal.point(name, value, step)

    def _renew(self) -> None:
        with self._lock:
            if self._forked:
                self._backend = _anew(self._backend)
                self._open(owner=False)
                self._ship(None)
                self._forked = False


def _anew(backend: Backend) -> Backend:
    """The same backend with connections of its own: those that a fork copied are the parent's."""
    if isinstance(backend, LocalBackend):
        return LocalBackend(backend.settings, actor=backend.actor)
    return HttpBackend(backend.settings, backend.url) if isinstance(backend, HttpBackend) else backend


class _Notes:
    """What is noted about a run without its script waiting: code, git, packages, machine, load."""

    def __init__(self, backend: Backend, source: str | None) -> None:
        self._backend = backend
        self._source = source

    def first(self, recorder: JournalRecorder) -> "list[Any]":
        def machine() -> None:
            recorder.document(Kind.FACTS, {"hardware": hardware()})

        def code() -> None:
            taken = snapshot(self._backend, self._backend.settings.root)
            document = asdict(taken)
            facts = {"git": document.pop("git"), "environment": document.pop("environment"), "source": document}
            recorder.document(Kind.FACTS, facts)

        def leftovers() -> None:
            ship_dead(self._backend)

        return [machine, *([code] if self._source is None else []), leftovers]

    def duties(self, recorder: JournalRecorder) -> "list[Any]":
        samplers: list[Sampler] = []

        def load() -> None:
            if not samplers:
                samplers.append(Sampler(recorder.point))
            samplers[0].sample()

        return [load]


def begin(
    backend: Backend,
    *,
    title: str | None = None,
    params: dict[str, Any] | None = None,
    experiment: str | None = None,
    tags: dict[str, str] | None = None,
    parent: "Run | str | None" = None,
    seed: int | None = None,
    source: str | None = None,
    capture: bool = True,
    kind: type[Run] = Run,
) -> Run:
    """A new run, recorded from now on. ``source`` is the digest of a source snapshot that is made already.

    Without ``parent`` the current run is it. Raises ``StorageFull`` when there is no room for a journal.
    """
    if experiment is not None and (not experiment or len(experiment) > 128):
        raise Invalid("an experiment's name has 1 to 128 characters")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63):
        raise Invalid(f"the seed {seed!r} is not a whole number from 0 to 2**63")
    above = current_run() if parent is None else parent
    start = {
        "title": title,
        "experiment": experiment,
        "parent": above.id if isinstance(above, Run) else above,
        "seed": seed,
        "started_at": wall_now(),
    }
    recorder = JournalRecorder(backend, new_id("run"), owner=True, start=start, capture=capture, notes=_Notes(backend, source))
    run = kind(recorder, seed=seed)
    run.facts({"command": command_line(), **({"source": {"digest": source}} if source is not None else {})})
    run.params(params)
    run.tags(tags)
    return run


def attach(backend: Backend, run_id: str, *, kind: type[Run] = Run) -> Run:
    """A run that another process began, to log into from this one. ``finish`` ships what was logged here; it does not end the run."""
    return kind(JournalRecorder(backend, run_id, owner=False, start=None, capture=False, notes=None))


def flush(run_id: str, timeout_seconds: float = 30.0) -> None:
    """Commit what this process has logged into a run; nothing to do for a run that is not recorded here."""
    for recorder in list(_recorders):
        if recorder.run_id == run_id:
            recorder.flush(timeout_seconds)


def _after_fork() -> None:
    for recorder in list(_recorders):
        recorder.forked()


def _at_exit() -> None:
    """A run without a block ends with its process."""
    for recorder in list(_recorders):
        recorder.close({"status": "finished", "ended_at": wall_now(), "error": None})


os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
