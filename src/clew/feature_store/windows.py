"""Exact sliding windows ``(t - w, t]`` over events, evaluated at each request's own time ``t``, as known then.

An event is inside the window of the requests from ``max(time, known)`` up to, not including, ``time + w``. With requests sorted by
entity and time that is one run of them, so a window costs two bisections per event: a sum is a difference array, a minimum a sparse
table filled from the top. Sums are exact (see ``_limbs``), so a window does not feel what lies outside it, as prefix sums of floats do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from clew.feature_store.joins import Ints, SortedPairs

__all__ = ["EventColumn", "Events", "Floats", "WindowFunction", "sliding"]

Floats = npt.NDArray[np.float64]
WindowFunction = Literal["mean", "sum", "count", "min", "max"]


@dataclass(frozen=True)
class EventColumn:
    """Values of one column, ``int64`` or ``float64``; where ``valid`` is false there is none."""

    values: Ints | Floats
    valid: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Events:
    """Events with their entity's code (-1 for none), time and known time in microseconds, and columns by name; shapes ``(n_events,)``."""

    codes: Ints
    times: Ints
    known: Ints
    columns: dict[str, EventColumn]


def sliding(
    request_codes: Ints, request_times: Ints, events: Events, width: int, aggregates: Sequence[tuple[WindowFunction, str | None]]
) -> list[Ints | Floats]:
    """Each aggregate of the events in ``(t - width, t]`` that were known at ``t``, in the order of the requests.

    ``count`` and sums of integers are ``int64``; the rest is ``float64``. Of an empty window the count and the sum are 0, the mean, the
    minimum and the maximum NaN.
    """
    requests = SortedPairs(request_codes, request_times)
    entering = np.maximum(events.times, events.known)
    start = requests.first_at_or_after(events.codes, entering)
    stop = requests.first_at_or_after(events.codes, events.times + width)
    seen = (events.codes >= 0) & (start < stop)
    runs = _Runs(len(requests), start, stop, seen)
    counts: dict[str | None, Ints] = {}

    def count(column: str | None) -> Ints:
        if column not in counts:
            counts[column] = runs.count(None if column is None else events.columns[column].valid)
        return counts[column]

    def answer(function: WindowFunction, column: str | None) -> Ints | Floats:
        if function == "count" or column is None:
            return count(column)
        of = events.columns[column]
        if function == "sum":
            return runs.sum(of)
        if function == "mean":
            with np.errstate(invalid="ignore", divide="ignore"):
                return np.where(count(column) > 0, runs.sum(of) / count(column), np.nan)
        return runs.least(of) if function == "min" else -runs.least(EventColumn(-of.values.astype(np.float64), of.valid))

    def in_order(result: Ints | Floats) -> Ints | Floats:
        ordered = np.empty_like(result)
        ordered[requests.order] = result
        return ordered

    return [in_order(answer(function, column)) for function, column in aggregates]


@dataclass(frozen=True)
class _Runs:
    """Each event's run of requests ``[start, stop)``, among ``size`` sorted requests; ``seen`` leaves the empty runs out."""

    size: int
    start: Ints
    stop: Ints
    seen: npt.NDArray[np.bool_]

    def count(self, valid: npt.NDArray[np.bool_] | None) -> Ints:
        which = self.seen if valid is None else self.seen & valid
        return self._total(np.ones(len(which), np.int64), which)

    def sum(self, column: EventColumn) -> Ints | Floats:
        which = self.seen & column.valid
        if column.values.dtype == np.int64:
            return self._total(column.values.astype(np.int64, copy=False), which)
        high, low, scale_high, scale_low = _limbs(np.where(which, column.values, 0.0))
        coarse, fine = self._total(high, which).astype(np.float64), self._total(low, which).astype(np.float64)
        return np.ldexp(coarse, -scale_high) + np.ldexp(fine, -scale_low)

    def _total(self, values: Ints, which: npt.NDArray[np.bool_]) -> Ints:
        steps = np.zeros(self.size + 1, np.int64)
        np.add.at(steps, self.start[which], values[which])
        np.subtract.at(steps, self.stop[which], values[which])
        return np.cumsum(steps[:-1])

    def least(self, column: EventColumn) -> Floats:
        """The minimum over the events whose run covers each request; NaN where none does."""
        which = self.seen & column.valid
        start, stop, values = self.start[which], self.stop[which], column.values[which].astype(np.float64)
        level = np.frexp((stop - start).astype(np.float64))[1].astype(np.int64) - 1  # the greatest power of two within the run
        below = np.full(self.size, np.inf)
        for k in range(int(level.max()) if len(level) else 0, -1, -1):
            at = level == k
            np.minimum.at(below, start[at], values[at])
            np.minimum.at(below, stop[at] - (1 << k), values[at])
            if k:  # what covers [i, i + 2^k) covers its two halves
                half = 1 << (k - 1)
                below[half:] = np.minimum(below[half:], below[:-half].copy()) if half < self.size else below[half:]
        covered = self.count(column.valid) > 0
        return np.where(covered, below, np.nan)


def _limbs(values: Floats) -> tuple[Ints, Ints, int, int]:
    """Each value as ``high / 2**scale_high + low / 2**scale_low``, integers that can be added up without a rounding or an overflow.

    Together they keep about 90 bits below the greatest value, where a running sum of floats keeps 53 less those that it grows by.
    """
    greatest = float(np.abs(values).max()) if len(values) else 0.0
    if greatest == 0.0:
        return np.zeros(len(values), np.int64), np.zeros(len(values), np.int64), 0, 0
    room = 61 - len(values).bit_length()
    scale_high = room - int(np.frexp(greatest)[1])
    scaled = np.ldexp(values, scale_high)
    high = np.rint(scaled)
    low = np.rint(np.ldexp(scaled - high, room))
    return high.astype(np.int64), low.astype(np.int64), scale_high, scale_high + room
