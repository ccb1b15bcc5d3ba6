"""Events: rows that a slice writes in its own transaction, and slices above, the scheduler and the screen read.

The sequence number is taken under a lock that is held to the commit. A database sequence would hand out 7 before 6 has committed,
and a reader past 7 would never see 6.
"""

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from clew.operations import Page
from clew.storage.schema import Event, events

if TYPE_CHECKING:
    from clew.operations import Context

__all__ = ["emit", "read_events"]

_LOCK = 0x636C6577  # "clew"


def emit(context: "Context", kind: str, subject: str, body: dict[str, Any] | None = None) -> int:
    """Write one event in the context's transaction; the sequence number that it got."""
    if not context.database.is_sqlite:  # on SQLite, BEGIN IMMEDIATE already holds the one write lock
        context.db.execute(sa.text("select pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    sequence = int(context.db.scalar(sa.select(sa.func.coalesce(sa.func.max(events.c.sequence), 0))) or 0) + 1
    row = {"sequence": sequence, "project": context.project, "kind": kind, "subject": subject}
    context.db.execute(sa.insert(events).values(**row, body=body or {}, at=context.now, actor=context.actor))
    return sequence


def read_events(context: "Context", after: int = 0, limit: int = 500, *, newest_first: bool = False) -> Page[Event]:
    """Events of the project past ``after``, oldest first; or the newest ones first."""
    order = events.c.sequence.desc() if newest_first else events.c.sequence.asc()
    query = sa.select(events).where(events.c.project == context.project, events.c.sequence > after).order_by(order).limit(limit)
    return Page([Event(**row._mapping) for row in context.db.execute(query)])
