"""Metric series: how points are packed into chunks, and how many points become few without losing a peak.

A chunk is ``version (1 byte) = 1, number of points (4 bytes)``, then three blocks, each ``length (4 bytes)`` and a zlib stream: steps
and times as differences, values as they are; 8 bytes each, little-endian, transposed so that the first bytes of all numbers stand
together, then the second bytes, and so on. Any reader needs ten lines for it.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clew.errors import Invalid

__all__ = ["Points", "Sampled", "decode_points", "downsample", "encode_points", "join"]

_HEAD = struct.Struct("<BI")
_LENGTH = struct.Struct("<I")
_VERSION = 1
_LEVEL = 1  # transposing has done most of the work; higher levels cost five times as much for a few percent


@dataclass(frozen=True)
class Points:
    """Points in the order in which they were logged: three arrays of one length. ``times`` are microseconds since 1970."""

    steps: NDArray[np.int64]
    times: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.steps)

    def by_step(self) -> "Points":
        """The same points by step; those of one step keep their order."""
        if len(self) < 2 or bool(np.all(self.steps[1:] >= self.steps[:-1])):
            return self
        order = np.argsort(self.steps, kind="stable")
        return Points(self.steps[order], self.times[order], self.values[order])


@dataclass(frozen=True)
class Sampled:
    """One entry a bucket: its last step, time and value, and its extremes, NaN where a bucket holds nothing else."""

    steps: NDArray[np.int64]
    times: NDArray[np.int64]
    last: NDArray[np.float64]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]


def encode_points(points: Points) -> bytes:
    """One chunk."""
    blocks = [_pack(np.diff(points.steps, prepend=0)), _pack(np.diff(points.times, prepend=0)), _pack(points.values)]
    return _HEAD.pack(_VERSION, len(points)) + b"".join(_LENGTH.pack(len(block)) + block for block in blocks)


def decode_points(chunk: bytes) -> Points:
    """The points of a chunk. Raises ``Invalid`` for bytes that are none."""
    try:
        version, count = _HEAD.unpack_from(chunk)
        if version != _VERSION:
            raise Invalid(f"a metric chunk has version {version}; this Clew reads version {_VERSION}")
        at, blocks = _HEAD.size, []
        for _ in range(3):
            (length,) = _LENGTH.unpack_from(chunk, at)
            at += _LENGTH.size + length
            blocks.append(_unpack(chunk[at - length : at], count))
    except (struct.error, zlib.error, ValueError) as error:
        raise Invalid(f"a metric chunk of {len(chunk)} bytes is damaged: {error}") from error
    steps, times, values = blocks
    return Points(np.cumsum(steps.view("<i8")), np.cumsum(times.view("<i8")), values.view("<f8"))


def join(parts: "list[Points]") -> Points:
    """The parts one after another."""
    if not parts:
        return Points(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float64))
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name in ("steps", "times", "values")]
    return Points(*columns)


def downsample(points: Points, buckets: int) -> Sampled:
    """At most ``buckets`` entries: equal spans of steps, empty ones left out, each with the last value, the minimum and the maximum.

    Points must be in the order of their steps. ``reduceat`` walks the arrays once: a million points take well under a millisecond.
    """
    if buckets < 1:
        raise Invalid(f"a curve has at least one bucket, not {buckets}")
    if len(points) <= buckets:
        return Sampled(points.steps, points.times, points.values, points.values, points.values)
    first, last = int(points.steps[0]), int(points.steps[-1])
    edges = np.linspace(first, last + 1, buckets + 1)[:-1]
    starts = np.unique(np.searchsorted(points.steps, np.ceil(edges).astype(np.int64), side="left"))
    starts = starts[starts < len(points)]
    ends = np.append(starts[1:], len(points)) - 1
    minimum, maximum = np.fmin.reduceat(points.values, starts), np.fmax.reduceat(points.values, starts)
    return Sampled(points.steps[ends], points.times[ends], points.values[ends], minimum, maximum)


def _pack(numbers: NDArray[np.int64] | NDArray[np.float64]) -> bytes:
    transposed = np.ascontiguousarray(numbers).view(np.uint8).reshape(-1, 8).T
    return zlib.compress(np.ascontiguousarray(transposed).tobytes(), _LEVEL)


def _unpack(block: bytes, count: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.frombuffer(zlib.decompress(block), np.uint8).reshape(8, count).T).reshape(-1)
