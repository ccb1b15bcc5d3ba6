"""A rollout by its rules, on both databases: step by step in event time, held, promoted, ended by a person, a guard or another deploy."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from declaring import START, STEPS, declare

from clew.access.service import get_project, list_events
from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.clock import wall_now
from clew.definitions import EndpointDefinition
from clew.delivery import service as delivery
from clew.delivery.schema import Rollout, rollouts
from clew.errors import Conflict, Invalid, NotFound, Refused
from clew.serving import service as serving
from clew.serving.schema import Route


def start(project: LocalBackend, reference: str = "late@2") -> Rollout:
    rollout = project.call(delivery.roll_out_ungated, "late", reference, "a test")
    assert rollout is not None
    return rollout


def after(project: LocalBackend, **span: float) -> Rollout:
    """The newest rollout when so much event time has passed since the start."""
    moved = project.call(delivery.advance_clock, START + timedelta(**span))
    assert moved.waiting == ()
    return project.call(delivery.list_rollouts).items[0]


def route(project: LocalBackend) -> Route:
    return project.call(serving.endpoint_status, "late").route


def shares(project: LocalBackend) -> list[float | None]:
    routes = project.call(serving.route_history, "late").items
    return [None if one.candidate is None else one.candidate.share for one in reversed(routes)]


def test_a_version_goes_through_shadow_and_canary_to_promotion(project: LocalBackend) -> None:
    begun = start(project)
    assert (begun.state, begun.step, begun.step_ends_at) == ("running", 0, START + timedelta(days=2))
    assert after(project, days=1, hours=23).step == 0
    canary = after(project, days=2)
    assert (canary.step, canary.step_ends_at) == (1, START + timedelta(days=9))
    assert after(project, days=8, hours=23).state == "running"
    promoted = after(project, days=10)
    assert (promoted.state, promoted.ended_at) == ("promoted", START + timedelta(days=9))
    assert shares(project) == [None, 0.0, 0.1, None]
    assert str(route(project).ref) == "late@2"
    assert project.call(catalog.resolve, "late@champion").number == 2
    assert [event.reason for event in promoted.history][-1] == "every step is over"


def test_a_jump_of_the_clock_takes_every_step_at_its_own_time(project: LocalBackend) -> None:
    start(project)
    jumped = after(project, days=60)
    assert [(event.state, event.step, event.at - START) for event in jumped.history] == [
        ("running", 0, timedelta(0)), ("running", 1, timedelta(days=2)), ("promoted", 1, timedelta(days=9)),
    ]  # fmt: skip


def test_time_stands_still_while_it_is_paused_and_the_step_gets_it_back(project: LocalBackend) -> None:
    begun = start(project)
    after(project, days=1)
    assert project.call(delivery.pause_rollout, begun.id, "a holiday").state == "paused"
    assert after(project, days=20).step == 0
    resumed = project.call(delivery.resume_rollout, begun.id)
    assert resumed.step_ends_at == START + timedelta(days=21)
    assert after(project, days=21).step == 1
    assert [event.reason for event in after(project, days=21).history][1:3] == ["a holiday", "resumed by hand"]


def test_a_person_may_promote_at_once(project: LocalBackend) -> None:
    begun = start(project)
    promoted = project.call(delivery.promote_rollout, begun.id, "we know it well")
    assert (promoted.state, str(route(project).ref), route(project).candidate) == ("promoted", "late@2", None)


def test_a_person_may_end_it_and_the_version_is_not_marked(project: LocalBackend) -> None:
    begun = start(project)
    ended = project.call(delivery.end_rollout, begun.id, "second thoughts")
    assert (ended.state, ended.history[-1].reason, route(project).candidate) == ("rolled back", "second thoughts", None)
    assert project.call(catalog.get_version, "late", 2).state == "ready"
    with pytest.raises(Conflict, match="has ended: rolled back, second thoughts"):
        project.call(delivery.promote_rollout, begun.id)


def test_what_serving_closed_ends_the_rollout_and_marks_the_version(project: LocalBackend) -> None:
    begun = start(project)
    project.call(serving.close_candidate, "late", route(project).epoch, "2 of 2 rows failed", "guard")
    ended = after(project, days=1)
    assert (ended.id, ended.state, ended.history[-1].by) == (begun.id, "rolled back", "guard")
    marked = project.call(catalog.get_version, "late", 2)
    assert (marked.state, marked.state_reason) == ("rejected", "rolled back from late: 2 of 2 rows failed")
    assert [event.kind for event in project.call(list_events).items].count("rollout.ended") == 1


@pytest.mark.parametrize("clock", [timedelta(hours=20), timedelta(hours=30)], ids=["before the clock moves", "after it has moved"])
def test_what_serving_closed_is_noted_at_the_time_of_its_row_whenever_the_word_comes(project: LocalBackend, clock: timedelta) -> None:
    """A replay asks ahead of its clock, and its next move races with the serving process's word."""
    start(project)
    asked = START + timedelta(hours=25)
    after(project, seconds=clock.total_seconds())
    project.call(serving.close_candidate, "late", route(project).epoch, "out of bounds", "guard", asked)
    ended = after(project, hours=30)
    assert (ended.state, ended.ended_at, ended.history[-1].at) == ("rolled back", asked, asked)
    told = {event.kind: event.at for event in project.call(list_events).items}
    assert {told[kind] for kind in ("candidate.closed", "route.changed", "rollout.ended")} == {asked}


def test_on_the_wall_clock_nothing_is_noted_at_a_time_to_come(backend: LocalBackend, register: Callable[..., object]) -> None:
    for slope in (1.0, -1.0):
        register(backend, "late", slope=slope)
    declare(backend, EndpointDefinition("late", "late", STEPS))
    backend.call(serving.deploy_ungated, "late", "late@1", "a test")
    start(backend)
    far = wall_now() + timedelta(days=900)
    backend.call(serving.close_candidate, "late", route(backend).epoch, "out of bounds", "guard", far)
    told = next(event for event in backend.call(list_events).items if event.kind == "candidate.closed")
    assert told.at < far - timedelta(days=899)


def test_a_rollback_by_hand_is_a_persons(project: LocalBackend) -> None:
    start(project)
    project.call(serving.rollback, "late", "I saw something")
    ended = after(project, days=1)
    assert (ended.state, ended.history[-1].reason) == ("rolled back", "I saw something")
    assert project.call(catalog.get_version, "late", 2).state == "ready"


def test_another_deploy_supersedes_it_and_its_own_deploy_promotes_it(project: LocalBackend) -> None:
    start(project)
    project.call(serving.deploy_ungated, "late", "late@3", "an emergency")
    assert after(project, days=1).state == "superseded"
    start(project, "late@2")
    project.call(serving.deploy_ungated, "late", "late@2", "now")
    assert after(project, days=2).state == "promoted"


def test_two_at_once_are_a_conflict_that_names_the_first(project: LocalBackend) -> None:
    start(project)
    with pytest.raises(Conflict, match=r"late@2 is on its way behind 'late' already \(running, step 1 of 2, shadow for 2d\)"):
        start(project, "late@3")
    assert len(project.call(delivery.list_rollouts).items) == 1


def test_what_serving_refuses_has_never_begun(project: LocalBackend) -> None:
    with pytest.raises(Refused, match="no gate has judged late@2"):
        project.call(delivery.roll_out, "late", "late@2")
    with pytest.raises(Invalid, match="needs a reason"):
        project.call(delivery.roll_out_ungated, "late", "late@2", "")
    with pytest.raises(NotFound):
        project.call(delivery.roll_out, "late", "late@9")
    assert project.call(delivery.list_rollouts).items == []


def test_without_steps_and_for_the_first_version_it_answers_at_once(project: LocalBackend, register: Callable[..., object]) -> None:
    declare(project, EndpointDefinition("late", "late"))
    assert project.call(delivery.roll_out_ungated, "late", "late@2", "a test") is None
    assert str(route(project).ref) == "late@2"


def test_a_process_that_died_between_row_and_route_is_caught_up_with(project: LocalBackend) -> None:
    """The row is written first; whoever looks next asks serving again."""
    begun = start(project)
    context = project.context(project.project)
    context.run_write(lambda inside: inside.db.execute(sa.update(rollouts).where(rollouts.c.id == begun.id).values(id="ro_later")))
    project.call(serving.close_candidate, "late", route(project).epoch, "as if it had never been")
    looked = after(project, days=1)
    assert (looked.id, looked.state) == ("ro_later", "running")
    candidate = route(project).candidate
    assert candidate is not None
    assert (str(candidate.ref), candidate.salt) == ("late@2", "ro_later")


def test_event_time_waits_for_a_build_and_goes_on_after(project: LocalBackend) -> None:
    moved: list[datetime | None] = [project.call(get_project).event_time]
    later = START + timedelta(hours=5)
    assert project.call(delivery.advance_clock, later).event_time == later
    with pytest.raises(Conflict, match="only moves forwards"):
        project.call(delivery.advance_clock, START)
    assert moved == [START]
