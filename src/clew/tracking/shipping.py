"""From the journal to the backend: a background thread for a living run, and ``ship_dead`` for what killed processes left."""

import copy
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from clew.backend import Backend
from clew.clock import wall_now
from clew.errors import ClewError, Conflict, NotFound, Unavailable
from clew.storage.blobs import digest_file, sync_folder
from clew.storage.disks import writing_under
from clew.tracking.capture import output_files, recover_output
from clew.tracking.frames import Kind, read_frames
from clew.tracking.journal import Journal, dead_journals, read_header
from clew.tracking.service import ingest_frames

__all__ = ["Shipper", "SyncReport", "journal_folder", "ship_dead", "stage", "target_of"]

_EVERY_SECONDS = 0.25
_HEARTBEAT_SECONDS = 10.0
_MAX_BACKOFF_SECONDS = 30.0
_BATCH_BYTES = 1 << 20


@dataclass(frozen=True)
class SyncReport:
    """``runs`` were shipped; ``waiting`` could not be yet, those for other servers or databases by ``targets``; ``failed`` says why."""

    runs: list[str] = field(default_factory=list)
    waiting: int = 0
    targets: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def journal_folder(backend: Backend) -> Path:
    return backend.settings.home / "journals"


def target_of(backend: Backend) -> str:
    """Where a journal is to go, in a word that holds no secret: the server's address, or the database by digest."""
    if backend.settings.url:
        return backend.settings.url.rstrip("/")
    return "database:" + hashlib.sha256(backend.settings.database_url.encode()).hexdigest()[:16]


def _staged(journal: Journal) -> Path:
    """Where a writer's artifacts stand, by digest, until they are uploaded."""
    return journal.path.with_suffix(".files")


class _Outbox:
    """Sends one journal's frames in order, each batch once."""

    def __init__(self, backend: Backend, journal: Journal) -> None:
        self._backend = backend
        self._journal = journal
        self.shipped = 0

    def ship(self) -> bool:
        """Send everything up to the journal's present end; whether there was anything. Raises what the backend raises."""
        end = self._journal.end
        moved = False
        while self.shipped < end:
            content = self._journal.read(self.shipped, _BATCH_BYTES)
            self._upload(content)
            self._send(content)
            moved = True
        return moved

    def beat(self) -> None:
        """A sign of life."""
        self._send(b"")

    def _send(self, content: bytes) -> None:
        header = self._journal.header
        try:
            taken = self._backend.call(ingest_frames, run_id=header.run_id, writer=header.writer, offset=self.shipped, frames=content)
        except Conflict as error:
            expected = error.details.get("expected")
            if expected is None or int(expected) == self.shipped:
                raise
            self.shipped = int(expected)  # the backend knows less of us than we thought (it was restored): go on from there
            return
        self.shipped = taken.offset

    def _upload(self, content: bytes) -> None:
        """The artifacts that these frames name go first: a frame is taken only when its bytes are there."""
        folder = _staged(self._journal)
        if not folder.is_dir():
            return
        for item in read_frames(content):
            if item.kind is Kind.ARTIFACT:
                digest = str(msgspec.json.decode(item.payload)["digest"])
                file = folder / digest.partition(":")[2]
                if file.is_file():
                    self._backend.upload(file)

    def discard(self) -> None:
        """Everything is committed elsewhere: the journal and what stands beside it go."""
        for path in output_files(self._journal).values():
            path.unlink(missing_ok=True)
        shutil.rmtree(_staged(self._journal), ignore_errors=True)
        self._journal.close(delete=True)


class Shipper:
    """The background thread of one living journal. ``duties`` are called in it now and then, such as the sampler's."""

    def __init__(
        self, backend: Backend, journal: Journal, *, first: "list[Callable[[], None]]", duties: "list[Callable[[], None]]"
    ) -> None:
        self._journal = journal
        self._outbox = _Outbox(backend, journal)
        self._first = first
        self._duties = duties
        self._wake = threading.Event()
        self._stopping = False
        self._moved = threading.Condition()
        self.trouble: Exception | None = None
        self._attempts = 0
        self._thread = threading.Thread(target=self._run, name="clew-shipper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def flush(self, timeout_seconds: float) -> None:
        """Wait until all that is in the journal now is committed. Raises ``Unavailable``; nothing is lost then, it is shipped later."""
        wanted, end = self._journal.end, time.monotonic() + timeout_seconds
        attempts = self._attempts
        with self._moved:
            while self._outbox.shipped < wanted:
                self._wake.set()
                self._moved.wait(0.2)
                refused = self.trouble is not None and self._attempts > attempts + 1
                if self._outbox.shipped < wanted and (refused or not self._thread.is_alive() or time.monotonic() >= end):
                    raise Unavailable(
                        f"the run {self._journal.header.run_id} is safe in {self._journal.path} and not shipped yet"
                        f" ({self.trouble or 'it takes longer'}); `clew sync` ships it",
                    ) from self.trouble

    def stop(self, timeout_seconds: float) -> bool:
        """Ship the rest and end the thread; whether everything went out, and so the journal away."""
        self._stopping = True
        try:
            self.flush(timeout_seconds)
        except Unavailable:
            self._wake.set()
            self._thread.join(1.0)
            self._journal.close()
            return False
        self._wake.set()
        self._thread.join(timeout_seconds)
        self._outbox.discard()
        return True

    def _run(self) -> None:
        beaten = time.monotonic()
        pause = _EVERY_SECONDS
        first, self._first = self._first, []
        while True:
            try:
                if self._outbox.ship():
                    beaten = time.monotonic()
                elif time.monotonic() - beaten > _HEARTBEAT_SECONDS:
                    self._outbox.beat()
                    beaten = time.monotonic()
                self.trouble, pause = None, _EVERY_SECONDS
            except Exception as error:  # any failure leaves the journal as it is, and the next look tries again
                self.trouble, pause = error, min(_MAX_BACKOFF_SECONDS, pause * 2)
            with self._moved:
                self._attempts += 1
                self._moved.notify_all()
            if self._stopping and (self.trouble is not None or self._outbox.shipped >= self._journal.end):
                return
            self._perform(first or self._duties)
            first = []
            self._wake.wait(0 if self._outbox.shipped < self._journal.end and self.trouble is None and self._stopping else pause)
            self._wake.clear()

    def _perform(self, duties: "list[Callable[[], None]]") -> None:
        for duty in duties:
            try:
                duty()
            except Exception as error:  # what we note about a run must never end it; the note that is missing says so on its page
                if not self._stopping:
                    self._journal.document(Kind.FACTS, {"notes": {getattr(duty, "__name__", "duty"): f"{type(error).__name__}: {error}"}})


def ship_dead(backend: Backend) -> SyncReport:
    """Ship the journals of dead writers that are meant for this backend. A run whose own process is gone ends as ``lost``."""
    report, targets = SyncReport(), set()
    waiting = 0
    mine = target_of(backend)
    for path in dead_journals(journal_folder(backend)):
        try:
            header = read_header(path)
        except FileNotFoundError:  # another process shipped it just now
            continue
        except ClewError as error:
            report.failed[path.name] = error.message
            continue
        journal = Journal.adopt(path)
        if journal is None:
            continue
        if header.target != mine:
            waiting += 1
            targets.add(header.target)
            journal.close()
            continue
        try:
            _ship_one(backend, journal)
            report.runs.append(header.run_id)
        except NotFound:  # a helper process of a run whose own journal comes later in the folder, or lives: next time
            journal.close()
            waiting += 1
        except ClewError as error:
            report.failed[header.run_id] = error.message
            journal.close()
    return SyncReport(report.runs, waiting, sorted(targets), report.failed)


def _ship_one(backend: Backend, journal: Journal) -> None:
    recover_output(journal)
    if journal.header.owner and not any(item.kind is Kind.END for item in journal.frames()):
        died = f"the process {journal.header.pid} on {journal.header.host} ended without a word"
        journal.document(Kind.END, {"status": "lost", "ended_at": wall_now(), "error": died})
    there = copy.copy(backend)
    there.project = journal.header.project
    outbox = _Outbox(there, journal)
    outbox.ship()
    outbox.discard()


def stage(journal: Journal, source: bytes | Path) -> tuple[str, int]:
    """Keep an artifact beside the journal until it is uploaded: its digest and size. When this has returned, the bytes are safe."""
    folder = _staged(journal)
    with writing_under(folder):
        folder.mkdir(exist_ok=True)
        return _stage(journal, folder, source)


def _stage(journal: Journal, folder: Path, source: bytes | Path) -> tuple[str, int]:
    part = folder / f".part-{os.getpid()}-{threading.get_ident()}"
    if isinstance(source, Path):
        shutil.copyfile(source, part)
    else:
        part.write_bytes(source)
    digest, size_bytes = digest_file(part), part.stat().st_size
    if journal.durable:
        with part.open("rb") as file:
            os.fsync(file.fileno())
    part.replace(folder / digest.partition(":")[2])
    if journal.durable:
        sync_folder(folder)
    return digest, size_bytes
