"""Triggers: what asks for a build by itself, what came of it, and when asking has turned out to be useless."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from clew.catalog import service as catalog
from clew.clock import next_cron
from clew.definitions import TriggerDefinition, from_document
from clew.delivery.schema import Build, Trigger, TriggerState, rollouts, schedules, trigger_states
from clew.errors import NotFound
from clew.monitoring.schema import monitor_looks as looks
from clew.operations import Context
from clew.storage import jobs as queue
from clew.storage.events import emit
from clew.storage.schema import Job, jobs

__all__ = [
    "MOST_BARREN",
    "Heard",
    "all_triggers",
    "builds_of",
    "declared_triggers",
    "fire",
    "get",
    "hear",
    "next_time",
    "set_state",
    "skip",
    "weigh",
    "why_not",
]

MOST_BARREN = 3
"""A trigger whose builds bring nothing so often in a row asks no more, until a person says so."""
_JUDGING = ("performance", "regret")
_NO_WORSE = ("no worse", "better", "safe")


@dataclass(frozen=True)
class Heard:
    """What a monitor said that asks for a build: the look and its words."""

    look: int
    monitor: str
    words: str


def declared_triggers(context: Context) -> dict[str, TriggerDefinition]:
    found = (from_document(one.document) for one in catalog.list_definitions(context, "trigger").items)
    return {one.name: one for one in found if isinstance(one, TriggerDefinition)}


def next_time(definition: TriggerDefinition, after: datetime) -> datetime | None:
    """The next of its cron times; ``None`` for a trigger that no cron fires."""
    times = [next_cron(one.cron, one.zone, after) for one in definition.conditions if one.kind == "cron" and one.cron is not None]
    return min(times, default=None)


def get(context: Context, name: str) -> Trigger:
    """A trigger as it stands. Raises ``NotFound``."""
    definition = declared_triggers(context).get(name)
    if definition is None:
        raise NotFound(f"no trigger {name!r} is defined here; `clew triggers` lists those that there are")
    state, next_at = _state(context, name), _next_at(context, definition)
    builds = builds_of(context, name)
    run = max(_runs(context, builds, state["since"]).values(), key=lambda one: one.count)
    not_improved = run.count >= MOST_BARREN and not run.all_failed
    return Trigger(name, definition.build, definition.conditions, state["state"], state["reason"], run.count, next_at, builds, not_improved)


def _next_at(context: Context, definition: TriggerDefinition) -> datetime | None:
    """Its next cron time. What was declared since event time last moved has no place in the schedule yet: it is given this one then."""
    where = (schedules.c.project == context.project, schedules.c.kind == "cron", schedules.c.subject == definition.name)
    row = context.db.execute(sa.select(schedules.c.next_at, schedules.c.reckoned_from).where(*where)).first()
    digest = catalog.get_definition(context, "trigger", definition.name).digest
    if row is not None and (row.reckoned_from == digest or row.next_at <= context.now):
        return row.next_at  # type: ignore[no-any-return]
    return next_time(definition, context.now)


def all_triggers(context: Context) -> list[Trigger]:
    return [get(context, name) for name in sorted(declared_triggers(context))]


def builds_of(context: Context, name: str, limit: int = 50) -> list[Build]:
    """The builds that a trigger asked for, newest first."""
    query = sa.select(jobs).where(jobs.c.project == context.project, jobs.c.kind == "build").order_by(jobs.c.due_at.desc(), jobs.c.id)
    found = []
    for row in context.db.execute(query.limit(1_000)):
        if row.arguments.get("trigger") == name:
            job = queue.as_job(row)
            found.append(Build(job, _outcome(job)))
    return found[:limit]


# ── firing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def why_not(
    context: Context, definition: TriggerDefinition, busy: Sequence[str] = (), *, by_hand: bool = False, worse: bool = False
) -> str:
    """Why nothing can be asked for now, in words; empty where a build can be.

    ``busy`` says what is under way for the model: a build on top of it would judge against a champion that is about to change.
    """
    state = _state(context, definition.name)
    if state["state"] == "paused" or (state["state"] == "on schedule" and worse):
        return f"{state['state']}: {state['reason']}"
    under_way = [*busy, *(f"the build {job.id} is {job.state}" for job in queue.open_jobs(context, subject=definition.build))]
    if under_way:
        return under_way[0]
    before = queue.at_time(context, "build", definition.build, context.now)
    if before is not None and not (by_hand and before.state == "failed"):
        return f"the build {before.id} was made at this event time already: {_outcome(before)}"
    try:
        catalog.get_definition(context, "model", definition.build)
    except NotFound:
        return f"the model {definition.build!r} is not defined any more"
    return ""


def fire(
    context: Context,
    definition: TriggerDefinition,
    cause: str,
    busy: Sequence[str] = (),
    *,
    heard: Heard | None = None,
    by_hand: bool = False,
) -> Job | None:
    """Ask for a build, in the context's transaction; ``None``, with an event that says why, where nothing is asked for."""
    reason = why_not(context, definition, busy, by_hand=by_hand, worse=heard is not None)
    if reason:
        skip(context, definition, cause, reason)
        return None
    source = catalog.get_definition(context, "model", definition.build).source
    arguments: dict[str, Any] = {"trigger": definition.name, "cause": cause, "source": source}
    if heard is not None:
        arguments |= {"look": heard.look, "monitor": heard.monitor}
    before = queue.at_time(context, "build", definition.build, context.now)
    job = (
        queue.enqueue(context, "build", definition.build, context.now, arguments)
        if before is None
        else queue.retry(context, before, arguments)
    )
    emit(context, "trigger.fired", definition.name, {"model": definition.build, "cause": cause, "job": job.id})
    return job


def skip(context: Context, definition: TriggerDefinition, cause: str, reason: str) -> None:
    """Say why nothing is asked for."""
    emit(context, "trigger.skipped", definition.name, {"model": definition.build, "cause": cause, "reason": reason})


def hear(context: Context, definition: TriggerDefinition) -> Heard | None:
    """The newest look that says *worse* since the trigger last listened, or since it was declared; it has listened then.

    Only performance and regret ask for a build: *changed*, *missing* and skew want a person.
    """
    monitors = {one.monitor for one in definition.conditions if one.kind == "worse"}
    if not monitors:
        return None
    heard = _state(context, definition.name)["last_look"]
    query = sa.select(looks).where(looks.c.project == context.project, looks.c.monitor.in_(monitors), looks.c.id > heard)
    if not heard:
        declared_at = catalog.get_definition(context, "trigger", definition.name).created_at
        query = query.where(looks.c.at >= declared_at)
    found = list(context.db.execute(query.order_by(looks.c.id)))
    if not found:
        return None
    _put(context, definition.name, last_look=found[-1].id)
    worse = [one for one in found if one.word == "worse" and one.kind in _JUDGING]
    return Heard(worse[-1].id, worse[-1].monitor, f"{worse[-1].monitor} says worse: {worse[-1].summary}") if worse else None


# ── what came of it ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

_Fate = Literal["brought something", "brought nothing", "failed", "open"]
_Stream = Literal["worse", "schedule"]


@dataclass(frozen=True)
class _Run:
    """Builds in a row, up to the newest, that brought nothing; ``last`` says in words what came of the newest of them."""

    count: int = 0
    last: str = ""
    all_failed: bool = True


def weigh(context: Context, definition: TriggerDefinition) -> None:
    """Pause a trigger that keeps bringing nothing, and mark its model as one that retraining does not improve.

    What a build brought depends on what it was asked for. One on a schedule, or by hand, brought something when its version was promoted:
    *no worse* is what a refresh has to be. One that *worse* asked for has to heal as well: it brought nothing while the first look at its
    version says *worse* again. Both brought nothing when the gate rejected the version or the guard rolled it back, or when they failed.
    What nobody can tell yet, what a person ended, and a refresh for which there was nothing new are counted as neither.
    """
    state = _state(context, definition.name)
    if state["state"] == "paused":
        return
    runs = _runs(context, builds_of(context, definition.name), state["since"])
    for stream, run in runs.items():
        if run.count < MOST_BARREN or (stream == "worse" and state["state"] == "on schedule"):
            continue
        what = "builds in a row failed" if run.all_failed else "retrainings in a row brought nothing"
        reason = f"{run.count} {what}, the last: {run.last}"
        # A schedule whose refreshes are good goes on, whatever retraining can't heal.
        scheduled = stream == "worse" and any(one.kind == "cron" for one in definition.conditions)
        set_state(context, definition.name, "on schedule" if scheduled else "paused", reason)
        if not run.all_failed:
            emit(context, "model.not_improved", definition.build, {"trigger": definition.name, "reason": reason})
        return


def set_state(context: Context, name: str, state: TriggerState, reason: str) -> None:
    """Pause a trigger, or let it ask again; it starts counting anew."""
    since = {"since": context.now} if state == "active" else {}
    if state == "active" and (before := get(context, name)).not_improved:
        emit(context, "model.tried_again", before.model, {"trigger": name, "reason": reason})
    _put(context, name, state=state, reason=reason, **since)
    emit(context, f"trigger.{'resumed' if state == 'active' else 'paused'}", name, {"reason": reason, "state": state})


def _runs(context: Context, builds: Sequence[Build], since: datetime | None) -> dict[_Stream, _Run]:
    runs: dict[_Stream, _Run] = {}
    streams: tuple[_Stream, ...] = ("worse", "schedule")
    for stream in streams:
        of_stream = [one.job for one in builds if ("look" in one.job.arguments) == (stream == "worse")]
        counted = [job for job in of_stream if since is None or job.due_at > since]
        runs[stream] = _run((job, *_fate(context, job)) for job in counted)
    return runs


def _run(fates: Iterator[tuple[Job, _Fate, str]]) -> _Run:
    """``fates`` newest first."""
    run = _Run()
    for job, fate, words in fates:
        if fate == "brought something":
            break
        if fate != "open":
            run = _Run(run.count + 1, run.last or words or _outcome(job), run.all_failed and fate == "failed")
    return run


def _fate(context: Context, job: Job) -> tuple[_Fate, str]:
    """What a build brought, as far as it can be told, and why where its own outcome does not say it."""
    if job.state == "failed":
        return "failed", f"the build failed: {job.error[:200]}"
    result = job.result
    if job.state != "done" or result is None or result["word"] == "not enough data yet":
        return "open", ""
    if result["nothing_new"]:
        return ("brought nothing" if "look" in job.arguments else "open"), ""
    if result["state"] != "ready":
        return "brought nothing", ""
    if result["begun"]:
        return _fate_of_rollouts(context, job)
    return _fate_when_live(context, job, datetime.fromisoformat(result["at"])) if result["live"] else ("open", "")


def _fate_of_rollouts(context: Context, job: Job) -> tuple[_Fate, str]:
    assert job.result is not None  # the caller looked
    query = sa.select(rollouts).where(rollouts.c.project == context.project, rollouts.c.id.in_(job.result["begun"]))
    found = list(context.db.execute(query))
    promoted = [row.ended_at for row in found if row.state == "promoted"]
    if promoted:
        return _fate_when_live(context, job, min(promoted))
    guarded = [row for row in found if row.state == "rolled back" and row.history[-1]["by"] == "guard"]
    if any(row.ended_at is None for row in found) or not guarded:
        return "open", ""
    return "brought nothing", f"{job.result['version']} was rolled back from {guarded[0].endpoint}: {guarded[0].history[-1]['reason']}"


def _fate_when_live(context: Context, job: Job, since: datetime) -> tuple[_Fate, str]:
    """Of a build whose version answers since an event time."""
    if "look" not in job.arguments:
        return "brought something", ""
    query = sa.select(looks).where(
        looks.c.project == context.project, looks.c.monitor == job.arguments["monitor"], looks.c.kind.in_(_JUDGING),
        looks.c.word.in_(("worse", *_NO_WORSE)), sa.func.coalesce(looks.c.window_start, looks.c.window_end) >= since,
    )  # fmt: skip
    row = context.db.execute(query.order_by(looks.c.window_end, looks.c.id).limit(1)).first()
    if row is None:
        return "open", ""
    assert job.result is not None  # the caller looked
    if row.word != "worse":
        return "brought something", ""
    return "brought nothing", f"with {job.result['version']} {row.monitor} says worse still: {row.summary}"


def _outcome(job: Job) -> str:
    return str((job.result or {}).get("outcome", job.error or job.state))


def _state(context: Context, name: str) -> dict[str, Any]:
    where = (trigger_states.c.project == context.project, trigger_states.c.name == name)
    row = context.db.execute(sa.select(trigger_states).where(*where)).one_or_none()
    return {"state": "active", "reason": "", "since": None, "last_look": 0} if row is None else dict(row._mapping)


def _put(context: Context, name: str, **changed: Any) -> None:  # Any: the columns' own types
    where = (trigger_states.c.project == context.project, trigger_states.c.name == name)
    values = _state(context, name) | changed | {"project": context.project, "name": name, "changed_at": context.now}
    context.db.execute(sa.delete(trigger_states).where(*where))
    context.db.execute(sa.insert(trigger_states).values(**values))
