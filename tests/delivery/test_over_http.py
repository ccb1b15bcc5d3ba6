"""Rollouts, triggers and jobs of a running server: the same answers, and the same errors, as in the process."""

import time
from datetime import timedelta

import pytest
from declaring import START, STEPS, declare
from small_models import register_model_of

from clew.access.service import set_event_time
from clew.backend import connect
from clew.clock import wall_now
from clew.definitions import Condition, EndpointDefinition, FunctionRef, GuardDefinition, ModelDefinition, TriggerDefinition
from clew.delivery import service as delivery
from clew.errors import Conflict, Invalid, NotFound, Refused
from clew.operations import operation_of
from clew.serving import service as serving
from clew.testing.server import LiveServer


def test_rollouts_and_triggers_are_led_from_afar(live_server: LiveServer) -> None:
    backend = live_server.backend()
    backend.call(set_event_time, START)
    for slope in (1.0, -1.0, 2.0):
        register_model_of(backend, "late", slope=slope)  # type: ignore[arg-type]  # it takes any backend
    declare(
        backend,  # type: ignore[arg-type]
        EndpointDefinition("late", "late", STEPS, GuardDefinition(harm=0.02)),
        ModelDefinition("late", "training", {}, None, None, False, FunctionRef("flights", "late", "flights.py")),
        TriggerDefinition("retrain", "late", (Condition("cron", cron="0 4 2 * *"),)),
    )
    backend.call(serving.deploy_ungated, "late", "late@1", "a test")
    with pytest.raises(Refused, match="no gate has judged late@2"):
        backend.call(delivery.roll_out, "late", "late@2")
    with pytest.raises(Invalid, match="needs a reason"):
        backend.call(delivery.roll_out_ungated, "late", "late@2", " ")
    begun = backend.call(delivery.roll_out_ungated, "late", "late@2", "a test")
    assert begun is not None and begun.state == "running" and begun.guard == GuardDefinition(harm=0.02)
    with pytest.raises(Conflict, match="late@2 is on its way behind 'late' already"):
        backend.call(delivery.roll_out_ungated, "late", "late@3", "a test")
    assert backend.call(delivery.pause_rollout, begun.id, "a holiday").state == "paused"
    with pytest.raises(Conflict, match="only one that runs can be paused"):
        backend.call(delivery.pause_rollout, begun.id)
    assert backend.call(delivery.resume_rollout, begun.id).state == "running"
    assert backend.call(delivery.end_rollout, begun.id, "second thoughts").state == "rolled back"
    with pytest.raises(Conflict, match="has ended: rolled back, second thoughts"):
        backend.call(delivery.resume_rollout, begun.id)
    second = backend.call(delivery.roll_out_ungated, "late", "late@3", "a test")
    assert second is not None
    assert backend.call(delivery.promote_rollout, second.id, "we know it").history[-1].reason == "we know it"
    assert backend.call(delivery.get_rollout, second.id).state == "promoted"
    with pytest.raises(NotFound, match="no rollout 'ro_none' is in the project 'test'"):
        backend.call(delivery.get_rollout, "ro_none")

    first = backend.call(delivery.list_rollouts, limit=1)
    assert ([one.id for one in first.items], first.next_cursor is None) == ([second.id], False)
    rest = backend.call(delivery.list_rollouts, "late", 1, first.next_cursor)
    assert ([one.id for one in rest.items], rest.next_cursor) == ([begun.id], None)
    with pytest.raises(Invalid, match="is not a cursor"):
        backend.call(delivery.list_rollouts, cursor="e30")

    assert backend.call(delivery.pause_trigger, "retrain", "a holiday").reason == "a holiday"
    with pytest.raises(Conflict, match="is paused: a holiday"):
        backend.call(delivery.fire_trigger, "retrain")
    assert backend.call(delivery.resume_trigger, "retrain").state == "active"
    assert [one.name for one in backend.call(delivery.list_triggers).items] == ["retrain"]
    with pytest.raises(Invalid, match="state"):
        backend.call(delivery.list_jobs, state="lost")  # type: ignore[arg-type]
    while backend.call(delivery.advance_clock, START + timedelta(hours=1)).waiting:  # until the serving process has taken the route up
        time.sleep(0.05)


def test_a_build_without_a_snapshot_of_its_code_fails_and_says_what_keeps_one(live_server: LiveServer) -> None:
    """The whole way of a failure: the worker of a real server says it, and the trigger shows it."""
    import time

    from clew.catalog.schema import DefinitionDraft
    from clew.catalog.service import apply_definitions
    from clew.definitions import definition_digest, kind_of, to_document

    backend = live_server.backend()
    backend.call(set_event_time, START)
    found = (
        ModelDefinition("late", "training", {}, None, None, False, FunctionRef("flights", "late", "flights.py")),
        TriggerDefinition("retrain", "late", (Condition("cron", cron="0 4 2 * *"),)),
    )
    drafts = [DefinitionDraft(kind_of(one), one.name, definition_digest(one), to_document(one)) for one in found]
    backend.call(apply_definitions, drafts)
    job = backend.call(delivery.fire_trigger, "retrain", "I want it")
    end = time.monotonic() + 60
    while (job := backend.call(delivery.get_job, job.id)).state in ("queued", "running"):
        assert time.monotonic() < end
        time.sleep(0.1)
    assert (job.state, job.attempt) == ("failed", 1)
    assert job.error == "nothing says which code makes late: it was defined without a source snapshot; `clew apply` keeps one"
    (trigger,) = backend.call(delivery.list_triggers).items
    assert (trigger.barren, trigger.not_improved, trigger.builds[0].outcome) == (1, False, job.error)


def test_a_server_on_the_wall_clock_refuses_to_be_moved(live_server: LiveServer) -> None:
    backend = connect(live_server.url, settings=live_server.settings)
    with pytest.raises(Conflict, match="lives by the wall clock"):
        backend.call(delivery.advance_clock, wall_now() + timedelta(days=365))
    backend.dispose()  # type: ignore[attr-defined]  # both backends have it


@pytest.mark.parametrize(
    ("operation", "permission"),
    [
        (delivery.roll_out, "delivery.roll_out"), (delivery.roll_out_ungated, "serving.deploy_ungated"),
        (delivery.promote_rollout, "serving.deploy"), (delivery.end_rollout, "delivery.roll_out"),
        (delivery.fire_trigger, "code.execute"), (delivery.conclude_build, "delivery.work"), (delivery.list_triggers, "delivery.read"),
    ],
)  # fmt: skip
def test_what_changes_the_route_or_runs_code_asks_for_that_permission(operation: object, permission: str) -> None:
    assert operation_of(operation).permission == permission  # type: ignore[arg-type]
