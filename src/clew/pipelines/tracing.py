"""What a step read while it ran: files and environment variables, with digests, so that a cached result is used only while they match.

Python's own reads are seen by the audit hook on ``open``. Polars, Arrow and Delta read behind it, so their readers are wrapped while a
step runs, as is ``os.environ``. What is read from inside a C extension by other means, or over the network, is not seen.
"""

import functools
import glob
import hashlib
import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clew.fingerprints import is_project_file
from clew.settings import Settings
from clew.storage.blobs import local_folder

__all__ = ["Trace", "file_state", "listing_state", "matches", "matching_state", "own_folders", "tracing", "variable_state"]

_READERS = {
    "polars": (
        "scan_csv read_csv scan_parquet read_parquet scan_ipc read_ipc scan_ndjson read_ndjson read_json read_excel scan_delta read_delta "
        "read_csv_batched read_avro read_ods scan_iceberg"
    ).split(),
    "pyarrow.parquet": ["read_table", "ParquetFile", "ParquetDataset"],
    "pyarrow.csv": ["read_csv", "open_csv"],
    "pyarrow.dataset": ["dataset"],
    "pyarrow.feather": ["read_table", "read_feather"],
    "pyarrow": ["memory_map", "OSFile"],
    "deltalake": ["DeltaTable"],
}
_LISTING = "names:"
_PASSED_THROUGH = {
    "os.py",
    "_collections_abc.py",
    "pathlib.py",
    "_local.py",
    "glob.py",
    "_glob.py",
    "<frozen os>",
    "<frozen _collections_abc>",
    "<frozen glob>",
}
"""Files of the standard library through which a user's code asks for names and variables."""
_CODE = (".py", ".pyc", ".so", ".pyd", ".pyi", ".egg-link", ".pth")
_active: list["Trace"] = []
_undo: list[Callable[[], None]] = []
_lock = threading.RLock()
_hooked = False


@dataclass
class Trace:
    """Paths, patterns and environment variables, each with the digest of what it held; ``absent`` for what was not there."""

    root: Path
    ignored: tuple[Path, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    patterns: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def saw_file(self, path: str | bytes | os.PathLike[str]) -> None:
        file = Path(os.path.abspath(os.fsdecode(path)))
        key = self._key(file)
        if key not in self.files and self._counts(file):
            self.files[key] = file_state(file)

    def saw_source(self, source: Any) -> None:
        """What a reader was given: paths, and patterns, of which the names that match count beside what they hold."""
        for name in _paths(source):
            if not _is_pattern(name):
                self.saw_file(name)
                continue
            pattern = Path(os.path.abspath(name))
            self.patterns.setdefault(self._key(pattern), matching_state(pattern))
            for found in _matching(pattern):
                self.saw_file(found)
            if os.path.exists(name):  # a reader that knows no patterns, and a file with brackets in its name
                self.saw_file(name)

    def saw_listing(self, path: Any) -> None:
        """A folder that was listed: which names are in it counts, not what they hold."""
        folder = Path(os.path.abspath(os.fsdecode(path or ".")))
        key = self._key(folder)
        if key not in self.files and self._counts(folder):
            self.files[key] = listing_state(folder)

    def _key(self, file: Path) -> str:
        return str(file.relative_to(self.root)) if file.is_relative_to(self.root) else str(file)

    def _counts(self, file: Path) -> bool:
        """Data that a user's code may read: no code (the fingerprint has it), no library's own files, none of Clew's, no devices."""
        text = str(file)
        if file.suffix in _CODE or text.startswith((sys.prefix, sys.base_prefix, "/proc/", "/sys/", "/dev/", "/etc/")):
            return False
        return "site-packages" not in file.parts and not any(file.is_relative_to(folder) for folder in self.ignored)

    def saw_variable(self, name: str) -> None:
        if name not in self.variables:
            self.variables[name] = variable_state(name)

    def settle(self) -> None:
        """Forget what came and went inside the step: a scratch file that is gone again is no input."""
        for name in [name for name, state in self.files.items() if state != "absent" and not (self.root / name).exists()]:
            del self.files[name]
        for name in [name for name in self.patterns if not _searched(self.root / name).exists()]:
            del self.patterns[name]

    def to_dict(self) -> dict[str, str]:
        """One flat record: ``file <path>``, ``files <pattern>`` and ``variable <name>`` to digests."""
        kinds = {"file": self.files, "files": self.patterns, "variable": self.variables}
        return {f"{kind} {name}": state for kind, seen in kinds.items() for name, state in sorted(seen.items())}


def _paths(source: Any) -> Iterator[str]:  # Any: whatever a reader takes
    if isinstance(source, list | tuple):
        for one in source:
            yield from _paths(one)
    elif isinstance(source, str | os.PathLike):
        text = os.fspath(source)
        text = text.decode(errors="surrogateescape") if isinstance(text, bytes) else text
        if "://" in text and not text.startswith("file://"):
            return
        yield text.removeprefix("file://")


def _is_pattern(text: str) -> bool:
    return any(character in text for character in "*?[")


def _matching(pattern: Path) -> list[str]:
    """The paths that match, as Polars finds them: hidden ones too, and below any folder for ``**``."""
    return sorted(glob.glob(str(pattern), recursive=True, include_hidden=True))


def _searched(pattern: Path) -> Path:
    """The folder in which a pattern looks."""
    return Path(*itertools.takewhile(lambda part: not _is_pattern(part), pattern.parts))


def own_folders(settings: Settings) -> tuple[Path, ...]:
    """Where Clew itself keeps things: what it reads there is no input of a step."""
    storage = local_folder(settings.storage_url)
    return (settings.home,) if storage is None else (settings.home, storage)


def file_state(path: Path) -> str:
    """A file by its content, a folder by the names, sizes and contents below it, ``absent`` where there is nothing."""
    if path.is_dir():
        digest = hashlib.sha256()
        for file in sorted(item for item in path.rglob("*") if item.is_file() and item.suffix not in _CODE):
            digest.update(f"{file.relative_to(path)} {file_state(file)}\n".encode())
        return "folder:" + digest.hexdigest()[:32]
    try:
        with path.open("rb") as file_handle:
            return hashlib.file_digest(file_handle, "sha256").hexdigest()[:32]
    except OSError:
        return "absent"


def listing_state(folder: Path) -> str:
    """The names in a folder, code and hidden files apart."""
    try:
        names = sorted(
            item.name for item in folder.iterdir() if item.suffix not in _CODE and not item.name.startswith((".", "__pycache__"))
        )
    except OSError:
        return "absent"
    return _LISTING + hashlib.sha256("\n".join(names).encode()).hexdigest()[:32]


def matching_state(pattern: Path) -> str:
    """The names that match a pattern, ``absent`` where none does; what they hold is a matter of each file's own state."""
    folder = _searched(pattern)
    found = [os.path.relpath(name, folder) for name in _matching(pattern)]
    return "absent" if not found else hashlib.sha256("\n".join(found).encode(errors="surrogateescape")).hexdigest()[:32]


def variable_state(name: str) -> str:
    """An environment variable by its digest: a value may be a secret, and a record is not the place for it."""
    value = os.environ._data.get(os.environ.encodekey(name)) if hasattr(os.environ, "_data") else None  # past the wrapper
    return "absent" if value is None else hashlib.sha256(value if isinstance(value, bytes) else value.encode()).hexdigest()[:32]


def matches(record: dict[str, str], root: Path) -> str | None:
    """``None`` while everything in a record still holds; else the first thing that does not, in words."""
    for key, state in record.items():
        kind, _, name = key.partition(" ")
        if kind == "variable":
            kind, now = "environment variable", variable_state(name)
        elif kind == "files":
            now = matching_state(root / name)
        else:
            now = listing_state(root / name) if state.startswith(_LISTING) else file_state(root / name)
        if now != state:
            gone = "are gone" if kind == "files" else "is gone"
            return f"the {kind} {name} {gone if now == 'absent' else 'appeared' if state == 'absent' else 'changed'}"
    return None


@contextmanager
def tracing(root: Path, ignored: tuple[Path, ...] = ()) -> Iterator[Trace]:
    """Record what this process reads inside the block. Blocks nest; threads of the process are all seen."""
    trace = Trace(root.resolve(), tuple(folder.resolve() for folder in ignored))
    _install_hook()
    with _lock:
        if not _active:  # the wrappers are put on by the first block and taken off by the last, in whatever order blocks end
            _undo.extend(_wrap_readers() + _wrap_environ())
        _active.append(trace)
    try:
        yield trace
    finally:
        with _lock:
            _active.remove(trace)
            while not _active and _undo:
                _undo.pop()()
        trace.settle()


def _install_hook() -> None:
    global _hooked  # noqa: PLW0603 - an audit hook can't be taken out again, so it is put in once
    with _lock:
        if not _hooked:
            sys.addaudithook(_on_audit)
            _hooked = True


_inside = threading.local()


def _on_audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _active or getattr(_inside, "busy", False):
        return
    if event in ("os.listdir", "os.scandir"):
        if not isinstance(arguments[0], int) and _asked_by_project():
            _report("saw_listing", arguments[0])
        return
    if event != "open":
        return
    path, mode = arguments[0], arguments[1]
    if isinstance(path, int) or (isinstance(mode, str) and any(letter in mode for letter in "wxa")):
        return
    if mode is None and len(arguments) > 2 and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        return
    _report("saw_file", path)


def _report(method: str, value: Any) -> None:
    if getattr(_inside, "busy", False) or threading.current_thread().name.startswith("clew-"):
        return  # the run's own threads read the project too (its source snapshot); that is no input of the step
    _inside.busy = True  # the digests open files themselves
    try:
        for trace in list(_active):
            getattr(trace, method)(value)
    finally:
        _inside.busy = False


def _wrap_readers() -> list[Callable[[], None]]:
    undo: list[Callable[[], None]] = []
    for module_name, names in _READERS.items():
        module = sys.modules.get(module_name)
        if module is None:
            continue
        for name in names:
            original = getattr(module, name, None)
            if original is None:
                continue
            wrapped = _class_watch(original) if isinstance(original, type) else _function_watch(original)
            setattr(module, name, wrapped)
            undo.append(functools.partial(setattr, module, name, original))
    return undo


def _function_watch(original: Any) -> Any:
    @functools.wraps(original)
    def read(*args: Any, **kwargs: Any) -> Any:
        _report("saw_source", args[0] if args else kwargs.get("source"))
        return original(*args, **kwargs)

    return read


def _class_watch(original: Any) -> Any:
    class Watched(original):  # type: ignore[misc]  # the class is known at run time only
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            _report("saw_source", args[0] if args else next(iter(kwargs.values()), None))
            super().__init__(*args, **kwargs)

    Watched.__name__, Watched.__qualname__, Watched.__module__ = original.__name__, original.__qualname__, original.__module__
    return original if original.__name__ in ("OSFile",) else Watched


def _wrap_environ() -> list[Callable[[], None]]:
    kind: Any = type(os.environ)
    original = kind.__getitem__

    def get(self: Any, key: str) -> Any:
        if _active and _asked_by_project():
            _report("saw_variable", key)
        return original(self, key)

    kind.__getitem__ = get
    return [functools.partial(setattr, kind, "__getitem__", original)]


def _asked_by_project() -> bool:
    """Whether the nearest frame that is neither ``os`` nor a mapping's mixin is the user's own; libraries read dozens of variables."""
    frame = sys._getframe(2)
    while frame is not None and Path(frame.f_code.co_filename).name in _PASSED_THROUGH:
        frame = frame.f_back  # type: ignore[assignment]  # None ends the loop
    return frame is not None and any(is_project_file(frame.f_code.co_filename, trace.root) for trace in _active)
