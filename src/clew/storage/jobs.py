"""A durable queue: work is claimed for a lease, done at least once, and only the newest attempt may say what came of it.

A worker that was suspended past its lease finds that its token is stale and keeps nothing. Whoever works puts the effect and ``finish`` in
one transaction, so that an effect without its job's end, or the other way round, is never seen.
"""

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from clew.clock import wall_now
from clew.errors import Conflict, NotFound
from clew.identifiers import new_id
from clew.operations import Context
from clew.storage.holders import has_died
from clew.storage.schema import Job, jobs

__all__ = [
    "OPEN",
    "any_open",
    "as_job",
    "at_time",
    "claim",
    "enqueue",
    "fail",
    "find",
    "finish",
    "open_jobs",
    "release",
    "renew",
    "retry",
    "spent",
]

OPEN = ("queued", "running")
LEASE = timedelta(seconds=30)
MOST_ATTEMPTS = 3
_ANY_OPEN = sa.select(jobs.c.id).where(jobs.c.state.in_(OPEN)).limit(1)  # built once: it is asked ten times a second


def enqueue(context: Context, kind: str, subject: str, due_at: datetime, arguments: dict[str, Any]) -> Job:
    """Add a job in the context's transaction; the one that there is for this kind, subject and time already."""
    there = at_time(context, kind, subject, due_at)
    if there is not None:
        return there
    job_id = new_id("job")
    made = {
        "id": job_id, "project": context.project, "kind": kind, "subject": subject, "due_at": due_at, "arguments": arguments,
        "state": "queued", "attempt": 0, "token": 0, "worker": "", "created_at": wall_now(), "error": "",
    }  # fmt: skip
    context.db.execute(sa.insert(jobs).values(**made))
    return find(context, job_id)


def at_time(context: Context, kind: str, subject: str, due_at: datetime) -> Job | None:
    """The job that there is for a kind, a subject and a time."""
    where = (jobs.c.project == context.project, jobs.c.kind == kind, jobs.c.subject == subject, jobs.c.due_at == due_at)
    row = context.db.execute(sa.select(jobs).where(*where)).one_or_none()
    return None if row is None else as_job(row)


def retry(context: Context, job: Job, arguments: dict[str, Any]) -> Job:
    """A failed job, queued again with all its attempts before it. Tokens go on rising: no late word of an earlier attempt counts."""
    assert job.state == "failed"  # the caller looked
    _set(context, job.id, state="queued", attempt=0, arguments=arguments, error="", ended_at=None, lease_until=None)
    return find(context, job.id)


def find(context: Context, job_id: str) -> Job:
    """A job of the context's project. Raises ``NotFound``."""
    row = context.db.execute(sa.select(jobs).where(jobs.c.id == job_id, jobs.c.project == context.project)).one_or_none()
    if row is None:
        raise NotFound(f"no job {job_id!r} is in the project {context.project!r}")
    return as_job(row)


def open_jobs(context: Context, due_by: datetime | None = None, subject: str | None = None) -> list[Job]:
    """Jobs of the project that are not done, by due time; those due by an instant only, or about one subject."""
    query = sa.select(jobs).where(jobs.c.project == context.project, jobs.c.state.in_(OPEN)).order_by(jobs.c.due_at, jobs.c.id)
    if due_by is not None:
        query = query.where(jobs.c.due_at <= due_by)
    if subject is not None:
        query = query.where(jobs.c.subject == subject)
    return [as_job(row) for row in context.db.execute(query)]


def any_open(context: Context) -> bool:
    """Whether any project has a job that is not done."""
    return context.db.execute(_ANY_OPEN).first() is not None


def claim(context: Context, worker: str, kinds: Collection[str], project: str | None = None) -> Job | None:
    """The next job, of any project or of one, for a lease: one that is queued, or whose worker's lease ran out or that is known to be dead."""
    for row in _abandoned(context, kinds, project):
        if row.attempt >= MOST_ATTEMPTS:
            continue  # ``spent`` ends it
        lease = wall_now() + LEASE
        _set(context, row.id, state="running", attempt=row.attempt + 1, token=row.token + 1, worker=worker, lease_until=lease)
        return as_job(context.db.execute(sa.select(jobs).where(jobs.c.id == row.id)).one())
    return None


def spent(context: Context, kinds: Collection[str], project: str | None = None) -> list[Job]:
    """Jobs that are failed by this call: their last attempt's worker is gone, or has lost its lease, and there is no other."""
    ended = []
    for row in _abandoned(context, kinds, project):
        if row.attempt >= MOST_ATTEMPTS:
            words = f"its worker died {row.attempt} times, and it is not tried again"
            _set(context, row.id, state="failed", ended_at=wall_now(), error=f"{words}; before: {row.error}" if row.error else words)
            ended.append(as_job(context.db.execute(sa.select(jobs).where(jobs.c.id == row.id)).one()))
    return ended


def _abandoned(context: Context, kinds: Collection[str], project: str | None) -> Iterator[Any]:  # Any: SQLAlchemy rows
    """Jobs that nobody works on, by due time."""
    query = sa.select(jobs).where(jobs.c.kind.in_(kinds), jobs.c.state.in_(OPEN)).order_by(jobs.c.due_at, jobs.c.id)
    if project is not None:
        query = query.where(jobs.c.project == project)
    if not context.database.is_sqlite:
        query = query.with_for_update(skip_locked=True)
    for row in context.db.execute(query).all():
        if row.state == "queued" or row.lease_until <= wall_now() or has_died(row.worker):
            yield row


def release(context: Context, job: Job) -> None:
    """Give a job back that was not worked on to its end, for no fault of its own: the attempt does not count."""
    _mine(context, job)
    _set(context, job.id, state="queued", attempt=job.attempt - 1, lease_until=None)


def renew(context: Context, job: Job) -> None:
    """Keep the lease. Raises ``Conflict`` when another attempt has it."""
    _mine(context, job)
    _set(context, job.id, lease_until=wall_now() + LEASE)


def finish(context: Context, job: Job, result: dict[str, Any]) -> None:
    """What came of it, in the transaction of its effect. Raises ``Conflict`` for an attempt that is not the newest."""
    _mine(context, job)
    _set(context, job.id, state="done", ended_at=wall_now(), result=result, error="")


def fail(context: Context, job: Job, error: str, *, again: bool) -> None:
    """Why it failed; queued for another attempt with ``again``, as long as there is one."""
    _mine(context, job)
    if again and job.attempt < MOST_ATTEMPTS:
        _set(context, job.id, state="queued", error=error, lease_until=None)
    else:
        _set(context, job.id, state="failed", ended_at=wall_now(), error=error)


def _mine(context: Context, job: Job) -> None:
    row = context.db.execute(sa.select(jobs.c.token, jobs.c.state).where(jobs.c.id == job.id)).one()
    if row.token != job.token or row.state != "running":
        raise Conflict(f"the job {job.id} is not this worker's any more: its lease ran out, and another attempt took it", job=job.id)


def _set(context: Context, job_id: str, **values: Any) -> None:  # Any: the columns' own types
    context.db.execute(sa.update(jobs).where(jobs.c.id == job_id).values(**values))


def as_job(row: Any) -> Job:  # Any: a SQLAlchemy row
    columns = row._mapping
    return Job(**{name: columns[name] for name in Job.__dataclass_fields__})
