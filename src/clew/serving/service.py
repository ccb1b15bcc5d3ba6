"""Endpoints and their routes: deploying, rolling back, and what serving processes report."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from clew.access.service import get_project
from clew.catalog import service as catalog
from clew.catalog.schema import aliases
from clew.clock import wall_now
from clew.definitions import EndpointDefinition, GuardDefinition, from_document
from clew.errors import Conflict, Invalid, NotFound, Refused
from clew.identifiers import check_slug
from clew.operations import Context, Page, decode_cursor, encode_cursor, operation
from clew.registry.service import model_version
from clew.serving import answers, documents, explaining, gating, online
from clew.serving.routing import as_route, brief, endpoint_row, find_endpoint, get_route, named, routes_of
from clew.serving.schema import (
    Acknowledgement,
    Candidate,
    Cause,
    Endpoint,
    EndpointStatus,
    Minute,
    Route,
    RouteDocument,
    ServingProcess,
    endpoints,
    routes,
    served_routes,
    serving_minutes,
    serving_processes,
)
from clew.storage.events import emit

__all__ = [
    "CHAMPION", "answers", "behind", "close_candidate", "deploy", "deploy_ungated", "endpoint_status", "explaining", "list_endpoints", "list_serving_processes",
    "live_epochs", "live_routes", "report_serving", "rollback", "route_history", "try_candidate",
    "try_candidate_ungated", "whole_route",
]  # fmt: skip

CHAMPION = "champion"
_ALIVE = timedelta(seconds=10)
_MAX_LIMIT = 500


# ── changing what is served ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@operation("POST /projects/{project}/endpoints/{name}/deploy", permission="serving.deploy", kind="staged")
def deploy(context: Context, name: str, reference: str, reason: str = "") -> Route:
    """Put a model version that passed its gates behind an endpoint. Serving processes load it, say so, and then flip.

    The version that is served already is not deployed again: its route is returned. Raises ``Refused`` without a passed gate.
    """
    return _deploy(context, name, reference, reason, ungated=False)


@operation("POST /projects/{project}/endpoints/{name}/deploy-ungated", permission="serving.deploy_ungated", kind="staged")
def deploy_ungated(context: Context, name: str, reference: str, reason: str, bounds: bool = True) -> Route:
    """Put a model version behind an endpoint without a gate's word, for a reason that stays on record.

    ``bounds=False`` leaves out the bounds of today's definitions; those of the versions that it uses hold always.
    """
    if not reason.strip():
        raise Invalid("a deploy without a gate needs a reason: --reason says it on the command line")
    return _deploy(context, name, reference, reason, ungated=True, bounds=bounds)


def _deploy(context: Context, name: str, reference: str, reason: str, *, ungated: bool, bounds: bool = True) -> Route:
    with context.reading() as inside:
        document = _servable(inside, name, reference, ungated=ungated, bounds=bounds)
        current = find_endpoint(inside, name)
        if current is not None:
            route = get_route(inside, name, current.epoch)
            if route.document == document and route.candidate is None:
                return brief(route)
    return _put_route(context, document, "deploy", reason, ungated=ungated)


def _servable(context: Context, name: str, reference: str, *, ungated: bool, bounds: bool) -> RouteDocument:
    """The document by which an endpoint would serve a version. Raises what stands against it."""
    version = catalog.resolve(context, reference)
    found = model_version(context, version.name, version.number)
    _check_endpoint(context, name, version.name)
    if not ungated:
        gating.require_passed(context, found)
    return documents.make(context, name, found, bounds=bounds)


def _check_endpoint(context: Context, name: str, model: str) -> None:
    """An endpoint serves the model that its declaration names; one that nobody declared is made by its first deploy."""
    check_slug(name, "endpoint's name")
    served = find_endpoint(context, name)
    try:
        declared = from_document(catalog.get_definition(context, "endpoint", name).document)
    except NotFound:
        declared = None
    wanted = declared.model if isinstance(declared, EndpointDefinition) else served.model if served is not None else model
    if wanted != model:
        raise Invalid(f"the endpoint {name!r} serves {wanted!r}, not {model!r}; deploy a version of {wanted!r}, or to another endpoint")


@operation("PUT /projects/{project}/endpoints/{name}/candidate", permission="serving.deploy", kind="staged")
def try_candidate(
    context: Context, name: str, reference: str, salt: str, share: float = 0.0, guard: GuardDefinition | None = None, reason: str = ""
) -> Route:
    """Let a version that passed its gates score every request beside the one that answers, and answer a share of the keys.

    The same version again moves on: with another share, and the same salt, so that a key which it answers stays with it.
    Raises ``Refused`` without a passed gate, ``Conflict`` while another candidate is tried.
    """
    return _try(context, name, reference, salt, share, guard, reason, ungated=False)


@operation("PUT /projects/{project}/endpoints/{name}/candidate-ungated", permission="serving.deploy_ungated", kind="staged")
def try_candidate_ungated(
    context: Context,
    name: str,
    reference: str,
    salt: str,
    reason: str,
    share: float = 0.0,
    guard: GuardDefinition | None = None,
    bounds: bool = True,
) -> Route:
    """The same without a gate's word, for a reason that stays on record; and with ``bounds=False`` without the bounds of today's
    definitions, which hold for every version else."""
    if not reason.strip():
        raise Invalid("a candidate without a gate needs a reason: --reason says it on the command line")
    return _try(context, name, reference, salt, share, guard, reason, ungated=True, bounds=bounds)


def _try(
    context: Context,
    name: str,
    reference: str,
    salt: str,
    share: float,
    guard: GuardDefinition | None,
    reason: str,
    *,
    ungated: bool,
    bounds: bool = True,
) -> Route:
    if not 0 <= share < 1:
        raise Invalid(f"a candidate's share is {share}; it lies from 0, a shadow, to below 1: deploy a version that is to answer all")
    with context.reading() as inside:
        current = get_route(inside, name, endpoint_row(inside, name).epoch)
        document = _servable(inside, name, reference, ungated=ungated, bounds=bounds)
    tried = current.candidate
    if document.number == current.document.number:
        raise Conflict(f"{current.ref} answers at the endpoint {name!r} already")
    candidate = Candidate(document, salt, share, guard)
    if tried is not None and tried.ref != candidate.ref:
        raise Conflict(f"{tried.ref} is tried at the endpoint {name!r} already; let it end, or `clew rollback {name}` first")
    _check_same_question(current.document, document)
    if candidate == tried:
        return brief(current)
    return _put_route(context, current.document, "candidate", reason, ungated=current.ungated, candidate=candidate, after=current.epoch)


def _check_same_question(champion: RouteDocument, candidate: RouteDocument) -> None:
    """Requests are asked in the champion's fields: what a candidate needs beside them nobody would give."""
    if champion.external is not None and champion.training_set is None and candidate.training_set is not None:
        raise Refused(
            f"{champion.model}@{champion.number}, the existing system at {champion.external.host}, was registered without a training set, so "
            f"requests name no key: register it again with {candidate.training_set.name}, and deploy that version first"
        )
    for what, one, other in (("key", champion.key, candidate.key), ("event time", champion.time, candidate.time)):
        if one != other:
            raise Refused(
                f"the candidate's {what} is {other}, and requests to {champion.endpoint!r} name {one}; deploy it to another endpoint"
            )
    asked = {field.name: field.dtype for field in champion.fields}
    for field in candidate.fields:
        if field.name not in asked:
            raise Refused(
                f"the candidate takes the request field {field.name!r}, which requests to {champion.endpoint!r} don't name yet; "
                "a version that asks for more is deployed to an endpoint of its own, or at once",
                field=field.name,
            )
        if asked[field.name] != field.dtype:
            raise Refused(f"the candidate takes {field.name!r} as {field.dtype}, requests name it as {asked[field.name]}", field=field.name)


@operation("POST /projects/{project}/endpoints/{name}/candidate/close", permission="serving.report", kind="staged")
def close_candidate(context: Context, name: str, epoch: int, reason: str, cause: str = "", at: datetime | None = None) -> Route:
    """End the trial of the candidate that the route of this epoch has; the champion answers all. Without one, the route that there is.

    A serving process says so of a candidate that its guard has closed already: ``cause`` is then ``guard``, and ``at`` the event time of
    the row that did it, at which it is noted.
    """
    with context.reading() as inside:
        current = get_route(inside, name, endpoint_row(inside, name).epoch)
        asked = get_route(inside, name, epoch)
    tried, meant = current.candidate, asked.candidate
    if tried is None or meant is None or tried.ref != meant.ref or tried.salt != meant.salt:
        return brief(current)  # it is closed, or promoted, or another one is tried by now
    event = {"version": str(tried.ref), "salt": tried.salt, "reason": reason, "by": cause or "person"}
    noted = context if at is None else replace(context, now=_noted_at(context, at))
    return _put_route(
        noted, current.document, "closed", reason, ungated=current.ungated, after=current.epoch, also=("candidate.closed", event)
    )


def _noted_at(context: Context, at: datetime) -> datetime:
    """The event time of a row, as far as it can be believed: on the wall clock a request may name a time that is yet to come.

    A replay asks ahead of its clock, which may have moved on when the word comes: by the row's own time every replay notes the same.
    """
    with context.reading() as inside:
        replays = get_project(inside).clock == "replay"
    return at if replays else min(at, context.now)


@operation("POST /projects/{project}/endpoints/{name}/rollback", permission="serving.deploy", kind="staged")
def rollback(context: Context, name: str, reason: str = "") -> Route:
    """Go back to the document that the route had before the last deploy that still stands. Raises ``Conflict`` where there is none.

    While a candidate is tried, going back is to close it: the champion has not changed.
    """
    with context.reading() as inside:
        current = get_route(inside, name, endpoint_row(inside, name).epoch)
    if current.candidate is not None:
        return close_candidate(context, name, current.epoch, reason or "rolled back by hand")
    with context.reading() as inside:
        standing: list[Route] = []
        for route in routes_of(inside, name):
            if route.cause == "deploy":
                if standing and standing[-1].document.number == route.document.number:
                    standing.pop()  # the same version again: going back from it to itself would change nothing
                standing.append(route)
            elif route.cause == "rollback":
                standing.pop()
        if len(standing) < 2:
            raise Conflict(f"the endpoint {name!r} has no earlier route to go back to; `clew deploy` names another version")
    back = standing[-2]
    return _put_route(context, back.document, "rollback", reason, ungated=back.ungated)


def _put_route(
    context: Context,
    document: RouteDocument,
    cause: Cause,
    reason: str,
    *,
    ungated: bool,
    candidate: Candidate | None = None,
    after: int | None = None,
    also: tuple[str, dict[str, Any]] | None = None,
) -> Route:
    """Fill the online store for the documents' views first, then make the route and move the alias in one transaction.

    ``after`` is the epoch that the new route must follow, where it was made from the one in force: ``Conflict`` if another came between.
    """
    online.fill(context, document.endpoint, [document] if candidate is None else [document, candidate.document])

    def write(inside: Context) -> Route:
        current = find_endpoint(inside, document.endpoint)
        epoch = 1 if current is None else current.epoch + 1
        if after is not None and epoch != after + 1:
            raise Conflict(f"the route of {document.endpoint!r} was changed meanwhile; look at it, and try again", epoch=epoch - 1)
        if cause == "deploy" and current is not None:
            there = get_route(inside, document.endpoint, current.epoch)
            if there.document == document and there.candidate is None:  # somebody else deployed it a moment ago
                return there
        inside.db.execute(
            sa.insert(routes).values(
                project=inside.project, endpoint=document.endpoint, epoch=epoch, document=document, candidate=candidate, cause=cause,
                ungated=ungated, reason=reason, created_at=inside.now, created_by=inside.actor,
            )
        )  # fmt: skip
        if current is None:
            row = {"project": inside.project, "name": document.endpoint, "model": document.model, "epoch": epoch}
            inside.db.execute(sa.insert(endpoints).values(**row, created_at=inside.now))
        else:
            inside.db.execute(named(sa.update(endpoints), inside, document.endpoint).values(epoch=epoch))
        _move_champion(inside, document)
        body = {"epoch": epoch, "version": f"{document.model}@{document.number}", "cause": cause}
        if candidate is not None:
            body |= {"candidate": str(candidate.ref), "share": candidate.share}
        emit(inside, "route.changed", document.endpoint, body)
        if also is not None:
            emit(inside, also[0], document.endpoint, {"epoch": epoch, **also[1]})
        return get_route(inside, document.endpoint, epoch)

    route = context.run_write(write)
    kept = _kept(context, document.endpoint)
    tried = [one.candidate.document for one in kept if one.candidate is not None]
    online.release(context, document.endpoint, [*(one.document for one in kept), *tried])
    return brief(route)


def _move_champion(context: Context, document: RouteDocument) -> None:
    """The alias moves with the route of the endpoint that owns it; a second endpoint of the same model has none."""
    owner = f"the endpoint {document.endpoint!r}"
    where = (aliases.c.project == context.project, aliases.c.name == document.model, aliases.c.alias == CHAMPION)
    row = context.db.execute(sa.select(aliases.c.owner).where(*where)).first()
    if row is None or row.owner in (None, owner):
        catalog.move_alias(context, document.model, CHAMPION, document.number, owner)


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _kept(context: Context, name: str) -> list[Route]:
    """The route in force and the one that a rollback would bring back: their views stay online."""
    with context.reading() as inside:
        found = routes_of(inside, name)
    before = [replace(route, candidate=None) for route in found if route.cause == "deploy"][-2:]
    return [*found[-1:], *before]


@operation("GET /projects/{project}/routes", permission="serving.read", kind="read")
def live_routes(context: Context) -> Page[Route]:
    """The route in force of every endpoint, whole: what a serving process follows."""
    joined = sa.and_(routes.c.project == endpoints.c.project, routes.c.endpoint == endpoints.c.name, routes.c.epoch == endpoints.c.epoch)
    query = sa.select(routes).join(endpoints, joined).where(endpoints.c.project == context.project).order_by(endpoints.c.name)
    return Page([as_route(row, in_force=True) for row in context.db.execute(query)])


@operation("GET /projects/{project}/epochs", permission="serving.read", kind="read")
def live_epochs(context: Context) -> dict[str, int]:
    """The epoch in force of every endpoint: a cheap *is there a new route?*, asked several times a second."""
    query = sa.select(endpoints.c.name, endpoints.c.epoch).where(endpoints.c.project == context.project)
    return {row.name: row.epoch for row in context.db.execute(query)}


@operation("GET /projects/{project}/endpoints", permission="serving.read", kind="read")
def list_endpoints(context: Context) -> Page[Endpoint]:
    """Endpoints that have a route, by name."""
    return Page([_as_endpoint(route, _brought(context, route)) for route in live_routes(context).items])


def _as_endpoint(route: Route, brought: Any) -> Endpoint:  # Any: a SQLAlchemy row
    return Endpoint(route.endpoint, route.document.model, route.epoch, route.document.number, brought.created_at, brought.created_by)


def _brought(context: Context, route: Route) -> Any:  # Any: a SQLAlchemy row
    """When, by whom and why the version came to answer that a route serves, whatever candidates have come and gone since."""
    where = (routes.c.project == context.project, routes.c.endpoint == route.endpoint, routes.c.epoch <= route.epoch)
    query = sa.select(routes.c.created_at, routes.c.created_by, routes.c.reason).where(*where, routes.c.cause.in_(("deploy", "rollback")))
    return context.db.execute(query.order_by(routes.c.epoch.desc()).limit(1)).one()


@operation("GET /projects/{project}/endpoints/{name}/routes", permission="serving.read", kind="read")
def route_history(context: Context, name: str, cursor: str | None = None, limit: int = 50) -> Page[Route]:
    """Newest first."""
    limit = max(1, min(limit, _MAX_LIMIT))
    epoch = endpoint_row(context, name).epoch
    query = sa.select(routes).where(routes.c.project == context.project, routes.c.endpoint == name)
    if cursor is not None:
        query = query.where(routes.c.epoch < decode_cursor(cursor, epoch=int)["epoch"])
    rows = list(context.db.execute(query.order_by(routes.c.epoch.desc()).limit(limit + 1)))
    found = [brief(as_route(row, in_force=row.epoch == epoch)) for row in rows[:limit]]
    return Page(found, encode_cursor({"epoch": found[-1].epoch}) if len(rows) > limit else None)


@operation("GET /projects/{project}/endpoints/{name}/routes/{epoch}", permission="serving.read", kind="read")
def whole_route(context: Context, name: str, epoch: int) -> Route:
    """One route with its whole document, as the serving processes have it."""
    return get_route(context, name, epoch)


@operation("GET /projects/{project}/endpoints/{name}", permission="serving.read", kind="read")
def endpoint_status(context: Context, name: str, minutes: int = 60) -> EndpointStatus:
    """What an endpoint serves, who serves it, and how it did in the last minutes."""
    route = get_route(context, name, endpoint_row(context, name).epoch)
    brought = _brought(context, route)
    processes = _processes(context, name)
    alive = [process for process in processes if process.alive]
    recent = _minutes(context, name, wall_now() - timedelta(minutes=max(1, min(minutes, 24 * 60))))
    return EndpointStatus(
        _as_endpoint(route, brought),
        brief(route),
        processes,
        bool(alive) and all(process.epoch == route.epoch and process.state == "serving" for process in alive),
        sum(minute.requests for minute in recent),
        sum(minute.errors for minute in recent),
        recent,
        sum(minute.refused for minute in recent),
        brought.reason,
        dict(sum((Counter(minute.ignored) for minute in recent), Counter())),
    )


@operation("GET /projects/{project}/serving", permission="serving.read", kind="read")
def list_serving_processes(context: Context) -> Page[ServingProcess]:
    """Serving processes, those seen last first."""
    return Page(_processes(context, None))


def behind(context: Context) -> list[tuple[str, str]]:
    """Living processes that have not taken up a route that is in force, by their address, and the route's endpoint.

    One that has said nothing yet of an endpoint serves others, or has just begun: it is not waited for.
    """
    joined = sa.and_(served_routes.c.project == endpoints.c.project, served_routes.c.endpoint == endpoints.c.name)
    lives = sa.and_(serving_processes.c.project == served_routes.c.project, serving_processes.c.process == served_routes.c.process)
    late = sa.or_(
        served_routes.c.epoch < endpoints.c.epoch, sa.and_(served_routes.c.epoch == endpoints.c.epoch, served_routes.c.state == "loaded")
    )
    query = (
        sa.select(serving_processes.c.url, endpoints.c.name)
        .select_from(endpoints)
        .join(served_routes, joined)
        .join(serving_processes, lives)
        .where(endpoints.c.project == context.project, serving_processes.c.seen_at >= wall_now() - _ALIVE, late)
    )
    return [(row.url, row.name) for row in context.db.execute(query)]


def _processes(context: Context, endpoint: str | None) -> list[ServingProcess]:
    now = wall_now()
    where = (serving_processes.c.project == context.project, serving_processes.c.seen_at > now - timedelta(days=1))
    acknowledged: dict[str, Any] = {}
    if endpoint is not None:
        acks = sa.select(served_routes).where(served_routes.c.project == context.project, served_routes.c.endpoint == endpoint)
        acknowledged = {row.process: row for row in context.db.execute(acks)}
    found = []
    for row in context.db.execute(sa.select(serving_processes).where(*where).order_by(serving_processes.c.seen_at.desc())):
        ack = acknowledged.get(row.process)
        if endpoint is not None and ack is None and row.seen_at < now - _ALIVE:
            continue
        said = (None, None, "") if ack is None else (ack.epoch, ack.state, ack.message)
        found.append(ServingProcess(row.process, row.url, row.started_at, row.seen_at, row.seen_at >= now - _ALIVE, *said))
    return found


def _minutes(context: Context, endpoint: str, since: datetime) -> list[Minute]:
    """Minutes of all processes together. A percentile of several processes is the worst of theirs: an upper bound."""
    c = serving_minutes.c
    where = (c.project == context.project, c.endpoint == endpoint, c.minute >= since)
    sums = [sa.func.sum(column).label(column.name) for column in (c.requests, c.rows, c.errors, c.refused)]
    worst = [sa.func.max(column).label(column.name) for column in (c.p50_us, c.p95_us)]
    query = sa.select(c.minute, *sums, *worst).where(*where).group_by(c.minute).order_by(c.minute)
    ignored: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
    for row in context.db.execute(sa.select(c.minute, c.ignored).where(*where)):
        ignored[row.minute].update(row.ignored)
    return [Minute(**row._mapping, ignored=dict(ignored[row.minute])) for row in context.db.execute(query)]


# ── what serving processes say ──────────────────────────────────────────────────────────────────────────────────────────────────────


@operation("POST /projects/{project}/serving/{process}", permission="serving.report", kind="write")
def report_serving(
    context: Context,
    process: str,
    url: str,
    started_at: datetime,
    acknowledgements: Sequence[Acknowledgement] = (),
    minutes: dict[str, list[Minute]] | None = None,
) -> None:
    """A serving process's sign of life, with the routes that it acknowledges and what it did by the minute."""
    now = wall_now()
    _upsert(context, serving_processes, {"process": process}, {"url": url, "started_at": started_at, "seen_at": now})
    for said in acknowledgements:
        values = {"epoch": said.epoch, "state": said.state, "message": said.message, "at": now}
        if _upsert(context, served_routes, {"process": process, "endpoint": said.endpoint}, values):
            emit(context, f"route.{said.state}", said.endpoint, {"epoch": said.epoch, "process": process, "message": said.message})
    for endpoint, rows in (minutes or {}).items():
        for row in rows:
            counts = {name: getattr(row, name) for name in ("requests", "rows", "errors", "refused", "p50_us", "p95_us", "ignored")}
            _upsert(context, serving_minutes, {"endpoint": endpoint, "process": process, "minute": row.minute}, counts)


def _upsert(context: Context, table: sa.Table, key: dict[str, Any], values: dict[str, Any]) -> bool:
    """Write the row under its key; whether epoch or state of an acknowledgement is new, always true for a new row."""
    where = [table.c.project == context.project, *(table.c[name] == value for name, value in key.items())]
    before = context.db.execute(sa.select(table).where(*where)).first()
    if before is None:
        context.db.execute(sa.insert(table).values(project=context.project, **key, **values))
        return True
    context.db.execute(sa.update(table).where(*where).values(**values))
    return any(before._mapping[name] != value for name, value in values.items() if name in ("epoch", "state"))
