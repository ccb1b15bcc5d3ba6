"""Rollouts: a version comes behind an endpoint step by step, watched at each, and leaves by itself when it does harm.

What serves is decided by the endpoint's route alone; a rollout asks serving to change it, and follows it when somebody else has. Every
step is safe to repeat: whoever dies between the route and the rollout's row is caught up with by the next look.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from clew.catalog import service as catalog
from clew.clock import parse_duration
from clew.definitions import EndpointDefinition, GuardDefinition, RolloutStep, from_document
from clew.delivery import triggers
from clew.delivery.harm import judge_harm, next_maturity
from clew.delivery.schema import Harm, Rollout, RolloutEvent, RolloutState, rollouts
from clew.errors import ClewError, Conflict, Invalid, NotFound, Refused
from clew.feature_store.schema import TrainingSetDetails
from clew.identifiers import new_id
from clew.operations import Context
from clew.serving import service as serving
from clew.serving.documents import training_set_of
from clew.serving.pairs import matured_pairs
from clew.serving.routing import find_endpoint, get_route, routes_of
from clew.serving.schema import Route, served_routes
from clew.storage.events import emit
from clew.storage.schema import events

__all__ = [
    "all_open", "begin", "declared", "end", "follow", "get", "is_well", "listed", "open_rollout", "pause", "progress", "promote", "resume", "under_way",
    "until_next_look", "watch",
]  # fmt: skip

_SHORTEST_LOOK = timedelta(hours=1)
_LONGEST_WAIT = timedelta(days=1)
_CLEW, _GUARD = "clew", "guard"


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def declared(context: Context, endpoint: str) -> EndpointDefinition | None:
    """How the endpoint is declared; ``None`` for one that nobody declared."""
    try:
        found = from_document(catalog.get_definition(context, "endpoint", endpoint).document)
    except NotFound:
        return None
    return found if isinstance(found, EndpointDefinition) else None


def get(context: Context, rollout_id: str) -> Rollout:
    row = context.db.execute(sa.select(rollouts).where(rollouts.c.id == rollout_id, rollouts.c.project == context.project)).one_or_none()
    if row is None:
        raise NotFound(f"no rollout {rollout_id!r} is in the project {context.project!r}; `clew rollouts` lists those that there are")
    return _rollout(row)


def listed(context: Context, endpoint: str | None, limit: int, after: "sa.ColumnElement[bool] | None" = None) -> list[Rollout]:
    """Newest first; of those that ``after`` lets through."""
    query = sa.select(rollouts).where(rollouts.c.project == context.project)
    if endpoint is not None:
        query = query.where(rollouts.c.endpoint == endpoint)
    if after is not None:
        query = query.where(after)
    return [_rollout(row) for row in context.db.execute(query.order_by(rollouts.c.started_at.desc(), rollouts.c.id.desc()).limit(limit))]


def all_open(context: Context) -> list[Rollout]:
    """Those of the project that have not ended."""
    query = sa.select(rollouts).where(rollouts.c.project == context.project, rollouts.c.ended_at.is_(None))
    return [_rollout(row) for row in context.db.execute(query)]


def open_rollout(context: Context, endpoint: str) -> Rollout | None:
    """The endpoint's that has not ended, of which there is at most one."""
    return next((one for one in all_open(context) if one.endpoint == endpoint), None)


def under_way(context: Context, model: str) -> list[str]:
    """A model's rollouts that have not ended, in words."""
    return [f"{one.reference} is on its way behind {one.endpoint} ({one.state})" for one in all_open(context) if one.model == model]


def _rollout(row: Any) -> Rollout:  # Any: a SQLAlchemy row
    columns = {name: row._mapping[name] for name in Rollout.__dataclass_fields__}
    columns["steps"] = msgspec.convert(columns["steps"], tuple[RolloutStep, ...])
    columns["history"] = msgspec.convert(columns["history"], list[RolloutEvent])
    columns["harm"] = None if columns["harm"] is None else msgspec.convert(columns["harm"], Harm)
    columns["guard"] = None if columns["guard"] is None else msgspec.convert(columns["guard"], GuardDefinition)
    return Rollout(**columns)


def until_next_look(context: Context, rollout: Rollout) -> datetime:
    """When a rollout must be looked at again: at its step's end, and whenever a whole block of rows has matured for the harm test."""
    times = [context.now + _LONGEST_WAIT]
    if rollout.state == "running":
        # One that is held at its step's end, because a process can't load it, is looked at again after a while.
        times.append(rollout.step_ends_at if rollout.step_ends_at > context.now else context.now + _SHORTEST_LOOK)
    details = _training_set(context, rollout) if rollout.guard is not None and rollout.guard.harm is not None else None
    if details is not None:
        matures = next_maturity(context.now, within=parse_duration(details.label_within), block=details.block, zone=details.zone)
        times.append(max(matures, context.now + _SHORTEST_LOOK))
    return min(times)


def _training_set(context: Context, rollout: Rollout) -> TrainingSetDetails | None:
    route = get_route(context, rollout.endpoint, find_endpoint(context, rollout.endpoint).epoch)
    return training_set_of(context, route.document.training_set)


# ── beginning ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def begin(context: Context, endpoint: str, reference: str, reason: str, *, ungated: bool, bounds: bool = True) -> Rollout | Route:
    """Bring a version behind an endpoint by its declared steps; at once, as a route, where it declares none or serves nothing yet.

    Raises ``Conflict`` while another version is on its way.
    """
    with context.reading() as inside:
        version = catalog.resolve(inside, reference)
        definition = declared(inside, endpoint)
        serves = find_endpoint(inside, endpoint)
        current = None if serves is None else get_route(inside, endpoint, serves.epoch)
        running = open_rollout(inside, endpoint)
    if running is not None and not (running.number == version.number and current is not None and current.candidate is None):
        raise Conflict(
            f"{running.reference} is on its way behind {endpoint!r} already ({running.state}, {_step_words(running)}); "
            f"promote it or roll it back first: `clew rollouts {endpoint}`",
            rollout=running.id,
        )
    steps = () if definition is None else definition.rollout
    if current is None or not steps or current.document.number == version.number:
        if ungated:
            return serving.deploy_ungated(context, endpoint, str(version.ref), reason, bounds)
        return serving.deploy(context, endpoint, str(version.ref), reason)
    assert definition is not None  # it has steps
    rollout = running or Rollout(
        new_id("ro"), endpoint, version.name, version.number, current.document.number, steps, definition.guard, 0, "running", ungated, reason,
        None, [], context.now, context.now + parse_duration(steps[0].duration), None, None, context.actor, bounds,
    )  # fmt: skip
    if running is None:
        context.run_write(lambda inside: _write_new(inside, _noted(rollout, context, reason or f"{steps[0].kind} begins", context.actor)))
    try:
        _ask_serving(context, rollout)
    except ClewError:  # serving refuses it: then it has never begun
        context.run_write(lambda inside: inside.db.execute(sa.delete(rollouts).where(rollouts.c.id == rollout.id)))
        raise
    body = {"rollout": rollout.id, "version": rollout.reference, "step": _step_words(rollout), "ungated": rollout.ungated}
    context.run_write(lambda inside: emit(inside, "rollout.started", rollout.endpoint, body))
    with context.reading() as inside:
        return get(inside, rollout.id)


def _ask_serving(context: Context, rollout: Rollout) -> None:
    """Bring the rollout's step into the route; somebody who looks at the same rollout may have done so a moment ago."""
    try:
        _try_candidate(context, rollout)
    except Conflict:
        with context.reading() as inside:
            candidate = get_route(inside, rollout.endpoint, find_endpoint(inside, rollout.endpoint).epoch).candidate
        if candidate is None or candidate.salt != rollout.id or candidate.share != rollout.at_step.share:
            raise


def _try_candidate(context: Context, rollout: Rollout) -> Route:
    step = rollout.at_step
    reason = f"rollout {rollout.id}: {_step_words(rollout)}"
    if rollout.ungated:
        return serving.try_candidate_ungated(
            context, rollout.endpoint, rollout.reference, rollout.id, reason, step.share, rollout.guard, rollout.bounds
        )
    return serving.try_candidate(context, rollout.endpoint, rollout.reference, rollout.id, step.share, rollout.guard, reason)


def _step_words(rollout: Rollout) -> str:
    step = rollout.at_step
    what = step.kind if step.kind == "shadow" else f"canary of {step.share * 100:.0f} %"
    return f"step {rollout.step + 1} of {len(rollout.steps)}, {what} for {step.duration}"


# ── going on ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def follow(context: Context, rollout: Rollout) -> Rollout:
    """The rollout after what happened to its route: a guard in serving has closed it, or a person has deployed or rolled back."""
    with context.reading() as inside:
        history = routes_of(inside, rollout.endpoint)
    current = history[-1]
    tried = current.candidate
    if tried is not None and tried.salt == rollout.id:
        return rollout
    if current.document.number == rollout.number:
        return _ended(context, rollout, "promoted", current.reason or "deployed by hand", current.created_by)
    first = next((route for route in history if route.candidate is not None and route.candidate.salt == rollout.id), None)
    if first is None:  # whoever began it died before the route was made
        try:
            _ask_serving(context, rollout)
        except Conflict:  # whoever began it is at work just now
            return rollout
        except ClewError as error:
            return _ended(context, rollout, "rolled back", f"it never came into the route: {error.message}", _CLEW)
        return rollout
    after = next(
        route for route in history if route.epoch > first.epoch and (route.candidate is None or route.candidate.salt != rollout.id)
    )
    if after.cause == "closed":
        by, at = _closer(context, after)
        return _ended(replace(context, now=at), rollout, "rolled back", after.reason, by)
    return _ended(context, rollout, "superseded", f"{after.ref} was deployed: {after.reason}", after.created_by)


def _closer(context: Context, route: Route) -> tuple[str, datetime]:
    """Who closed the candidate that a route is without, and when: a guard at the event time of the row that it closed it for."""
    where = (events.c.project == context.project, events.c.kind == "candidate.closed", events.c.subject == route.endpoint)
    with context.reading() as inside:
        found = inside.db.execute(sa.select(events.c.body, events.c.at).where(*where).order_by(events.c.sequence.desc()))
        row = next(row for row in found if row.body["epoch"] == route.epoch)  # written in one transaction with the route
    return (_GUARD if row.body["by"] == "guard" else route.created_by), row.at


def is_well(context: Context, rollout: Rollout) -> bool:
    """Whether its candidate is in the route, and no process says that it can't load it: a cheap look, asked at every step of the clock."""
    epoch = find_endpoint(context, rollout.endpoint).epoch
    candidate = get_route(context, rollout.endpoint, epoch).candidate
    failed = sa.select(served_routes.c.process).where(
        served_routes.c.project == context.project, served_routes.c.endpoint == rollout.endpoint, served_routes.c.epoch == epoch,
        served_routes.c.state == "failed",
    )  # fmt: skip
    return candidate is not None and candidate.salt == rollout.id and context.db.execute(failed).first() is None


def watch(context: Context, rollout: Rollout) -> Rollout:
    """The rollout after what can happen to it at any time: its route was changed, or no serving process can load its version."""
    rollout = follow(context, rollout)
    if not rollout.open:
        return rollout
    failed, others = _loading(context, rollout)
    if not failed or others:
        return rollout
    return end(context, rollout, f"no serving process could load it: {failed[0]}", _GUARD)


def progress(context: Context, rollout: Rollout) -> Rollout:
    """Judge harm on the labels that have matured, and take the next step when this one's time is over."""
    rollout = watch(context, rollout)
    if not rollout.open:
        return rollout
    harm = _harm(context, rollout)
    if harm is not None:
        rollout = _changed(context, rollout, lambda fresh: replace(fresh, harm=harm))
        if harm.word == "worse":
            return end(context, rollout, _harm_words(harm), _GUARD)
    if not rollout.open or rollout.state == "paused" or context.now < rollout.step_ends_at:
        return rollout
    failed, _ = _loading(context, rollout)
    if failed:  # to let it answer more would be to let processes answer by different versions
        return _held(context, rollout, f"held: a serving process can't load it: {failed[0]}")
    try:
        return _take_next_step(context, rollout)
    except (Refused, Invalid, NotFound) as error:  # a gate was added, or somebody has marked the version: it may not be served any more
        return end(context, rollout, f"it may not go on: {error.message}", _CLEW)


def _take_next_step(context: Context, rollout: Rollout) -> Rollout:
    if rollout.step + 1 == len(rollout.steps):
        harm = rollout.harm
        words = "" if harm is None else f"; harm: {harm.word}, {harm.blocks} {harm.unit}, {harm.rows:,} rows"
        return promote(context, rollout, f"every step is over{words}", _CLEW)
    step = rollout.step + 1
    # Its time counts from now: after a while in which nobody looked, the next step has its whole time before it all the same.
    ends_at = context.now + parse_duration(rollout.steps[step].duration)
    following = replace(rollout, step=step, step_ends_at=ends_at)
    _ask_serving(context, following)

    def take(fresh: Rollout) -> Rollout:
        if fresh.step != rollout.step:  # another driver has taken it
            return fresh
        return _noted(replace(fresh, step=step, step_ends_at=ends_at), context, _step_words(following), _CLEW)

    return _changed(context, rollout, take)


def _held(context: Context, rollout: Rollout, reason: str) -> Rollout:
    """The rollout, with a note of why it does not go on; once for each reason."""
    return _changed(context, rollout, lambda fresh: fresh if fresh.history[-1].reason == reason else _noted(fresh, context, reason, _CLEW))


def _harm_words(harm: Harm) -> str:
    counted = f"{harm.blocks} {harm.unit}, {harm.rows:,} rows"
    return f"worse: its log loss is higher by {harm.mean or 0.0:.3f} nats, where {harm.tolerance:g} may be ({counted})"


def _harm(context: Context, rollout: Rollout) -> Harm | None:
    """The harm test as of now; ``None`` where nobody asked for it, or no label is declared."""
    if rollout.guard is None or rollout.guard.harm is None:
        return None
    with context.reading() as inside:
        history = routes_of(inside, rollout.endpoint)
        details = _training_set(inside, rollout)
        if details is None:
            return None
        first = next((route.epoch for route in history if route.candidate is not None and route.candidate.salt == rollout.id), None)
        if first is None:
            return None
        until = context.now - parse_duration(details.label_within)
        pairs = matured_pairs(inside, history[-1].document, rollout.number, first, until)
    return judge_harm(pairs, rollout.guard, block=details.block, zone=details.zone, until=until)


def _loading(context: Context, rollout: Rollout) -> tuple[list[str], int]:
    """What the living serving processes say that can't load the route, and how many others serve the endpoint."""
    with context.reading() as inside:
        status = serving.endpoint_status(inside, rollout.endpoint)
    serve = [process for process in status.processes if process.alive and process.epoch is not None]
    failed = [process.message for process in serve if process.epoch == status.route.epoch and process.state == "failed"]
    return failed, len(serve) - len(failed)


def promote(context: Context, rollout: Rollout, reason: str, by: str) -> Rollout:
    """Let the version answer all, and end the rollout."""
    said = f"rollout {rollout.id}: {reason}"
    if rollout.ungated:
        serving.deploy_ungated(context, rollout.endpoint, rollout.reference, said, rollout.bounds)
    else:
        serving.deploy(context, rollout.endpoint, rollout.reference, said)
    return _ended(context, rollout, "promoted", reason, by)


def end(context: Context, rollout: Rollout, reason: str, by: str) -> Rollout:
    """Take the candidate out of the route, and mark its version with the reason where it was the guard that found it."""
    with context.reading() as inside:
        epoch = find_endpoint(inside, rollout.endpoint).epoch
    try:
        serving.close_candidate(context, rollout.endpoint, epoch, reason, "guard" if by == _GUARD else "person")
    except Conflict:  # the route has changed just now, perhaps for the same reason
        rollout = follow(context, rollout)
        if rollout.open:
            raise
        return rollout
    return _ended(context, rollout, "rolled back", reason, by)


def pause(context: Context, rollout: Rollout, reason: str) -> Rollout:
    """Stay at the present step; the guard goes on watching."""

    def change(fresh: Rollout) -> Rollout:
        if fresh.state != "running":
            raise Conflict(f"the rollout of {fresh.reference} is {fresh.state}; only one that runs can be paused")
        paused = replace(fresh, state="paused", paused_at=context.now)
        return _noted(paused, context, reason or "paused by hand", context.actor)

    return _changed(context, rollout, change)


def resume(context: Context, rollout: Rollout, reason: str) -> Rollout:
    """Go on with the present step: its end moves by as long as the pause was."""

    def change(fresh: Rollout) -> Rollout:
        if fresh.state != "paused" or fresh.paused_at is None:
            raise Conflict(f"the rollout of {fresh.reference} is {fresh.state}; only one that is paused can go on")
        moved = fresh.step_ends_at + (context.now - fresh.paused_at)
        running = replace(fresh, state="running", paused_at=None, step_ends_at=moved)
        return _noted(running, context, reason or "resumed by hand", context.actor)

    return _changed(context, rollout, change)


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _changed(context: Context, rollout: Rollout, change: Callable[[Rollout], Rollout]) -> Rollout:
    """The rollout as it stands now, changed, in one transaction: a person and the driver may both be at it. One that has ended stays."""

    def write(inside: Context) -> Rollout:
        fresh = get(inside, rollout.id)
        if not fresh.open:
            return fresh
        changed = change(fresh)
        if changed != fresh:
            _write(inside, changed)
        return changed

    return context.run_write(write)


def _ended(context: Context, rollout: Rollout, state: RolloutState, reason: str, by: str) -> Rollout:
    def write(inside: Context) -> Rollout:
        fresh = get(inside, rollout.id)
        if not fresh.open:  # somebody else was quicker, with the same news
            return fresh
        ended = _noted(replace(fresh, state=state, ended_at=context.now), context, reason, by)
        _write(inside, ended)
        if state == "rolled back" and by == _GUARD:
            catalog.mark_version(inside, rollout.model, rollout.number, "rejected", f"rolled back from {rollout.endpoint}: {reason}")
        body = {"rollout": rollout.id, "version": rollout.reference, "state": state, "reason": reason, "by": by}
        emit(inside, "rollout.ended", rollout.endpoint, body)
        for definition in triggers.declared_triggers(inside).values():
            if definition.build == rollout.model:
                triggers.weigh(inside, definition)
        return ended

    return context.run_write(write)


def _noted(rollout: Rollout, context: Context, reason: str, by: str) -> Rollout:
    return replace(rollout, history=[*rollout.history, RolloutEvent(context.now, rollout.state, rollout.step, reason, by)])


def _write_new(context: Context, rollout: Rollout) -> None:
    if open_rollout(context, rollout.endpoint) is not None:
        raise Conflict(f"another version came on its way behind {rollout.endpoint!r} just now; `clew rollouts {rollout.endpoint}` shows it")
    context.db.execute(sa.insert(rollouts).values(project=context.project, **vars(rollout)))


def _write(context: Context, rollout: Rollout) -> None:
    values = vars(rollout)
    changed = {name: values[name] for name in ("step", "state", "harm", "history", "step_ends_at", "paused_at", "ended_at")}
    context.db.execute(sa.update(rollouts).where(rollouts.c.id == rollout.id, rollouts.c.ended_at.is_(None)).values(**changed))
