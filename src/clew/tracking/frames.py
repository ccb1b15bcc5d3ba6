"""The frames of a run's journal: how each change of a run is written down, and how a torn end is told from a whole one.

A frame is ``crc32 of the payload (4 bytes), kind in the high byte and length in the low three (4 bytes), payload``, little-endian.
Zeros mean that nothing was written yet. A writer that is killed half-way through a frame leaves one whose checksum fails; the
journal ends before it, and the call that was writing had not returned.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from zlib import crc32

from clew.errors import Invalid

__all__ = ["HEADER", "MAX_PAYLOAD_BYTES", "OUTPUT", "POINT", "Frame", "Kind", "border", "frame", "holds_nul", "read_frames", "whole_end"]

HEADER = struct.Struct("<II")
POINT = struct.Struct("<Hqqd")
"""Number of the name, step, time in microseconds, value."""
OUTPUT = struct.Struct("<BQq")
"""Stream, offset of the first byte in its file, time in microseconds; the bytes follow. Streams 1 and 2 are descriptors; 3 and 4 are
copies of what went through a ``sys.stdout`` or ``sys.stderr`` that is no descriptor, and have no file."""
MAX_PAYLOAD_BYTES = (1 << 24) - 1


class Kind(IntEnum):
    """What a frame says. Points and output are packed; the others are JSON documents. Numbers are never used again."""

    NAME = 1
    """The next metric name of this writer; points refer to it by its position."""
    POINT = 2
    OUTPUT = 3
    START = 4
    PARAMS = 5
    TAGS = 6
    ARTIFACT = 7
    FACTS = 8
    """What the run was made in: environment, hardware, git, source, seeds. Later documents add to earlier ones."""
    END = 9


@dataclass(frozen=True)
class Frame:
    kind: Kind
    payload: bytes
    end: int
    """Where the next frame begins, counted from the start of what was read."""


def frame(kind: Kind, payload: bytes) -> bytes:
    """The bytes of one frame. Raises ``Invalid`` for a payload of 16 MiB and more."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Invalid(f"a single change of a run may have 16 MiB, this one has {len(payload) >> 20}; keep it as an artifact")
    return HEADER.pack(crc32(payload), kind << 24 | len(payload)) + payload


def holds_nul(document: bytes) -> bool:
    """Whether a text of a JSON document holds a NUL character, which no database keeps. ``\\\\u0000``, the six characters, is none."""
    return b"\\u0000" in document and _NUL.search(document) is not None


def read_frames(content: bytes | memoryview) -> Iterator[Frame]:
    """The whole frames at the start of ``content``; stops before zeros, a torn frame or an unknown kind."""
    at, size = 0, len(content)
    while at + HEADER.size <= size:
        checksum, head = HEADER.unpack_from(content, at)
        begin, end = at + HEADER.size, at + HEADER.size + (head & MAX_PAYLOAD_BYTES)
        if head == 0 or end > size or head >> 24 not in _KINDS:
            return
        payload = bytes(content[begin:end])
        if crc32(payload) != checksum:
            return
        yield Frame(_KINDS[head >> 24], payload, end)
        at = end


def whole_end(content: bytes | memoryview) -> int:
    """Where the last whole frame ends."""
    end = 0
    for item in read_frames(content):
        end = item.end
    return end


def border(content: bytes, limit: int) -> int:
    """The last border between frames within ``limit``, or the end of the first frame when that alone is longer. Trusts the frames."""
    end = 0
    while end + HEADER.size <= len(content):
        following = end + HEADER.size + (HEADER.unpack_from(content, end)[1] & MAX_PAYLOAD_BYTES)
        if following > limit and end:
            break
        end = following
    return end


_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_KINDS = {kind.value: kind for kind in Kind}
