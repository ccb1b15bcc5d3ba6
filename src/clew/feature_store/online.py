"""The online store: recent events of each entity, for each view version that a live endpoint pins. LMDB by default.

An event stands under (view version, entity, time, tag); the tag tells events of one instant apart, so that the same event again is
one event, whatever the order in which events come. Beside an entity's events stands its head, by which a reader that holds the
entity in memory sees what is new. The store holds nothing that can't be made again from datasets and views.
"""

import os
import secrets
import struct
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from clew import plugins
from clew.errors import Invalid, StorageFull

if TYPE_CHECKING:
    import lmdb

__all__ = ["Head", "LmdbStore", "OnlineEvent", "OnlineStore", "OnlineWriter", "Snapshot", "open_store", "view_key"]

TAG_BYTES = 8
_MAP_BYTES = 1 << 38  # sparse: it costs address space, not disk, and must never be resized under the readers of other processes
_MAX_READERS = 1_024
_HEAD = struct.Struct("<QQ8s")
_TIME = struct.Struct(">Q")
_SIGN = 1 << 63  # so that bytes sort as the signed integers do
_LENGTH = struct.Struct(">H")
_MAX_VIEW_BYTES, _MAX_ENTITY_BYTES = 272, 200


@dataclass(frozen=True, slots=True)
class Head:
    """How many changes an entity has had, and at which of them an event last came out of order of time, or changed.

    A reader that holds an older state than that reads the entity anew; any other reads on from the newest time that it holds.
    """

    sequence: int
    reordered_at: int


@dataclass(frozen=True, slots=True)
class OnlineEvent:
    """``position`` is time and tag, by which an entity's events are sorted."""

    time: int
    position: bytes
    payload: bytes


class Snapshot(Protocol):
    """A consistent view of the store, for one thread, inside its ``with`` block."""

    def head(self, view: bytes, entity: bytes) -> Head | None: ...

    def events(self, view: bytes, entity: bytes, *, since: int | None = None) -> list[OnlineEvent]:
        """An entity's events in order of position, from time ``since`` on."""
        ...

    def note(self, view: bytes) -> bytes | None:
        """What ``OnlineWriter.set_note`` left about the view."""
        ...

    def count(self, view: bytes) -> int:
        """How many events the view has, of all entities; walks through them."""
        ...


class OnlineWriter(Snapshot, Protocol):
    """One transaction: everything that it wrote becomes readable when its ``with`` block ends, or nothing if that raises."""

    def put(self, view: bytes, entity: bytes, time: int, tag: bytes, payload: bytes) -> bool:
        """Add an event; ``False`` where the same one was there. Another payload under the same time and tag replaces the old."""
        ...

    def forget(self, view: bytes, entity: bytes, before: int, limit: int) -> int:
        """Delete up to ``limit`` of the entity's events before a time; how many."""
        ...

    def set_note(self, view: bytes, note: bytes) -> None: ...

    def drop(self, view: bytes) -> int:
        """Delete all that is kept of a view version; how many records."""
        ...


class OnlineStore(Protocol):
    """Thread-safe, and safe between processes: writers wait for each other, readers wait for nobody. Reopen it after a fork."""

    def reading(self) -> AbstractContextManager[Snapshot]: ...

    def writing(self) -> AbstractContextManager[OnlineWriter]:
        """Raises ``StorageFull`` with nothing kept."""
        ...

    def close(self) -> None:
        """For tests and orderly ends, and after a fork; the store can't be used afterwards."""
        ...


def open_store(url: str, *, durability: str = "process") -> OnlineStore:
    """The store behind a URL; its scheme names the plug-in. One store a process and URL: LMDB can't be opened twice."""
    with _lock:
        process, store = _open.get(url, (0, None))
        if store is None or process != os.getpid():
            if store is not None:  # a fork brought it; closing it here leaves the parent's open
                store.close()
            store = plugins.load("online_store", urlsplit(url).scheme)(url, durability=durability)
            _open[url] = os.getpid(), store
        return store


_open: dict[str, tuple[int, OnlineStore]] = {}
_lock = threading.Lock()


def view_key(project: str, view: str, number: int) -> bytes:
    """The address of a view version in the store. A view's next version starts empty: nothing is mixed."""
    return f"{project}/{view}@{number}\0".encode()


class LmdbStore:
    """Events in one LMDB file, ``lmdb:///folder``. Survives the process; a power cut too where durability is ``full``."""

    def __init__(self, url: str, *, durability: str = "process") -> None:
        import lmdb

        folder = Path(unquote(urlsplit(url).path))
        folder.mkdir(parents=True, exist_ok=True)
        full = durability == "full"
        self._environment = lmdb.open(str(folder), map_size=_MAP_BYTES, max_readers=_MAX_READERS, sync=full, metasync=full, readahead=False)
        self._environment.reader_check()  # a reader that was killed would keep pages from being used again

    @contextmanager
    def reading(self) -> Iterator["_LmdbTransaction"]:
        with self._environment.begin() as transaction:
            yield _LmdbTransaction(transaction)

    @contextmanager
    def writing(self) -> Iterator["_LmdbTransaction"]:
        import lmdb

        try:
            with self._environment.begin(write=True) as transaction:
                yield _LmdbTransaction(transaction)
        except lmdb.Error as error:
            if isinstance(error, lmdb.MapFullError | lmdb.DiskError) or "No space left" in str(error):
                raise StorageFull(
                    "the disk of the online store is full; nothing of this call was kept. Free some space, then try again"
                ) from error
            raise

    def close(self) -> None:
        for url in [url for url, (_, store) in _open.items() if store is self]:
            del _open[url]
        self._environment.close()


class _LmdbTransaction:
    def __init__(self, transaction: "lmdb.Transaction[bytes]") -> None:
        self._transaction = transaction

    def head(self, view: bytes, entity: bytes) -> Head | None:
        found = self._transaction.get(b"h" + view + entity)
        return None if found is None else Head(*_HEAD.unpack(found)[:2])

    def note(self, view: bytes) -> bytes | None:
        return self._transaction.get(b"n" + view)

    def count(self, view: bytes) -> int:
        counted = 0
        with self._transaction.cursor() as cursor:
            if cursor.set_range(b"e" + view):
                for key in cursor.iternext(keys=True, values=False):
                    if not key.startswith(b"e" + view):
                        break
                    counted += 1
        return counted

    def events(self, view: bytes, entity: bytes, *, since: int | None = None) -> list[OnlineEvent]:
        prefix = _prefix(view, entity)
        start = prefix if since is None else prefix + _time_bytes(since)
        found = []
        with self._transaction.cursor() as cursor:
            if cursor.set_range(start):
                for key, payload in cursor:
                    if not key.startswith(prefix):
                        break
                    position = key[len(prefix) :]
                    found.append(OnlineEvent(_TIME.unpack_from(position)[0] - _SIGN, position, payload))
        return found

    def put(self, view: bytes, entity: bytes, time: int, tag: bytes, payload: bytes) -> bool:
        at = _time_bytes(time)
        key = _prefix(view, entity) + at + tag
        fresh = self._transaction.put(key, payload, overwrite=False)
        if not fresh and self._transaction.get(key) == payload:
            return False
        self._transaction.put(key, payload)
        head = self._transaction.get(b"h" + view + entity)
        if head is None:
            # A random start: who held the entity before its view was dropped must not take new events for those that it knows.
            start = secrets.randbits(48)
            sequence, reordered_at, last = start, start + 1, b""
        else:
            sequence, reordered_at, last = _HEAD.unpack(head)
        in_order = fresh and at >= last
        head = _HEAD.pack(sequence + 1, reordered_at if in_order else sequence + 1, at if in_order else last)
        self._transaction.put(b"h" + view + entity, head)
        return True

    def forget(self, view: bytes, entity: bytes, before: int, limit: int) -> int:
        prefix, forgotten = _prefix(view, entity), 0
        end = prefix + _time_bytes(before)
        with self._transaction.cursor() as cursor:
            more = cursor.set_range(prefix)
            while more and forgotten < limit and prefix <= cursor.key() < end:
                more = cursor.delete()
                forgotten += 1
        return forgotten

    def set_note(self, view: bytes, note: bytes) -> None:
        self._transaction.put(b"n" + view, note)

    def drop(self, view: bytes) -> int:
        dropped = 0
        for kind in (b"e", b"h", b"n"):
            with self._transaction.cursor() as cursor:
                more = cursor.set_range(kind + view)
                while more and cursor.key().startswith(kind + view):
                    more = cursor.delete()
                    dropped += 1
        return dropped


def _prefix(view: bytes, entity: bytes) -> bytes:
    if len(view) > _MAX_VIEW_BYTES or len(entity) > _MAX_ENTITY_BYTES:
        raise Invalid(f"a key of {len(view)} and {len(entity)} bytes is longer than the online store holds")
    # With its length in front, no entity's events lie between those of another whose name it begins.
    return b"e" + view + _LENGTH.pack(len(entity)) + entity


def _time_bytes(time: int) -> bytes:
    return _TIME.pack(time + _SIGN)
