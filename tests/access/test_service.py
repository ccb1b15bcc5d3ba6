"""Projects, the event clock, audit rows and idempotency keys."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from clew.access import service as access
from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.catalog.schema import DefinitionDraft
from clew.errors import Conflict, Invalid
from clew.operations import operation_of
from clew.storage.schema import audit

APRIL = datetime(2013, 4, 1, tzinfo=UTC)


def test_a_project_follows_the_wall_clock(backend: LocalBackend) -> None:
    assert backend.call(access.get_project).event_time is None


def test_a_replay_moves_forwards_only(backend: LocalBackend) -> None:
    backend.call(access.set_event_time, event_time=APRIL)
    backend.call(access.set_event_time, event_time=APRIL + timedelta(hours=1))
    with pytest.raises(Conflict, match="only moves forwards"):
        backend.call(access.set_event_time, event_time=APRIL)


def test_events_carry_the_projects_event_time(backend: LocalBackend) -> None:
    backend.call(access.set_event_time, event_time=APRIL)
    backend.call(catalog.apply_definitions, [DefinitionDraft("dataset", "a", "1", {})])
    assert [event.at for event in backend.call(access.list_events).items] == [APRIL]


def test_a_replay_without_a_time_is_refused(backend: LocalBackend) -> None:
    with pytest.raises(Invalid, match="event_time"):
        backend.call(access.create_project, slug="other", clock="replay")


def test_every_write_leaves_one_audit_row(backend: LocalBackend) -> None:
    backend.call(catalog.apply_definitions, [DefinitionDraft("dataset", "a", "1", {})])
    with backend.database.read() as connection:
        rows = connection.execute(sa.select(audit.c.operation).where(audit.c.operation == "catalog.apply_definitions")).all()
    assert len(rows) == 1


def test_a_failed_write_leaves_nothing(backend: LocalBackend) -> None:
    with pytest.raises(Conflict):
        backend.call(catalog.apply_definitions, [DefinitionDraft("dataset", "a", "1", {}), DefinitionDraft("model", "a", "1", {})])
    with backend.database.read() as connection:
        assert connection.execute(sa.select(audit).where(audit.c.operation == "catalog.apply_definitions")).all() == []


def test_a_repeated_key_answers_with_the_first_response(backend: LocalBackend) -> None:
    declared = operation_of(access.create_project)
    first = backend.run(declared, {"slug": "other"}, project="test", key="k1")
    assert backend.run(declared, {"slug": "other"}, project="test", key="k1") == first
    with pytest.raises(Conflict, match="use a fresh one"):
        backend.run(operation_of(catalog.apply_definitions), {"drafts": []}, project="test", key="k1")
