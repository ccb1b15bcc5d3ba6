"""The metadata database: SQLite in WAL mode or PostgreSQL, by URL, through SQLAlchemy Core.

Writers on SQLite open with ``BEGIN IMMEDIATE``: reading and then writing under a plain ``BEGIN`` fails as soon as another process
wrote in between. On PostgreSQL writes are serialisable and a serialisation failure is tried again by ``run_write``.
"""

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Dialect, make_url

from clew.clock import from_micros, to_micros
from clew.errors import ClewError, Invalid, StorageFull, Unavailable

__all__ = ["Database", "Instant", "Json", "metadata"]

Result = TypeVar("Result")

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""Every slice's tables stand in this one MetaData; each slice declares its own in its ``schema.py``."""

_ATTEMPTS = 30
_ATTEMPTS_FREE = 2
_TURNS_KEY = 0x636C6577_7475726E  # "clewturn"
_BUSY_SECONDS = 30
_MISFITS = (OverflowError, UnicodeEncodeError)
"""What a driver raises, by itself or wrapped, for a value that it can't send."""
_SERIALISATION_FAILURES = {"40001", "40P01", "23505"}


class Instant(sa.types.TypeDecorator[datetime]):
    """An aware ``datetime``, kept as microseconds since 1970 in UTC: the same on every database, and it sorts."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_micros(value)


class Json(sa.types.TypeDecorator[Any]):  # Any: a JSON document has any shape; its owner converts it to a dataclass
    """A JSON document as text, encoded by msgspec, so dataclasses and instants may stand in it."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else msgspec.json.decode(value)


class Database:
    """One database. Thread-safe; a process that forks must make its own after the fork.

    Examples
    --------
    >>> database = Database("sqlite://")
    >>> with database.read() as connection:
    ...     connection.scalar(sa.text("select 1"))
    1
    """

    def __init__(self, url: str, *, durability: Literal["process", "full"] = "process") -> None:
        self.url = make_url(url)
        self.name = str(self.url)
        """Tells it from others, without the password; what is kept of a database in memory is kept under it."""
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._durability = durability
        self._turns = threading.Lock()
        if self.is_sqlite:
            self._engine = self._sqlite_engine()
            self._writing: sa.Engine = self._engine.execution_options(begin="begin immediate")
        elif self.url.get_backend_name() == "postgresql":
            self._engine = sa.create_engine(
                self.url.set(drivername="postgresql+psycopg"),
                isolation_level="SERIALIZABLE",
                pool_size=8,
                max_overflow=24,
                pool_pre_ping=True,
            )
            self._writing = self._engine
            if durability == "process":
                sa.event.listen(self._engine, "connect", _relax_commits)
        else:
            raise Invalid(f"the database {self.url.render_as_string()} is not supported; use sqlite:///… or postgresql://…")

    def _sqlite_engine(self) -> sa.Engine:
        in_memory = self.url.database in (None, "", ":memory:")
        if not in_memory:
            Path(str(self.url.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(
            self.url,
            connect_args={"check_same_thread": False, "timeout": _BUSY_SECONDS},
            **({"poolclass": sa.pool.StaticPool} if in_memory else {"pool_size": 8, "max_overflow": 56}),
        )

        def connected(connection: sqlite3.Connection, record: object) -> None:
            connection.isolation_level = None  # we say BEGIN ourselves
            connection.execute("pragma journal_mode = wal")
            connection.execute(f"pragma synchronous = {'full' if self._durability == 'full' else 'normal'}")
            connection.execute("pragma foreign_keys = on")

        def begin(connection: Connection) -> None:
            connection.exec_driver_sql(str(connection.get_execution_options().get("begin", "begin")))

        sa.event.listen(engine, "connect", connected)
        sa.event.listen(engine, "begin", begin)
        return engine

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection inside one read transaction, rolled back at the end."""
        with _translated(), self._engine.connect() as connection:
            if not self.is_sqlite:
                connection.execution_options(postgresql_readonly=True, isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A connection inside one write transaction, committed at the end unless the block raises. Not retried: see ``run_write``."""
        with _translated(), self._writing.connect() as connection, connection.begin():
            yield connection

    def run_write(self, function: Callable[[Connection], Result]) -> Result:
        """``function`` in a write transaction, run again when two writers collided; it must touch nothing but the database."""
        for attempt in range(_ATTEMPTS):
            try:
                with self._turn(attempt), self.write() as connection:
                    return function(connection)
            except sa.exc.DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) not in _SERIALISATION_FAILURES or attempt == _ATTEMPTS - 1:
                    raise
                time.sleep(random.uniform(0, min(0.2, 0.005 * 2**attempt)))
        raise AssertionError("the loop returns or raises")

    @contextmanager
    def _turn(self, attempt: int) -> Iterator[None]:
        """Writers that have collided twice go one after another: left alone, six of them can keep cancelling each other for good.

        The lock is taken before the transaction has its snapshot, by one thread a process, so waiting costs the pool one connection.
        """
        if self.is_sqlite or attempt < _ATTEMPTS_FREE:
            yield
            return
        with self._turns, self._engine.connect().execution_options(isolation_level="READ COMMITTED") as connection, connection.begin():
            connection.execute(sa.text("select pg_advisory_xact_lock(:key)"), {"key": _TURNS_KEY})
            yield

    def migrate(self) -> None:
        """Bring the schema to the newest revision, under an exclusive lock; safe to call from many processes at once."""
        from clew.migrations.migrate import upgrade

        upgrade(self)

    @property
    def engine(self) -> sa.Engine:
        """For migrations; everything else goes through ``read`` and ``write``."""
        return self._engine

    def dispose(self) -> None:
        """Close the connections; one that a thread is still using is closed when that thread gives it back."""
        if not isinstance(self._engine.pool, sa.pool.StaticPool):  # its one connection is every thread's
            sa.event.listen(self._engine, "checkin", _close)
        self._engine.dispose()


def _close(connection: Any, record: Any) -> None:  # Any: a driver's connection, and its place in a pool that is no more
    record.invalidate()


def _relax_commits(connection: Any, record: object) -> None:  # Any: psycopg's connection, which the core does not import
    connection.autocommit = True
    connection.execute("set synchronous_commit = off")
    connection.autocommit = False


@contextmanager
def _translated() -> Iterator[None]:
    """What a caller can mend, or wait for, in our words; the rest flies as it is."""
    try:
        yield
    except (sa.exc.StatementError, *_MISFITS) as error:
        ours = _in_our_words(error)
        if ours is None:
            raise
        raise ours from error


def _in_our_words(error: Exception) -> ClewError | None:
    """``None`` when it is neither the caller's nor the machine's, but a defect of ours."""
    if isinstance(error, OverflowError):
        return Invalid("a number of the request is too large for the database: whole numbers reach 2**63 - 1")
    if isinstance(error, UnicodeEncodeError):
        return Invalid(f"a text of the request holds half of a surrogate pair at {error.start}: {error.object[:40]!a}")
    if isinstance(error, sa.exc.DataError):
        return Invalid(f"a value of the request does not fit the database: {str(error.orig).splitlines()[0]}")
    if isinstance(error, sa.exc.OperationalError):
        return _unavailable(error)
    if isinstance(error, sa.exc.StatementError) and isinstance(error.orig, ClewError):  # of a column's own type
        return type(error.orig)(error.orig.message, **error.orig.details)
    return _in_our_words(error.orig) if isinstance(error, sa.exc.StatementError) and isinstance(error.orig, _MISFITS) else None


def _unavailable(error: sa.exc.OperationalError) -> ClewError | None:
    """The driver's words for *full* and *not there* in ours; ``None`` when it says something else."""
    text = str(error.orig)
    if "disk is full" in text or "disk I/O error" in text or "No space left" in text:
        return StorageFull("the disk of the database is full; nothing of this call was kept. Free some space and try again")
    if "readonly database" in text or "unable to open database file" in text:
        return Unavailable(f"the database can't be written ({text}); make its folder writable, or set CLEW_HOME to one that is")
    if "database is locked" in text:
        return Unavailable(f"the database was busy for {_BUSY_SECONDS} s; try again")
    if "connection" in text.lower() and getattr(error.orig, "sqlstate", None) is None and "sqlite" not in type(error.orig).__module__:
        return Unavailable(f"the database can't be reached: {text.splitlines()[0]}")
    return None
