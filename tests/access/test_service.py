"""Projects, the event clock, audit rows and idempotency keys."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from clew.access import service as access
from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.catalog.schema import DefinitionDraft
from clew.errors import Conflict, Invalid
from clew.operations import Context, Operation, operation_of
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


def test_a_project_that_lives_by_the_wall_clock_does_not_become_a_replay(backend: LocalBackend) -> None:
    backend.call(catalog.apply_definitions, [DefinitionDraft("dataset", "a", "1", {})])
    with pytest.raises(Conflict, match="open a new project"):
        backend.call(access.set_event_time, event_time=APRIL)


def test_a_time_without_a_zone_is_refused(backend: LocalBackend) -> None:
    with pytest.raises(Invalid, match="no zone"):
        backend.call(access.set_event_time, event_time=datetime(2013, 4, 1))  # noqa: DTZ001 - the point of the test
    backend.call(access.set_event_time, event_time=APRIL)
    with pytest.raises(Invalid, match="no zone"):
        backend.call(access.set_event_time, event_time=datetime(2013, 5, 1))  # noqa: DTZ001


@pytest.mark.parametrize("limit", [-1, 0, 10**6])
def test_a_list_keeps_to_its_limits(backend: LocalBackend, limit: int) -> None:
    for name in "abc":
        backend.call(catalog.apply_definitions, [DefinitionDraft("dataset", name, "1", {})])
    assert len(backend.call(access.list_events, limit=limit).items) == (3 if limit > 0 else 1)


def test_a_key_of_one_request_is_no_key_of_another(backend: LocalBackend) -> None:
    declared = operation_of(access.create_project)
    backend.run(declared, {"slug": "one"}, project="test", key="k")
    with pytest.raises(Conflict, match="another request"):
        backend.run(declared, {"slug": "two"}, project="test", key="k")


def test_a_staged_operation_repeated_by_its_key_acts_once(backend: LocalBackend) -> None:
    calls = []

    def tried(context: Context) -> int:
        calls.append(context.now)
        return len(calls)

    declared = Operation("access.tried", "POST", "/projects/{project}/tried", "test", "staged", tried)
    answers = [backend.run(declared, {}, project="test", key="k") for _ in range(3)]
    assert (answers, len(calls)) == ([1, 1, 1], 1)
