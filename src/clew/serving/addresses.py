"""Where a serving process listens, for clients."""

import json
import os
from pathlib import Path

from clew.backend import Backend
from clew.errors import Unavailable
from clew.serving import service

__all__ = ["serving_url"]


def serving_url(backend: Backend) -> str:
    """The address of a serving process: ``CLEW_SERVING_URL``, the folder's own, or one that reports. Raises ``Unavailable``."""
    named = os.environ.get("CLEW_SERVING_URL")
    if named:
        return named.rstrip("/")
    if backend.settings.url is None:
        beside = _beside(backend.settings.home / "serving.json")
        if beside is not None:
            return beside
    for process in backend.call(service.list_serving_processes).items:
        if process.alive:
            return process.url
    raise Unavailable("no serving process answers for this project; start one with `clew up` or `clew serve`, or set CLEW_SERVING_URL")


def _beside(note: Path) -> str | None:
    """The process that ``clew up`` started on the folder, where it still runs."""
    try:
        document = json.loads(note.read_text())
        os.kill(int(document["pid"]), 0)
        host = document["host"]
        return f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{int(document['port'])}"  # noqa: S104 - compared, not bound
    except (OSError, ValueError, KeyError, TypeError):  # none there, one of another version, or one that has ended
        return None
