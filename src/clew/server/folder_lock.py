"""One server a folder: a lock that the operating system releases however its holder ends."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import psutil

from clew.clock import wall_now
from clew.errors import Conflict

__all__ = ["FolderLock", "server_of"]


class FolderLock:
    """Holds ``<home>/server.lock`` until ``release`` or the end of the process. Raises ``Conflict`` that names the holder."""

    def __init__(self, home: Path, **facts: Any) -> None:  # Any: what the next one should read of the holder, as JSON
        home.mkdir(parents=True, exist_ok=True)
        self._file = (home / "server.lock").open("a+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _read(home)
            self._file.close()
            who = f"process {holder['pid']}, {holder['url']}" if holder else "another process"
            raise Conflict(
                f"a Clew server already serves {home} ({who}); use that one, or stop it first. CLEW_HOME names another folder", **holder
            ) from error
        self._file.truncate(0)
        self._file.write(json.dumps({"pid": os.getpid(), "since": wall_now().isoformat(), **facts}))
        self._file.flush()

    def release(self) -> None:
        self._file.truncate(0)
        self._file.close()


def server_of(home: Path) -> dict[str, Any]:
    """What the running server of a folder says of itself; empty where none runs."""
    facts = _read(home)
    # Not by trying the lock: a server that starts at this instant would find it taken.
    return facts if facts and psutil.pid_exists(int(facts["pid"])) else {}


def _read(home: Path) -> dict[str, Any]:
    try:
        found = json.loads((home / "server.lock").read_text() or "{}")
    except (OSError, ValueError):  # the holder is between taking the lock and writing its facts
        return {}
    return found if isinstance(found, dict) else {}
