"""Bring a database to the newest schema, one process at a time."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clew.storage.database import Database

__all__ = ["upgrade"]


def upgrade(database: "Database") -> None:
    from clew.operations import load_all
    from clew.storage.database import metadata

    load_all()
    metadata.create_all(database.engine)
