"""A replay's driver is told when something is due next, so that it can bring the rows up to that time and no further."""

from datetime import timedelta

from declaring import START, declare

import clew
from clew import backend as backends
from clew.access.service import get_project
from clew.backend import LocalBackend
from clew.definitions import Condition, TriggerDefinition
from clew.delivery import service as delivery


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
