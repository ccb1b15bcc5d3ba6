"""Idempotency keys: a request that is sent again under its key acts once, also while the first one is still at work.

A write keeps its response in its own transaction, so a key is either not there or answered. A staged operation commits by itself, so it
takes its key first, for a lease that it renews while it works; whoever sends the key meanwhile waits for that answer. The lease runs by
the wall clock: a server that died holds a key until it ends, and on the same machine not even as long.
"""

import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from clew.clock import wall_now
from clew.errors import ClewError, Conflict, StillRunning
from clew.operations import Context, Operation
from clew.storage.holders import has_died
from clew.storage.schema import idempotency_keys

__all__ = ["forget_old", "held", "keep_response", "keep_taken", "seen_response", "take", "wait_until_free"]

_LEASE = timedelta(seconds=60)
_BEAT_SECONDS = 15.0
_WAIT_SECONDS = 20.0
"""How long a request waits for another one's answer. Shorter than a client waits for bytes: it is told to ask again before it gives up."""
_POLL_SECONDS = 0.1
_KEPT = timedelta(days=1)
_FORGET_AT_ONCE = 2_000

# Built once: making a statement and its cache key takes as long as running it.
_ROW = sa.select(idempotency_keys).where(idempotency_keys.c.key == sa.bindparam("of"))
_INSERT = sa.insert(idempotency_keys)

_log = logging.getLogger("clew.server")


def seen_response(context: Context, operation: Operation, values: dict[str, Any], key: str | None) -> bytes | None:
    """The response that a key has had already, as JSON; ``None`` when there is none.

    Raises ``Conflict`` for a key that was used for something else, ``StillRunning`` while another request is at work under it.
    """
    seen = None if key is None else _seen(context, operation, values, key)
    return None if seen is None or seen.response is None else bytes(seen.response)


def _seen(context: Context, operation: Operation, values: dict[str, Any], key: str) -> Any:  # Any: SQLAlchemy's row, or none
    seen = context.db.execute(_ROW, {"of": key}).one_or_none()
    if seen is not None and seen.operation != _request(context, operation, values):
        raise Conflict(f"the idempotency key {key!r} was used for another request; use a fresh one for {operation.name}")
    if seen is not None and seen.response is None and _is_held(seen):
        raise StillRunning(f"{operation.name} under the key {key!r} is still at work; ask again with the same key for its answer")
    return seen


def keep_response(context: Context, operation: Operation, values: dict[str, Any], key: str | None, result: Any) -> None:
    """Keep the response with its key, in the transaction of the effect."""
    if key is not None:
        row = {"key": key, "operation": _request(context, operation, values), "response": msgspec.json.encode(result), "at": wall_now()}
        context.db.execute(_INSERT, row)


def take(context: Context, operation: Operation, values: dict[str, Any], key: str, holder: str) -> bytes | None:
    """Take a key for a staged operation that is about to begin; the response instead when it has one. Raises as ``seen_response`` does."""
    seen = _seen(context, operation, values, key)
    if seen is not None and seen.response is not None:
        return bytes(seen.response)
    now = wall_now()
    row = {"operation": _request(context, operation, values), "holder": holder, "at": now, "expires_at": now + _LEASE}
    if seen is None:
        context.db.execute(_INSERT, {"key": key, **row})
    else:  # its holder died
        context.db.execute(sa.update(idempotency_keys).where(idempotency_keys.c.key == key).values(**row))
    return None


@contextmanager
def held(context: Context, key: str, holder: str) -> Iterator[None]:
    """Renew the lease of a taken key for the length of the block, and give the key back when the block raises."""
    try:
        _renewal.begin(context, key, holder)
        yield
    except BaseException:
        ours = sa.delete(idempotency_keys).where(idempotency_keys.c.key == key, idempotency_keys.c.holder == holder)
        try:
            context.run_write(lambda inside: inside.db.execute(ours))
        except (ClewError, sa.exc.SQLAlchemyError) as error:  # the block's own error is what the caller must hear of
            _log.warning("the key %s could not be given back, its lease ends by itself: %s", key, error)
        raise
    finally:
        _renewal.end(key, holder)


class _Renewal:
    """One thread renews the leases of all keys that this process holds: most are held for milliseconds, in which no thread would start."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        """In a fork too: it has no such thread, and its parent's keys are not its own."""
        self._held: dict[tuple[str, str], Context] = {}
        self._lock = threading.Lock()
        self._runs = False

    def begin(self, context: Context, key: str, holder: str) -> None:
        with self._lock:
            self._held[key, holder] = context
            if not self._runs:
                threading.Thread(target=self._run, name="clew-keys", daemon=True).start()
                self._runs = True

    def end(self, key: str, holder: str) -> None:
        with self._lock:
            self._held.pop((key, holder), None)

    def _run(self) -> None:
        while True:
            time.sleep(_BEAT_SECONDS)
            with self._lock:
                held = list(self._held.items())
                if not held:
                    self._runs = False
                    return
            for (key, holder), context in held:
                self._renew(context, key, holder)

    def _renew(self, context: Context, key: str, holder: str) -> None:
        def write(inside: Context) -> None:
            inside.db.execute(_mine(key, holder).values(expires_at=wall_now() + _LEASE))

        if (key, holder) not in self._held:  # it has ended meanwhile
            return
        try:
            context.run_write(write)
        except Exception as error:  # the lease outlasts three missed beats, and no other key must miss one
            _log.warning("the key %s could not be renewed: %s", key, error)


_renewal = _Renewal()


os.register_at_fork(after_in_child=_renewal.begin_anew)


def keep_taken(context: Context, key: str, holder: str, result: Any) -> None:
    """Keep the response of a staged operation with the key that it took."""
    context.db.execute(_mine(key, holder).values(response=msgspec.json.encode(result), holder=None, expires_at=None, at=wall_now()))


def forget_old(context: Context) -> int:
    """Forget keys that were used a day ago or longer and whose work has ended; how many. A request under such a key acts anew."""
    column, now = idempotency_keys.c, wall_now()
    ended = column.response.is_not(None) | (column.expires_at < now)
    old = sa.select(column.key).where(column.at < now - _KEPT, ended).limit(_FORGET_AT_ONCE)

    def forget(inside: Context) -> int:
        return inside.db.execute(sa.delete(idempotency_keys).where(idempotency_keys.c.key.in_(old))).rowcount

    forgotten = some = context.run_write(forget)
    while some == _FORGET_AT_ONCE:  # a few at a time, so that others get their turn
        forgotten += (some := context.run_write(forget))
    return forgotten


def wait_until_free(context: Context, key: str) -> bool:
    """Wait while another request is at work under a key; whether it has ended in the time that a caller may be kept waiting."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        with context.reading() as inside:
            row = inside.db.execute(_ROW, {"of": key}).one_or_none()
        if row is None or row.response is not None or not _is_held(row):
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _mine(key: str, holder: str) -> sa.Update:
    """The key while it is this holder's: one that was thought dead finds nothing to change."""
    return sa.update(idempotency_keys).where(idempotency_keys.c.key == key, idempotency_keys.c.holder == holder)


def _is_held(row: Any) -> bool:  # Any: SQLAlchemy's row of ``idempotency_keys``
    return row.expires_at is not None and row.expires_at > wall_now() and not has_died(row.holder)


def _request(context: Context, operation: Operation, values: dict[str, Any]) -> str:
    """What a key stands for: the operation, and a digest of project and arguments."""
    content = msgspec.json.encode([context.project, values], order="sorted")
    return f"{operation.name} {hashlib.sha256(content).hexdigest()[:32]}"
