"""A serving process of its own for a test, on a free port."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from clew.ports import free_port
from clew.settings import Settings


@contextmanager
def serving(settings: Settings, *arguments: str) -> Iterator[tuple[httpx.Client, "subprocess.Popen[bytes]"]]:
    """A serving process on a free port, ended at the end."""
    port = free_port()
    environment = os.environ | {
        "CLEW_HOME": str(settings.home), "CLEW_PROJECT": settings.project, "CLEW_DATABASE_URL": settings.database_url,
    }  # fmt: skip
    command = [sys.executable, "-m", "clew.serving.process", "--port", str(port), *arguments]
    process = subprocess.Popen(command, env=environment, cwd=settings.root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            wait(lambda: client.get("/healthz").is_success, process)
            yield client, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        assert process.stderr is not None
        process.stderr.close()


def wait(condition: Callable[[], bool], process: "subprocess.Popen[bytes]", seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            assert process.stderr is not None
            raise AssertionError(f"the serving process ended with {process.returncode}: {process.stderr.read().decode()}")
        try:
            if condition():
                return
        except httpx.TransportError:
            pass  # it does not listen yet
        time.sleep(0.05)
    raise AssertionError("it did not come true")
