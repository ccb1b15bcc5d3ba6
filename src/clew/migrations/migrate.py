"""Bring a database to the newest schema."""

import importlib
from typing import TYPE_CHECKING

from clew.operations import SLICES

if TYPE_CHECKING:
    from clew.storage.database import Database

__all__ = ["upgrade"]


def upgrade(database: "Database") -> None:
    """Create what is missing."""
    from clew.storage.database import metadata

    for name in ("storage", *SLICES):
        module = f"clew.{name}.schema"
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name not in (module, f"clew.{name}"):
                raise
    with database.write() as connection:
        if not database.is_sqlite:
            connection.exec_driver_sql("select pg_advisory_xact_lock(1668048247)")
        metadata.create_all(connection)
