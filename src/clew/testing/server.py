"""A real ``clew up`` on free ports, for tests of what talks to a server."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from clew.backend import HttpBackend
from clew.errors import Unavailable
from clew.ports import free_port
from clew.settings import Settings, load_settings

__all__ = ["LiveServer", "live_server"]

_START_SECONDS = 60
_STOP_SECONDS = 20


class LiveServer:
    """A server in its own process over the folder ``root/.clew``. ``kill`` is ``kill -9``; ``start`` then starts it again."""

    def __init__(self, root: Path, project: str, environ: Mapping[str, str], *arguments: str) -> None:
        self.root = root
        self.project = project
        self._arguments = arguments
        self._environ = {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")}
        self._environ |= {"CLEW_PROJECT": project, **environ}
        self._port, self._serving_port = free_port(), free_port()
        self.log = root / "up.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._clients: list[HttpBackend] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def serving_url(self) -> str:
        return f"http://127.0.0.1:{self._serving_port}"

    @property
    def home(self) -> Path:
        return self.settings.home

    @property
    def settings(self) -> Settings:
        """Settings of a client on the server's own folder."""
        return replace(load_settings(self.root, self._environ), url=None)

    def backend(self) -> HttpBackend:
        """A client over HTTP, with a cache folder of its own."""
        settings = replace(load_settings(self.root / "client", self._environ), url=self.url)
        self._clients.append(HttpBackend(settings, self.url))
        return self._clients[-1]

    def start(self) -> "LiveServer":
        ports = ["--port", str(self._port), "--serving-port", str(self._serving_port)]
        command = [sys.executable, "-m", "clew.cli", "up", *ports, "--log", "json", *self._arguments]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, cwd=self.root, env=self._environ, stdout=log, stderr=log)
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise Unavailable(f"`clew up` ended with {self.process.returncode}:\n{self.log.read_text()}")
            if self._ready():
                return self
            time.sleep(0.05)
        self.kill()
        raise Unavailable(f"`clew up` was not ready after {_START_SECONDS} s:\n{self.log.read_text()}")

    def kill(self) -> None:
        """End it as a power cut would: nothing of it gets to run."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise

    def _ready(self) -> bool:
        import httpx

        from clew.server.folder_lock import server_of

        if self.process is None or server_of(self.settings.home).get("pid") != self.process.pid:
            return False
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def live_server(root: Path, *arguments: str, project: str = "test", environ: Mapping[str, str] | None = None) -> Iterator[LiveServer]:
    """A server over ``root/.clew`` that is ready, and stopped at the end with its serving process. ``arguments`` go to ``clew up``."""
    server = LiveServer(root, project, environ or {}, *arguments)
    try:
        yield server.start()
    finally:
        for client in server._clients:
            client.dispose()
        if server.process is not None and server.process.poll() is not None:
            server.start()  # a killed server may have left its serving process; a restart takes it over and ends it in order
        server.stop()
