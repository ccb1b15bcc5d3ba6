"""Draft a revision: the difference between the newest one and the tables that the slices declare. Read the draft before you keep it.

``python -m clew.migrations.draft "what changes"`` writes ``versions/<number>_….py`` and tells to raise ``HEAD``.
"""

import importlib
import sys
from typing import Any, Literal

import sqlalchemy as sa

from clew.migrations.migrate import FOLDER, HEAD, run_to

__all__ = ["declared_metadata", "draft"]


def declared_metadata() -> sa.MetaData:
    """Every table that a slice declares."""
    from clew.operations import SLICES
    from clew.storage.database import metadata

    for name in ("storage", *SLICES):
        module = f"clew.{name}.schema"
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:  # a slice without tables
            if error.name != module:
                raise
    return metadata


def _as_stored(kind: str, item: Any, autogen_context: Any) -> str | Literal[False]:  # Any: alembic's own hook signature
    """Revisions import no live code: our column types stand there as what the database stores."""
    from clew.storage.database import Instant, Json

    if kind == "type" and isinstance(item, Instant):
        return "sa.BigInteger()"
    if kind == "type" and isinstance(item, Json):
        return "sa.Text()"
    return False


def draft(message: str) -> None:
    from alembic import command
    from alembic.config import Config

    number = f"{len(list(FOLDER.glob('versions/[0-9]*.py'))) + 1:04d}"
    with sa.create_engine("sqlite://").connect() as connection:
        if number != "0001":
            run_to(connection, "head")
        attributes = {
            "connection": connection,
            "metadata": declared_metadata(),
            "render_item": _as_stored,
            "render_as_batch": number != "0001",
        }
        config = Config(attributes=attributes)
        config.set_main_option("script_location", str(FOLDER))
        config.set_main_option("path_separator", "os")
        command.revision(config, message=message, autogenerate=True, rev_id=number)
    sys.stdout.write(f"Read versions/{number}_*.py, then set HEAD in migrate.py from {HEAD!r} to {number!r}\n")


if __name__ == "__main__":
    draft(sys.argv[1])
