"""Alerts: one for a cause, from the look that opens it to the one, the promotion or the person that resolves it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from clew.clock import parse_duration
from clew.errors import Conflict, NotFound
from clew.monitoring import channels
from clew.monitoring.findings import Cause, Finding
from clew.monitoring.schema import Alert, MonitorLook, alerts
from clew.operations import Context, Page, decode_cursor, encode_cursor, operation
from clew.storage.events import emit

__all__ = ["Notices", "acknowledge_alert", "list_alerts", "resolve_alert", "silence_alert"]

_MAX_LIMIT = 500
_OF_A_VERSION = ("performance", "drift", "regret")
"""Kinds that compare with a version's own reference, and so begin anew with each promotion."""


@dataclass
class Notices:
    """What looks change for a monitor's alerts, in one transaction, and what is to be told of it in the end.

    An alert that opens and resolves among looks that were made at once, as when a monitor catches up, is kept and told to nobody.
    """

    context: Context
    monitor: str
    _opened: dict[int, None] = field(default_factory=dict)
    _resolved: dict[int, None] = field(default_factory=dict)

    def follow(self, look: MonitorLook, found: Finding) -> None:
        """Open or refresh an alert for each cause, and resolve those of subjects that were judged and are quiet."""
        for cause in found.causes:
            row = self._active(look.kind, cause.subject)
            if row is not None:
                self._refresh(row, look, cause)
            elif not self._settled(look.kind, cause):
                self._open(look, cause)
        for subject in found.quiet:
            row = self._active(look.kind, subject)
            if row is not None and row.opened_at <= look.end:
                self._resolve(row.id, look.end, "a later look found nothing")

    def begin_anew(self, since: datetime, version: str) -> None:
        """A version was promoted: what was found of the one before says nothing of it."""
        query = self._of().where(alerts.c.kind.in_(_OF_A_VERSION), alerts.c.active, alerts.c.opened_at < since)
        for row in self.context.db.execute(query):
            self._resolve(row.id, since, f"{version} answers since then, and is held against a reference of its own")

    def send(self) -> None:
        """Events, and deliveries for every channel."""
        for number in self._opened:
            self._tell(number, "opened")
        for number in self._resolved:
            self._tell(number, "resolved")

    def _of(self) -> sa.Select[Any]:
        return sa.select(alerts).where(alerts.c.project == self.context.project, alerts.c.monitor == self.monitor)

    def _active(self, kind: str, subject: str) -> Any:  # Any: a SQLAlchemy row
        return self.context.db.execute(self._of().where(alerts.c.kind == kind, alerts.c.subject == subject, alerts.c.active)).first()

    def _settled(self, kind: str, cause: Cause) -> bool:
        """Whether a person has resolved this very change already: its evidence stays, and would come back each week."""
        if cause.since is None:
            return False
        query = self._of().where(
            alerts.c.kind == kind, alerts.c.subject == cause.subject, alerts.c.by.is_not(None), alerts.c.state == "resolved",
            alerts.c.opened_at >= cause.since,
        )  # fmt: skip
        return self.context.db.execute(query).first() is not None

    def _open(self, look: MonitorLook, cause: Cause) -> None:
        row = {
            "project": self.context.project, "monitor": self.monitor, "kind": look.kind, "subject": cause.subject, "state": "open",
            "active": True, "word": cause.word, "summary": cause.summary, "look": look.id, "opened_at": look.end, "last_seen_at": look.end,
            "reason": "",
        }  # fmt: skip
        key = self.context.db.execute(sa.insert(alerts).values(**row)).inserted_primary_key
        assert key is not None
        self._opened[int(key[0])] = None

    def _refresh(self, row: Any, look: MonitorLook, cause: Cause) -> None:  # Any: a SQLAlchemy row
        values: dict[str, Any] = {"word": cause.word, "summary": cause.summary}
        if look.end >= row.last_seen_at:
            values |= {"look": look.id, "last_seen_at": look.end}
        if row.state == "silenced" and row.silenced_until is not None and row.silenced_until <= look.end:
            values |= {"state": "open", "silenced_until": None}
            self._opened[row.id] = None
        self.context.db.execute(sa.update(alerts).where(alerts.c.id == row.id).values(**values))

    def _resolve(self, number: int, at: datetime, reason: str) -> None:
        values = {"state": "resolved", "active": None, "resolved_at": at, "reason": reason, "by": None}
        self.context.db.execute(sa.update(alerts).where(alerts.c.id == number).values(**values))
        if number in self._opened:
            del self._opened[number]
        else:
            self._resolved[number] = None

    def _tell(self, number: int, notice: channels.Notice) -> None:
        alert = _find(self.context, number)
        emit(self.context, f"alert.{notice}", alert.monitor, _body(alert))
        channels.queue(self.context, alert, notice)


def _body(alert: Alert) -> dict[str, Any]:
    return {"alert": alert.id, "kind": alert.kind, "subject": alert.subject, "word": alert.word, "summary": alert.summary}


def _find(context: Context, number: int) -> Alert:
    row = context.db.execute(sa.select(alerts).where(alerts.c.project == context.project, alerts.c.id == number)).first()
    if row is None:
        raise NotFound(f"there is no alert {number} in the project {context.project!r}; `clew alerts --all` shows them")
    return _as_alert(row)


def _as_alert(row: Any) -> Alert:  # Any: a SQLAlchemy row
    return Alert(
        row.id, row.monitor, row.kind, row.subject, row.state, row.word, row.summary, row.look, row.opened_at, row.last_seen_at,
        row.resolved_at, row.silenced_until, row.by, row.reason,
    )  # fmt: skip


# ── operations ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@operation("GET /projects/{project}/alerts", permission="monitoring.read", kind="read")
def list_alerts(
    context: Context, monitor: str | None = None, resolved: bool = False, limit: int = 100, cursor: str | None = None
) -> Page[Alert]:
    """Alerts that are not resolved, or with ``resolved`` all, newest first."""
    query = sa.select(alerts).where(alerts.c.project == context.project)
    if monitor is not None:
        query = query.where(alerts.c.monitor == monitor)
    if not resolved:
        query = query.where(alerts.c.state != "resolved")
    if cursor is not None:
        query = query.where(alerts.c.id < decode_cursor(cursor, id=int)["id"])
    limit = max(1, min(limit, _MAX_LIMIT))
    rows = list(context.db.execute(query.order_by(alerts.c.id.desc()).limit(limit + 1)))
    found = [_as_alert(row) for row in rows[:limit]]
    return Page(found, encode_cursor({"id": found[-1].id}) if len(rows) > limit else None)


@operation("POST /projects/{project}/alerts/{alert}/acknowledge", permission="monitoring.answer", kind="write")
def acknowledge_alert(context: Context, alert: int, reason: str = "") -> Alert:
    """Somebody has seen it and takes care. It stays until a look finds nothing, or a person resolves it."""
    return _answer(context, alert, reason, "acknowledged")


@operation("POST /projects/{project}/alerts/{alert}/silence", permission="monitoring.answer", kind="write")
def silence_alert(context: Context, alert: int, duration: str, reason: str = "") -> Alert:
    """Nobody wants to hear of it for a while of event time, such as ``7d``. Then it opens anew, if a look still sees it."""
    return _answer(context, alert, reason, "silenced", silenced_until=context.now + parse_duration(duration))


@operation("POST /projects/{project}/alerts/{alert}/resolve", permission="monitoring.answer", kind="write")
def resolve_alert(context: Context, alert: int, reason: str = "") -> Alert:
    """A person says that it is over. What is still so at the next look opens an alert of its own; a drift that is known does not."""
    found = _answer(context, alert, reason, "resolved", active=None, resolved_at=context.now)
    channels.queue(context, found, "resolved")
    return found


def _answer(context: Context, number: int, reason: str, state: str, **values: Any) -> Alert:  # Any: columns of a row
    found = _find(context, number)
    if found.state == "resolved":
        when = "" if found.resolved_at is None else f" since {found.resolved_at:%Y-%m-%d %H:%M} UTC"
        raise Conflict(f"alert {number} is resolved{when}, and stays as it is; `clew alerts` shows those that wait", alert=number)
    changed = {"state": state, "silenced_until": None, "by": context.actor, "reason": reason} | values
    context.db.execute(sa.update(alerts).where(alerts.c.project == context.project, alerts.c.id == number).values(**changed))
    emit(context, f"alert.{state}", found.monitor, _body(found) | {"reason": reason})
    return _find(context, number)
