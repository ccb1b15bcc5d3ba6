"""What fires a trigger, what keeps it from asking, what its builds brought, and when it asks no more; on both databases."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from declaring import START as APRIL
from declaring import STEPS, declare
from small_models import register_model_of

from clew.access.service import get_project, list_events, set_event_time
from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.catalog.schema import definitions
from clew.clock import wall_now
from clew.definitions import (
    Condition,
    EndpointDefinition,
    FunctionRef,
    GuardDefinition,
    ModelDefinition,
    MonitorDefinition,
    TriggerDefinition,
)
from clew.delivery import scheduling
from clew.delivery import service as delivery
from clew.delivery.schema import Overdue, Trigger, schedules
from clew.errors import Conflict, Invalid, NotFound
from clew.monitoring.schema import monitor_looks as looks
from clew.operations import Context
from clew.registry.schema import Retraining
from clew.registry.service import retraining
from clew.serving import service as serving
from clew.storage import jobs as queue
from clew.storage.schema import Job, jobs

MODEL = ModelDefinition("late", "training", {}, None, None, False, FunctionRef("flights", "late", "flights.py"))
CRON = Condition("cron", cron="0 4 1 * *", zone="America/New_York")
WORSE = Condition("worse", monitor="quality")
QUALITY = MonitorDefinition("quality", "late", performance=("log_loss",), missing=False)
ENDPOINT = EndpointDefinition("late", "late", STEPS, GuardDefinition(errors=0.01, harm=0.02))
START = APRIL + timedelta(hours=12)  # past the first of April, 4 o'clock
FIRST = datetime(2013, 5, 1, 8, tzinfo=UTC)


class Project:
    """late@1 answers; a trigger asks, and the test is the worker."""

    def __init__(self, backend: LocalBackend, *conditions: Condition) -> None:
        self.backend = backend
        backend.call(set_event_time, START)
        register_model_of(backend, "late", slope=1.0)
        watched = (QUALITY,) if WORSE in conditions else ()  # it looks every day
        declare(backend, MODEL, *watched, ENDPOINT, TriggerDefinition("retrain", "late", conditions))
        backend.call(serving.deploy_ungated, "late", "late@1", "a test")
        self.slope = 2.0

    def advance(self, to: datetime) -> tuple[str, ...]:
        return self.backend.call(delivery.advance_clock, to).waiting

    @property
    def now(self) -> datetime:
        found = self.backend.call(get_project).event_time
        assert found is not None
        return found

    @property
    def trigger(self) -> Trigger:
        return self.backend.call(delivery.list_triggers).items[0]

    def claim(self) -> Job:
        job = self.backend.call(delivery.claim_job, "a test")
        assert job is not None
        return job

    def build(self, *, passes: bool = True, word: str = "no worse", new: bool = True) -> Job:
        """The worker's part: a version with the gate's word, which sets out if it passes."""
        job = self.claim()
        self.slope += 0.5 if new else 0.0
        version = register_model_of(self.backend, "late", slope=self.slope)
        judged(self.backend, version.number, passes=passes, word=word)
        return self.backend.call(delivery.conclude_build, job.id, job.token, version.number, word, "a reason")

    def look(self, word: str, kind: str = "performance", start: datetime | None = None) -> None:
        """What a monitor says of a window that has just ended."""
        row = {
            "project": "test", "monitor": "quality", "kind": kind, "window_start": start or self.now, "window_end": self.now, "source": "",
            "word": word, "summary": f"it is {word}", "figures": {}, "profile": None, "at": wall_now(),
        }  # fmt: skip
        context = self.backend.context("test")
        context.run_write(lambda inside: inside.db.execute(sa.insert(looks).values(**row)))

    def told(self, *kinds: str) -> list[dict[str, Any]]:
        return [one.body for one in self.backend.call(list_events, limit=1_000).items if one.kind in kinds]


def judged(backend: LocalBackend, number: int, *, passes: bool, word: str) -> None:
    def write(inside: Context) -> None:
        catalog.add_verdict(inside, gate="enough", model="late", number=number, passed=passes, word=word, reason="a reason", figures={})
        if not passes:
            catalog.mark_version(inside, "late", number, "rejected", f"{word}: a reason")

    backend.context("test").run_write(write)


def on(backend: LocalBackend, *conditions: Condition) -> Project:
    return Project(backend, *conditions)


def monthly(month: int) -> datetime:
    return datetime(2013, month, 1, 8, tzinfo=UTC)


# ── firing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_next_time_is_told_before_event_time_moves_and_by_what_is_declared_now(backend: LocalBackend) -> None:
    project = Project(backend, CRON)
    assert project.trigger.next_at == FIRST
    project.advance(START + timedelta(hours=1))
    assert project.trigger.next_at == FIRST
    declare(backend, MODEL, ENDPOINT, TriggerDefinition("retrain", "late", (Condition("cron", cron="0 5 2 * *"),)))
    assert project.trigger.next_at == datetime(2013, 4, 2, 5, tzinfo=UTC)
    declare(backend, MODEL, ENDPOINT, TriggerDefinition("retrain", "late", (WORSE,)))
    assert project.trigger.next_at is None


def test_a_schedule_fires_at_its_time_and_event_time_waits_for_the_build(backend: LocalBackend) -> None:
    project = on(backend, CRON)
    assert project.advance(FIRST - timedelta(seconds=1)) == ()
    assert project.trigger.next_at == FIRST
    assert project.advance(monthly(9)) == ("build of late (queued)",)
    assert project.now == FIRST
    job = project.build()
    assert (job.due_at, job.arguments["cause"], job.state) == (FIRST, "schedule", "done")
    assert job.result is not None and job.result["outcome"] == "late@2 no worse; on its way behind late"
    assert project.advance(FIRST + timedelta(days=10)) == ()
    assert project.backend.call(delivery.list_rollouts).items[0].state == "promoted"
    assert [build.outcome for build in project.trigger.builds] == ["late@2 no worse; on its way behind late"]
    assert [one["cause"] for one in project.told("trigger.fired")] == ["schedule"]


def test_a_schedule_that_is_due_many_times_in_one_jump_asks_each_time(backend: LocalBackend) -> None:
    project = on(backend, CRON)
    for month in range(5, 11):
        assert project.advance(monthly(10)) == ("build of late (queued)",)
        assert project.now == monthly(month)
        project.build()
    assert project.advance(monthly(10)) == ()
    assert [job.due_at for job in reversed(backend.call(delivery.list_jobs).items)] == [monthly(month) for month in range(5, 11)]
    assert project.trigger.state == "active", "refreshes that are promoted as no worse are what a schedule is for"


def test_a_trigger_that_fires_while_a_rollout_of_its_model_is_under_way_is_skipped(backend: LocalBackend) -> None:
    project = on(backend, CRON)
    project.advance(FIRST - timedelta(days=1))
    backend.call(delivery.roll_out_ungated, "late", register_model_of(backend, "late", slope=9.0).ref.__str__(), "a test")
    assert project.advance(FIRST) == ()
    (skipped,) = project.told("trigger.skipped")
    assert skipped["reason"] == "late@2 is on its way behind late (running)"
    with pytest.raises(Conflict, match=r"can't ask for a build of 'late' now: late@2 is on its way behind late \(running\)"):
        backend.call(delivery.fire_trigger, "retrain")


def test_a_trigger_that_fires_while_its_build_runs_is_skipped(backend: LocalBackend) -> None:
    project = on(backend, CRON, WORSE)
    project.advance(FIRST)
    job = project.claim()
    project.look("worse")
    context = backend.context("test")
    context.run_write(lambda inside: _listen(inside))
    (skipped,) = project.told("trigger.skipped")
    assert (skipped["cause"], skipped["reason"]) == ("quality says worse: it is worse", f"the build {job.id} is running")
    with pytest.raises(Conflict, match=f"the build {job.id} is running"):
        backend.call(delivery.fire_trigger, "retrain")


def _listen(context: Any) -> None:
    from clew.delivery import triggers

    (definition,) = triggers.declared_triggers(context).values()
    heard = triggers.hear(context, definition)
    if heard is not None:
        triggers.weigh(context, definition)
        triggers.fire(context, definition, heard.words, heard=heard)


@pytest.mark.parametrize(
    ("word", "kind", "fires"),
    [
        ("worse", "performance", True), ("worse", "regret", True), ("no worse", "performance", False), ("changed", "drift", False),
        ("missing", "missing", False), ("worse", "skew", False), ("not enough data yet", "performance", False),
    ],
)  # fmt: skip
def test_worse_asks_for_a_build_and_what_wants_a_person_does_not(backend: LocalBackend, word: str, kind: str, fires: bool) -> None:
    project = on(backend, WORSE)
    project.look(word, kind)
    assert project.advance(START + timedelta(days=1)) == (("build of late (queued)",) if fires else ())
    assert [one["cause"] for one in project.told("trigger.fired")] == (["quality says worse: it is worse"] if fires else [])


def test_what_was_said_once_fires_once(backend: LocalBackend) -> None:
    project = on(backend, WORSE)
    project.look("worse")
    project.advance(START + timedelta(days=1))
    project.build(passes=False)
    assert project.advance(START + timedelta(days=5)) == ()
    assert len(project.told("trigger.fired")) == 1


def test_a_trigger_does_not_hear_what_was_said_before_it_was_declared(backend: LocalBackend) -> None:
    project = on(backend, CRON)
    project.look("worse")
    declare(backend, MODEL, QUALITY, ENDPOINT, TriggerDefinition("retrain", "late", (WORSE,)))
    assert project.advance(START + timedelta(days=2)) == ()
    assert project.told("trigger.fired") == []


def test_a_trigger_or_a_model_whose_definition_is_gone_asks_for_nothing(backend: LocalBackend) -> None:
    project = on(backend, CRON)
    project.advance(START + timedelta(days=1))
    drafts = [one for one in backend.call(catalog.list_definitions).items if one.kind not in ("model", "gate")]
    keep(backend, drafts)
    assert project.advance(FIRST) == ()
    (skipped,) = project.told("trigger.skipped")
    assert skipped["reason"] == "the model 'late' is not defined any more"
    keep(backend, [one for one in drafts if one.kind != "trigger"])
    assert project.advance(monthly(7)) == ()
    assert len(project.told("trigger.skipped")) == 1 and backend.call(delivery.list_triggers).items == []
    with pytest.raises(NotFound, match="no trigger 'retrain' is defined here"):
        backend.call(delivery.fire_trigger, "retrain")


def keep(backend: LocalBackend, definitions: list[Any]) -> None:
    from clew.catalog.schema import DefinitionDraft

    drafts = [DefinitionDraft(one.kind, one.name, one.digest, one.document) for one in definitions]
    backend.call(catalog.apply_definitions, drafts, prune=True)


def test_a_trigger_that_is_gone_while_its_build_runs_leaves_the_build_to_end(backend: LocalBackend) -> None:
    project = on(backend, CRON)
    project.advance(FIRST)
    keep(backend, [one for one in backend.call(catalog.list_definitions).items if one.kind != "trigger"])
    assert project.build().state == "done"


def test_another_schedule_counts_from_when_it_is_declared(backend: LocalBackend) -> None:
    project = on(backend, CRON)
    project.advance(START + timedelta(days=1))
    declare(backend, MODEL, QUALITY, ENDPOINT, TriggerDefinition("retrain", "late", (Condition("cron", cron="0 12 * * *"),)))
    assert project.advance(FIRST) == ("build of late (queued)",)
    assert project.now == datetime(2013, 4, 3, 12, tzinfo=UTC)


def test_a_paused_trigger_asks_for_nothing_until_it_is_resumed(backend: LocalBackend) -> None:
    project = on(backend, CRON)
    assert backend.call(delivery.pause_trigger, "retrain", "a holiday").state == "paused"
    assert project.advance(monthly(6) - timedelta(days=1)) == ()
    assert [one["reason"] for one in project.told("trigger.skipped")] == ["paused: a holiday"]
    with pytest.raises(Conflict, match="is paused: a holiday; `clew triggers resume retrain` lets it ask again"):
        backend.call(delivery.fire_trigger, "retrain")
    assert backend.call(delivery.resume_trigger, "retrain").state == "active"
    assert project.advance(monthly(6)) == ("build of late (queued)",)


def test_by_hand_a_failed_build_is_asked_for_again_at_the_same_event_time_and_a_done_one_is_not(backend: LocalBackend) -> None:
    project = on(backend, CRON)
    first = backend.call(delivery.fire_trigger, "retrain", "I want it")
    project.claim()
    backend.call(delivery.fail_job, first.id, 1, "a slip in a file")
    again = backend.call(delivery.fire_trigger, "retrain")
    assert (again.id, again.state, again.attempt, again.arguments["cause"]) == (first.id, "queued", 0, "by hand")
    assert project.claim().token == 2
    with pytest.raises(Conflict, match="another attempt took it"):
        backend.call(delivery.conclude_build, first.id, 1, 1)
    version = register_model_of(backend, "late", slope=5.0)
    judged(backend, version.number, passes=True, word="no worse")
    backend.call(delivery.conclude_build, first.id, 2, version.number, "no worse", "a reason")
    project.advance(START + timedelta(hours=1))
    backend.call(delivery.promote_rollout, backend.call(delivery.list_rollouts).items[0].id)
    project.backend.call(delivery.fire_trigger, "retrain")
    project.build(passes=False)
    with pytest.raises(Conflict, match="was made at this event time already: late@3 rejected"):
        backend.call(delivery.fire_trigger, "retrain")


# ── what builds brought ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_trigger_whose_retrainings_are_rejected_is_paused_after_three_and_the_model_is_marked(backend: LocalBackend) -> None:
    """As with irreducible noise and a gate that demands *better*."""
    project = on(backend, CRON)
    for month in (5, 6, 7):
        assert project.trigger.state == "active"
        project.advance(monthly(month))
        project.build(passes=False, word="no worse")
    trigger = project.trigger
    reason = "3 retrainings in a row brought nothing, the last: late@4 rejected: no worse, a reason"
    assert (trigger.state, trigger.reason, trigger.barren, trigger.not_improved) == ("paused", reason, 3, True)
    (marked,) = project.told("model.not_improved")
    assert marked == {"trigger": "retrain", "reason": reason}
    assert backend.call(retraining, "late") == Retraining("late", improves=False, reason=reason, since=project.now)
    assert project.advance(monthly(12)) == ()
    assert {one["reason"] for one in project.told("trigger.skipped")} == {f"paused: {reason}"}
    resumed = backend.call(delivery.resume_trigger, "retrain", "a new feature")
    assert (resumed.state, resumed.barren, resumed.not_improved) == ("active", 0, False)
    assert backend.call(retraining, "late") == Retraining("late", improves=True)
    project.advance(datetime(2014, 1, 1, 9, tzinfo=UTC))
    project.build(passes=False, word="no worse")
    assert (project.trigger.state, project.trigger.barren) == ("active", 1)


def test_one_that_is_promoted_in_between_lets_it_count_anew(backend: LocalBackend) -> None:
    project = on(backend, CRON)
    for month, passes in ((5, False), (6, False), (7, True), (8, False), (9, False)):
        project.advance(monthly(month))
        project.build(passes=passes, word="no worse")
    assert (project.trigger.state, project.trigger.barren) == ("active", 2)


def test_versions_that_the_guard_rolls_back_brought_nothing_and_those_that_a_person_ends_are_not_counted(backend: LocalBackend) -> None:
    project = on(backend, CRON)
    for month in (5, 6, 7, 8):
        project.advance(monthly(month))
        project.build()
        rollout = backend.call(delivery.list_rollouts).items[0]
        if month == 6:
            backend.call(delivery.end_rollout, rollout.id, "second thoughts")
        else:
            epoch = backend.call(serving.endpoint_status, "late").route.epoch
            backend.call(serving.close_candidate, "late", epoch, "9 of 9 rows failed", "guard")
        project.advance(monthly(month) + timedelta(days=1))
    trigger = project.trigger
    assert (trigger.state, trigger.barren) == ("paused", 3)
    assert trigger.reason.endswith("the last: late@5 was rolled back from late: 9 of 9 rows failed")


def test_builds_that_fail_pause_it_and_say_nothing_of_the_model(backend: LocalBackend) -> None:
    project = on(backend, CRON)
    for month in (5, 6, 7):
        project.advance(monthly(month))
        job = project.claim()
        backend.call(delivery.fail_job, job.id, job.token, "ZeroDivisionError")
    trigger = project.trigger
    assert (trigger.state, trigger.not_improved) == ("paused", False)
    assert trigger.reason == "3 builds in a row failed, the last: the build failed: ZeroDivisionError"
    assert project.told("model.not_improved") == []


def test_a_schedule_without_anything_new_and_without_enough_data_is_left_alone(backend: LocalBackend) -> None:
    project = on(backend, CRON)
    for month in range(5, 12):
        project.advance(monthly(month))
        if month % 2:
            assert (project.build(new=month == 5).result or {})["nothing_new"] is (month != 5)
        else:
            project.build(passes=False, word="not enough data yet")
    assert (project.trigger.state, project.trigger.barren) == ("active", 0)


def worse_again(project: Project, day: int) -> None:
    project.advance(START + timedelta(days=day))
    project.look("worse")
    project.advance(START + timedelta(days=day + 1))


def test_a_trigger_on_worse_whose_promoted_builds_leave_the_monitor_at_worse_is_paused(backend: LocalBackend) -> None:
    project = on(backend, WORSE)
    for month in range(3):
        worse_again(project, 30 * month)
        project.build()
        project.advance(START + timedelta(days=30 * month + 20))
        assert backend.call(delivery.list_rollouts).items[0].state == "promoted"
        assert project.trigger.state == "active"
    worse_again(project, 90)
    trigger = project.trigger
    assert (trigger.state, trigger.barren, trigger.not_improved) == ("paused", 3, True)
    assert trigger.reason == "3 retrainings in a row brought nothing, the last: with late@4 quality says worse still: it is worse"
    assert len(project.told("trigger.fired")) == 3 and len(project.told("model.not_improved")) == 1


def test_a_trigger_on_worse_whose_builds_heal_goes_on(backend: LocalBackend) -> None:
    project = on(backend, WORSE)
    for month in range(5):
        worse_again(project, 40 * month)
        project.build()
        project.advance(START + timedelta(days=40 * month + 20))
        project.look("no worse")
    assert (project.trigger.state, project.trigger.barren, len(project.told("trigger.fired"))) == ("active", 0, 5)


def test_with_a_schedule_beside_it_only_worse_is_not_listened_to_any_more(backend: LocalBackend) -> None:
    project = on(backend, CRON, WORSE)
    for month in (4, 5, 6, 7):
        for day in (5, 16, 30):
            at = datetime(2013, month, day, 12, tzinfo=UTC)
            if project.advance(at):
                project.build()  # the schedule's, on the first, which is promoted as well
                project.advance(at)
            if day == 16:
                project.look("worse", start=at - timedelta(days=1))
                if project.advance(at + timedelta(days=1)):
                    project.build()
    trigger = project.trigger
    assert (trigger.state, trigger.not_improved) == ("on schedule", True)
    (skipped,) = project.told("trigger.skipped")
    assert skipped["reason"].startswith(
        "on schedule: 3 retrainings in a row brought nothing, the last: with late@6 quality says worse still"
    )
    fired = ["schedule" if one["cause"] == "schedule" else "worse" for one in project.told("trigger.fired")]
    assert fired == ["worse", "schedule", "worse", "schedule", "worse", "schedule"]
    assert project.advance(monthly(8)) == ("build of late (queued)",), "the schedule goes on"
    assert backend.call(delivery.resume_trigger, "retrain").state == "active"


# ── clocks and drivers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_project_on_the_wall_clock_is_not_moved_by_hand(backend: LocalBackend) -> None:
    with pytest.raises(Conflict, match="lives by the wall clock, which `clew up` follows"):
        backend.call(delivery.advance_clock, wall_now() + timedelta(days=400))
    with pytest.raises(Invalid, match="has no zone"):
        backend.call(delivery.advance_clock, datetime(2013, 4, 1))  # noqa: DTZ001


def test_on_the_wall_clock_times_that_passed_while_no_server_ran_are_made_up_for_once(backend: LocalBackend) -> None:
    register_model_of(backend, "late", slope=1.0)
    declare(backend, MODEL, TriggerDefinition("retrain", "late", (Condition("cron", cron="0 4 1 * *"),)))
    now = wall_now()
    scheduling.advance(backend.context("test"), now)
    later = now + timedelta(days=200)
    at = first = backend.call(delivery.list_triggers).items[0].next_at
    assert at is not None and first is not None
    count = 0
    from clew.clock import next_cron

    while at <= later:
        count, at = count + 1, next_cron("0 4 1 * *", "UTC", at)
    from dataclasses import replace

    from clew.access.schema import projects

    context = backend.context("test")
    # What the server does each second: as if it had not run for 200 days.
    context.run_write(lambda inside: inside.db.execute(sa.update(projects).values(event_time=later)))
    scheduling.advance(replace(context, now=later), later)
    assert [job.due_at for job in backend.call(delivery.list_jobs).items] == [later]
    (skipped,) = [one.body for one in backend.call(list_events, limit=100).items if one.kind == "trigger.skipped"]
    assert skipped["reason"] == f"{count - 1} of its times passed while no server ran; one build makes up for them"


def test_what_nobody_did_by_the_wall_clock_is_told_until_a_server_does_it(backend: LocalBackend) -> None:
    register_model_of(backend, "late", slope=1.0)
    backend.call(serving.deploy_ungated, "late", "late@1", "a test")
    declare(
        backend, MODEL, TriggerDefinition("retrain", "late", (Condition("cron", cron="0 4 1 * *"),)), MonitorDefinition("quality", "late")
    )
    assert backend.call(delivery.list_overdue).items == []
    long_ago = wall_now() - timedelta(days=40)
    context = backend.context("test")
    context.run_write(lambda inside: inside.db.execute(sa.update(definitions).values(created_at=long_ago)))
    overdue = backend.call(delivery.list_overdue).items  # no server has seen any of it: counted from when it was declared
    assert [one.what for one in overdue] == ["a look of quality", "the schedule of retrain"]
    assert overdue[0].at <= long_ago + timedelta(hours=6) < overdue[1].at < wall_now()
    scheduling.advance(backend.context("test"), wall_now())  # what a server does each second
    assert backend.call(delivery.list_overdue).items == []
    context.run_write(lambda inside: inside.db.execute(sa.update(schedules).where(schedules.c.kind == "look").values(next_at=long_ago)))
    assert backend.call(delivery.list_overdue).items == [Overdue("a look of quality", long_ago)]


def test_two_drivers_at_once_do_each_thing_once(backend: LocalBackend) -> None:
    from concurrent.futures import ThreadPoolExecutor

    project = on(backend, CRON)
    project.advance(START + timedelta(hours=1))
    backend.call(delivery.roll_out_ungated, "late", str(register_model_of(backend, "late", slope=9.0).ref), "a test")
    with ThreadPoolExecutor(4) as threads:
        moved = list(threads.map(lambda _: project.advance(FIRST), range(4)))
    assert set(moved) == {("build of late (queued)",)}
    (rollout,) = backend.call(delivery.list_rollouts).items
    assert [(event.state, event.step) for event in rollout.history] == [("running", 0), ("running", 1), ("promoted", 1)]
    assert len(project.told("trigger.fired")) == 1 and project.told("trigger.skipped") == []
    assert len(project.told("rollout.ended")) == 1
    routes = backend.call(serving.route_history, "late").items
    assert [None if one.candidate is None else one.candidate.share for one in reversed(routes)] == [None, 0.0, 0.1, None]


# ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_build_whose_worker_dies_each_time_fails_in_the_end_and_the_trigger_hears_of_it(backend: LocalBackend) -> None:
    project = on(backend, CRON)
    project.advance(FIRST)
    for _ in range(queue.MOST_ATTEMPTS):
        job = project.claim()
        context = backend.context("test")
        ran_out = sa.update(jobs).where(jobs.c.id == job.id).values(lease_until=wall_now() - timedelta(seconds=1))
        context.run_write(lambda inside, ran_out=ran_out: inside.db.execute(ran_out))
    assert backend.call(delivery.claim_job, "a test") is None
    (failed,) = project.told("build.failed")
    assert failed["error"] == "its worker died 3 times, and it is not tried again" and failed["trigger"] == "retrain"
    assert project.trigger.barren == 1
    assert project.advance(FIRST + timedelta(hours=1)) == (), "event time waits no longer"


def test_an_attempt_that_died_after_it_had_sent_its_version_out_is_concluded_by_the_next(backend: LocalBackend) -> None:
    project = on(backend, CRON)
    project.advance(FIRST)
    job = project.claim()
    version = register_model_of(backend, "late", slope=7.0)
    judged(backend, version.number, passes=True, word="no worse")
    backend.call(delivery.roll_out, "late", str(version.ref))  # what conclude_build does first; then its process died
    done = backend.call(delivery.conclude_build, job.id, job.token, version.number, "no worse", "a reason")
    assert (done.result or {})["outcome"] == "late@2 no worse; on its way behind late"
    assert len(backend.call(delivery.list_rollouts).items) == 1


def test_jobs_are_claimed_within_their_project_and_listed_page_by_page(backend: LocalBackend) -> None:
    project = on(backend, CRON)
    for month in (5, 6, 7):
        project.advance(monthly(month))
        project.build(passes=True)
    pages, cursor = [], None
    while True:
        page = backend.call(delivery.list_jobs, limit=2, cursor=cursor)
        pages.append([job.due_at.month for job in page.items])
        cursor = page.next_cursor
        if cursor is None:
            break
    assert pages == [[7, 6], [5]]
    assert [job.due_at.month for job in backend.call(delivery.list_jobs, state="done", limit=1).items] == [7]
    assert backend.call(delivery.list_jobs, limit=-5).items[0].due_at.month == 7
    with pytest.raises(Invalid, match="is not a cursor"):
        backend.call(delivery.list_jobs, cursor="nonsense")
    project.advance(monthly(8))
    elsewhere = backend.context("elsewhere")
    assert elsewhere.run_write(lambda inside: queue.claim(inside, "a stranger", ("build",), "elsewhere")) is None
    with pytest.raises(Invalid, match="1 to 160 characters"):
        backend.call(delivery.claim_job, "")
