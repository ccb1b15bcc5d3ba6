"""What a caller can mend is told in our words, whichever layer of the database noticed it first."""

import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from clew.backend import LocalBackend
from clew.clock import wall_now
from clew.errors import Conflict, Invalid
from clew.storage.schema import audit, events, idempotency_keys


def a_row(**changed: Any) -> sa.Insert:
    values = {"project": "test", "actor": "a", "operation": "x", "subject": "s", "at": wall_now()}
    return sa.insert(audit).values(**(values | changed))


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        (lambda: a_row(at=datetime(2013, 1, 1)), "no zone"),  # noqa: DTZ001 - a naive time is what is tested
        (lambda: a_row(subject="half \ud800"), "half of a"),
        (lambda: sa.select(events).where(events.c.sequence > 2**63), "too large|does not fit"),
        (lambda: sa.insert(events).values(sequence=1, project="t", kind="k", subject="s", body={"\ud800": 1}, at=wall_now(), actor="a"), "half of a"),
    ],
    ids=["a time without a zone", "half a pair", "past 64 bits", "half a pair in JSON"],
)  # fmt: skip
def test_a_value_that_no_column_takes_is_invalid(backend: LocalBackend, statement: Callable[[], Any], word: str) -> None:
    with pytest.raises(Invalid, match=word), backend.database.write() as connection:
        connection.execute(statement())


def test_a_nul_in_a_text_is_kept_or_refused_and_never_cut_off(backend: LocalBackend) -> None:
    def write() -> None:
        with backend.database.write() as connection:
            connection.execute(a_row(operation="nul", subject="a\0b"))

    if not backend.database.is_sqlite:
        with pytest.raises(Invalid, match="NUL"):
            write()
        return
    write()
    with backend.database.read() as connection:
        assert connection.scalar(sa.select(audit.c.subject).where(audit.c.operation == "nul")) == "a\0b"


def test_an_error_of_ours_inside_a_block_stays_what_it_is(backend: LocalBackend) -> None:
    with pytest.raises(Conflict, match="mine"), backend.database.write():
        raise Conflict("mine")


def test_a_defect_of_a_statement_is_not_blamed_on_the_caller(backend: LocalBackend) -> None:
    with pytest.raises(sa.exc.IntegrityError), backend.database.write() as connection:
        connection.execute(sa.insert(idempotency_keys).values(key="k", operation=None, at=wall_now()))


def test_a_connection_that_is_in_use_when_the_database_is_disposed_of_closes_when_it_is_given_back(backend: LocalBackend) -> None:
    with backend.database.read() as connection:
        driver: Any = connection.connection.dbapi_connection
        backend.dispose()
        assert connection.scalar(sa.text("select 1")) == 1
    if backend.database.is_sqlite:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            driver.execute("select 1")
    else:
        assert driver.closed
