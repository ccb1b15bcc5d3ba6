"""The online store: recent events of each entity, for each view that a live endpoint pins. LMDB by default, Redis by its URL.

An event stands under (view, entity, time, tag), where versions of a view that make the same events have them in common; the tag tells events of one instant apart, so that the same event again is
one event, whatever the order in which events come. Beside an entity's events stands its head, by which a reader that holds the
entity in memory is told only what is new. The store holds nothing that can't be made again from datasets and views.
"""

import os
import secrets
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from clew import plugins
from clew.errors import Invalid, StorageFull, Unavailable
from clew.storage.disks import demand_room, refusal, writing_under

if TYPE_CHECKING:
    import lmdb

__all__ = [
    "TAG_BYTES", "LmdbStore", "News", "OnlineEvent", "OnlineStore", "OnlineWriter", "Progress", "Wanted", "check_key", "forget_store",
    "not_filled", "open_store", "position_of", "time_bytes", "time_of", "view_key",
]  # fmt: skip

TAG_BYTES = 8
_MAP_BYTES = 1 << 38  # sparse: it costs address space, not disk, and must never be resized under the readers of other processes
_MAX_READERS = 1_024
_ROOM_BYTES = 256 << 10
"""What the table of readers and the first pages take; LMDB maps it into memory without asking whether it is there."""
_HEAD = struct.Struct("<QQ8sq")
_STATE = struct.Struct("<Q")
_PROGRESS = struct.Struct("<QQq")
_TIME = struct.Struct(">Q")
_SIGN = 1 << 63  # so that bytes sort as the signed integers do
_ALWAYS = -_SIGN  # from the first time that there is: where nothing was left out
_LENGTH = struct.Struct(">H")
_MAX_VIEW_BYTES, _MAX_ENTITY_BYTES = 272, 200


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a view's events go: the last appended row that is in, and the dataset's version whose rows are in.

    ``current`` is false where the store's server began anew since then: what came last may be gone, and nothing is read until the
    view was filled again.
    """

    sequence: int
    dataset: int
    current: bool = True


@dataclass(frozen=True, slots=True)
class OnlineEvent:
    """``position`` is time and tag, by which an entity's events are sorted."""

    time: int
    position: bytes
    payload: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """An entity that a reader wants to be up to date about.

    ``since`` is the time from which on it wants events where it has to begin anew. ``state`` came with the events that it holds, and
    is empty where it holds none; ``newest`` is the time from which on it wants to read on, ``None`` for all.
    """

    view: bytes
    entity: bytes
    since: int | None = None
    state: bytes = b""
    newest: int | None = None


@dataclass(frozen=True, slots=True)
class News:
    """An entity's events in order of position: those since what the reader held, or all that it wanted with ``anew``.

    Reading on gives events at ``Wanted.newest`` again. It is possible while all that came since came in order of time; an event from
    before the newest, another payload, a dropped view or a server that lost something make the reader begin anew.

    ``complete_from`` is the time from which on none of the entity's events was left out or forgotten, ``None`` where none was at all.
    A window that begins before it can't be answered, however many events are there.
    """

    state: bytes
    anew: bool
    events: list[OnlineEvent]
    complete_from: int | None = None


class OnlineWriter(Protocol):
    """One transaction: everything that it was told becomes readable when its ``with`` block ends, or nothing if that raises."""

    def put(self, view: bytes, entity: bytes, time: int, tag: bytes, payload: bytes) -> None:
        """Add an event. The same one again changes nothing; another payload under the same time and tag replaces the old."""
        ...

    def forget(self, view: bytes, entity: bytes, before: int, limit: int) -> None:
        """Delete up to ``limit`` of the entity's oldest events, all before a time."""
        ...

    def advance(self, view: bytes, sequence: int, dataset: int | None = None, life: bytes = b"", since: int | None = None) -> None:
        """Note that a view's events go up to an appended row at least. From the first note on the view can be read.

        Whoever filled the view names the version of its dataset, the time ``since`` which it brought events, ``None`` for all, and the
        life of the store in which it began: where another has begun since, the transaction raises ``Unavailable``. Without a version,
        a view that has no current progress gets none. Of several ``since`` the latest holds, until the view is dropped.
        """
        ...

    def drop(self, view: bytes) -> None:
        """Delete all that is kept of a view, before what the transaction adds to it after this."""
        ...


class OnlineStore(Protocol):
    """Thread-safe, and safe between processes: writers wait for each other, readers wait for no writer's ``with`` block.

    Reopen it after a fork. Every method raises ``Unavailable`` while the store does not answer.
    """

    def news(self, wanted: Sequence[Wanted]) -> list[News]:
        """What is new of some entities, of one project, as of one moment: a transaction is seen whole or not at all.

        An entity that the store does not know is one without events. Raises ``Unavailable`` naming a view that has no current
        progress: it would seem to be empty, and an answer from it would be wrong.
        """
        ...

    def progress(self, view: bytes) -> Progress | None: ...

    def life(self, view: bytes) -> bytes:
        """Names the time since which the store has lost nothing of the view's project: what ``OnlineWriter.advance`` asks for.

        Raises ``Unavailable`` where the store is set up to lose rows.
        """
        ...

    def writing(self) -> AbstractContextManager[OnlineWriter]:
        """Raises ``StorageFull`` with nothing kept."""
        ...

    def count(self, view: bytes) -> int:
        """How many events the view has, of all entities; walks through them, and may miss what is written meanwhile."""
        ...

    def describe(self) -> str:
        """What the store says of itself, for people, without any secret. Raises ``Unavailable`` where it is not fit for use."""
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


def forget_store(store: OnlineStore) -> None:
    """What a store's ``close`` calls, so that the next ``open_store`` opens another."""
    for url in [url for url, (_, known) in _open.items() if known is store]:
        del _open[url]


_open: dict[str, tuple[int, OnlineStore]] = {}
_lock = threading.Lock()


def view_key(project: str, view: str, online_key: str) -> bytes:
    """The address in the store of what a view's versions have in common. A version of another definition starts empty: nothing is mixed."""
    return f"{project}/{view}@{online_key}\0".encode()


def not_filled(view: bytes) -> Unavailable:
    """The error for a view that can't be read yet, or not any more."""
    name = view.decode().partition("/")[2].partition("@")[0]
    return Unavailable(
        f"the online rows of {name} are not all there: the store is new, or lost them; `clew up` brings them back within seconds",
        view=name,
    )


def check_key(view: bytes, entity: bytes) -> None:
    if len(view) > _MAX_VIEW_BYTES or len(entity) > _MAX_ENTITY_BYTES:
        raise Invalid(f"a key of {len(view)} and {len(entity)} bytes is longer than the online store holds")


def time_bytes(time: int) -> bytes:
    """Eight bytes that sort as the times do."""
    return _TIME.pack(time + _SIGN)


def position_of(time: int, tag: bytes) -> bytes:
    """Where an event stands among an entity's. ``tag`` has ``TAG_BYTES``."""
    assert len(tag) == TAG_BYTES
    return time_bytes(time) + tag


def time_of(position: bytes) -> int:
    """The time in a position, or in anything that begins with one."""
    return int(_TIME.unpack_from(position)[0]) - _SIGN


class LmdbStore:
    """Events in one LMDB file, ``lmdb:///folder``. Survives the process; a power cut too where durability is ``full``."""

    def __init__(self, url: str, *, durability: str = "process") -> None:
        import lmdb

        self._folder = Path(unquote(urlsplit(url).path))
        full = durability == "full"
        with writing_under(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            demand_room(self._folder, _ROOM_BYTES)
            try:
                self._environment = lmdb.open(
                    str(self._folder), map_size=_MAP_BYTES, max_readers=_MAX_READERS, sync=full, metasync=full, readahead=False
                )
            except lmdb.Error as error:
                ours = refusal(error, self._folder)
                if ours is None:
                    raise
                raise ours from error
        self._environment.reader_check()  # a reader that was killed would keep pages from being used again

    def news(self, wanted: Sequence[Wanted]) -> list[News]:
        with self._environment.begin() as transaction:
            inside = _LmdbTransaction(transaction)
            filled = {view: inside.filled_since(view) for view in dict.fromkeys(one.view for one in wanted)}
            return [inside.news(one, filled[one.view]) for one in wanted]

    def progress(self, view: bytes) -> Progress | None:
        with self._environment.begin() as transaction:
            return _LmdbTransaction(transaction).progress(view)

    def life(self, view: bytes) -> bytes:
        return b""  # the file loses nothing that its readers would not lose with it

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

    def count(self, view: bytes) -> int:
        with self._environment.begin() as transaction:
            return _LmdbTransaction(transaction).count(view)

    def describe(self) -> str:
        entries = self._environment.stat()["entries"]
        return f"LMDB in {self._folder}, {entries:,} entries"

    def close(self) -> None:
        forget_store(self)
        self._environment.close()


class _LmdbTransaction:
    def __init__(self, transaction: "lmdb.Transaction[bytes]") -> None:
        self._transaction = transaction

    def news(self, wanted: Wanted, filled_since: int) -> News:
        head = self._transaction.get(b"h" + wanted.view + wanted.entity)
        if head is None:
            return News(b"", True, [], None if filled_since == _ALWAYS else filled_since)
        sequence, reordered_at, _, kept_since = _HEAD.unpack(head)
        if kept_since < filled_since:
            kept_since = filled_since
        state, complete = _STATE.pack(sequence), None if kept_since == _ALWAYS else kept_since
        if wanted.state == state:
            return News(state, False, [], complete)
        held = _STATE.unpack(wanted.state)[0] if wanted.state else -1
        anew = held < reordered_at or held > sequence
        return News(state, anew, self._events(wanted.view, wanted.entity, wanted.since if anew else wanted.newest), complete)

    def progress(self, view: bytes) -> Progress | None:
        found = self._transaction.get(b"n" + view)
        return None if found is None else Progress(*_PROGRESS.unpack(found)[:2])

    def filled_since(self, view: bytes) -> int:
        """The time since which the view was filled. Raises ``Unavailable`` where it was not."""
        found = self._transaction.get(b"n" + view)
        if found is None:
            raise not_filled(view)
        since: int = _PROGRESS.unpack(found)[2]
        return since

    def count(self, view: bytes) -> int:
        counted = 0
        with self._transaction.cursor() as cursor:
            if cursor.set_range(b"e" + view):
                for key in cursor.iternext(keys=True, values=False):
                    if not key.startswith(b"e" + view):
                        break
                    counted += 1
        return counted

    def _events(self, view: bytes, entity: bytes, since: int | None) -> list[OnlineEvent]:
        prefix = _prefix(view, entity)
        start = prefix if since is None else prefix + time_bytes(since)
        found = []
        with self._transaction.cursor() as cursor:
            if cursor.set_range(start):
                for key, payload in cursor:
                    if not key.startswith(prefix):
                        break
                    position = key[len(prefix) :]
                    found.append(OnlineEvent(time_of(position), position, payload))
        return found

    def put(self, view: bytes, entity: bytes, time: int, tag: bytes, payload: bytes) -> None:
        at = time_bytes(time)
        key = _prefix(view, entity) + position_of(time, tag)
        fresh = self._transaction.put(key, payload, overwrite=False)
        if not fresh and self._transaction.get(key) == payload:
            return
        self._transaction.put(key, payload)
        head = self._transaction.get(b"h" + view + entity)
        if head is None:
            # A random start: who held the entity before its view was dropped must not take new events for those that it knows.
            start = secrets.randbits(48)
            sequence, reordered_at, last, kept_since = start, start + 1, b"", _ALWAYS
        else:
            sequence, reordered_at, last, kept_since = _HEAD.unpack(head)
        in_order = fresh and at >= last
        head = _HEAD.pack(sequence + 1, reordered_at if in_order else sequence + 1, at if in_order else last, kept_since)
        self._transaction.put(b"h" + view + entity, head)

    def forget(self, view: bytes, entity: bytes, before: int, limit: int) -> None:
        prefix = _prefix(view, entity)
        end, forgotten, newest = prefix + time_bytes(before), 0, prefix
        with self._transaction.cursor() as cursor:
            more = cursor.set_range(prefix)
            while more and forgotten < limit and prefix <= cursor.key() < end:
                newest = cursor.key()
                more = cursor.delete()
                forgotten += 1
        head = self._transaction.get(b"h" + view + entity)
        if forgotten and head is not None:
            sequence, reordered_at, last, kept_since = _HEAD.unpack(head)
            kept_since = max(kept_since, time_of(newest[len(prefix) :]) + 1)
            self._transaction.put(b"h" + view + entity, _HEAD.pack(sequence, reordered_at, last, kept_since))

    def advance(self, view: bytes, sequence: int, dataset: int | None = None, life: bytes = b"", since: int | None = None) -> None:
        before = self._transaction.get(b"n" + view)
        start = _ALWAYS if since is None else since
        if before is not None:
            known, known_dataset, known_start = _PROGRESS.unpack(before)
            sequence, dataset, start = max(sequence, known), known_dataset if dataset is None else dataset, max(start, known_start)
        if dataset is not None:
            self._transaction.put(b"n" + view, _PROGRESS.pack(sequence, dataset, start))

    def drop(self, view: bytes) -> None:
        for kind in (b"e", b"h", b"n"):
            with self._transaction.cursor() as cursor:
                more = cursor.set_range(kind + view)
                while more and cursor.key().startswith(kind + view):
                    more = cursor.delete()


def _prefix(view: bytes, entity: bytes) -> bytes:
    check_key(view, entity)
    # With its length in front, no entity's events lie between those of another whose name it begins.
    return b"e" + view + _LENGTH.pack(len(entity)) + entity
