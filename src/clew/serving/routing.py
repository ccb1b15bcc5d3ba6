"""Reading endpoints' routes, for every module of the slice."""

from dataclasses import replace
from typing import Any

import msgspec
import sqlalchemy as sa

from clew.errors import NotFound
from clew.operations import Context
from clew.serving.schema import Candidate, Route, RouteDocument, endpoints, routes

__all__ = ["as_route", "brief", "endpoint_row", "find_endpoint", "get_route", "named", "routes_of"]


def named(statement: Any, context: Context, name: str) -> Any:  # Any: select and update share `where`, not a type
    return statement.where(endpoints.c.project == context.project, endpoints.c.name == name)


def find_endpoint(context: Context, name: str) -> Any:  # Any: a SQLAlchemy row
    return context.db.execute(named(sa.select(endpoints), context, name)).first()


def endpoint_row(context: Context, name: str) -> Any:  # Any: a SQLAlchemy row
    row = find_endpoint(context, name)
    if row is None:
        known = sorted(context.db.scalars(sa.select(endpoints.c.name).where(endpoints.c.project == context.project)))
        there = f"there are {', '.join(known)}" if known else "nothing is deployed yet: `clew deploy <model>@<version>`"
        raise NotFound(f"no endpoint named {name!r} has a route; {there}")
    return row


def routes_of(context: Context, name: str) -> list[Route]:
    """Every route of an endpoint, oldest first."""
    where = (routes.c.project == context.project, routes.c.endpoint == name)
    return [as_route(row) for row in context.db.execute(sa.select(routes).where(*where).order_by(routes.c.epoch))]


def as_route(row: Any, *, in_force: bool = False) -> Route:  # Any: a SQLAlchemy row
    document = msgspec.convert(row.document, RouteDocument)
    candidate = None if row.candidate is None else msgspec.convert(row.candidate, Candidate)
    return Route(
        row.endpoint, row.epoch, document, row.cause, row.ungated, row.reason, row.created_at, row.created_by, in_force, candidate
    )  # fmt: skip


def brief(route: Route) -> Route:
    """For people: without the specifications that only a serving process reads."""
    tried = route.candidate
    candidate = None if tried is None else replace(tried, document=replace(tried.document, uses=()))
    return replace(route, document=replace(route.document, uses=()), candidate=candidate)


def get_route(context: Context, name: str, epoch: int) -> Route:
    """One route with its whole document."""
    where = (routes.c.project == context.project, routes.c.endpoint == name, routes.c.epoch == epoch)
    row = context.db.execute(sa.select(routes).where(*where)).first()
    if row is None:
        raise NotFound(f"the endpoint {name!r} has had no route {epoch}")
    current = find_endpoint(context, name)
    return as_route(row, in_force=current is not None and current.epoch == epoch)
