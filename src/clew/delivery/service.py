"""Operations of delivery: event time, rollouts, triggers, and the jobs that build."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TypeVar

import sqlalchemy as sa

from clew.access.service import get_project
from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion
from clew.clock import from_micros, to_micros
from clew.definitions import EndpointDefinition, from_document
from clew.delivery import rollouts, scheduling, triggers
from clew.delivery.schema import Advance, Overdue, Rollout, Trigger
from clew.delivery.schema import rollouts as rollouts_table
from clew.errors import ClewError, Conflict, Invalid
from clew.operations import Context, Page, decode_cursor, encode_cursor, operation
from clew.serving.routing import find_endpoint, get_route
from clew.storage import jobs as queue
from clew.storage.events import emit
from clew.storage.schema import Job, JobState, jobs

__all__ = [
    "advance_clock", "claim_job", "conclude_build", "end_rollout", "end_spent", "fail_job", "fire_trigger", "get_job", "get_rollout", "list_jobs", "list_overdue",
    "list_rollouts", "list_triggers", "pause_rollout", "pause_trigger", "promote_rollout", "release_job", "renew_job", "resume_rollout",
    "resume_trigger", "roll_out", "roll_out_ungated",
]  # fmt: skip

T = TypeVar("T")

_MAX_LIMIT = 200
_MAX_WORKER = 160
_MAX_ERROR = 4_000


# ── event time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@operation("POST /projects/{project}/clock/advance", permission="projects.clock", kind="staged")
def advance_clock(context: Context, to: datetime) -> Advance:
    """Move event time towards ``to``, doing what is due on the way; it stands still while a build that is due is not done.

    Call it again until nothing is waited for. Only a project opened for replay is moved by hand; on the wall clock the server does it.
    """
    to_micros(to)  # refuses a time without a zone
    with context.reading() as inside:
        if get_project(inside).clock != "replay":
            raise Conflict(
                f"{context.project!r} lives by the wall clock, which `clew up` follows; only a project opened for replay is moved"
            )
    return scheduling.advance(context, to)


@operation("GET /projects/{project}/overdue", permission="serving.read", kind="read")
def list_overdue(context: Context) -> Page[Overdue]:
    """Looks, steps of rollouts and schedules that were due a minute ago and more and that nobody has done, oldest first.

    A project on the wall clock is turned by `clew up`; in a replay, where the driver does it, there are none.
    """
    return Page(scheduling.overdue(context))


# ── rollouts ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@operation("POST /projects/{project}/endpoints/{name}/rollouts", permission="delivery.roll_out", kind="staged")
def roll_out(context: Context, name: str, reference: str, reason: str = "") -> Rollout | None:
    """Bring a version that passed its gates behind an endpoint by the steps that the endpoint declares.

    ``None`` where it answers at once: the endpoint declares no steps, or serves nothing yet.
    """
    begun = rollouts.begin(context, name, reference, reason, ungated=False)
    return begun if isinstance(begun, Rollout) else None


@operation("POST /projects/{project}/endpoints/{name}/rollouts-ungated", permission="serving.deploy_ungated", kind="staged")
def roll_out_ungated(context: Context, name: str, reference: str, reason: str, bounds: bool = True) -> Rollout | None:
    """The same without a gate's word, for a reason that stays on record; with ``bounds=False`` without the bounds of today's definitions,
    which hold for every version else."""
    if not reason.strip():
        raise Invalid("a rollout without a gate needs a reason: --reason says it on the command line")
    begun = rollouts.begin(context, name, reference, reason, ungated=True, bounds=bounds)
    return begun if isinstance(begun, Rollout) else None


@operation("GET /projects/{project}/rollouts", permission="serving.read", kind="read")
def list_rollouts(context: Context, endpoint: str | None = None, limit: int = 50, cursor: str | None = None) -> Page[Rollout]:
    """Rollouts of the project, or of one endpoint, newest first."""
    limit = max(1, min(limit, _MAX_LIMIT))
    after = None if cursor is None else _after(rollouts_table.c.started_at, rollouts_table.c.id, cursor)
    return _page(rollouts.listed(context, endpoint, limit + 1, after), limit, lambda one: (one.started_at, one.id))


def _after(at: "sa.Column[datetime]", identifier: "sa.Column[str]", cursor: str) -> "sa.ColumnElement[bool]":
    """What follows a cursor, newest first."""
    found = decode_cursor(cursor, at=int, id=str)
    try:
        last = from_micros(found["at"])
    except OverflowError as error:
        raise Invalid(f"{cursor!r} is not a cursor that this list gave; start again without one") from error
    return sa.or_(at < last, sa.and_(at == last, identifier < found["id"]))


def _page(found: list[T], limit: int, place: Callable[[T], tuple[datetime, str]]) -> Page[T]:
    """One page of what was asked for with one more."""
    if len(found) <= limit:
        return Page(found)
    at, identifier = place(found[limit - 1])
    return Page(found[:limit], encode_cursor({"at": to_micros(at), "id": identifier}))


@operation("GET /projects/{project}/rollouts/{rollout_id}", permission="serving.read", kind="read")
def get_rollout(context: Context, rollout_id: str) -> Rollout:
    return rollouts.get(context, rollout_id)


@operation("POST /projects/{project}/rollouts/{rollout_id}/pause", permission="delivery.roll_out", kind="staged")
def pause_rollout(context: Context, rollout_id: str, reason: str = "") -> Rollout:
    """Stay at the present step until it is resumed. The guard goes on watching."""
    return rollouts.pause(context, _open(context, rollout_id), reason)


@operation("POST /projects/{project}/rollouts/{rollout_id}/resume", permission="delivery.roll_out", kind="staged")
def resume_rollout(context: Context, rollout_id: str, reason: str = "") -> Rollout:
    """Go on with a paused rollout."""
    return rollouts.resume(context, _open(context, rollout_id), reason)


@operation("POST /projects/{project}/rollouts/{rollout_id}/promote", permission="serving.deploy", kind="staged")
def promote_rollout(context: Context, rollout_id: str, reason: str = "") -> Rollout:
    """Let the version answer all now, before its steps are over."""
    return rollouts.promote(context, _open(context, rollout_id), reason or "promoted by hand", context.actor)


@operation("POST /projects/{project}/rollouts/{rollout_id}/end", permission="delivery.roll_out", kind="staged")
def end_rollout(context: Context, rollout_id: str, reason: str = "") -> Rollout:
    """Take the version out of the route; the champion answers all. The version itself is not marked: only a guard does that."""
    return rollouts.end(context, _open(context, rollout_id), reason or "rolled back by hand", context.actor)


def _open(context: Context, rollout_id: str) -> Rollout:
    """The rollout, caught up with its route. Raises ``Conflict`` for one that has ended."""
    with context.reading() as inside:
        rollout = rollouts.get(inside, rollout_id)
    rollout = rollouts.follow(context, rollout) if rollout.open else rollout
    if not rollout.open:
        last = rollout.history[-1]
        raise Conflict(f"the rollout of {rollout.reference} has ended: {rollout.state}, {last.reason}", state=rollout.state)
    return rollout


# ── triggers ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@operation("GET /projects/{project}/triggers", permission="delivery.read", kind="read")
def list_triggers(context: Context) -> Page[Trigger]:
    """Every trigger by name, with the builds that it has asked for."""
    return Page(triggers.all_triggers(context))


@operation("POST /projects/{project}/triggers/{name}/fire", permission="code.execute", kind="write")
def fire_trigger(context: Context, name: str, reason: str = "") -> Job:
    """Ask for the trigger's build now. Raises ``Conflict`` while the trigger is paused, or its model is being built or rolled out."""
    trigger = triggers.get(context, name)
    if trigger.state == "paused":
        raise Conflict(f"the trigger {name!r} is paused: {trigger.reason}; `clew triggers resume {name}` lets it ask again")
    definition = triggers.declared_triggers(context)[name]
    busy = rollouts.under_way(context, definition.build)
    why_not = triggers.why_not(context, definition, busy, by_hand=True)
    if why_not:
        raise Conflict(f"the trigger {name!r} can't ask for a build of {definition.build!r} now: {why_not}")
    job = triggers.fire(context, definition, reason or "by hand", busy, by_hand=True)
    assert job is not None  # nothing stood against it
    return job


@operation("POST /projects/{project}/triggers/{name}/pause", permission="delivery.trigger", kind="write")
def pause_trigger(context: Context, name: str, reason: str = "") -> Trigger:
    """Let a trigger ask for nothing until it is resumed."""
    triggers.get(context, name)
    triggers.set_state(context, name, "paused", reason or "paused by hand")
    return triggers.get(context, name)


@operation("POST /projects/{project}/triggers/{name}/resume", permission="delivery.trigger", kind="write")
def resume_trigger(context: Context, name: str, reason: str = "") -> Trigger:
    """Let a paused trigger ask again; what its earlier builds brought counts no more."""
    triggers.get(context, name)
    triggers.set_state(context, name, "active", reason or "resumed by hand")
    return triggers.get(context, name)


# ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@operation("GET /projects/{project}/jobs", permission="delivery.read", kind="read")
def list_jobs(context: Context, state: JobState | None = None, limit: int = 50, cursor: str | None = None) -> Page[Job]:
    """Jobs of the project, those due last first."""
    limit = max(1, min(limit, _MAX_LIMIT))
    query = sa.select(jobs).where(jobs.c.project == context.project)
    if state is not None:
        query = query.where(jobs.c.state == state)
    if cursor is not None:
        query = query.where(_after(jobs.c.due_at, jobs.c.id, cursor))
    rows = context.db.execute(query.order_by(jobs.c.due_at.desc(), jobs.c.id.desc()).limit(limit + 1))
    found = [queue.as_job(row) for row in rows]
    return _page(found, limit, lambda job: (job.due_at, job.id))


@operation("GET /projects/{project}/jobs/{job_id}", permission="delivery.read", kind="read")
def get_job(context: Context, job_id: str) -> Job:
    return queue.find(context, job_id)


@operation("POST /projects/{project}/jobs/claim", permission="delivery.work", kind="write")
def claim_job(context: Context, worker: str) -> Job | None:
    """The project's next build to work on, for a lease of half a minute that the worker renews; ``None`` when there is none."""
    if not 0 < len(worker) <= _MAX_WORKER:
        raise Invalid(f"a worker names itself in 1 to {_MAX_WORKER} characters")
    _end_spent(context, context.project)
    return queue.claim(context, worker, ("build",), context.project)


def end_spent(context: Context) -> None:
    """Fail the builds, of any project, whose workers have died as often as a job is tried."""
    context.run_write(_end_spent)


def _end_spent(context: Context, project: str | None = None) -> None:
    for job in queue.spent(context, ("build",), project):
        inside = replace(context, project=job.project)
        _told_of_failure(replace(inside, now=get_project(inside).event_time or context.now), job)


@operation("POST /projects/{project}/jobs/{job_id}/renew", permission="delivery.work", kind="write")
def renew_job(context: Context, job_id: str, token: int) -> None:
    """Keep a job's lease. Raises ``Conflict`` when another attempt has it."""
    queue.renew(context, _attempt(context, job_id, token))


@operation("POST /projects/{project}/jobs/{job_id}/release", permission="delivery.work", kind="write")
def release_job(context: Context, job_id: str, token: int) -> None:
    """Give a job back that was not worked on to its end, for no fault of its own. The attempt does not count."""
    queue.release(context, _attempt(context, job_id, token))


@operation("POST /projects/{project}/jobs/{job_id}/fail", permission="delivery.work", kind="write")
def fail_job(context: Context, job_id: str, token: int, error: str, again: bool = False) -> None:
    """Say why a job failed; with ``again`` it is tried once more, as long as it has attempts left."""
    queue.fail(context, _attempt(context, job_id, token), error[:_MAX_ERROR], again=again)
    job = queue.find(context, job_id)
    if job.state == "failed":
        _told_of_failure(context, job)


def _told_of_failure(context: Context, job: Job) -> None:
    emit(context, "build.failed", job.subject, {"job": job.id, "error": job.error[:1_000], **_named(job)})
    _weigh(context, job)


def _weigh(context: Context, job: Job) -> None:
    """Look anew at the trigger that asked for a job, where it is still declared."""
    definition = triggers.declared_triggers(context).get(str(job.arguments.get("trigger", "")))
    if definition is not None:
        triggers.weigh(context, definition)


@operation("POST /projects/{project}/jobs/{job_id}/build", permission="delivery.work", kind="staged")
def conclude_build(context: Context, job_id: str, token: int, number: int, word: str = "", reason: str = "") -> Job:
    """What a build brought: the version that it left, and the gate's word. One that may be deployed sets out to the model's endpoints.

    Repeating is safe: what an attempt that died in between has sent out already counts as sent out by this one.
    """
    with context.reading() as inside:
        job = _attempt(inside, job_id, token)
        version = catalog.get_version(inside, job.subject, number)
        served = _endpoints(inside, job.subject)
    new = version.created_at >= job.created_at
    sent = _Sent()
    if version.state == "ready":
        for endpoint in served:
            _send(context, endpoint, version, job, sent, new=new)
    begun_or_live = bool(sent.begun or sent.live or (new and not served))
    nothing_new = not new and not begun_or_live and not sent.refused
    outcome = _outcome(version.ref, version.state, word, reason, sent, nothing_new=nothing_new)

    def write(inside: Context) -> Job:
        result = {
            "version": str(version.ref), "state": version.state, "word": word, "reason": reason, "outcome": outcome,
            "rollouts": [endpoint for endpoint, _ in sent.begun], "begun": [rollout for _, rollout in sent.begun],
            "live": bool(sent.live or (new and not served)), "nothing_new": nothing_new, "at": inside.now.isoformat(),
        }  # fmt: skip
        queue.finish(inside, job, result)
        emit(inside, "build.done", job.subject, {"job": job.id, **_named(job), **result})
        _weigh(inside, job)
        return queue.find(inside, job_id)

    return context.run_write(write)


@dataclass
class _Sent:
    """Where a version went: behind which endpoints by which rollouts, where it answers at once, and where it could not go, and why."""

    begun: list[tuple[str, str]] = field(default_factory=list)
    live: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def _send(context: Context, endpoint: str, version: AssetVersion, job: Job, sent: _Sent, *, new: bool) -> None:
    with context.reading() as inside:
        under_way = rollouts.open_rollout(inside, endpoint)
        answers = _serves(inside, endpoint) == version.number
    if under_way is not None and under_way.reference == str(version.ref):
        sent.begun.append((endpoint, under_way.id))
        return
    if answers:
        if new:  # an attempt before this one deployed it, and died before it said so
            sent.live.append(endpoint)
        return
    try:
        begun = rollouts.begin(context, endpoint, str(version.ref), str(job.arguments.get("cause", "a build")), ungated=False)
    except ClewError as error:  # another version is on its way, or the route can't be made: the version is kept all the same
        sent.refused.append(f"{endpoint}: {error.message}")
        return
    if isinstance(begun, Rollout):
        sent.begun.append((endpoint, begun.id))
    else:
        sent.live.append(endpoint)


def _outcome(reference: object, state: str, word: str, reason: str, sent: _Sent, *, nothing_new: bool) -> str:
    if word == "not enough data yet":
        return f"not enough data yet: {reason}"
    if nothing_new:
        return f"nothing new: {reference} is the newest already" + (f", {state}" if state != "ready" else "")
    if state != "ready":
        return f"{reference} rejected: {word}, {reason}"
    told = f"{reference} {word}" if word else f"{reference} built"
    ways = (f"on its way behind {endpoint}" for endpoint, _ in sent.begun)
    return "; ".join([told, *ways, *(f"it answers at {endpoint}" for endpoint in sent.live), *sent.refused])


def _named(job: Job) -> dict[str, Any]:
    return {name: job.arguments[name] for name in ("trigger", "cause") if name in job.arguments}


def _attempt(context: Context, job_id: str, token: int) -> Job:
    job = queue.find(context, job_id)
    if job.token != token or job.state != "running":
        raise Conflict(f"the job {job_id} is not this worker's any more: its lease ran out, and another attempt took it", job=job_id)
    return job


def _endpoints(context: Context, model: str) -> list[str]:
    """Endpoints that are declared for the model."""
    found = (from_document(one.document) for one in catalog.list_definitions(context, "endpoint").items)
    return sorted(one.name for one in found if isinstance(one, EndpointDefinition) and one.model == model)


def _serves(context: Context, endpoint: str) -> int | None:
    row = find_endpoint(context, endpoint)
    return None if row is None else get_route(context, endpoint, row.epoch).document.number
