"""A redis-server of a test's own: Debian's program on a free port of loopback, with a password, writing nothing to disk unless told."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

PASSWORD = "not-to-be-seen"


class RedisServer:
    """``kill`` is ``kill -9``; ``start`` then starts another on the same port, from what is in its folder."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder, self._options = folder, options
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def client(self) -> "redis.Redis":
        return redis.Redis.from_url(self.url)

    def start(self) -> "RedisServer":
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--requirepass", PASSWORD, "--dir", str(self._folder), *self._options]
        if "--save" not in options:
            options += ["--save", ""]
        with (self._folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(["redis-server", *options], stdout=log, stderr=log)
        for _ in range(200):
            try:
                with self.client() as client:
                    client.ping()
                return self
            except redis.ConnectionError:
                assert self.process.poll() is None, (self._folder / "redis.log").read_text()
                time.sleep(0.05)
        raise AssertionError("redis-server did not answer within 10 s")

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


@contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[RedisServer]:
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is missing: apt-get install redis-server (CI has it)")
    folder.mkdir(parents=True, exist_ok=True)
    server = RedisServer(folder, *options)
    try:
        yield server.start()
    finally:
        server.kill()
