"""What a run is made in: packages, machine, command, and the load while it lasts."""

import functools
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["Sampler", "command_line", "environment_lock", "hardware"]


@functools.cache
def environment_lock() -> str:
    """Every installed distribution as ``name==version``, sorted: a requirements file of what is there. Read once a process."""
    found: dict[str, str] = {}
    for item in metadata.distributions():
        name = item.name
        if name:  # a broken installation leaves folders without a name
            found.setdefault(name.lower().replace("_", "-"), item.version)
    return "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))


def hardware() -> dict[str, Any]:
    """The machine, as JSON."""
    import psutil

    return {
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "host": platform.node(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
    }


def command_line() -> dict[str, Any]:
    """How this process was started, as JSON. Arguments may hold secrets of the user's own making; they are kept as they are."""
    arguments = list(getattr(sys, "orig_argv", sys.argv))
    return {"arguments": arguments, "folder": str(Path.cwd()), "pid": os.getpid(), "python": platform.python_version()}


class Sampler:
    """Takes the load of machine and process every few seconds. Used from one thread only."""

    EVERY_SECONDS = 5.0

    def __init__(self, point: Callable[[str, float, int | None], int]) -> None:
        import psutil

        self._point = point
        self._psutil = psutil
        self._process = psutil.Process()
        self._due = 0.0
        psutil.cpu_percent()  # the first call only starts the measurement
        self._process.cpu_percent()

    def sample(self) -> None:
        """Log one sample when it is time."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self.EVERY_SECONDS
        self._point("system/cpu_percent", self._psutil.cpu_percent(), None)
        self._point("system/memory_used_bytes", self._psutil.virtual_memory().used, None)
        with self._process.oneshot():
            self._point("system/process_cpu_percent", self._process.cpu_percent(), None)
            self._point("system/process_memory_bytes", self._process.memory_info().rss, None)
