"""A process of its own that runs one view's function on rows that are handed to it: user code stays out of the server.

The protocol is length-prefixed Arrow IPC, as streams, on standard input and output; nothing is unpickled. The process has no database, no token,
and ends when its input does.
"""

import contextlib
import io
import os
import select
import struct
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from clew.definitions import FunctionRef
from clew.errors import BuildFailed

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FunctionWorker"]

_HEADER = struct.Struct("<cI")
_TIMEOUT_SECONDS = 120.0


class FunctionWorker:
    """Called with the frames of the view's function; answers with what it made. One call at a time; started by the first.

    Raises ``BuildFailed`` with the function's error, or when it takes longer than two minutes; the next call starts it anew.
    """

    def __init__(self, reference: FunctionRef, folder: Path | None) -> None:
        self._reference, self._folder = reference, folder
        self._process: subprocess.Popen[bytes] | None = None
        self._ending: Callable[[], object] = _nothing
        self._lock = threading.Lock()

    def __call__(self, *frames: "pl.DataFrame") -> "pl.DataFrame":
        import polars as pl

        with self._lock:
            process = self._running()
            try:
                assert process.stdin is not None  # opened as a pipe
                for frame in frames:
                    _send(process.stdin, b"f", _to_bytes(frame))
                _send(process.stdin, b"!", b"")
                kind, content = self._answer(process)
            except (OSError, EOFError) as error:
                self._stop()
                raise BuildFailed(f"the process of {self._reference.qualname} ended before it answered") from error
        if kind == b"e":
            raise BuildFailed(content.decode())
        return pl.read_ipc_stream(io.BytesIO(content))

    def start(self) -> None:
        """Start the process now, so that the first call doesn't wait for its imports."""
        with self._lock:
            self._running()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._process.poll() is not None:
            self._stop()  # the pipes of one that died between two calls
            command = [sys.executable, "-m", "clew.feature_store.function_worker", msgspec.json.encode(self._reference).decode()]
            hidden = {name: value for name, value in os.environ.items() if not name.startswith(("CLEW_", "PG"))}
            self._process = subprocess.Popen(
                [*command, str(self._folder or "")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=hidden, cwd=self._folder
            )
            # Also when nobody closes us: at the end of the interpreter, where a pipe left open is a ResourceWarning.
            self._ending = weakref.finalize(self, _end, self._process, os.getpid())
        return self._process

    def _answer(self, process: "subprocess.Popen[bytes]") -> tuple[bytes, bytes]:
        assert process.stdout is not None  # opened as a pipe
        ready, _, _ = select.select([process.stdout], [], [], _TIMEOUT_SECONDS)
        if not ready:
            self._stop()
            raise BuildFailed(f"{self._reference.qualname} took longer than {_TIMEOUT_SECONDS:.0f} s and was stopped")
        return _receive(process.stdout)

    def _stop(self) -> None:
        self._process = None
        self._ending()

    def close(self) -> None:
        """End the process; it ends by itself when this one does."""
        with self._lock:
            self._stop()


def _nothing() -> None:
    """There is no process yet."""


def _end(process: "subprocess.Popen[bytes]", owner: int) -> None:
    if os.getpid() != owner:
        return  # a fork's copy: the process is the parent's
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what was still to be written to a dead process is of no use
                pipe.close()


def _to_bytes(frame: "pl.DataFrame") -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer)
    return buffer.getvalue()


def _send(stream: IO[bytes], kind: bytes, content: bytes) -> None:
    stream.write(_HEADER.pack(kind, len(content)) + content)
    stream.flush()


def _receive(stream: IO[bytes]) -> tuple[bytes, bytes]:
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        raise EOFError
    kind, size = _HEADER.unpack(header)
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return kind, content


def _serve() -> None:
    import polars as pl

    from clew.feature_store.functions import apply, load_function

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the function prints goes to the log, not between the answers
    reference = msgspec.json.decode(sys.argv[1], type=FunctionRef)
    function = load_function(reference, Path(sys.argv[2]) if sys.argv[2] else None)
    while True:
        frames = []
        while True:
            try:
                kind, content = _receive(sys.stdin.buffer)
            except EOFError:
                return
            if kind == b"!":
                break
            frames.append(pl.read_ipc_stream(io.BytesIO(content)))
        try:
            _send(answers, b"f", _to_bytes(apply(reference.qualname, function, frames)))
        except Exception as error:
            _send(answers, b"e", f"{type(error).__name__}: {error}".encode())


if __name__ == "__main__":
    _serve()
