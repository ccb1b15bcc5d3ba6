"""Operations of delivery: event time, rollouts, triggers, and the jobs that build."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from clew.catalog import service as catalog
from clew.clock import to_micros
from clew.definitions import EndpointDefinition, from_document
from clew.delivery import rollouts, scheduling, triggers
from clew.delivery.schema import Advance, Rollout, Trigger
from clew.errors import ClewError, Conflict, Invalid
from clew.operations import Context, Page, operation
from clew.serving.routing import find_endpoint, get_route
from clew.storage import jobs as queue
from clew.storage.events import emit
from clew.storage.schema import Job, jobs

__all__ = [
    "advance_clock", "claim_job", "conclude_build", "end_rollout", "fail_job", "fire_trigger", "get_job", "get_rollout", "list_jobs",
    "list_rollouts", "list_triggers", "pause_rollout", "pause_trigger", "promote_rollout", "renew_job", "resume_rollout",
    "resume_trigger", "roll_out", "roll_out_ungated",
]  # fmt: skip

_MAX_LIMIT = 200


# ── event time ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@operation("POST /projects/{project}/clock/advance", permission="projects.clock", kind="staged")
def advance_clock(context: Context, to: datetime) -> Advance:
    """Move event time towards ``to``, doing what is due on the way; it stands still while a build that is due is not done.

    Call it again until nothing is waited for. Only a project opened for replay is moved by hand; on the wall clock the server does it.
    """
    to_micros(to)  # refuses a time without a zone
    return scheduling.advance(context, to)


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
def list_rollouts(context: Context, endpoint: str | None = None, limit: int = 50) -> Page[Rollout]:
    """Rollouts of the project, or of one endpoint, newest first."""
    return Page(rollouts.listed(context, endpoint, max(1, min(limit, _MAX_LIMIT))))


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
def fire_trigger(context: Context, name: str, reason: str = "") -> Job | None:
    """Ask for the trigger's build now; ``None`` where one is under way. Raises ``Conflict`` while the trigger is paused."""
    trigger = triggers.get(context, name)
    if trigger.state == "paused":
        raise Conflict(f"the trigger {name!r} is paused: {trigger.reason}; `clew triggers resume {name}` lets it ask again")
    return triggers.fire(context, triggers.declared_triggers(context)[name], reason or "by hand")


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
def list_jobs(context: Context, state: str | None = None, limit: int = 50) -> Page[Job]:
    """Jobs of the project, those due last first."""
    query = sa.select(jobs).where(jobs.c.project == context.project)
    if state is not None:
        query = query.where(jobs.c.state == state)
    rows = context.db.execute(query.order_by(jobs.c.due_at.desc(), jobs.c.id.desc()).limit(max(1, min(limit, _MAX_LIMIT))))
    return Page([Job(**{name: row._mapping[name] for name in Job.__dataclass_fields__}) for row in rows])


@operation("GET /projects/{project}/jobs/{job_id}", permission="delivery.read", kind="read")
def get_job(context: Context, job_id: str) -> Job:
    return queue.find(context, job_id)


@operation("POST /projects/{project}/jobs/claim", permission="delivery.work", kind="write")
def claim_job(context: Context, worker: str) -> Job | None:
    """The next build to work on, for a lease of half a minute that the worker renews; ``None`` when there is none."""
    return queue.claim(context, worker, ("build",))


@operation("POST /projects/{project}/jobs/{job_id}/renew", permission="delivery.work", kind="write")
def renew_job(context: Context, job_id: str, token: int) -> None:
    """Keep a job's lease. Raises ``Conflict`` when another attempt has it."""
    queue.renew(context, _attempt(context, job_id, token))


@operation("POST /projects/{project}/jobs/{job_id}/fail", permission="delivery.work", kind="write")
def fail_job(context: Context, job_id: str, token: int, error: str, again: bool = False) -> None:
    """Say why a job failed; with ``again`` it is tried once more, as long as it has attempts left."""
    job = _attempt(context, job_id, token)
    queue.fail(context, job, error[:4_000], again=again)
    if queue.find(context, job_id).state == "failed":
        emit(context, "build.failed", job.subject, {"job": job.id, "error": error[:1_000], **_named(job)})
        triggers.conclude(context, str(job.arguments.get("trigger", "")), brought=False, outcome=f"the build failed: {error[:200]}")


@operation("POST /projects/{project}/jobs/{job_id}/build", permission="delivery.work", kind="staged")
def conclude_build(context: Context, job_id: str, token: int, number: int, word: str = "", reason: str = "") -> Job:
    """What a build brought: the version that it left, and the gate's word. One that may be deployed sets out to the model's endpoints."""
    with context.reading() as inside:
        job = _attempt(inside, job_id, token)
        version = catalog.get_version(inside, job.subject, number)
        served = _endpoints(inside, job.subject)
        known = {endpoint: _serves(inside, endpoint) for endpoint in served}
    begun, refused = [], []
    for endpoint, answers in known.items():
        if version.state != "ready" or answers == number:
            continue
        try:
            rollouts.begin(context, endpoint, str(version.ref), f"{job.arguments.get('cause', 'a build')}", ungated=False)
            begun.append(endpoint)
        except ClewError as error:  # another version is on its way, or the route can't be made: the version is kept all the same
            refused.append(f"{endpoint}: {error.message}")
    fresh = all(answers != number for answers in known.values())
    outcome = _outcome(version.ref, version.state, word, reason, begun, refused, fresh=fresh)
    brought = None if word == "not enough data yet" else version.state == "ready" and fresh

    def write(inside: Context) -> Job:
        result = {
            "version": str(version.ref),
            "state": version.state,
            "word": word,
            "reason": reason,
            "outcome": outcome,
            "rollouts": begun,
        }
        queue.finish(inside, job, result)
        emit(inside, "build.done", job.subject, {"job": job.id, **_named(job), **result})
        triggers.conclude(inside, str(job.arguments.get("trigger", "")), brought=brought, outcome=outcome)
        return queue.find(inside, job_id)

    return context.run_write(write)


def _outcome(reference: object, state: str, word: str, reason: str, begun: list[str], refused: list[str], *, fresh: bool) -> str:
    if word == "not enough data yet":
        return f"not enough data yet: {reason}"
    if state != "ready":
        return f"{reference} rejected: {word}, {reason}"
    if not fresh:
        return f"nothing new: {reference} answers already"
    told = f"{reference} {word}" if word else f"{reference} built"
    return "; ".join([told, *(f"on its way behind {endpoint}" for endpoint in begun), *refused])


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
