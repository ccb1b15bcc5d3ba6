"""Everything that a process prints while a run lasts, prints of C libraries and child processes included.

Descriptors 1 and 2 are pointed at two files that only grow; a thread copies what arrives there to where the output went before, and
into the journal. A file and not a pipe: what was written is there after ``kill -9``, whoever reads it, and a slow reader stops nobody.
The price: what a process prints in its last hundredths of a second before it is killed or crashes is in the run and not on the console.
The order within each stream is exact; between the two it is that of the thread's looks, some hundredths of a second apart.
"""

import codecs
import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from clew.tracking.frames import OUTPUT, Kind
from clew.tracking.journal import Journal

__all__ = ["Capture", "output_files", "recover_output"]

_BUSY_SECONDS, _IDLE_SECONDS = 0.02, 0.1
_PIECE_BYTES = 64 << 10
_STREAMS = (1, 2)
_stack: "list[Capture]" = []
"""The captures of this process, the innermost last. Descriptors are the process's own, so only the innermost may end."""


def output_files(journal: Journal) -> dict[int, Path]:
    """Where a writer's output stands until it is shipped."""
    return {1: journal.path.with_suffix(".out"), 2: journal.path.with_suffix(".err")}


class Capture:
    """From ``start`` to ``stop``, output goes to the journal and, as before, to the console."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._thread_id = threading.get_ident()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="clew-output", daemon=True)
        self._before: dict[int, int] = {}
        self._files: dict[int, int] = {}
        self._taken = dict.fromkeys(_STREAMS, 0)
        self._console: dict[int, int] = {}
        self._stacks = contextlib.ExitStack()
        self._pumping = threading.Lock()

    def start(self) -> bool:
        """Whether output is captured: not where another thread's run has it already, or the process has no output at all."""
        if _stack and _stack[-1]._thread_id != self._thread_id:
            return False
        outer = _stack[-1] if _stack else None
        try:
            self._before = {stream: os.dup(stream) for stream in _STREAMS}
        except OSError:  # a daemon without descriptors 1 and 2
            return False
        if outer is not None:
            outer.pump()
        self._console = outer._console if outer is not None else self._before
        _flush()
        for stream, path in output_files(self._journal).items():
            self._files[stream] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            os.dup2(self._files[stream], stream)
        self._stacks.enter_context(_by_line())
        for stream, name in ((1, "stdout"), (2, "stderr")):
            self._stacks.enter_context(_tee(self._journal, stream, name))
        _stack.append(self)
        self._thread.start()
        return True

    def pump(self) -> int:
        """Copy what has arrived; the number of bytes. The thread calls it, and the end of the run once more."""
        with self._pumping:
            return sum(self._pump(stream) for stream in self._files)

    def _pump(self, stream: int) -> int:
        moved = 0
        while piece := os.pread(self._files[stream], _PIECE_BYTES, self._taken[stream]):
            whole = _whole_text(piece, final=self._stopping.is_set())
            if not whole:
                break
            self._journal.output(stream, self._taken[stream], whole)
            self._taken[stream] += len(whole)
            moved += len(whole)
            with contextlib.suppress(OSError):  # the console may be gone (a closed terminal, a broken pipe); the run keeps its output
                _write_all(self._console[stream], whole)
        return moved

    def _follow(self) -> None:
        wait = _BUSY_SECONDS
        while not self._stopping.wait(wait):
            try:
                wait = _BUSY_SECONDS if self.pump() else min(_IDLE_SECONDS, wait * 1.5)
            except Exception as error:  # a full disk: the output stays in its file, and the console gets the word
                with contextlib.suppress(OSError):
                    os.write(self._before[2], f"clew: the output of {self._journal.header.run_id} is kept no longer: {error}\n".encode())
                return

    def stop(self) -> None:
        """Give the descriptors back; all output so far is in the journal."""
        if not self._files:
            return
        while _stack[-1] is not self:  # an outer run that ends first ends what it holds
            _stack[-1].stop()
        _flush()
        self._stacks.close()
        self._stopping.set()
        self._thread.join()
        for stream, before in self._before.items():
            os.dup2(before, stream)
        self.pump()
        for file in (*self._files.values(), *self._before.values()):
            os.close(file)
        self._files, self._before = {}, {}
        _stack.remove(self)

    def forget(self) -> None:
        """In a forked child: the parent's thread copies what we print too, as the files are shared; only the objects go."""
        self._stacks.close()
        self._files, self._before = {}, {}
        if self in _stack:
            _stack.remove(self)


def recover_output(journal: Journal) -> None:
    """Add to a dead writer's journal what it printed and its thread had not taken yet."""
    taken = dict.fromkeys(_STREAMS, 0)
    for item in journal.frames():
        if item.kind is Kind.OUTPUT:
            stream, offset, _ = OUTPUT.unpack_from(item.payload)
            if stream not in taken:
                continue
            taken[stream] = max(taken[stream], offset + len(item.payload) - OUTPUT.size)
    for stream, path in output_files(journal).items():
        if path.exists():
            with path.open("rb") as file:
                file.seek(taken[stream])
                while piece := file.read(_PIECE_BYTES):
                    whole = _whole_text(piece, final=len(piece) < _PIECE_BYTES)
                    file.seek(len(whole) - len(piece), os.SEEK_CUR)
                    journal.output(stream, taken[stream], whole)
                    taken[stream] += len(whole)


def _whole_text(piece: bytes, *, final: bool) -> bytes:
    """The piece without a character that has only begun; ``final`` takes it as it is."""
    if final:
        return piece
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(piece)
    pending = len(decoder.getstate()[0])
    return piece[: len(piece) - pending] if pending else piece


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):  # a closed stream has nothing to flush
                stream.flush()


@contextlib.contextmanager
def _by_line() -> Iterator[None]:
    """A file is buffered by blocks; by lines, what was printed is in the file when the line ends, and survives a kill."""
    changed = []
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and not getattr(stream, "line_buffering", True):
            reconfigure(line_buffering=True)
            changed.append(reconfigure)
    try:
        yield
    finally:
        for reconfigure in changed:
            reconfigure(line_buffering=False)


class _Tee:
    """Stands for a ``sys.stdout`` that is not descriptor 1 (a notebook, a test): passes all on, and writes a copy into the journal."""

    def __init__(self, stream: TextIO, journal: Journal, number: int) -> None:
        self._stream = stream
        self._journal = journal
        self._number = number

    def write(self, text: str) -> int:
        written = self._stream.write(text)
        if text:
            self._journal.output(self._number, 0, text.encode(errors="replace"))
        return written

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:  # Any: whatever the stream has
        return getattr(self._stream, name)


@contextlib.contextmanager
def _tee(journal: Journal, descriptor: int, name: str) -> Iterator[None]:
    outer = getattr(sys, name)
    stream = outer._stream if isinstance(outer, _Tee) else outer  # an outer run has its own output, not ours
    try:
        ours = stream is None or stream.fileno() == descriptor
    except (OSError, ValueError, AttributeError):
        ours = False
    if ours:
        yield
        return
    tee = _Tee(stream, journal, descriptor + len(_STREAMS))
    setattr(sys, name, tee)
    try:
        yield
    finally:
        if getattr(sys, name) is tee:
            setattr(sys, name, outer)
