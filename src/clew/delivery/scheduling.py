"""Event time, moved on: what is due is done in its order and at its own time, before time goes past it.

So a replay gives the same decisions on any machine, and a project on the wall clock the same as if it had been looked at every second.
Builds run the user's code, which no server does: they are jobs, and time waits for them. All else is done here.
"""

import functools
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from clew.access.schema import projects
from clew.access.service import get_project
from clew.catalog import service as catalog
from clew.clock import wall_now
from clew.definitions import MonitorDefinition, TriggerDefinition, from_document
from clew.delivery import rollouts, triggers
from clew.delivery.schema import Advance, Rollout, schedules
from clew.errors import Conflict
from clew.monitoring.due import next_look
from clew.monitoring.looking import look
from clew.operations import Context
from clew.serving import service as serving
from clew.serving.routing import find_endpoint, get_route
from clew.storage import jobs as queue

__all__ = ["advance", "reconcile"]

_ORDER = {"rollout": 0, "look": 1, "cron": 2}


def advance(context: Context, to: datetime) -> Advance:
    """Do what is due, in order, and move the project's event time towards ``to``: as far as nothing is waited for.

    Call it again until ``waiting`` is empty. Repeating is safe: what a killed process left half done is done again, once.
    """
    with context.reading() as inside:
        project = get_project(inside)
    replays = project.clock == "replay"
    now = project.event_time if project.event_time is not None else min(to, wall_now())
    if replays and to < now:
        raise Conflict(f"event time of {project.slug!r} is {now.isoformat()} already and only moves forwards")
    context = replace(context, now=now)
    context.run_write(reconcile)
    _follow_routes(context)
    while True:
        waiting = _waiting(context) if replays else ()
        if waiting:
            return Advance(context.now, waiting)
        due = _next(context, to)
        if due is None:
            return Advance(_move(context, to) if replays else to, ())
        kind, subject, at = due
        context = replace(context, now=max(at, context.now))
        if replays:
            _move(context, context.now)
        _do(context, kind, subject)


def _follow_routes(context: Context) -> None:
    """End the rollouts whose candidate has left its route by a guard's word or a person's, without waiting for their next look."""
    with context.reading() as inside:
        left = [one for one in rollouts.all_open(inside) if not _is_tried(inside, one)]
    for rollout in left:
        rollouts.follow(context, rollout)


def _is_tried(context: Context, rollout: Rollout) -> bool:
    candidate = get_route(context, rollout.endpoint, find_endpoint(context, rollout.endpoint).epoch).candidate
    return candidate is not None and candidate.salt == rollout.id


def reconcile(context: Context) -> None:
    """Give everything that is declared its place in the schedule, and take what is gone out of it."""
    named: dict[tuple[str, str], Callable[[], datetime | None]] = {}
    named |= {("cron", name): functools.partial(triggers.next_time, one, context.now) for name, one in _on_cron(context).items()}
    named |= {("look", name): functools.partial(_next_look, context, one) for name, one in _monitors(context).items()}
    named |= {("rollout", one.id): functools.partial(rollouts.until_next_look, context, one) for one in rollouts.all_open(context)}
    there = {(row.kind, row.subject) for row in context.db.execute(sa.select(schedules).where(schedules.c.project == context.project))}
    for kind, subject in there - named.keys():
        context.db.execute(_one(sa.delete(schedules), context, kind, subject))
    for kind, subject in named.keys() - there:
        at = named[kind, subject]()
        if at is not None:
            context.db.execute(sa.insert(schedules).values(project=context.project, kind=kind, subject=subject, next_at=at))


def _on_cron(context: Context) -> dict[str, TriggerDefinition]:
    found = triggers.declared_triggers(context)
    return {name: one for name, one in found.items() if any(condition.kind == "cron" for condition in one.conditions)}


def _waiting(context: Context) -> tuple[str, ...]:
    """For what event time stands still: builds that are due, and routes that serving processes have not taken up."""
    with context.reading() as inside:
        found = [f"{job.kind} of {job.subject} ({job.state})" for job in queue.open_jobs(inside, due_by=context.now)]
        found += [f"{url} to take up the route of {endpoint}" for url, endpoint in serving.behind(inside)]
    return tuple(found)


def _next(context: Context, to: datetime) -> tuple[str, str, datetime] | None:
    query = sa.select(schedules).where(schedules.c.project == context.project, schedules.c.next_at <= to)
    with context.reading() as inside:
        rows = list(inside.db.execute(query))
    if not rows:
        return None
    first = min(rows, key=lambda row: (row.next_at, _ORDER[row.kind], row.subject))
    return first.kind, first.subject, first.next_at


def _move(context: Context, to: datetime) -> datetime:
    where = (projects.c.slug == context.project, projects.c.event_time < to)
    context.run_write(lambda inside: inside.db.execute(sa.update(projects).where(*where).values(event_time=to)))
    return to


def _do(context: Context, kind: str, subject: str) -> None:
    """One thing that is due now, and its next time. The effect comes first: what dies in between is done again."""
    following = {"rollout": _rollout, "look": _look, "cron": _cron}[kind](context, subject)

    def write(inside: Context) -> None:
        if following is None:
            inside.db.execute(_one(sa.delete(schedules), inside, kind, subject))
        else:
            inside.db.execute(_one(sa.update(schedules), inside, kind, subject).values(next_at=following))

    context.run_write(write)


def _rollout(context: Context, rollout_id: str) -> datetime | None:
    with context.reading() as inside:
        rollout = rollouts.get(inside, rollout_id)
    if rollout.open:
        rollout = rollouts.progress(context, rollout)
    if not rollout.open:
        return None
    with context.reading() as inside:
        return rollouts.until_next_look(inside, rollout)


def _look(context: Context, name: str) -> datetime | None:
    with context.reading() as inside:
        monitor = _monitors(inside).get(name)
    if monitor is None:
        return None
    look(context, name)

    def listen(inside: Context) -> None:
        for definition in triggers.declared_triggers(inside).values():
            cause = triggers.hear(inside, definition)
            if cause is not None:
                triggers.fire(inside, definition, cause, _busy(inside, definition.build))

    context.run_write(listen)
    with context.reading() as inside:
        return _next_look(inside, monitor)


def _cron(context: Context, name: str) -> datetime | None:
    def write(inside: Context) -> datetime | None:
        definition = triggers.declared_triggers(inside).get(name)
        if definition is None:
            return None
        triggers.fire(inside, definition, "schedule", _busy(inside, definition.build))
        return triggers.next_time(definition, context.now)

    return context.run_write(write)


def _busy(context: Context, model: str) -> list[str]:
    """Rollouts of a model that are under way, in words."""
    return [
        f"{one.reference} is on its way behind {one.endpoint} ({one.state})" for one in rollouts.all_open(context) if one.model == model
    ]


def _monitors(context: Context) -> dict[str, MonitorDefinition]:
    found = (from_document(one.document) for one in catalog.list_definitions(context, "monitor").items)
    return {one.name: one for one in found if isinstance(one, MonitorDefinition)}


def _next_look(context: Context, monitor: MonitorDefinition) -> datetime:
    """By the clock of the training set that the endpoint's version was made from."""
    serves = None if monitor.endpoint is None else find_endpoint(context, monitor.endpoint)
    if monitor.endpoint is not None and serves is not None:
        training = get_route(context, monitor.endpoint, serves.epoch).document.training_set
        if training is not None:
            details = catalog.get_version(context, training.name, training.number).details
            return next_look(monitor, context.now, details["zone"], details["block"])
    return next_look(monitor, context.now)


def _one(statement: Any, context: Context, kind: str, subject: str) -> Any:  # Any: update and delete share `where`, not a type
    return statement.where(schedules.c.project == context.project, schedules.c.kind == kind, schedules.c.subject == subject)
