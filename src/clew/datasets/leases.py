"""One writer per asset: a lease with a fencing token.

A writer that was suspended past its lease, or thought dead, finds another token when it comes to commit its row, and keeps nothing.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import sqlalchemy as sa

from clew.clock import wall_now
from clew.datasets.schema import writer_leases
from clew.errors import Conflict
from clew.operations import Context
from clew.storage.holders import has_died, new_holder

__all__ = ["Fence", "writer"]

_LEASE = timedelta(minutes=10)
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Fence:
    """The right to commit the next version of one asset."""

    name: str
    token: int

    def check(self, context: Context) -> None:
        """In the committing transaction: raise ``Conflict`` when another writer took over."""
        row = context.db.execute(_row(context, self.name)).first()
        if row is None or row.token != self.token:
            raise Conflict(f"another writer took over {self.name!r} while this one was at work; nothing of this one is kept, try again")


@contextmanager
def writer(context: Context, name: str, *, wait_seconds: float = 60.0) -> Iterator[Fence]:
    """Be the one writer of an asset for the length of the block. Raises ``Conflict`` when another one is at it for too long.

    A holder on this machine that died has lost its lease at once; one elsewhere when the lease has run out.
    """
    holder = new_holder()
    deadline = time.monotonic() + wait_seconds
    while (fence := context.run_write(lambda inside: _take(inside, name, holder))) is None:
        if time.monotonic() > deadline:
            raise Conflict(
                f"another writer has been at {name!r} for more than {wait_seconds:.0f} s; wait for it, or stop it, and try again"
            )
        time.sleep(_POLL_SECONDS * random.uniform(0.5, 1.5))
    try:
        yield fence
    finally:
        context.run_write(lambda inside: _give_back(inside, fence, holder))


def _take(context: Context, name: str, holder: str) -> Fence | None:
    row = context.db.execute(_row(context, name)).first()
    expires_at = wall_now() + _LEASE
    if row is None:
        context.db.execute(
            sa.insert(writer_leases).values(project=context.project, name=name, token=1, holder=holder, expires_at=expires_at)
        )
        return Fence(name, 1)
    if row.holder is not None and row.expires_at > wall_now() and not has_died(row.holder):
        return None
    context.db.execute(_at(context, name).values(token=row.token + 1, holder=holder, expires_at=expires_at))
    return Fence(name, row.token + 1)


def _give_back(context: Context, fence: Fence, holder: str) -> None:
    context.db.execute(_at(context, fence.name).where(writer_leases.c.holder == holder).values(holder=None))


def _row(context: Context, name: str) -> sa.Select[tuple[int, str | None, object]]:
    return sa.select(writer_leases.c.token, writer_leases.c.holder, writer_leases.c.expires_at).where(
        writer_leases.c.project == context.project, writer_leases.c.name == name
    )


def _at(context: Context, name: str) -> sa.Update:
    return sa.update(writer_leases).where(writer_leases.c.project == context.project, writer_leases.c.name == name)
