"""Telling of alerts: in the log, and by a signed webhook. At least once each; a channel that is broken holds nobody up.

What is to be told is a row, written with the alert. A duty of the server delivers: looks never wait for a channel.

A webhook gets ``POST`` with a JSON body and three headers: ``Clew-Delivery`` (the same when it is sent again: take each once),
``Clew-Timestamp`` (seconds since 1970) and ``Clew-Signature``: ``sha256=`` and the HMAC-SHA256, in hex, of timestamp, a full stop and the
body, under the secret that both sides know. Refuse what doesn't match, and what is older than some minutes.
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from clew.clock import wall_now
from clew.monitoring.schema import Alert, alert_deliveries
from clew.operations import Context, operation
from clew.settings import Settings

__all__ = ["ATTEMPTS", "Delivered", "Notice", "deliver_alerts", "queue", "sign", "wait_before"]

Notice = Literal["opened", "resolved"]

ATTEMPTS = 12
_FIRST_WAIT = timedelta(seconds=10)
_LONGEST_WAIT = timedelta(hours=1)
_DEADLINE_SECONDS = 10.0
_AT_ONCE = 50
_log = logging.getLogger("clew.alerts")


@dataclass(frozen=True)
class Delivered:
    """What one round did; ``waiting`` are to be tried again, ``failed`` are given up after the last attempt."""

    delivered: int
    waiting: int
    failed: int


def queue(context: Context, alert: Alert, notice: Notice) -> None:
    """Note in the context's transaction that something is to be told, for each channel that is set up where this runs."""
    body = {"notice": notice, "project": context.project, "alert": alert}
    channels = ["log", *(["webhook"] if context.settings.alert_webhook else [])]
    now = wall_now()
    row = {
        "project": context.project, "alert": alert.id, "notice": notice, "body": body, "state": "waiting", "attempts": 0, "next_at": now,
        "error": "", "created_at": now,
    }  # fmt: skip
    context.db.execute(sa.insert(alert_deliveries), [row | {"channel": channel} for channel in channels])


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The value of ``Clew-Signature``.

    >>> sign("secret", "0", b"{}")[:20]
    'sha256=4bbe8d39de1ff'
    """
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def wait_before(attempt: int) -> timedelta:
    """How long to wait after so many failed attempts: 10 seconds, doubled each time, an hour at most.

    >>> [wait_before(attempt).seconds for attempt in (1, 2, 3, 12)]
    [10, 20, 40, 3600]
    """
    return min(_FIRST_WAIT * (1 << attempt - 1), _LONGEST_WAIT)


@operation("POST /projects/{project}/alerts/deliver", permission="monitoring.deliver", kind="staged")
def deliver_alerts(context: Context) -> Delivered:
    """Deliver what is due. After a webhook's first failure the others wait for the next round: it is most likely down for all."""
    counts = {"delivered": 0, "waiting": 0, "failed": 0}
    down: set[str] = set()
    for row in context.run_write(_claim):
        error = "the webhook failed just before" if row.channel in down else _attempt(context.settings, row)
        if error is not None:
            down.add(row.channel)
        state = context.run_write(_outcome(row, error))
        counts[state] += 1
    return Delivered(**counts)


def _claim(context: Context) -> list[Any]:  # Any: SQLAlchemy rows
    """The rows that are due, put off before they are tried: a process that is killed meanwhile leaves them to a later round."""
    columns = alert_deliveries.c
    due = sa.select(alert_deliveries).where(columns.project == context.project, columns.state == "waiting", columns.next_at <= wall_now())
    rows = list(context.db.execute(due.order_by(columns.id).limit(_AT_ONCE)))
    if rows:
        later = wall_now() + timedelta(seconds=_DEADLINE_SECONDS * 6)
        context.db.execute(sa.update(alert_deliveries).where(columns.id.in_([row.id for row in rows])).values(next_at=later))
    return rows


def _attempt(settings: Settings, row: Any) -> str | None:  # Any: a SQLAlchemy row
    """Why it could not be delivered, or ``None`` when it was."""
    if row.channel == "log":
        alert = msgspec.convert(row.body["alert"], Alert)
        _log.warning("alert %d %s: %s", row.alert, row.notice, alert)
        return None
    if not settings.alert_webhook:
        return "no webhook is set: CLEW_ALERT_WEBHOOK"
    body = msgspec.json.encode(row.body)
    timestamp = str(int(wall_now().timestamp()))
    headers = {
        "content-type": "application/json", "clew-delivery": str(row.id), "clew-timestamp": timestamp,
        "clew-signature": sign(settings.alert_secret or "", timestamp, body),
    }  # fmt: skip
    return asyncio.run(_post(settings.alert_webhook, body, headers))


async def _post(url: str, body: bytes, headers: dict[str, str]) -> str | None:
    """The address stands in no message: it may hold a secret."""
    import httpx

    try:
        async with (
            asyncio.timeout(_DEADLINE_SECONDS),  # httpx limits each read, and not all of them together
            httpx.AsyncClient(timeout=_DEADLINE_SECONDS, trust_env=False) as client,
            client.stream("POST", url, content=body, headers=headers) as answer,  # the body of the answer is nothing to us
        ):
            return None if answer.is_success else f"the webhook answered {answer.status_code}"
    except TimeoutError:
        return f"the webhook gave no answer within {_DEADLINE_SECONDS:g} s"
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return f"the webhook could not be reached ({type(error).__name__})"


def _outcome(row: Any, error: str | None) -> Callable[[Context], Literal["delivered", "waiting", "failed"]]:  # Any: a SQLAlchemy row
    def write(context: Context) -> Literal["delivered", "waiting", "failed"]:
        now: datetime = wall_now()
        attempts = row.attempts + 1
        state: Literal["delivered", "waiting", "failed"] = "delivered" if error is None else "waiting" if attempts < ATTEMPTS else "failed"
        values: dict[str, Any] = {"state": state, "attempts": attempts, "error": error or ""}
        values |= {"delivered_at": now} if error is None else {"next_at": now + wait_before(attempts)}
        context.db.execute(sa.update(alert_deliveries).where(alert_deliveries.c.id == row.id).values(**values))
        if state == "failed":
            _log.error("alert %d could not be told by %s after %d attempts: %s", row.alert, row.channel, attempts, error)
        return state

    return write
