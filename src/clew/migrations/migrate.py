"""Bring a database to the newest schema. Alembic is imported only when there is something to do: every script passes here."""

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from clew.errors import Conflict

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from clew.storage.database import Database

__all__ = ["HEAD", "run_to", "upgrade"]

HEAD = "0001"
"""The newest revision; a test compares it with the files in ``versions/``."""

FOLDER = Path(__file__).parent
_LOCK = 0x636C6578


def upgrade(database: "Database") -> None:
    """Run the revisions that are missing, under an exclusive lock. Raises ``Conflict`` for a database of a newer Clew."""
    with database.engine.connect() as connection:
        if _revision(connection) == HEAD:
            return
    if database.is_sqlite:
        with database.write() as connection:  # BEGIN IMMEDIATE: one writer, and its DDL is rolled back when it dies
            _upgrade_locked(connection)
        return
    with database.engine.connect().execution_options(isolation_level="READ COMMITTED") as connection, connection.begin():
        # Read committed: what the one before us did while we waited for the lock must be seen.
        connection.execute(sa.text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        _upgrade_locked(connection)


def _upgrade_locked(connection: "Connection") -> None:
    found = _revision(connection)
    if found == HEAD:
        return
    if found is not None and not any(FOLDER.glob(f"versions/{found}_*.py")):
        raise Conflict(
            f"the database is at revision {found}, which this Clew does not know; a newer Clew was here. Upgrade this one", revision=found
        )
    run_to(connection, "head")


def run_to(connection: "Connection", revision: str) -> None:
    """Run revisions up to one, in the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, revision)


def _revision(connection: "Connection") -> str | None:
    """The revision that the database is at; ``None`` for an empty one."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("select version_num from alembic_version")).scalar()
    return None if found is None else str(found)
