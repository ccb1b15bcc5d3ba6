"""Which version answered at an endpoint when, in event time; and its answers, whoever's turn it was while a candidate was tried."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from clew.operations import Context
from clew.serving.answers import all_answers
from clew.serving.routing import routes_of
from clew.serving.schema import RouteDocument
from clew.storage.schema import events

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Tenure", "answers_of", "tenures"]


@dataclass(frozen=True)
class Tenure:
    """From ``since`` to before ``until`` one version was the champion; ``until`` is ``None`` for the one that is."""

    document: RouteDocument
    since: datetime
    until: datetime | None

    @property
    def version(self) -> str:
        return f"{self.document.model}@{self.document.number}"


def tenures(context: Context, endpoint: str) -> list[Tenure]:
    """Oldest first. A version that came back after a rollback begins anew."""
    changed = _changes(context, endpoint)
    begun: list[tuple[RouteDocument, datetime]] = []
    for route in routes_of(context, endpoint):
        if not begun or begun[-1][0].number != route.document.number:
            begun.append((route.document, changed.get(route.epoch, route.created_at)))
    ends = [since for _, since in begun[1:]]
    return [Tenure(document, since, until) for (document, since), until in zip(begun, [*ends, None], strict=True)]


def _changes(context: Context, endpoint: str) -> dict[int, datetime]:
    """When each route came into force, by its epoch. A route's own row knows wall time only."""
    query = sa.select(events.c.body, events.c.at).where(
        events.c.project == context.project, events.c.kind == "route.changed", events.c.subject == endpoint
    )
    return {int(body["epoch"]): at for body, at in context.db.execute(query)}


def answers_of(context: Context, endpoint: str, document: RouteDocument, start: datetime, end: datetime) -> "pl.DataFrame":
    """What a version said of each request: ``event_time``, ``row``, ``score`` and ``features``, by event time.

    While another one is tried beside it, both score every request, and a canary's answer holds what the champion would have said.
    """
    import polars as pl

    rows = all_answers(context, endpoint, start, end).filter(pl.col("model") == document.model)
    own = pl.col("number") == document.number
    other = pl.col("other_number") == document.number
    rows = rows.filter((own & pl.col("error").is_null()) | (other & pl.col("other_error").is_null()))
    return rows.select(
        "event_time", "at", "row",
        score=pl.when(own).then("probability").otherwise("other_probability"),
        features=pl.when(own).then("features").otherwise("other_features"),
        other=pl.when(own).then("other_probability").otherwise("probability"),
        other_number=pl.when(own).then("other_number").otherwise("number"),
    ).filter(pl.col("score").is_not_null())  # fmt: skip
