"""The serving process beside the API: started, watched, started again when it dies, and found again when only the API died."""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil

import clew
from clew.admission import EVERY_ADDRESS
from clew.errors import Conflict
from clew.settings import Settings

__all__ = ["ServingChild", "environment_of"]

_log = logging.getLogger("clew.server.serving")
_MODULE = "clew.serving.process"
_LOOK_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_STOP_SECONDS = 10.0


def environment_of(settings: Settings) -> dict[str, str]:
    """The environment in which a child process finds the same folder, database and stores."""
    settings_of_child = {
        "CLEW_HOME": str(settings.home),
        "CLEW_PROJECT": settings.project,
        "CLEW_DATABASE_URL": settings.database_url,
        "CLEW_STORAGE_URL": settings.storage_url,
        "CLEW_ONLINE_URL": settings.online_url,
        "CLEW_DURABILITY": settings.durability,
        **({"CLEW_TOKEN": settings.token} if settings.token else {}),
    }
    return {**{name: value for name, value in os.environ.items() if name != "CLEW_URL"}, **settings_of_child}


@dataclass(frozen=True)
class _Note:
    """What stands in ``<home>/serving.json``: enough to know a process that an earlier API server started."""

    pid: int
    host: str
    port: int
    version: str


class ServingChild:
    """One serving process on a port of its own. It runs in a session of its own: it outlives a killed API, and Ctrl-C reaches it by us."""

    def __init__(self, settings: Settings, host: str, port: int, *, log: str = "auto") -> None:
        self._settings, self._host, self._port, self._style = settings, host, port, log
        self._note_file = settings.home / "serving.json"
        self._stopping = threading.Event()
        self._process: psutil.Process | None = None
        self._thread = threading.Thread(target=self._watch, name="serving-child", daemon=True)
        self.restarts = 0

    def start(self) -> None:
        """Take over the process of a killed server, or start one. Raises ``Conflict`` when a stranger holds the port."""
        self._process = self._adopt()
        if self._process is None:
            _require_free(self._host, self._port)
            self._process = self._launch()
        self._thread.start()

    def missing(self) -> list[str]:
        """What keeps requests from being answered, in words; empty when it listens."""
        address = "127.0.0.1" if self._host in EVERY_ADDRESS else self._host
        try:
            with socket.create_connection((address, self._port), timeout=1):
                return []
        except OSError as error:
            return [f"serving process on port {self._port}: {error.strerror or error}"]

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)
        if self._process is not None:
            _end(self._process)
        self._note_file.unlink(missing_ok=True)

    def _watch(self) -> None:
        pause = _LOOK_SECONDS
        while not self._stopping.wait(_LOOK_SECONDS):
            assert self._process is not None
            if _runs(self._process):
                pause = max(_LOOK_SECONDS, pause * 0.98)  # a process that keeps running earns back its quick restart
                continue
            self.restarts += 1
            _log.warning("the serving process ended; starting another", extra={"restarts": self.restarts})
            if self._stopping.wait(pause):
                return
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            self._process = self._launch()

    def _launch(self) -> psutil.Process:
        command = [sys.executable, "-m", _MODULE, "--host", self._host, "--port", str(self._port), "--log", self._style]
        child = subprocess.Popen(command, cwd=self._settings.root, env=environment_of(self._settings), start_new_session=True)
        _write(self._note_file, _Note(child.pid, self._host, self._port, clew.__version__))
        _log.info("serving process started", extra={"pid": child.pid, "port": self._port})
        return psutil.Process(child.pid)

    def _adopt(self) -> psutil.Process | None:
        """The serving process that a killed server left behind: taken over when it fits, ended when it doesn't."""
        note = _read(self._note_file)
        if note is None:
            return None
        try:
            process = psutil.Process(note.pid)
            ours = _MODULE in process.cmdline() and process.environ().get("CLEW_HOME") == str(self._settings.home)
        except psutil.Error:  # it is gone, or somebody else's by now
            return None
        if not ours or not _runs(process):
            return None
        if (note.host, note.port, note.version) == (self._host, self._port, clew.__version__):
            _log.info("took over the serving process of an earlier server", extra={"pid": note.pid, "port": note.port})
            return process
        _end(process)
        return None


def _require_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Conflict(
                f"the serving process can't listen on {host}:{port} ({error.strerror}); choose another with --serving-port"
            ) from error


def _runs(process: psutil.Process) -> bool:
    try:
        if process.status() != psutil.STATUS_ZOMBIE:
            return bool(process.is_running())
        process.wait(0)  # reap it
    except psutil.Error:  # it is gone
        return False
    return False


def _end(process: psutil.Process) -> None:
    try:
        process.send_signal(signal.SIGTERM)
        process.wait(_STOP_SECONDS)
    except psutil.TimeoutExpired:
        process.kill()
        process.wait(_STOP_SECONDS)
    except psutil.NoSuchProcess:  # it ended by itself meanwhile
        return


def _write(file: Path, note: _Note) -> None:
    part = file.with_suffix(".part")
    part.write_text(json.dumps(vars(note)))
    part.replace(file)


def _read(file: Path) -> _Note | None:
    try:
        return _Note(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):  # no note, or one of another version of Clew
        return None
