"""The server's part in delivery: event time goes on, and builds that are asked for are handed to worker processes, one at a time."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from clew.access import service as access
from clew.backend import LocalBackend
from clew.clock import wall_now
from clew.delivery import scheduling
from clew.delivery import service as delivery
from clew.errors import ClewError, Conflict
from clew.operations import operation_of
from clew.storage import jobs as queue
from clew.storage.holders import new_holder
from clew.storage.schema import Job

__all__ = ["Delivery"]

_POLL_SECONDS = 0.1
_ADVANCE_SECONDS = 1.0
_RENEW_SECONDS = 5.0
_END_SECONDS = 10.0
_TAIL = 3_500
_log = logging.getLogger("clew.server.delivery")


class Delivery:
    """Two threads: one moves the event time of projects on the wall clock, where this server leads, and one works on jobs.

    ``stop`` ends the worker that runs; its job is given back, and the next server takes it up. So it does after ``kill -9``: then the
    worker ends by itself.
    """

    def __init__(self, backend: LocalBackend, url: str, leads: Callable[[], bool]) -> None:
        self._backend = backend
        self._url = url
        self._leads = leads
        self._holder = new_holder()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(self._advance, _ADVANCE_SECONDS), name="event-time", daemon=True),
            threading.Thread(target=self._repeat, args=(self._work, _POLL_SECONDS), name="jobs", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_seconds: float = 20) -> None:
        self._stopping.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout_seconds)

    def _repeat(self, perform: Callable[[], None], seconds: float) -> None:
        while not self._stopping.wait(seconds):
            with _said_of("all projects"):
                perform()

    def _advance(self) -> None:
        """Each project by itself: one that stands still holds up no other."""
        if not self._leads():
            return
        for project in self._backend.call(access.list_projects).items:
            if project.clock == "wall":
                with _said_of(project.slug):
                    scheduling.advance(self._backend.context(project.slug, actor="clew"), wall_now())

    # ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        context = self._backend.context(self._backend.project, actor="clew")
        with context.reading() as inside:  # asked ten times a second: nobody is to wait for its write lock while there is nothing to do
            if not queue.any_open(inside):
                return
        delivery.end_spent(context)
        job = context.run_write(lambda inside: queue.claim(inside, self._holder, ("build",)))
        if job is None:
            return
        # Outside of every project and repository, so that nothing above it is taken for the snapshot's own.
        with tempfile.TemporaryDirectory(prefix="clew-worker-", ignore_cleanup_errors=True) as folder:
            self._run(job, Path(folder))

    def _run(self, job: Job, folder: Path) -> None:
        _log.info("building", extra={"job": job.id, "model": job.subject, "attempt": job.attempt})
        for name in ("source", "scratch"):
            (folder / name).mkdir()
        log = folder / "log"
        with log.open("wb") as output:
            command = [sys.executable, "-m", "clew.server.worker", job.id, str(job.token), "--parent", str(os.getpid())]
            # A session of its own, so that it can be ended with all the processes that it has started.
            child = subprocess.Popen(
                command, cwd=folder / "source", env=self._environment(job, folder), stdout=output, stderr=output, start_new_session=True
            )
            try:
                in_time = self._wait(child, job)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        if self._stopping.is_set():
            self._say(job, delivery.release_job)
        elif not in_time:
            error = f"the build was stopped after {self._backend.settings.build_limit}, which is CLEW_BUILD_LIMIT; the end of its output:"
            self._say(job, delivery.fail_job, error=f"{error}\n{_tail_of(log)}")
        elif child.returncode != 0:
            error = f"the worker ended with {child.returncode} before it said what came of the build; the end of its output:"
            self._say(job, delivery.fail_job, error=f"{error}\n{_tail_of(log)}", again=True)

    def _wait(self, child: "subprocess.Popen[bytes]", job: Job) -> bool:
        """Until the worker ends, or this server does; ``False`` where its time is up. The lease is renewed meanwhile; who loses it lets the
        worker end by itself.
        """
        began = renewed = time.monotonic()
        while not self._stopping.is_set():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_POLL_SECONDS)
                return True
            if time.monotonic() - began > self._backend.settings.build_limit.total_seconds():
                return False
            if time.monotonic() - renewed < _RENEW_SECONDS:
                continue
            renewed = time.monotonic()
            try:
                held = self._say(job, delivery.renew_job)
            except Exception as error:  # a database that is away for a while must not end hours of work
                _log.warning("the lease of %s could not be renewed: %s", job.id, error)
                continue
            if not held:  # the worker has said its word and is about to end, or another attempt has the job
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(_END_SECONDS)
                return True
        return True

    def _say(self, job: Job, operation: Callable[..., object], **values: object) -> bool:
        """Tell the queue of this attempt; ``False`` where the attempt has no word any more."""
        try:
            self._backend.run(operation_of(operation), {"job_id": job.id, "token": job.token, **values}, project=job.project)
        except Conflict:
            return False
        return True

    def _environment(self, job: Job, folder: Path) -> dict[str, str]:
        """What a worker gets: the server's address and a token, no address of a database or a store, and folders of its own."""
        settings = self._backend.settings
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLEW_", "PG"))}
        home, scratch = settings.home / "workers", folder / "scratch"
        own = {"CLEW_URL": self._url, "CLEW_PROJECT": job.project, "CLEW_HOME": str(home), "TMPDIR": str(scratch)}
        return kept | own | ({"CLEW_TOKEN": settings.token} if settings.token else {})


def _tail_of(log: Path) -> str:
    return log.read_bytes()[-_TAIL:].decode("utf-8", "replace")


@contextlib.contextmanager
def _said_of(project: str) -> Iterator[None]:
    """What goes wrong with a project is logged, and ends nothing."""
    try:
        yield
    except ClewError as error:
        _log.warning("delivery of %s stands still: %s", project, error.message)
    except Exception:  # a defect must not end the loop; the log has the traceback
        _log.exception("delivery of %s stands still", project)
