"""A replay's driver is told when something is due next, so that it can bring the rows up to that time and no further."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from declaring import START, declare

import clew
from clew import backend as backends
from clew.access.service import get_project, list_events
from clew.backend import LocalBackend
from clew.definitions import Condition, FunctionRef, ModelDefinition, MonitorDefinition, TriggerDefinition
from clew.delivery import scheduling
from clew.delivery import service as delivery
from clew.errors import Invalid
from clew.sdk import replays
from clew.storage.schema import jobs


def test_moving_says_when_something_is_due_next(backend: LocalBackend) -> None:
    backends.use(backend)
    clock = clew.replay(START)
    assert clock.advance(START) is None, "nothing is declared"
    declare(backend, TriggerDefinition("retrain", "late", (Condition("cron", cron="0 12 * * *"),)))
    due = clock.advance(START)
    assert due is not None
    assert due == backend.call(delivery.list_triggers).items[0].next_at
    assert clock.advance(due - timedelta(seconds=1)) == due
    assert clock.now == due - timedelta(seconds=1)


def test_what_is_due_at_the_time_that_is_moved_to_is_done_and_is_due_no_more(backend: LocalBackend) -> None:
    backends.use(backend)
    clock = clew.replay(START)
    declare(backend, TriggerDefinition("retrain", "late", (Condition("cron", cron="0 12 * * *"),)))
    due = clock.advance(START)
    assert due is not None
    assert clock.advance(due) == due + timedelta(days=1), "a trigger of a model that is not declared asks for nothing"
    moved = backend.call(delivery.advance_clock, due)
    assert (moved.event_time, moved.waiting, moved.next_due) == (due, (), due + timedelta(days=1))
    assert backend.call(get_project).event_time == due


def test_a_build_that_no_server_takes_up_is_said_while_time_stands_still(
    backend: LocalBackend, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    backends.use(backend)
    clock = clew.replay(START)
    model = ModelDefinition("late", "training", {}, None, None, False, FunctionRef("flights", "late", "flights.py"))
    declare(backend, model, TriggerDefinition("retrain", "late", (Condition("cron", cron="0 12 * * *"),)))
    due = clock.advance(START)
    assert due is not None
    monkeypatch.setattr(replays, "_SAY_AFTER_SECONDS", 0.0)

    def end(_: float) -> None:
        """The pause between two questions, in which somebody takes the job away."""
        said = capsys.readouterr().err
        assert said == (
            f"event time stands at {due:%Y-%m-%d %H:%M} UTC and waits for: build of late (queued); "
            "builds are done by the server, and none has taken it up: start `clew up`\n"
        )
        backend.context("test").run_write(lambda inside: inside.db.execute(sa.update(jobs).values(state="failed")))

    monkeypatch.setattr("time.sleep", end)
    clock.advance(due)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("error", [Invalid("its reference is gone"), ValueError("a defect")])
def test_a_monitor_that_cannot_look_holds_up_no_time_and_says_so(
    project: LocalBackend, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(context: object, name: str) -> None:
        raise error

    declare(project, MonitorDefinition("quality", "late"))
    monkeypatch.setattr(scheduling, "look", fail)
    to = START + timedelta(days=3)
    moved = project.call(delivery.advance_clock, to)
    assert (moved.event_time, moved.waiting) == (to, ())
    said = [one.body["reason"] for one in project.call(list_events, limit=1_000).items if one.kind == "monitor.failed"]
    assert said
    assert set(said) == {
        "its reference is gone" if isinstance(error, Invalid) else "a defect of Clew's, ValueError; the server's log says where"
    }
