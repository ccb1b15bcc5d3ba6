"""The server's part in delivery: event time goes on, and builds that are asked for are handed to worker processes, one at a time."""

import contextlib
import logging
import os
import shutil
import subprocess
import sys
import threading
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
_TAIL = 4_000
_log = logging.getLogger("clew.server.delivery")


class Delivery:
    """Two threads: one moves the event time of projects on the wall clock, one works on jobs. ``stop`` ends the worker that runs;
    its job is taken up by the next server."""

    def __init__(self, backend: LocalBackend, url: str) -> None:
        self._backend = backend
        self._url = url
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

    def _repeat(self, perform: "object", seconds: float) -> None:
        assert callable(perform)
        while not self._stopping.wait(seconds):
            try:
                perform()
            except ClewError as error:
                _log.warning("delivery stands still: %s", error.message)
            except Exception:  # a defect must not end the loop; the log has the traceback
                _log.exception("delivery stands still")

    def _advance(self) -> None:
        for project in self._backend.call(access.list_projects).items:
            if project.clock == "wall":
                scheduling.advance(self._backend.context(project.slug, actor="clew"), wall_now())

    # ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _work(self) -> None:
        context = self._backend.context(self._backend.project, actor="clew")
        job = context.run_write(lambda inside: queue.claim(inside, self._holder, ("build",)))
        if job is None:
            return
        folder = self._backend.settings.home / "workers" / job.id
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            self._run(job, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self, job: Job, folder: Path) -> None:
        _log.info("building", extra={"job": job.id, "model": job.subject, "attempt": job.attempt})
        log = folder.with_suffix(".log")
        with log.open("wb") as output:
            command = [sys.executable, "-m", "clew.server.worker", job.id, str(job.token)]
            child = subprocess.Popen(command, cwd=folder, env=self._environment(job, folder), stdout=output, stderr=output)
            try:
                self._wait(child, job)
            finally:
                if child.poll() is None:
                    child.kill()
                child.wait()
        if self._stopping.is_set():
            return  # its lease is this process's, which ends: the next server takes it up
        if child.returncode != 0:
            said = log.read_bytes()[-_TAIL:].decode("utf-8", "replace")
            error = f"the worker ended with {child.returncode} before it said what came of the build; the end of its output:\n{said}"
            self._backend.run(
                operation_of(delivery.fail_job), {"job_id": job.id, "token": job.token, "error": error, "again": True}, project=job.project
            )
        log.unlink(missing_ok=True)

    def _wait(self, child: "subprocess.Popen[bytes]", job: Job) -> None:
        """Until the worker ends, or this server does; the lease is renewed meanwhile, and lost only to a person's hand."""
        while not self._stopping.is_set():
            try:
                child.wait(_RENEW_SECONDS if not self._stopping.is_set() else 0)
                return
            except subprocess.TimeoutExpired:
                values = {"job_id": job.id, "token": job.token}
                try:
                    self._backend.run(operation_of(delivery.renew_job), values, project=job.project)
                except Conflict:  # the worker has said its word and is about to end, or another attempt has the job
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        child.wait(_END_SECONDS)
                    return

    def _environment(self, job: Job, folder: Path) -> dict[str, str]:
        """What a worker gets: the server's address and a token, no address of a database, and a folder of its own."""
        hidden = ("CLEW_DATABASE_URL", "CLEW_STORAGE_URL", "CLEW_ONLINE_URL", "CLEW_HOME", "CLEW_TOKEN", "CLEW_ALERT_SECRET")
        settings = self._backend.settings
        kept = {name: value for name, value in os.environ.items() if name not in hidden}
        own = {"CLEW_URL": self._url, "CLEW_PROJECT": job.project, "CLEW_HOME": str(settings.home / "workers" / "home")}
        return kept | own | ({"CLEW_TOKEN": settings.token} if settings.token else {})
