"""Who holds a lease: a process, told apart from a later one with the same number, so that a dead holder on this machine is known at once."""

import os
import socket
from pathlib import Path

from clew.identifiers import new_id

__all__ = ["has_died", "new_holder"]


def new_holder() -> str:
    """A fresh holder in this process: host, process, when the process started, and a word of its own."""
    return f"{socket.gethostname()} {os.getpid()} {_started(os.getpid())} {new_id('holder')}"


def has_died(holder: str) -> bool:
    """Whether the process of a holder is known to be gone; ``False`` for one on another machine, or with another's way
    of naming itself, of which nothing is known here."""
    host, _, told = holder.partition(" ")
    pid, _, started = told.rpartition(" ")[0].partition(" ")
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # somebody else's process, so there is one
    # A number is used again: the same process is the one that started at the same moment.
    return _started(int(pid)) != started


def _started(pid: int) -> str:
    """When a process started, in clock ticks since boot; the same text for all where the system doesn't say."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return "0"
