"""The prediction log: a frame for each answer, in the page cache before the answer leaves.

A segment is a file of a fixed size, allocated ahead so that a full disk is met between answers and not in one. It has one writer, which
holds its lock for as long as it may still write; a segment whose lock can be had is finished. A frame is its payload's length, a checksum
and the payload; zeros end a segment, and so does a frame whose checksum fails, which is what a killed writer leaves: its answer had not
left. A prediction's id is the address of its frame (segment, offset, checksum), so one read finds it.
"""

import errno
import fcntl
import mmap
import os
import secrets
import struct
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clew.errors import ClewError, Invalid, StorageFull

__all__ = [
    "Address",
    "PredictionLog",
    "decode_id",
    "encode_id",
    "frame_bytes",
    "is_finished",
    "read_frame",
    "read_frames",
    "read_segment",
    "remove_spares",
    "segment_paths",
]

SEGMENT_BYTES = 16 << 20
_MAGIC = b"CLEWPL01"
_HEADER = struct.Struct("<II")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, as in other ids
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_PREFIX = "p_"
_ID_LENGTH = 26
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True)
class Address:
    """Where a prediction's frame lies. ``check`` is the frame's CRC-32, so that a guessed id finds nothing."""

    segment: int
    offset: int
    check: int


def encode_id(segment: int, offset: int, check: int) -> str:
    """The prediction id of an address; ids of one segment sort by time."""
    number = segment << 64 | offset << 32 | check
    return _PREFIX + "".join([_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5)])


def decode_id(prediction_id: str) -> Address:
    """The address in a prediction id. Raises ``Invalid`` for any other text."""
    text = prediction_id.removeprefix(_PREFIX)
    if len(text) != _ID_LENGTH or not prediction_id.startswith(_PREFIX) or any(character not in _VALUES for character in text):
        raise Invalid(f"{prediction_id!r} is no prediction id; one looks like {_PREFIX} and {_ID_LENGTH} letters and digits")
    number = 0
    for character in text:
        number = number << 5 | _VALUES[character]
    return Address(number >> 64 & (1 << 64) - 1, number >> 32 & 0xFFFFFFFF, number & 0xFFFFFFFF)


class PredictionLog:
    """The writing end, one for each process. Thread-safe.

    With ``strict``, ``append`` waits for the disk; else ``sync``, called once a second, bounds what a power cut can take.
    A killed process loses nothing either way.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES, strict: bool = False) -> None:
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._strict = strict
        self._lock = threading.Lock()
        self._closed = False
        self._dirty = False
        folder.mkdir(parents=True, exist_ok=True)
        self._spare: tuple[int, int] | None = None
        self._segment, self._file = self._activate(self._allocate())
        self._offset = len(_MAGIC)
        self._refill()

    def append(self, payloads: Sequence[bytes]) -> list[str]:
        """Write a frame for each payload, all or none; their prediction ids.

        Raises ``StorageFull`` when there is no room for another segment, and ``Invalid`` for payloads that no segment can hold.
        """
        frames: list[bytes] = []
        checks: list[int] = []
        for payload in payloads:
            check = zlib.crc32(payload)
            frames += (_HEADER.pack(len(payload), check), payload)
            checks.append(check)
        content = b"".join(frames)
        with self._lock:
            if self._closed:
                raise ClewError("the prediction log is closed; this process is ending")
            if self._offset + len(content) > self._segment_bytes:
                self._rotate(len(content))
            try:
                written = os.pwrite(self._file, content, self._offset)
            except OSError as error:
                raise _translated(error, self._folder) from error
            if written != len(content):
                raise StorageFull(
                    f"the disk under {self._folder} is full: an answer could not be logged and was not given", folder=str(self._folder)
                )
            first = self._offset
            self._offset += written
            self._dirty = True
            if self._strict:
                os.fdatasync(self._file)
            segment = self._segment
        ids, offset = [], first
        for payload, check in zip(payloads, checks, strict=True):
            ids.append(encode_id(segment, offset, check))
            offset += _HEADER.size + len(payload)
        return ids

    def sync(self) -> None:
        """Bring what was appended so far to the disk."""
        with self._lock:
            if self._closed or not self._dirty:
                return
            self._dirty = False
            file = os.dup(self._file)  # the rotation may close the segment while we wait for the disk
        try:
            os.fdatasync(file)
        finally:
            os.close(file)

    def close(self) -> None:
        """Give up the segment: from now on it is finished and can be compacted."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.close(self._file)
            if self._spare is not None:
                os.close(self._spare[1])
                _spare_path(self._folder, self._spare[0]).unlink(missing_ok=True)

    def _rotate(self, size_bytes: int) -> None:
        if len(_MAGIC) + size_bytes > self._segment_bytes:
            raise Invalid(
                f"one request's answers take {size_bytes} bytes in the log, where {self._segment_bytes} fit; send fewer rows at once"
            )
        following = self._activate(self._spare or self._allocate())
        self._spare = None
        os.close(self._file)
        self._segment, self._file = following
        self._offset = len(_MAGIC)
        self._refill()

    def _refill(self) -> None:
        """Allocate the next segment now. Failing is no error yet: the present one still has room, and the rotation tries again."""
        try:
            self._spare = self._allocate()
        except StorageFull:
            self._spare = None

    def _allocate(self) -> tuple[int, int]:
        segment = (time.time_ns() // 1_000) << 12 | secrets.randbits(12)  # sorts by time, and is never used again
        path = _spare_path(self._folder, segment)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(file, 0, self._segment_bytes)
            os.pwrite(file, _MAGIC, 0)
        except OSError as error:
            os.close(file)
            path.unlink(missing_ok=True)
            raise _translated(error, self._folder) from error
        return segment, file

    def _activate(self, spare: tuple[int, int]) -> tuple[int, int]:
        segment, _ = spare
        _spare_path(self._folder, segment).rename(_segment_path(self._folder, segment))
        return spare


def _translated(error: OSError, folder: Path) -> Exception:
    if error.errno in _FULL:
        return StorageFull(
            f"the disk under {folder} is full: an answer that can't be logged is not given. Free some space", folder=str(folder)
        )
    return error


def _segment_path(folder: Path, segment: int) -> Path:
    return folder / f"{segment:016x}.log"


def _spare_path(folder: Path, segment: int) -> Path:
    return folder / f".{segment:016x}.spare"


def segment_paths(folder: Path) -> dict[int, Path]:
    """The segments of a folder by number, oldest first."""
    return {int(path.stem, 16): path for path in sorted(folder.glob("*.log"))}


def is_finished(path: Path) -> bool:
    """Whether nobody writes to a segment any more: its writer went on to another, closed it or died."""
    return _lockable(path)


def remove_spares(folder: Path) -> None:
    """Free the segments that dead writers had allocated ahead."""
    for path in folder.glob(".*.spare"):
        if _lockable(path):
            path.unlink(missing_ok=True)


def _lockable(path: Path) -> bool:
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    return True


def read_segment(path: Path, start: int = 0) -> Iterator[tuple[Address, bytes]]:
    """The whole frames of a segment in order, from an offset that a frame begins at."""
    segment = int(path.stem, 16)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if content[: len(_MAGIC)] != _MAGIC:
            return
        offset = start or len(_MAGIC)
        while offset + _HEADER.size <= len(content):
            length, check = _HEADER.unpack_from(content, offset)
            payload = content[offset + _HEADER.size : offset + _HEADER.size + length]
            if length == 0 or len(payload) != length or zlib.crc32(payload) != check:
                return
            yield Address(segment, offset, check), payload
            offset += _HEADER.size + length


def frame_bytes(payload: bytes) -> int:
    """What a frame with this payload takes in a segment."""
    return _HEADER.size + len(payload)


def read_frames(path: Path, addresses: Iterable[Address]) -> Iterator[tuple[Address, bytes]]:
    """The payloads of a segment at some addresses that were read from it before, in their order."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for address in addresses:
            length, check = _HEADER.unpack_from(content, address.offset)
            payload = content[address.offset + _HEADER.size : address.offset + _HEADER.size + length]
            if check == address.check and zlib.crc32(payload) == check:
                yield address, payload


def read_frame(folder: Path, address: Address) -> bytes | None:
    """The payload at an address, or ``None``: there is no such frame, or its segment was compacted."""
    try:
        file = os.open(_segment_path(folder, address.segment), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        header = os.pread(file, _HEADER.size, address.offset)
        if len(header) < _HEADER.size:
            return None
        length, check = _HEADER.unpack(header)
        if length == 0 or check != address.check or length > SEGMENT_BYTES:
            return None
        payload = os.pread(file, length, address.offset + _HEADER.size)
        return payload if zlib.crc32(payload) == check else None
    finally:
        os.close(file)
