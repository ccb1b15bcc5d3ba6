"""Fixtures that every test may use: real databases, a real server."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from clew import backend as backends
from clew.backend import LocalBackend
from clew.sdk import declarations
from clew.settings import Settings, load_settings

_PORT_SECONDS = 30


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(autouse=True)
def _clean_slate(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees another's declarations, current backend or environment."""
    for name in list(os.environ):
        if name.startswith("CLEW_"):
            monkeypatch.delenv(name)
    declarations.forget()
    backends.use(None)
    yield
    declarations.forget()
    backends.use(None)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings over an empty folder, project ``test``."""
    return replace(load_settings(tmp_path, {}), project="test")


def _postgres_programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [Path(path) for path in [shutil.which("initdb")] if path]
    if not found:
        pytest.fail("PostgreSQL is not installed; `apt-get install postgresql` (or your system's package) brings it", pytrace=False)
    return found[-1].parent


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL of our own, on loopback, without a database name."""
    programs, port = _postgres_programs(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="clew-pg-"))
    user: dict[str, str] = {}
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "postgres", "postgres")
        user = {"user": "postgres", "group": "postgres"}
    run = {"cwd": folder, "check": True, "capture_output": True, **user}
    subprocess.run([programs / "initdb", "-D", folder / "data", "-U", "clew", "-A", "trust", "-E", "UTF8"], **run)  # type: ignore[call-overload]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off -c max_connections=200"
    subprocess.run([programs / "pg_ctl", "-D", folder / "data", "-o", options, "-l", folder / "log", "-w", "start"], **run)  # type: ignore[call-overload]
    yield f"postgresql://clew@127.0.0.1:{port}"
    subprocess.run([programs / "pg_ctl", "-D", folder / "data", "-m", "immediate", "stop"], **run)  # type: ignore[call-overload]
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """A fresh database on the session's server."""
    name = f"t{uuid.uuid4().hex[:12]}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(f"create database {name}")
    yield f"{postgres_server}/{name}"
    with psycopg.connect(f"{postgres_server}/postgres", autocommit=True) as connection:
        connection.execute(f"drop database {name} with (force)")


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest, settings: Settings) -> Iterator[LocalBackend]:
    """A migrated backend with the project ``test``, on each database."""
    if request.param == "postgresql":
        settings = replace(settings, database_url=request.getfixturevalue("postgres_url"))
    made = LocalBackend(settings).prepare()
    yield made
    made.dispose()


@pytest.fixture
def local_backend(settings: Settings) -> Iterator[LocalBackend]:
    """A migrated backend on SQLite, made the current one: for tests of what lies above the database."""
    made = LocalBackend(settings).prepare()
    backends.use(made)
    yield made
    made.dispose()


def wait_for_port(port: int, process: "subprocess.Popen[bytes]") -> None:
    """Until the process listens, or it is plain that it won't."""
    end = time.monotonic() + _PORT_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AssertionError(f"the process ended with {process.returncode} before it listened")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on port {port} after {_PORT_SECONDS} s")
