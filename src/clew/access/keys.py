"""Idempotency keys: a request that is sent again under its key acts once, also while the first one is still at work.

A write keeps its response in its own transaction, so a key is either not there or answered. A staged operation commits by itself, so it
takes its key first, for a lease that it renews while it works; whoever sends the key meanwhile waits for that answer. The lease runs by
the wall clock: a server that died holds a key until it ends, and on the same machine not even as long.
"""

import hashlib
import logging
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

__all__ = ["held", "keep_response", "keep_taken", "seen_response", "take", "wait_until_free"]

_LEASE = timedelta(seconds=60)
_BEAT_SECONDS = 15.0
_WAIT_SECONDS = 20.0
"""How long a request waits for another one's answer. Shorter than a client waits for bytes: it is told to ask again before it gives up."""
_POLL_SECONDS = 0.1

_log = logging.getLogger("clew.server")


def seen_response(context: Context, operation: Operation, values: dict[str, Any], key: str | None) -> bytes | None:
    """The response that a key has had already, as JSON; ``None`` when there is none.

    Raises ``Conflict`` for a key that was used for something else, ``StillRunning`` while another request is at work under it.
    """
    if key is None:
        return None
    seen = context.db.execute(_row(key)).one_or_none()
    if seen is None:
        return None
    if seen.operation != _request(context, operation, values):
        raise Conflict(f"the idempotency key {key!r} was used for another request; use a fresh one for {operation.name}")
    if seen.response is None and _is_held(seen):
        raise StillRunning(f"{operation.name} under the key {key!r} is still at work; ask again with the same key for its answer")
    return None if seen.response is None else bytes(seen.response)


def keep_response(context: Context, operation: Operation, values: dict[str, Any], key: str | None, result: Any) -> None:
    """Keep the response with its key, in the transaction of the effect."""
    if key is not None:
        row = {"key": key, "operation": _request(context, operation, values), "response": msgspec.json.encode(result), "at": wall_now()}
        context.db.execute(sa.insert(idempotency_keys).values(**row))


def take(context: Context, operation: Operation, values: dict[str, Any], key: str, holder: str) -> bytes | None:
    """Take a key for a staged operation that is about to begin; the response instead when it has one. Raises as ``seen_response`` does."""
    seen = seen_response(context, operation, values, key)
    if seen is None:
        context.db.execute(sa.delete(idempotency_keys).where(idempotency_keys.c.key == key))  # one whose holder died
        row = {"key": key, "operation": _request(context, operation, values), "holder": holder, "at": wall_now()}
        context.db.execute(sa.insert(idempotency_keys).values(**row, expires_at=wall_now() + _LEASE))
    return seen


@contextmanager
def held(context: Context, key: str, holder: str) -> Iterator[None]:
    """Renew the lease of a taken key for the length of the block, and give the key back when the block raises."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(_BEAT_SECONDS):
            try:
                context.run_write(lambda inside: inside.db.execute(_mine(key, holder).values(expires_at=wall_now() + _LEASE)))
            except (ClewError, sa.exc.SQLAlchemyError) as error:  # the lease outlasts three missed beats
                _log.warning("the key %s could not be renewed: %s", key, error)

    beat = threading.Thread(target=renew, name="clew-key", daemon=True)
    beat.start()
    try:
        yield
    except BaseException:
        ours = sa.delete(idempotency_keys).where(idempotency_keys.c.key == key, idempotency_keys.c.holder == holder)
        try:
            context.run_write(lambda inside: inside.db.execute(ours))
        except (ClewError, sa.exc.SQLAlchemyError) as error:  # the block's own error is what the caller must hear of
            _log.warning("the key %s could not be given back, its lease ends by itself: %s", key, error)
        raise
    finally:
        done.set()
        beat.join()


def keep_taken(context: Context, key: str, holder: str, result: Any) -> None:
    """Keep the response of a staged operation with the key that it took."""
    context.db.execute(_mine(key, holder).values(response=msgspec.json.encode(result), holder=None, expires_at=None))


def wait_until_free(context: Context, key: str) -> bool:
    """Wait while another request is at work under a key; whether it has ended in the time that a caller may be kept waiting."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline:
        with context.reading() as inside:
            row = inside.db.execute(_row(key)).one_or_none()
        if row is None or row.response is not None or not _is_held(row):
            return True
        time.sleep(_POLL_SECONDS)
    return False


def _row(key: str) -> sa.Select[Any]:
    return sa.select(idempotency_keys).where(idempotency_keys.c.key == key)


def _mine(key: str, holder: str) -> sa.Update:
    """The key while it is this holder's: one that was thought dead finds nothing to change."""
    return sa.update(idempotency_keys).where(idempotency_keys.c.key == key, idempotency_keys.c.holder == holder)


def _is_held(row: Any) -> bool:  # Any: SQLAlchemy's row of ``idempotency_keys``
    return row.expires_at is not None and row.expires_at > wall_now() and not has_died(row.holder)


def _request(context: Context, operation: Operation, values: dict[str, Any]) -> str:
    """What a key stands for: the operation, and a digest of project and arguments."""
    content = msgspec.json.encode([context.project, values], order="sorted")
    return f"{operation.name} {hashlib.sha256(content).hexdigest()[:32]}"
