"""Where each answer of a live segment lies, and when: kept in this process, so that looking at the last hours reads the last hours.

A segment only grows, so what was indexed once stays right; each look reads on from where the last one ended.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from clew.serving.prediction_log import Address, frame_bytes, read_frames, read_segment
from clew.serving.records import Record, decode_record

__all__ = ["Entry", "records_of"]

_MOST_SEGMENTS = 64


class Entry(NamedTuple):
    """One frame: times in microseconds, as in its record."""

    event_time: int
    at: int
    epoch: int
    endpoint: str
    address: Address


class _Index:
    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.end = 0

    def read_on(self, path: Path) -> None:
        for address, payload in read_segment(path, self.end):
            record = decode_record(payload)
            self.entries.append(Entry(record.event_time, record.at, record.epoch, record.endpoint, address))
            self.end = address.offset + frame_bytes(payload)


_lock = threading.Lock()
_known: OrderedDict[Path, _Index] = OrderedDict()


def _entries(path: Path) -> list[Entry]:
    """Every frame of a segment in the order of writing; none of one that was compacted meanwhile."""
    with _lock:
        index = _known.pop(path, None) or _Index()
        try:
            index.read_on(path)
        except FileNotFoundError:
            return []
        _known[path] = index
        while len(_known) > _MOST_SEGMENTS:
            _known.popitem(last=False)
        return list(index.entries)


def records_of(path: Path, wanted: Callable[[Entry], bool], *, newest_first: bool = False) -> Iterator[tuple[Address, Record]]:
    """The records of a segment whose entries are wanted, in the order of writing or from the newest on.

    Thread-safe. A segment that is compacted while it is read ends: what it held is in the table then.
    """
    entries = _entries(path)
    chosen = [entry.address for entry in (reversed(entries) if newest_first else entries) if wanted(entry)]
    if not chosen:
        return
    try:
        for address, payload in read_frames(path, chosen):
            yield address, decode_record(payload)
    except FileNotFoundError:
        return
