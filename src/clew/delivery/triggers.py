"""Triggers: what asks for a build by itself, what came of it, and when asking has turned out to be useless."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from clew.catalog import service as catalog
from clew.clock import next_cron
from clew.definitions import TriggerDefinition, from_document
from clew.delivery.schema import Build, Trigger, schedules, trigger_states
from clew.errors import NotFound
from clew.monitoring.schema import monitor_looks as looks
from clew.operations import Context
from clew.storage import jobs as queue
from clew.storage.events import emit
from clew.storage.schema import Job, jobs

__all__ = ["MOST_BARREN", "all_triggers", "builds_of", "conclude", "declared_triggers", "fire", "get", "hear", "next_time", "set_state"]

MOST_BARREN = 3
"""A trigger whose builds bring nothing so often in a row asks no more, until a person says so."""


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
    state = _state(context, name)
    where = (schedules.c.project == context.project, schedules.c.kind == "cron", schedules.c.subject == name)
    next_at = context.db.scalar(sa.select(schedules.c.next_at).where(*where))
    return Trigger(
        name, definition.build, definition.conditions, state["state"], state["reason"], state["barren"], next_at, builds_of(context, name)
    )


def all_triggers(context: Context) -> list[Trigger]:
    return [get(context, name) for name in sorted(declared_triggers(context))]


def builds_of(context: Context, name: str, limit: int = 50) -> list[Build]:
    """The builds that a trigger asked for, newest first."""
    query = sa.select(jobs).where(jobs.c.project == context.project, jobs.c.kind == "build").order_by(jobs.c.due_at.desc(), jobs.c.id)
    found = []
    for row in context.db.execute(query.limit(1_000)):
        if row.arguments.get("trigger") == name:
            job = Job(**{column: row._mapping[column] for column in Job.__dataclass_fields__})
            found.append(Build(job, (job.result or {}).get("outcome", job.error or job.state)))
    return found[:limit]


# ── firing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def fire(context: Context, definition: TriggerDefinition, cause: str, busy: Sequence[str] = ()) -> Job | None:
    """Ask for a build, in the context's transaction; ``None``, with an event that says why, where nothing is asked for.

    ``busy`` says in words what is under way for the model: a build on top of it would judge against a champion that is about to change.
    """
    state = _state(context, definition.name)
    if state["state"] == "paused":
        _skip(context, definition, cause, f"paused: {state['reason']}")
        return None
    under_way = [*busy, *(f"the build {job.id} is {job.state}" for job in queue.open_jobs(context, subject=definition.build))]
    if under_way:
        _skip(context, definition, cause, under_way[0])
        return None
    try:
        source = catalog.get_definition(context, "model", definition.build).source
    except NotFound:
        _skip(context, definition, cause, f"the model {definition.build!r} is not defined any more")
        return None
    arguments = {"trigger": definition.name, "cause": cause, "source": source}
    job = queue.enqueue(context, "build", definition.build, context.now, arguments)
    emit(context, "trigger.fired", definition.name, {"model": definition.build, "cause": cause, "job": job.id})
    return job


def _skip(context: Context, definition: TriggerDefinition, cause: str, reason: str) -> None:
    """Say why nothing is asked for."""
    emit(context, "trigger.skipped", definition.name, {"model": definition.build, "cause": cause, "reason": reason})


def hear(context: Context, definition: TriggerDefinition) -> str | None:
    """The newest look that says *worse* since the trigger last listened, in words; it has listened then.

    Only performance and regret ask for a build: *changed*, *missing* and skew want a person.
    """
    monitors = {one.monitor for one in definition.conditions if one.kind == "worse"}
    if not monitors:
        return None
    heard = _state(context, definition.name)["last_look"]
    query = sa.select(looks).where(looks.c.project == context.project, looks.c.monitor.in_(monitors), looks.c.id > heard)
    found = list(context.db.execute(query.order_by(looks.c.id)))
    if not found:
        return None
    _put(context, definition.name, last_look=found[-1].id)
    worse = [one for one in found if one.word == "worse" and one.kind in ("performance", "regret")]
    return f"{worse[-1].monitor} says worse: {worse[-1].summary}" if worse else None


# ── what came of it ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def conclude(context: Context, name: str, *, brought: bool | None, outcome: str) -> None:
    """Count what a trigger's build brought; ``None`` for one that could not be judged. Pauses a trigger that keeps bringing nothing."""
    definition = declared_triggers(context).get(name)
    if definition is None or brought is None:
        return
    barren = 0 if brought else _state(context, name)["barren"] + 1
    _put(context, name, barren=barren)
    if barren < MOST_BARREN:
        return
    reason = f"{barren} retrainings in a row brought nothing, the last: {outcome}"
    set_state(context, name, "paused", reason)
    emit(context, "model.not_improved", definition.build, {"trigger": name, "reason": reason})


def set_state(context: Context, name: str, state: str, reason: str) -> None:
    """Pause a trigger, or let it ask again; it starts counting anew."""
    _put(context, name, state=state, reason=reason, **({"barren": 0} if state == "active" else {}))
    emit(context, f"trigger.{'paused' if state == 'paused' else 'resumed'}", name, {"reason": reason})


def _state(context: Context, name: str) -> dict[str, Any]:
    where = (trigger_states.c.project == context.project, trigger_states.c.name == name)
    row = context.db.execute(sa.select(trigger_states).where(*where)).one_or_none()
    return {"state": "active", "reason": "", "barren": 0, "last_look": 0} if row is None else dict(row._mapping)


def _put(context: Context, name: str, **changed: Any) -> None:  # Any: the columns' own types
    where = (trigger_states.c.project == context.project, trigger_states.c.name == name)
    values = _state(context, name) | changed | {"project": context.project, "name": name, "changed_at": context.now}
    context.db.execute(sa.delete(trigger_states).where(*where))
    context.db.execute(sa.insert(trigger_states).values(**values))
