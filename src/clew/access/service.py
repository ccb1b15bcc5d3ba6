"""Projects and their event clock, and what surrounds every operation: permission, audit, idempotency."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from clew.access import keys
from clew.access.schema import Clock, Project, projects
from clew.clock import to_micros, wall_now
from clew.errors import Conflict, Invalid, NotFound, StillRunning
from clew.identifiers import check_slug
from clew.operations import Context, Operation, Page, operation
from clew.storage.blobs import Blob
from clew.storage.events import read_events
from clew.storage.holders import new_holder
from clew.storage.schema import Event, audit, blob_owners

__all__ = [
    "create_project", "enter", "ensure_project", "get_project", "list_events", "list_projects", "once", "once_staged", "own_blob",
    "owns_blob", "record", "set_event_time",
]  # fmt: skip


@operation("POST /projects", permission="projects.create", kind="write")
def create_project(context: Context, slug: str, title: str = "", clock: Clock = "wall", event_time: datetime | None = None) -> Project:
    """A new project; ``clock="replay"`` needs the event time at which it opens."""
    if event_time is not None:
        to_micros(event_time)  # refuses a time without a zone
    if (clock == "replay") != (event_time is not None):
        raise Invalid("a project on the replay clock is opened with an event_time, and one on the wall clock without")
    if _find(context, check_slug(slug, "project")) is not None:
        raise Conflict(f"there is a project {slug!r} already")
    created = Project(slug, title or slug, clock, event_time, wall_now())
    context.db.execute(sa.insert(projects).values(**vars(created)))
    return created


# Built once, because every operation asks: making a statement and its cache key takes as long as running it.
_PROJECT = sa.select(projects).where(projects.c.slug == sa.bindparam("of"))


@operation("GET /projects", permission="projects.read", kind="read")
def list_projects(context: Context) -> Page[Project]:
    return Page([Project(**row._mapping) for row in context.db.execute(sa.select(projects).order_by(projects.c.slug))])


@operation("GET /projects/{project}", permission="projects.read", kind="read")
def get_project(context: Context) -> Project:
    found = _find(context, context.project)
    if found is None:
        raise NotFound(f"no project is named {context.project!r}; the first verb of a script makes one, or POST /api/v1/projects")
    return found


@operation("PUT /projects/{project}/clock", permission="projects.clock", kind="write")
def set_event_time(context: Context, event_time: datetime) -> Project:
    """Move the event clock of a replay forwards. The first call opens a project for replay, as long as nothing has happened in it."""
    to_micros(event_time)  # refuses a time without a zone
    project = get_project(context)
    if project.clock == "wall" and read_events(context, limit=1).items:
        raise Conflict(f"{project.slug!r} lives by the wall clock already; open a new project for a replay, before anything happens in it")
    if project.event_time is not None and event_time < project.event_time:
        raise Conflict(f"event time of {project.slug!r} is {project.event_time.isoformat()} already and only moves forwards")
    context.db.execute(sa.update(projects).where(projects.c.slug == context.project).values(clock="replay", event_time=event_time))
    return replace(project, clock="replay", event_time=event_time)


@operation("GET /projects/{project}/events", permission="projects.read", kind="read")
def list_events(context: Context, after: int = 0, limit: int = 100, newest_first: bool = False) -> Page[Event]:
    """What happened in the project."""
    return read_events(context, after, max(1, min(limit, 1_000)), newest_first=newest_first)


def ensure_project(context: Context) -> None:
    """The project of a laptop is made by its first use."""
    with context.reading() as inside:
        if _find(inside, context.project) is not None:
            return

    def create(inside: Context) -> None:
        if _find(inside, context.project) is None:
            create_project(inside, context.project)

    context.run_write(create)


def enter(context: Context, operation: Operation) -> Context:
    """The context at the project's event time; the place where a role is asked for the operation's permission."""
    if "project" not in operation.path_parameters:
        return context
    project = get_project(context)
    return replace(context, now=project.event_time) if project.event_time is not None else context


def once(context: Context, operation: Operation, values: dict[str, Any], key: str | None) -> Any:
    """Run a write, with its audit row; a key that was seen answers with the response that it had."""
    context = enter(context, operation)
    seen = keys.seen_response(context, operation, values, key)
    if seen is not None:
        return msgspec.json.decode(seen, type=operation.returns)
    result = operation.function(context, **values)
    record(context, operation, values)
    keys.keep_response(context, operation, values, key, result)
    return result


def once_staged(context: Context, operation: Operation, values: dict[str, Any], key: str | None) -> Any:
    """Run a staged operation, which commits by itself. It takes its key before it begins: no second one works under the same key.

    Waits for the answer of one that does, and raises ``StillRunning`` when that takes longer than a caller may be kept waiting.
    """
    holder = "" if key is None else new_holder()

    def admit(inside: Context) -> tuple[Context, bytes | None]:
        entered = enter(inside, operation)
        seen = None if key is None else keys.take(entered, operation, values, key, holder)
        if seen is None:
            record(entered, operation, values)
        return entered, seen

    def act(entered: Context) -> Any:
        return operation.function(replace(context, now=entered.now), **values)

    if key is None:
        return act(context.run_write(admit)[0])
    while True:
        try:
            entered, seen = context.run_write(admit)
            break
        except StillRunning:
            if not keys.wait_until_free(context, key):
                raise
    if seen is not None:
        return msgspec.json.decode(seen, type=operation.returns)
    with keys.held(context, key, holder):
        result = act(entered)
        context.run_write(lambda inside: keys.keep_taken(inside, key, holder, result))
    return result


_UNAUDITED = {
    "access.set_event_time", "delivery.advance_clock", "delivery.claim_job", "delivery.renew_job", "feature_store.catch_up",
    "feature_store.push_rows", "serving.compact_predictions", "serving.report_serving", "tracking.ingest_frames",
}  # fmt: skip
"""Streams of data, not changes that a person decides on; they would drown the audit log."""


def record(context: Context, operation: Operation, values: dict[str, Any]) -> None:
    """The audit row of an operation, in its transaction."""
    if operation.name in _UNAUDITED:
        return
    subject = "/".join(str(values[name]) for name in operation.path_parameters if name in values)
    row = {"project": context.project, "actor": context.actor, "operation": operation.name, "subject": subject[:256], "at": wall_now()}
    context.db.execute(sa.insert(audit).values(**row))


def own_blob(context: Context, blob: Blob) -> None:
    """Note that the project may read a blob that it has uploaded; uploaded again, it is kept for as long as a new one."""
    this = (blob_owners.c.project == context.project, blob_owners.c.digest == blob.digest)
    if not context.db.execute(sa.update(blob_owners).where(*this).values(staged_at=wall_now())).rowcount:
        row = {"project": context.project, "digest": blob.digest, "size_bytes": blob.size_bytes, "staged_at": wall_now()}
        context.db.execute(sa.insert(blob_owners).values(**row))


def owns_blob(context: Context, digest: str) -> bool:
    query = sa.select(blob_owners.c.digest).where(blob_owners.c.project == context.project, blob_owners.c.digest == digest)
    return context.db.execute(query).first() is not None


def _find(context: Context, slug: str) -> Project | None:
    row = context.db.execute(_PROJECT, {"of": slug}).one_or_none()
    return None if row is None else Project(**row._mapping)
