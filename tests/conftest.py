"""What every test may use: settings in a fresh folder, a backend on SQLite and on PostgreSQL, a real server.

Nothing here is a fake. PostgreSQL is started once a session from Debian's programs, on loopback, without fsync; set
``CLEW_TEST_POSTGRES_URL`` to use one that runs already (each test gets a database of its own in it).
"""

import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from clew import backend as backends
from clew import console
from clew.backend import LocalBackend
from clew.ports import free_port
from clew.sdk import declarations
from clew.settings import Settings, load_settings
from clew.testing.server import LiveServer
from clew.testing.server import live_server as run_live_server

POSTGRES_HINT = "PostgreSQL's server programs are missing: apt-get install postgresql (CI has them)"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the machine lacks skips a test on a person's machine; in CI nothing that could run is skipped."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where nothing may be: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def _clean_slate(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test sees another's declarations, current backend or ``--json``, or a developer's own CLEW_URL."""
    for name in [name for name in os.environ if name.startswith("CLEW_") and not name.startswith("CLEW_TEST_")]:
        monkeypatch.delenv(name)
    declarations.forget()
    backends.use(None)
    console.use_json(False)
    yield
    declarations.forget()
    backends.use(None)


@pytest.fixture
def wait_for() -> Callable[[Callable[[], object]], None]:
    """Waits until a condition holds, for what another process or thread does in its own time."""

    def wait(condition: Callable[[], object]) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, "it did not come true within a minute"
            time.sleep(0.05)

    return wait


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of the project ``test`` in a fresh folder."""
    return replace(load_settings(tmp_path, {}), project="test")


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that has been migrated once, to copy from."""
    folder = tmp_path_factory.mktemp("template")
    backend = LocalBackend(replace(load_settings(folder, {}), project="test")).prepare()
    with backend.database.engine.connect() as connection:
        connection.connection.dbapi_connection.execute("pragma wal_checkpoint(truncate)")  # type: ignore[union-attr]
    backend.dispose()
    return backend.settings.home / "clew.db"


@pytest.fixture
def sqlite_backend(settings: Settings, _migrated_sqlite: Path) -> Iterator[LocalBackend]:
    settings.home.mkdir(parents=True)
    shutil.copy(_migrated_sqlite, settings.home / "clew.db")
    backend = LocalBackend(settings)
    yield backend
    backend.dispose()


@pytest.fixture
def postgres_backend(settings: Settings, postgres_database: str) -> Iterator[LocalBackend]:
    backend = LocalBackend(replace(settings, database_url=postgres_database))
    yield backend
    backend.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def backend(request: pytest.FixtureRequest) -> LocalBackend:
    """A local backend with a migrated schema and the project ``test``, once on each database."""
    found: LocalBackend = request.getfixturevalue("sqlite_backend" if request.param == "sqlite" else "postgres_backend")
    return found


@pytest.fixture
def local_backend(sqlite_backend: LocalBackend) -> LocalBackend:
    """A backend on SQLite that is also the current one: for tests of what lies above the database."""
    backends.use(sqlite_backend)
    return sqlite_backend


@pytest.fixture
def live_server(tmp_path: Path) -> Iterator[LiveServer]:
    """A real ``clew up`` with its serving process, over ``tmp_path/.clew``, project ``test``."""
    with run_live_server(tmp_path) as server:
        yield server


def _postgres_programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``; Debian keeps it out of the PATH."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "postgres").exists()), None)


def _demoted(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root. ``setpriv`` also ends it when this process dies, however it dies."""
    if os.geteuid() == 0:
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT", *command]
    return ["setpriv", "--pdeathsig=INT", *command] if shutil.which("setpriv") else command


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of a real PostgreSQL server, without a database's name."""
    if "CLEW_TEST_POSTGRES_URL" in os.environ:
        yield os.environ["CLEW_TEST_POSTGRES_URL"].rstrip("/")
        return
    programs = _postgres_programs()
    if programs is None:
        pytest.skip(POSTGRES_HINT)
    folder = Path(tempfile.mkdtemp(prefix="clew-pg-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    port = free_port()
    try:
        make = [str(programs / "initdb"), "-D", str(folder / "data"), "-U", "clew", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(_demoted(make), check=True, capture_output=True, cwd="/")
        options = [
            "-c",
            "fsync=off",
            "-c",
            "full_page_writes=off",
            "-c",
            "max_connections=200",
            "-c",
            "shared_buffers=64MB",
            "-c",
            "listen_addresses=127.0.0.1",
        ]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(
                _demoted([str(programs / "postgres"), "-D", str(folder / "data"), "-p", str(port), "-k", str(folder), *options]),
                stdout=log, stderr=log, cwd="/",
            )  # fmt: skip
        try:
            url = f"postgresql+psycopg://clew@127.0.0.1:{port}"
            _wait_for_postgres(url, server, folder / "log")
            yield url
        finally:
            server.terminate()
            server.send_signal(2)  # SIGINT: don't wait for connections that a failed test left open
            server.wait(20)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_postgres(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    engine = sa.create_engine(f"{url}/postgres", poolclass=sa.pool.NullPool)
    for _ in range(150):
        if server.poll() is not None:
            raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}")
        try:
            with engine.connect():
                return
        except sa.exc.OperationalError:
            time.sleep(0.1)
    raise RuntimeError(f"PostgreSQL did not answer within 15 s:\n{log.read_text()}")


def _administer(url: str, *statements: str) -> None:
    engine = sa.create_engine(f"{url}/postgres", poolclass=sa.pool.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


@pytest.fixture(scope="session")
def _migrated_postgres(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database that has been migrated once, to copy from."""
    name = f"template_{uuid.uuid4().hex[:12]}"
    _administer(postgres_url, f"create database {name}")
    settings = replace(load_settings(tmp_path_factory.mktemp("template"), {}), project="test", database_url=f"{postgres_url}/{name}")
    LocalBackend(settings).prepare().dispose()
    return name


@pytest.fixture
def postgres_database(postgres_url: str, _migrated_postgres: str) -> Iterator[str]:
    """The URL of a fresh, migrated database with the project ``test``."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    _administer(postgres_url, f"create database {name} template {_migrated_postgres}")
    yield f"{postgres_url}/{name}"
    _administer(postgres_url, f"drop database {name} with (force)")
