"""One leader for what is done once for a whole database, whatever the number of servers on it: a lease that runs out with its holder."""

from datetime import timedelta

import sqlalchemy as sa

from clew.clock import wall_now
from clew.operations import Context
from clew.storage.holders import has_died
from clew.storage.schema import leaders

__all__ = ["lead", "step_down"]


def lead(context: Context, role: str, holder: str, lease: timedelta) -> str:
    """Take the lead for a lease, or keep it; who has it now, which is ``holder`` or another.

    A holder on this machine that died has lost it at once, one elsewhere when its lease has run out.
    """
    row = context.db.execute(sa.select(leaders).where(leaders.c.role == role)).one_or_none()
    mine = {"holder": holder, "expires_at": wall_now() + lease}
    if row is None:
        context.db.execute(sa.insert(leaders).values(role=role, **mine))
    elif row.holder == holder or row.expires_at <= wall_now() or has_died(row.holder):
        context.db.execute(sa.update(leaders).where(leaders.c.role == role).values(**mine))
    else:
        return str(row.holder)
    return holder


def step_down(context: Context, role: str, holder: str) -> None:
    """Give the lead back, so that another has it at once; nothing where another has it already."""
    context.db.execute(sa.delete(leaders).where(leaders.c.role == role, leaders.c.holder == holder))
