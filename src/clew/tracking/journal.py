"""A run's journal: a memory-mapped file that holds every change of the run before the call that made it returns.

What is written to a mapping lies in the page cache, which outlives a killed process; so a change is safe from ``kill -9`` at the price
of a copy, without a system call. A full disk can't tear it: room is reserved before it is used. A power cut it outlives where the journal
is *durable*: then a change is flushed to the disk before its call returns, and threads that wait together share one flush.
"""

import contextlib
import fcntl
import mmap
import os
import struct
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec

from clew.errors import Invalid, StorageFull
from clew.identifiers import new_id
from clew.storage.blobs import sync_folder
from clew.storage.disks import writing_under
from clew.tracking.frames import HEADER, OUTPUT, POINT, Frame, Kind, border, frame, holds_nul, read_frames, whole_end

__all__ = ["Journal", "JournalHeader", "dead_journals", "read_header"]

_MAGIC = b"clew.journal.1\n\0"
_HEADER_BYTES = 4096
_FIRST_BYTES = 64 << 10
_GROWTH_BYTES = 4 << 20
_POINT_HEAD = Kind.POINT << 24 | POINT.size
_POINT_BYTES = HEADER.size + POINT.size
_MAX_NAMES = 1 << 16
_NOTED = {Kind.FACTS, Kind.END}
"""What Clew itself notes, such as the text of an exception: never worth losing a run for, so it is kept as well as it can be."""


@dataclass(frozen=True)
class JournalHeader:
    """Who writes, about which run, and for whom. ``owner`` began the run: when it dies, the run is lost."""

    writer: str
    run_id: str
    project: str
    target: str
    owner: bool
    pid: int
    host: str


class Journal:
    """One writer's changes to one run, in order. Appending is thread-safe; the file stays locked for as long as the writer lives.

    Offsets count the bytes of frames, without the file's header.
    """

    def __init__(self, path: Path, file: int, header: JournalHeader, *, durable: bool = False) -> None:
        self.path = path
        self.header = header
        self.durable = durable
        self._flushing = threading.Lock()
        self._settled = 0
        self._file = file
        self._lock = threading.Lock()
        self._names: dict[str, list[int]] = {}
        self._size = os.fstat(file).st_size
        self._map = mmap.mmap(file, self._size)
        self._end = _HEADER_BYTES

    # ── opening ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @classmethod
    def create(cls, folder: Path, header: JournalHeader, *, durable: bool = False) -> "Journal":
        """A new journal, locked before anyone can see it. Raises ``StorageFull``, or ``Unavailable`` in a folder that may not be written."""
        with writing_under(folder):
            folder.mkdir(parents=True, exist_ok=True)
            return cls._create(folder, header, durable=durable)

    @classmethod
    def _create(cls, folder: Path, header: JournalHeader, *, durable: bool) -> "Journal":
        path = folder / f"{header.writer}.journal"
        hidden = folder / f".{new_id('new')}"
        file = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            _reserve(file, 0, _FIRST_BYTES, folder)
            document = msgspec.json.encode(header)
            os.pwrite(file, _MAGIC + len(document).to_bytes(4, "little") + document, 0)
            if durable:
                os.fsync(file)  # with its length and its room, so that what follows is data alone
            hidden.rename(path)
            if durable:
                sync_folder(folder)
            return cls(path, file, header, durable=durable)
        except BaseException:
            os.close(file)
            hidden.unlink(missing_ok=True)
            raise

    @classmethod
    def adopt(cls, path: Path) -> "Journal | None":
        """The journal of a dead writer, now ours; ``None`` while the writer lives, or when another process was quicker."""
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not path.exists() or path.stat().st_ino != os.fstat(file).st_ino:
                raise BlockingIOError
            journal = cls(path, file, read_header(path))
        except (BlockingIOError, FileNotFoundError):
            os.close(file)
            return None
        except BaseException:
            os.close(file)
            raise
        journal._recover()
        return journal

    def _recover(self) -> None:
        """Find the end; what a torn frame left behind it is wiped, so that it can't be taken for a frame later."""
        with memoryview(self._map) as view, view[_HEADER_BYTES:] as content:
            self._end = _HEADER_BYTES + whole_end(content)
        torn = min(self._size, self._end + (1 << 24) + HEADER.size) - self._end
        self._map[self._end : self._end + torn] = bytes(torn)
        for item in self.frames():
            if item.kind is Kind.NAME:
                self._names[item.payload.decode()] = [len(self._names), 0]

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def point(self, name: str, value: float, step: int | None) -> int:
        """Write one value of a metric down; the step that it got. The hot path: about a microsecond."""
        with self._lock:
            known = self._names.get(name)
            if known is None:
                known = self._define(name)
            if step is None:
                step = known[1]
            try:
                payload = POINT.pack(known[0], step, time.time_ns() // 1000, value)
            except (struct.error, TypeError, ValueError) as error:
                raise _unfit(name, value, step) from error
            begin = self._end
            end = begin + _POINT_BYTES
            if end > self._size:
                self._grow(end)
            self._map[begin:end] = HEADER.pack(crc32(payload), _POINT_HEAD) + payload
            self._end = end
            known[1] = step + 1
            return step

    def append(self, kind: Kind, payload: bytes) -> None:
        """Write one change down."""
        content = frame(kind, payload)
        with self._lock:
            self._write(content)

    def document(self, kind: Kind, document: object) -> None:
        """Write one JSON document down. Raises ``Invalid`` for what no database could take: it would hold up all that comes after it."""
        self.append(kind, _encoded(kind, document))

    def output(self, stream: int, offset: int, content: bytes) -> None:
        """Write a piece of standard output (1) or error (2) down."""
        self.append(Kind.OUTPUT, OUTPUT.pack(stream, offset, time.time_ns() // 1000) + content)

    def settle(self) -> None:
        """When the journal is durable, wait until all that is in it now is on the disk."""
        if not self.durable:
            return
        wanted = self._end
        with self._flushing:
            if self._settled >= wanted or self._file < 0:
                return  # another thread's flush took ours along, or the run has ended, and was shipped or settled by that
            end = self._end
            # What was written to a mapping of the file lies in its page cache, and that is what is flushed here.
            _flush(self._file)
            self._settled = end

    def _define(self, name: Any) -> list[int]:  # Any: what a caller passes for a name is checked here, once a name
        if not isinstance(name, str) or not name or len(name) > 250 or not _is_text(name):
            raise Invalid(f"{name!r} can't name a metric: use text of 1 to 250 characters")
        if len(self._names) >= _MAX_NAMES:
            raise Invalid(f"a run has at most {_MAX_NAMES} metric names; put what varies into the step")
        self._write(frame(Kind.NAME, name.encode()))
        known = self._names[name] = [len(self._names), 0]
        return known

    def _write(self, content: bytes) -> None:
        end = self._end + len(content)
        if end > self._size:
            self._grow(end)
        self._map[self._end : end] = content
        self._end = end

    def _grow(self, needed: int) -> None:
        if self._file < 0:
            raise Invalid(f"the run {self.header.run_id} has ended; log into a new one")
        size = max(needed, min(self._size * 2, self._size + _GROWTH_BYTES))
        _reserve(self._file, self._size, size - self._size, self.path.parent)
        grown = mmap.mmap(self._file, size)
        self._map.close()
        self._map, self._size = grown, size

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def end(self) -> int:
        return self._end - _HEADER_BYTES

    def read(self, offset: int, limit: int) -> bytes:
        """Whole frames from ``offset`` on, about ``limit`` bytes of them; empty at the end."""
        with self._lock:
            content = self._map[_HEADER_BYTES + offset : min(self._end, _HEADER_BYTES + offset + limit)]
            if len(content) == limit:
                longest = min(self._end, _HEADER_BYTES + offset + limit + (1 << 24))
                content = self._map[_HEADER_BYTES + offset : longest]
        return content[: border(content, limit)] if len(content) > limit else content

    def frames(self) -> Iterable[Frame]:
        """All frames, from the first."""
        with self._lock:
            content = self._map[_HEADER_BYTES : self._end]
        return read_frames(content)

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def close(self, *, delete: bool = False) -> None:
        """Let go of the file; another process may adopt it from now on. With ``delete`` everything in it is shipped, and it goes."""
        if not delete:
            self.settle()
        with self._flushing, self._lock:
            if self._file < 0:
                return
            if delete:
                self.path.unlink(missing_ok=True)
            self._map.close()
            os.close(self._file)
            self._file, self._size = -1, 0

    def abandon(self) -> None:
        """In a forked child: close our copies without a word to the file, which is the parent's."""
        # The parent's may have been held by threads that this process doesn't have.
        self._lock, self._flushing = threading.Lock(), threading.Lock()
        self._map.close()
        with contextlib.suppress(OSError):  # a child that closed all descriptors has closed this one too
            os.close(self._file)
        self._file, self._size = -1, 0


def read_header(path: Path) -> JournalHeader:
    """Who wrote a journal. Raises ``Invalid`` for a file that is none."""
    with path.open("rb") as file:
        content = file.read(_HEADER_BYTES)
    begin = len(_MAGIC) + 4
    if not content.startswith(_MAGIC):
        raise Invalid(f"{path} is not a journal that this Clew can read")
    return msgspec.json.decode(content[begin : begin + int.from_bytes(content[len(_MAGIC) : begin], "little")], type=JournalHeader)


def dead_journals(folder: Path) -> list[Path]:
    """The journals in a folder, oldest first; those of living writers are among them until ``adopt`` says so."""
    return sorted(folder.glob("*.journal"))


def _is_text(text: str) -> bool:
    """Whether every database keeps it: no NUL, no half of a surrogate pair."""
    return "\0" not in text and (text.isascii() or text == _readable(text))


def _readable(value: Any) -> Any:  # Any: a JSON value
    """The value with the characters that no database keeps written as escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
    if isinstance(value, Mapping):
        return {_readable(name): _readable(inner) for name, inner in value.items()}
    return [_readable(inner) for inner in value] if isinstance(value, list | tuple) else value


def _encoded(kind: Kind, document: object) -> bytes:
    try:
        content = msgspec.json.encode(document)
        if not holds_nul(content):
            return content
        reason = "it holds a NUL character, which no database keeps"
    except (UnicodeEncodeError, ValueError, OverflowError, TypeError, RecursionError) as error:
        reason = str(error)
    if kind in _NOTED:
        return msgspec.json.encode(_readable(document))
    raise Invalid(f"the {kind.name.lower()} of a run can't be kept: {reason}")


def _flush(file: int) -> None:
    if hasattr(os, "fdatasync"):
        os.fdatasync(file)
    else:  # macOS
        os.fsync(file)


def _unfit(name: str, value: object, step: object) -> Invalid:
    if type(step) is not int:
        return Invalid(f"the step of {name!r} is {step!r}; a step is a whole number")
    return Invalid(f"the metric {name!r} got {value!r}; a metric is a number. Keep text with run.params or run.artifact")


def _reserve(file: int, offset: int, length: int, folder: Path) -> None:
    """Make room for real: writing to a mapping of a full disk would end the process by a signal."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, offset, length)
        else:  # macOS has no such call; zeros reserve as well
            os.pwrite(file, bytes(length), offset)
    except OSError as error:
        if error.errno in (28, 122):  # ENOSPC, EDQUOT
            raise StorageFull(f"the disk of {folder} is full; nothing more of this run can be kept. Free some space") from error
        raise
