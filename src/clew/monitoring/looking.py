"""A monitor looks: everything that it owes as of the project's event time, each window once, and what follows for its alerts.

The same data give the same looks, whenever and however often somebody asks: windows are disjoint and begin with the version's first whole
day, a window is judged when it has ended and its labels have matured, and one that was looked at stays as it was.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from clew.catalog import service as catalog
from clew.clock import from_micros, to_micros, wall_now
from clew.definitions import MonitorDefinition, from_document
from clew.errors import NotFound
from clew.monitoring import alerts
from clew.monitoring.dataset_looks import findings_of_dataset
from clew.monitoring.endpoint_looks import findings_of_tenure, regret_by_gates, skew_reports
from clew.monitoring.findings import Finding
from clew.monitoring.schema import Monitor, MonitorKind, MonitorLook, Unjudged, WindowProfile, Word
from clew.monitoring.schema import alerts as alerts_table
from clew.monitoring.schema import monitor_looks as looks
from clew.monitoring.seen import Seen, looks_so_far
from clew.monitoring.tenures import Tenure, tenures
from clew.monitoring.windows import compact, find, keep_reference
from clew.operations import Context, Page, decode_cursor, encode_cursor, operation
from clew.serving.routing import find_endpoint
from clew.storage.events import emit

__all__ = ["list_monitors", "look", "monitor_definition", "monitor_looks", "window_profile"]

_MAX_LIMIT = 500
_MOST_WEEKS = 520
_NOTHING_SAID: Word = "not enough data yet"
_ORDER = ("missing", "skew", "drift", "performance", "regret")


@operation("POST /projects/{project}/monitors/{name}/looks", permission="monitoring.measure", kind="staged")
def look(context: Context, name: str) -> Page[MonitorLook]:
    """Look at every window that has ended and matured and was not looked at yet; the looks, oldest first. Asked again, there are none.

    Alerts are opened, refreshed and resolved with them. Skew is measured by clients, since it runs the user's code: its newest reports
    are looked at here.
    """
    with context.reading() as inside:
        definition, declared_at = monitor_definition(inside, name)
        seen = looks_so_far(inside, name)
        held = _tenures(inside, definition)
        found = _from_rows(inside, definition, held, seen)
    if definition.dataset is not None:
        found += findings_of_dataset(context, definition, declared_at, seen)
    for tenure in held:
        found += findings_of_tenure(context, definition, tenure, seen)
    ordered = sorted(found, key=lambda one: (one.end, _ORDER.index(one.kind), one.source))
    begun = [(tenure.since, tenure.version) for tenure in held[1:]]
    return Page(context.run_write(lambda inside: _keep(inside, definition, ordered, begun)))


def monitor_definition(context: Context, name: str) -> tuple[MonitorDefinition, datetime]:
    """A declared monitor, and when it was declared in these words. Raises ``NotFound`` naming those that there are."""
    try:
        found = catalog.get_definition(context, "monitor", name)
    except NotFound as error:
        known = sorted(one.name for one in catalog.list_definitions(context, "monitor").items)
        there = f"there are {', '.join(known)}" if known else "none is declared: clew.monitor(…), then `clew apply`"
        raise NotFound(f"no monitor is named {name!r}; {there}") from error
    definition = from_document(found.document)
    assert isinstance(definition, MonitorDefinition)  # its kind is monitor
    return definition, found.created_at


def _tenures(context: Context, definition: MonitorDefinition) -> list[Tenure]:
    """None while nothing is deployed: then nothing is owed."""
    if definition.endpoint is None or find_endpoint(context, definition.endpoint) is None:
        return []
    return tenures(context, definition.endpoint)


def _from_rows(context: Context, definition: MonitorDefinition, held: list[Tenure], seen: Seen) -> list[Finding]:
    """What is found in the database alone, inside a transaction."""
    found: list[Finding] = []
    if definition.endpoint is not None and definition.skew:
        found += skew_reports(context, definition.endpoint, seen)
    if definition.performance:
        for tenure in held:
            found += regret_by_gates(context, tenure, seen)
    return found


def _keep(context: Context, definition: MonitorDefinition, found: list[Finding], begun: list[tuple[datetime, str]]) -> list[MonitorLook]:
    """The looks' rows, alerts and events in one transaction. A look that another job has kept meanwhile is that job's."""
    name = definition.name
    seen = looks_so_far(context, name)
    notices = alerts.Notices(context, name)
    kept = []
    waiting = list(begun)
    for one in found:
        if _is_kept(seen, one):
            continue
        while waiting and waiting[0][0] <= one.end:
            notices.begin_anew(*waiting.pop(0))
        before = _newest_word(context, name, one.kind)
        made = _insert(context, name, one)
        notices.follow(made, one)
        if one.word != before:
            body = {"kind": one.kind, "word": one.word, "summary": one.summary, "look": made.id, "end": one.end}
            emit(context, "monitor.looked", name, body)
        kept.append(made)
    for since, version in begun:
        notices.begin_anew(since, version)
    notices.send()
    return kept


def _is_kept(seen: Seen, one: Finding) -> bool:
    if one.kind == "skew" or (one.kind == "regret" and one.source):
        return (one.kind, one.source) in seen.sources
    return (one.kind, one.end) in seen.words


def _insert(context: Context, name: str, one: Finding) -> MonitorLook:
    row = {
        "project": context.project, "monitor": name, "kind": one.kind, "window_start": one.start, "window_end": one.end, "source": one.source,
        "word": one.word, "summary": one.summary, "figures": one.figures,
        "profile": None if one.window is None else compact(one.window.profile), "at": wall_now(),
    }  # fmt: skip
    if one.window is not None:
        keep_reference(context, one.source, one.window.before)
    key = context.db.execute(sa.insert(looks).values(**row)).inserted_primary_key
    assert key is not None
    return _as_look(context.db.execute(_of(context, name).where(looks.c.id == key[0])).one())


def _as_look(row: Any) -> MonitorLook:  # Any: a SQLAlchemy row
    return MonitorLook(
        row.id, row.monitor, row.kind, row.window_start, row.window_end, row.source, row.word, row.summary, row.figures, row.at
    )  # fmt: skip


def _of(context: Context, name: str, kind: str | None = None) -> sa.Select[Any]:
    """Without the profiles, which are large and read where they are wanted: see ``windows``."""
    told = [column for column in looks.c if column is not looks.c.profile]
    query = sa.select(*told).where(looks.c.project == context.project, looks.c.monitor == name)
    return query if kind is None else query.where(looks.c.kind == kind)


def _newest(context: Context, name: str, kind: str) -> MonitorLook | None:
    query = _of(context, name, kind).order_by(looks.c.window_end.desc(), looks.c.id.desc()).limit(1)
    row = context.db.execute(query).first()
    return None if row is None else _as_look(row)


def _newest_word(context: Context, name: str, kind: str) -> str | None:
    newest = _newest(context, name, kind)
    return None if newest is None else newest.word


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@operation("GET /projects/{project}/monitors", permission="monitoring.read", kind="read")
def list_monitors(context: Context) -> Page[Monitor]:
    """The declared monitors by name, each with its newest look of every kind; at missing data the newest that could be judged."""
    found = []
    for one in catalog.list_definitions(context, "monitor").items:
        definition = from_document(one.document)
        assert isinstance(definition, MonitorDefinition)  # its kind is monitor
        watches = _watches(definition)
        newest = {kind: made for kind in watches if (made := _newest(context, one.name, kind)) is not None}
        unjudged = None
        if "missing" in newest:
            newest["missing"], unjudged = _judged(context, newest["missing"])
        counted = sa.select(sa.func.count()).where(
            alerts_table.c.project == context.project, alerts_table.c.monitor == one.name, alerts_table.c.state == "open"
        )
        looked, waiting = list(newest.values()), int(context.db.scalar(counted) or 0)
        found.append(Monitor(one.name, definition.endpoint, definition.dataset, watches, looked, waiting, unjudged))
    return Page(found)


def _judged(context: Context, newest: MonitorLook) -> tuple[MonitorLook, Unjudged | None]:
    """The newest look at missing data that could be judged, and what came after it; the newest of all if none could."""
    if newest.word != _NOTHING_SAID:
        return newest, None
    of = _of(context, newest.monitor, newest.kind)
    query = of.where(looks.c.source == newest.source, looks.c.word != _NOTHING_SAID).order_by(looks.c.window_end.desc()).limit(1)
    row = context.db.execute(query).first()
    if row is None:
        return newest, None
    # Looks without any row all say the same, and those with a few say how many.
    differs = of.where(looks.c.window_end > row.window_end, looks.c.summary != newest.summary).limit(1)
    rows = any(one.get("rows") for one in newest.figures["subjects"]) or context.db.execute(differs).first() is not None
    return _as_look(row), Unjudged(newest.end, rows)


def _watches(definition: MonitorDefinition) -> tuple[MonitorKind, ...]:
    kinds: list[MonitorKind] = ["performance", "regret"] if definition.performance else []
    kinds += ["drift"] if definition.drift else []
    kinds += ["missing"] if definition.missing else []
    kinds += ["skew"] if definition.skew else []
    return tuple(kinds)


@operation("GET /projects/{project}/monitors/{name}/looks", permission="monitoring.read", kind="read")
def monitor_looks(
    context: Context, name: str, kind: MonitorKind | None = None, limit: int = 50, cursor: str | None = None
) -> Page[MonitorLook]:
    """A monitor's looks, those at the newest windows first. One that is no longer declared keeps what it had."""
    query = _of(context, name, kind)
    if not context.db.execute(query.limit(1)).first():
        monitor_definition(context, name)  # says which there are
    limit = max(1, min(limit, _MAX_LIMIT))
    if cursor is not None:
        place = decode_cursor(cursor, end=int, id=int)
        end = from_micros(place["end"])
        query = query.where((looks.c.window_end < end) | ((looks.c.window_end == end) & (looks.c.id < place["id"])))
    rows = list(context.db.execute(query.order_by(looks.c.window_end.desc(), looks.c.id.desc()).limit(limit + 1)))
    found = [_as_look(row) for row in rows[:limit]]
    return Page(found, encode_cursor({"end": to_micros(found[-1].end), "id": found[-1].id}) if len(rows) > limit else None)


@operation("GET /projects/{project}/monitors/{name}/profile", permission="datasets.read", kind="read")  # it names values of rows
def window_profile(context: Context, name: str, weeks: int = 4) -> WindowProfile | None:
    """What a monitor's columns held in its newest weeks, beside what they are held against; ``None`` before its first look at drift.

    No row is read: each week's profile was kept when it was looked at. Four weeks are what a look at drift measures impact by.
    """
    if (found := find(context, name, max(1, min(weeks, _MOST_WEEKS)))) is None:
        monitor_definition(context, name)  # says which there are
    return found
