"""A run that is being recorded: what a script holds between ``with clew.run()`` and the end of the block."""

import hashlib
import random
import secrets
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import msgspec

from clew.clock import wall_now
from clew.errors import Invalid, Pruned
from clew.identifiers import run_name
from clew.tracking.frames import Kind

__all__ = ["Recorder", "Run", "current_run", "seed_generators"]

Number = Any
"""Whatever ``float()`` takes: numbers of Python, numpy, torch. Checked when it is written."""


class Recorder(Protocol):
    """Where a run writes. Thread-safe; a call that returned is kept."""

    run_id: str

    def point(self, name: str, value: float, step: int | None) -> int:
        """Keep one value of a metric, and give the step that it got."""
        ...

    def settle(self) -> None:
        """Where the settings ask for it, wait until every point so far outlives a power cut. The other calls wait by themselves."""
        ...

    def document(self, kind: Kind, document: dict[str, Any]) -> None: ...

    def artifact(self, name: str, source: bytes | Path) -> None: ...

    def flush(self, timeout_seconds: float) -> None:
        """Everything kept so far can be read by others."""
        ...

    def close(self, end: dict[str, Any]) -> None: ...


class Run:
    """An execution that is recorded. Thread-safe. As a context manager it is the current run, and ends with the block.

    Ends as ``finished``; as ``failed`` with the traceback when the block raises, ``pruned`` on ``clew.Pruned``, ``stopped`` on Ctrl-C.
    """

    def __init__(self, recorder: Recorder, *, seed: int | None = None) -> None:
        self._recorder = recorder
        self.id = recorder.run_id
        self.name = run_name(self.id)
        self.observer: Callable[[Mapping[str, float], int], None] | None = None
        """Called after each ``log`` with what was logged and its step; it may raise ``Pruned``. A study's trial sets it."""
        self.prefix = ""
        """What the names of its metrics begin with. A build sets it where figures must not be taken for those of another fit."""
        self._seed = secrets.randbits(31) if seed is None else seed
        self._given_seed = seed is not None
        self._token: Token[Run | None] | None = None
        self._ended = False

    def __repr__(self) -> str:
        return f"<run {self.id} {self.name}>"

    # ── what a script calls ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def log(self, values: Mapping[str, Number] | None = None, /, *, step: int | None = None, **named: Number) -> None:
        """Keep values of metrics: ``run.log(loss=0.31, step=1)`` or ``run.log({"train/loss": 0.3}, step=1)``.

        When it has returned, the values survive ``kill -9`` of this process. Without a step each metric counts its own, from 0.
        """
        if values is not None:
            named = {**values, **named}
        if self.prefix:
            named = {f"{self.prefix}{name}": value for name, value in named.items()}
        point = self._recorder.point
        taken = 0
        for name, value in named.items():
            taken = point(name, value, step)
        self._recorder.settle()  # once a call, not once a value
        if self.observer is not None:
            self.observer({name: float(value) for name, value in named.items()}, taken)

    def params(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> None:
        """Keep parameters; a name that was there gets the new value."""
        found = {**(values or {}), **named}
        if found:
            self._recorder.document(Kind.PARAMS, _plain(found, "parameter"))

    def tags(self, values: Mapping[str, str] | None = None, /, **named: str) -> None:
        """Keep tags: words to find the run by."""
        found = {**(values or {}), **named}
        if found:
            self._recorder.document(Kind.TAGS, {name: str(value) for name, value in _plain(found, "tag").items()})

    def artifact(self, source: bytes | str | Path, name: str | None = None) -> None:
        """Keep a file (by path), or bytes under a name. Copied before this returns; the file may change or go then."""
        if isinstance(source, bytes):
            if name is None:
                raise Invalid("bytes need a name: run.artifact(content, 'report.html')")
        else:
            source = Path(source)
            if not source.is_file():
                raise Invalid(f"there is no file {source}; run.artifact takes a file's path, or bytes and a name")
        self._recorder.artifact(_artifact_name(name or Path(str(source)).name), source)

    def facts(self, document: Mapping[str, Any]) -> None:
        """Keep what the run was made in, by topic; later documents add to earlier ones."""
        self._recorder.document(Kind.FACTS, _plain(document, "fact"))

    def seed(self, stream: str) -> int:
        """A seed of its own for a named use, such as ``run.seed("split")``: it depends on the run's seed and the name only. Recorded."""
        value = int.from_bytes(hashlib.sha256(f"{self._seed}/{stream}".encode()).digest()[:4])
        self.facts({"seeds": {"run": self._seed, stream: value}})
        return value

    def flush(self, timeout_seconds: float = 30.0) -> None:
        """Wait until everything is committed. Raises ``Unavailable`` when the backend can't be reached; nothing is lost then."""
        self._recorder.flush(timeout_seconds)

    # ── its life ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        with _open_lock:
            _open.append(self)
        if self._given_seed:
            seed_generators(self._seed)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._token is not None:
            _leave(self, self._token)
            self._token = None
        if error is None:
            self.finish()
        elif isinstance(error, Pruned):
            self.finish("pruned", str(error) or None)
        elif isinstance(error, KeyboardInterrupt):
            self.finish("stopped")
        elif isinstance(error, SystemExit) and error.code in (None, 0):
            self.finish()
        else:
            self.finish("failed", "".join(traceback.format_exception(kind, error, trace)))

    def finish(self, status: str = "finished", error: str | None = None) -> None:
        """End it; what the block does by itself. A second call does nothing."""
        if self._ended:
            return
        self._ended = True
        self._recorder.close({"status": status, "ended_at": wall_now(), "error": error})


_current: ContextVar[Run | None] = ContextVar("clew_run", default=None)
_open: list[Run] = []
_open_lock = threading.Lock()


def current_run() -> Run | None:
    """The run of the block that we are in; in a thread that was started inside of one, the innermost run of the process."""
    run = _current.get()
    if run is None and _open and threading.current_thread() is not threading.main_thread():
        return _open[-1]
    return run


def _leave(run: Run, token: Token[Run | None]) -> None:
    try:
        _current.reset(token)
    except ValueError:  # entered in another context, such as an asynchronous generator's
        _current.set(None)
    with _open_lock:
        _open.remove(run)


def seed_generators(seed: int) -> None:
    """Seed the global generators of Python, and of numpy and torch where they are loaded."""
    random.seed(seed)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(seed % 2**32)
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(seed)


def _artifact_name(name: str) -> str:
    if not name or len(name) > 500 or name.startswith("/") or ".." in name.split("/") or "\\" in name or "\0" in name:
        raise Invalid(f"{name!r} can't name an artifact; use a relative path such as plots/roc.png")
    return name


def _plain(values: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The values as JSON can keep them: numbers of numpy and torch as numbers, anything else that JSON lacks by its words."""
    names: list[Any] = list(values)  # Any: what a caller's mapping holds is checked here
    for name in names:
        if not isinstance(name, str) or not name or len(name) > 250:
            raise Invalid(f"{name!r} can't name a {what}: use text of 1 to 250 characters")
    return {name: msgspec.to_builtins(value, enc_hook=_in_words, str_keys=True) for name, value in values.items()}


def _in_words(value: Any) -> Any:
    item = getattr(value, "item", None)
    if callable(item):
        try:
            return item()
        except (TypeError, ValueError, RuntimeError):  # an array of several values has no single item
            return str(value)
    return str(value)
