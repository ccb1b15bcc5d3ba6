"""Event time, moved on: what is due is done in its order and at its own time, before time goes past it.

So a replay gives the same decisions on any machine, and a project on the wall clock the same as if it had been looked at every second.
Builds run the user's code, which no server does: they are jobs, and time waits for them. All else is done here.
"""

import functools
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from clew.access.schema import projects
from clew.access.service import get_project
from clew.catalog import service as catalog
from clew.clock import wall_now
from clew.definitions import MonitorDefinition, TriggerDefinition, from_document
from clew.delivery import rollouts, triggers
from clew.delivery.schema import Advance, Overdue, Rollout, schedules
from clew.errors import ClewError, Conflict, Unavailable
from clew.monitoring.due import next_look
from clew.monitoring.looking import look
from clew.operations import Context
from clew.serving import service as serving
from clew.serving.documents import training_set_of
from clew.serving.routing import find_endpoint, get_route
from clew.storage import jobs as queue
from clew.storage.events import emit

__all__ = ["advance", "overdue", "reconcile"]

_log = logging.getLogger("clew.delivery")
_MOST_COUNTED = 100
_ORDER = {"rollout": 0, "look": 1, "cron": 2}
_OVERDUE = timedelta(minutes=1)
"""A server does what is due within a second or so, so nobody does what has waited for so long."""


class _Place(NamedTuple):
    """A place in the schedule: from what its next time is reckoned, and how, from an instant on; ``since`` is when it came to be."""

    reckoned_from: str
    since: datetime
    next_time: Callable[[datetime], datetime | None]
    words: str


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
    with context.reading() as inside:  # asked every second: nobody waits for its write lock while the schedule is as declared
        reconciled = _is_reconciled(inside)
    if not reconciled:
        context.run_write(reconcile)
    while True:
        waiting = _waiting(context) if replays else ()
        if waiting:
            return Advance(context.now, waiting)
        if _watch_rollouts(context):
            continue  # a route has changed, and serving processes take it up at this time
        due = _next(context, to)
        if replays and not _move(context, to if due is None else due[2]):
            with context.reading() as inside:  # another driver is further
                context = replace(context, now=get_project(inside).event_time or now)
            continue
        if due is None:
            return Advance(to, (), _next_due(context))
        kind, subject, at = due
        context = replace(context, now=max(at, context.now))
        _do(context, kind, subject, at)


def _watch_rollouts(context: Context) -> bool:
    """End the rollouts whose candidate has left its route by a guard's word or a person's, or can't be loaded; whether there were any.

    That is not left to their next look.
    """
    with context.reading() as inside:
        suspects = [one for one in rollouts.all_open(inside) if not rollouts.is_well(inside, one)]
    ended = [one for one in suspects if not rollouts.watch(context, one).open]
    return bool(ended)


def reconcile(context: Context) -> None:
    """Give everything that is declared its place in the schedule, and take what is gone out of it.

    A next time is looked up only for what has none, or was declared otherwise when it was looked up.
    """
    there, wanted = _scheduled(context), _wanted(context)
    for kind, subject in there.keys() - wanted.keys():
        context.db.execute(_one(sa.delete(schedules), context, kind, subject))
    for (kind, subject), place in wanted.items():
        known = there.get((kind, subject))
        if known is None:
            row = {"project": context.project, "kind": kind, "subject": subject, "reckoned_from": place.reckoned_from}
            context.db.execute(sa.insert(schedules).values(**row, next_at=place.next_time(context.now)))
        elif known.reckoned_from != place.reckoned_from:
            # What was due before the change is done before it counts.
            at = known.next_at if known.next_at <= context.now else place.next_time(context.now)
            context.db.execute(_one(sa.update(schedules), context, kind, subject).values(next_at=at, reckoned_from=place.reckoned_from))


def overdue(context: Context) -> list[Overdue]:
    """What was due by the wall clock a minute ago and more, and is not done, oldest first.

    Nothing in a replay, whose driver does what is due. What no server has seen yet counts from when it was declared, or began.
    """
    if get_project(context).clock == "replay":
        return []
    there, late = _scheduled(context), wall_now() - _OVERDUE
    found = []
    for key, place in _wanted(context).items():
        at = there[key].next_at if key in there else place.next_time(place.since)
        if at is not None and at < late:
            found.append(Overdue(place.words, at))
    return sorted(found, key=lambda one: (one.at, one.what))


def _is_reconciled(context: Context) -> bool:
    reckoned_from = {key: row.reckoned_from for key, row in _scheduled(context).items()}
    return reckoned_from == {key: place.reckoned_from for key, place in _wanted(context).items()}


def _scheduled(context: Context) -> dict[tuple[str, str], Any]:  # Any: a SQLAlchemy row
    mine = sa.select(schedules).where(schedules.c.project == context.project)
    return {(row.kind, row.subject): row for row in context.db.execute(mine)}


def _wanted(context: Context) -> dict[tuple[str, str], _Place]:
    """What has a place in the schedule."""
    wanted: dict[tuple[str, str], _Place] = {}
    for one in catalog.list_definitions(context, "trigger").items:
        trigger = from_document(one.document)
        if isinstance(trigger, TriggerDefinition) and any(condition.kind == "cron" for condition in trigger.conditions):
            next_time = functools.partial(triggers.next_time, trigger)
            wanted["cron", one.name] = _Place(one.digest, one.created_at, next_time, f"the schedule of {one.name}")
    for one in catalog.list_definitions(context, "monitor").items:
        monitor = from_document(one.document)
        if isinstance(monitor, MonitorDefinition):
            wanted["look", one.name] = _Place(one.digest, one.created_at, _looks(context, monitor), f"a look of {one.name}")
    for rollout in rollouts.all_open(context):
        reckoned_from = f"{rollout.state} until {rollout.step_ends_at.isoformat()}"
        words = f"a step of {rollout.reference} behind {rollout.endpoint}"
        wanted["rollout", rollout.id] = _Place(reckoned_from, rollout.started_at, _steps(context, rollout), words)
    return wanted


def _looks(context: Context, monitor: MonitorDefinition) -> Callable[[datetime], datetime | None]:
    return lambda now: _next_look(replace(context, now=now), monitor)


def _steps(context: Context, rollout: Rollout) -> Callable[[datetime], datetime | None]:
    return lambda now: rollouts.until_next_look(replace(context, now=now), rollout)


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


def _next_due(context: Context) -> datetime | None:
    with context.reading() as inside:
        found: datetime | None = inside.db.scalar(sa.select(sa.func.min(schedules.c.next_at)).where(schedules.c.project == context.project))
    return found


def _move(context: Context, to: datetime) -> bool:
    """Whether event time stands at ``to`` now. It does not where another driver was quicker: then there may be something to wait for, or
    to do, before it."""

    def write(inside: Context) -> bool:
        if queue.open_jobs(inside, due_by=to):
            return False
        earlier = sa.select(schedules.c.subject).where(schedules.c.project == inside.project, schedules.c.next_at < to)
        if inside.db.execute(earlier).first() is not None:
            return False
        where = (projects.c.slug == inside.project, projects.c.event_time < to)
        inside.db.execute(sa.update(projects).where(*where).values(event_time=to))
        return True

    return context.run_write(write)


def _do(context: Context, kind: str, subject: str, at: datetime) -> None:
    """One thing that is due at ``at``, and its next time. The effect comes first, where it is no single transaction with it: what dies in
    between is done again, and each effect is safe to repeat."""
    if kind == "cron":
        context.run_write(lambda inside: _cron(inside, subject, at))
        return
    following = {"rollout": _rollout, "look": _look}[kind](context, subject)
    context.run_write(lambda inside: _put_off(inside, kind, subject, at, following))


def _put_off(context: Context, kind: str, subject: str, at: datetime, following: datetime | None) -> None:
    """Unless another driver has done so."""
    was_due = schedules.c.next_at == at
    if following is None:
        context.db.execute(_one(sa.delete(schedules), context, kind, subject).where(was_due))
    else:
        context.db.execute(_one(sa.update(schedules), context, kind, subject).where(was_due).values(next_at=following))


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
    try:
        look(context, name)
    except (Conflict, Unavailable):  # it passes: the same look is made again
        raise
    except ClewError as error:  # one monitor that can't look must not hold up the project; what it owes it looks at the next time
        _say_failed(context, name, error.message)
    except Exception as error:  # a defect holds it up no more than that
        _log.exception("the monitor %s of %s could not look", name, context.project)
        _say_failed(context, name, f"a defect of Clew's, {type(error).__name__}; the server's log says where")

    def listen(inside: Context) -> datetime:
        for definition in triggers.declared_triggers(inside).values():
            heard = triggers.hear(inside, definition)
            if heard is not None:
                triggers.weigh(inside, definition)
                triggers.fire(inside, definition, heard.words, rollouts.under_way(inside, definition.build), heard=heard)
        return _next_look(inside, monitor)

    return context.run_write(listen)


def _say_failed(context: Context, monitor: str, reason: str) -> None:
    context.run_write(lambda inside: emit(inside, "monitor.failed", monitor, {"reason": reason}))


def _cron(context: Context, name: str, at: datetime) -> None:
    """A trigger's cron time: the build is asked for and the next time is set in one transaction, so that no time fires twice."""
    if context.db.execute(_one(sa.select(schedules), context, "cron", name).where(schedules.c.next_at == at)).first() is None:
        return  # another driver was quicker
    definition = triggers.declared_triggers(context).get(name)
    if definition is not None:
        _say_missed(context, definition, at)
        triggers.fire(context, definition, "schedule", rollouts.under_way(context, definition.build))
    _put_off(context, "cron", name, at, None if definition is None else triggers.next_time(definition, context.now))


def _say_missed(context: Context, definition: TriggerDefinition, at: datetime) -> None:
    """Times that passed while no server looked, on the wall clock: one build makes up for all of them."""
    missed = 0
    following = triggers.next_time(definition, at)
    while following is not None and following <= context.now and missed < _MOST_COUNTED:
        missed, following = missed + 1, triggers.next_time(definition, following)
    if missed:
        counted = f"{missed}{' or more' if missed == _MOST_COUNTED else ''} of its times"
        triggers.skip(context, definition, "schedule", f"{counted} passed while no server ran; one build makes up for them")


def _monitors(context: Context) -> dict[str, MonitorDefinition]:
    found = (from_document(one.document) for one in catalog.list_definitions(context, "monitor").items)
    return {one.name: one for one in found if isinstance(one, MonitorDefinition)}


def _next_look(context: Context, monitor: MonitorDefinition) -> datetime:
    """By the clock of the training set that the endpoint's version was made from."""
    serves = None if monitor.endpoint is None else find_endpoint(context, monitor.endpoint)
    if monitor.endpoint is not None and serves is not None:
        details = training_set_of(context, get_route(context, monitor.endpoint, serves.epoch).document.training_set)
        if details is not None:
            return next_look(monitor, context.now, details.zone, details.block)
    return next_look(monitor, context.now)


def _one(statement: Any, context: Context, kind: str, subject: str) -> Any:  # Any: update and delete share `where`, not a type
    return statement.where(schedules.c.project == context.project, schedules.c.kind == kind, schedules.c.subject == subject)
