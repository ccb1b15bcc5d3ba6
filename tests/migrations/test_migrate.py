"""The schema by revisions: fresh equals migrated on both databases, one migrates while others wait, and a newer database is refused."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from clew.errors import Conflict
from clew.migrations.draft import declared_metadata
from clew.migrations.migrate import FOLDER, HEAD, upgrade
from clew.storage.database import Database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty_urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two databases without a table."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'one.db'}", f"sqlite:///{tmp_path / 'two.db'}"
        return
    server = request.getfixturevalue("postgres_url")
    names = [f"empty_{uuid.uuid4().hex[:12]}" for _ in range(2)]
    engine = sa.create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        for name in names:
            connection.exec_driver_sql(f"create database {name}")
    yield f"{server}/{names[0]}", f"{server}/{names[1]}"
    with engine.connect() as connection:
        for name in names:
            connection.exec_driver_sql(f"drop database {name} with (force)")


def shape_of(database: Database) -> dict[str, Any]:
    """All that a database says of its tables, in an order that does not depend on how they were made."""
    inspector = sa.inspect(database.engine)
    return {
        table: {
            "columns": {
                item["name"]: (str(item["type"]), item["nullable"], str(item.get("default"))) for item in inspector.get_columns(table)
            },
            "primary key": inspector.get_pk_constraint(table)["constrained_columns"],
            "foreign keys": sorted((item["constrained_columns"], item["referred_table"]) for item in inspector.get_foreign_keys(table)),
            "unique": sorted((item["name"] or "", item["column_names"]) for item in inspector.get_unique_constraints(table)),
            "indexes": sorted((item["name"] or "", item["column_names"], item["unique"]) for item in inspector.get_indexes(table)),
        }
        for table in sorted(inspector.get_table_names())
        if table != "alembic_version"
    }


def test_a_fresh_schema_equals_a_migrated_one(empty_urls: tuple[str, str]) -> None:
    migrated, fresh = Database(empty_urls[0]), Database(empty_urls[1])
    upgrade(migrated)
    with fresh.engine.begin() as connection:
        declared_metadata().create_all(connection)
    assert shape_of(migrated) == shape_of(fresh)
    with migrated.engine.connect() as connection:
        options = {"compare_type": True, "include_name": lambda name, kind, parents: name != "alembic_version"}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), declared_metadata()) == []
    migrated.dispose()
    fresh.dispose()


def test_migrating_twice_changes_nothing(empty_urls: tuple[str, str]) -> None:
    database = Database(empty_urls[0])
    upgrade(database)
    before = shape_of(database)
    upgrade(database)
    assert shape_of(database) == before
    database.dispose()


def test_head_is_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_a_database_of_a_newer_clew_is_refused_and_left_alone(empty_urls: tuple[str, str]) -> None:
    database = Database(empty_urls[0])
    upgrade(database)
    with database.write() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    with pytest.raises(Conflict, match=r"9999.*newer Clew"):
        upgrade(database)
    database.dispose()


def test_four_processes_that_start_at_once_migrate_once(empty_urls: tuple[str, str]) -> None:
    script = f"from clew.storage.database import Database; Database({empty_urls[0]!r}).migrate()"
    processes = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    database = Database(empty_urls[0])
    with database.read() as connection:
        assert connection.exec_driver_sql("select version_num from alembic_version").scalars().all() == [HEAD]
    database.dispose()
