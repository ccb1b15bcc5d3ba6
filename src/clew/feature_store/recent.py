"""An entity's recent events in memory, for windows and last values at a request's own time. Plain Python: one row costs microseconds.

Sums are kept as running integers, exact for whole numbers and to 2**-120 for others, so that online answers equal ``windows.sliding``.
Not thread-safe: a reader belongs to one thread.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence

from clew.feature_store.windows import WindowFunction

__all__ = ["RecentEvents", "Value"]

Value = float | int | None
_FRACTION_BITS = 120


class RecentEvents:
    """Events of one entity in order of time, each with its known time and the values of some columns.

    Events that were known no later than they happened, mostly all, are answered from running sums; the others one by one.
    """

    __slots__ = ("_counts", "_late", "_sums", "_times", "_values", "_whole")

    def __init__(self, whole: Sequence[bool]) -> None:
        """``whole`` says of each column whether it holds whole numbers."""
        self._whole = tuple(whole)
        self._times: list[int] = []
        self._values: list[list[Value]] = [[] for _ in whole]
        self._sums: list[list[int]] = [[0] for _ in whole]  # one longer than the times: the sum before each event, and the last total
        self._counts: list[list[int]] = [[0] for _ in whole]
        self._late: list[tuple[int, int, tuple[Value, ...]]] = []

    def __len__(self) -> int:
        return len(self._times) + len(self._late)

    @property
    def first_time(self) -> int | None:
        first = [*self._times[:1], *(late[0] for late in self._late[:1])]
        return min(first, default=None)

    def add(self, time: int, known: int, values: Sequence[Value]) -> None:
        """One more event; cheapest in order of time."""
        if known > time:
            insort(self._late, (time, known, tuple(values)), key=lambda late: late[0])
            return
        if not self._times or time >= self._times[-1]:
            self._append(time, values)
            return
        at = bisect_right(self._times, time)
        self._times.insert(at, time)
        for column, value in enumerate(values):
            self._values[column].insert(at, value)
            sums, counts = self._sums[column], self._counts[column]
            step, one = (0, 0) if value is None else (self._scaled(column, value), 1)
            sums[at + 1 :] = [total + step for total in sums[at:]]
            counts[at + 1 :] = [total + one for total in counts[at:]]

    def _append(self, time: int, values: Sequence[Value]) -> None:
        self._times.append(time)
        for column, value in enumerate(values):
            sums, counts = self._sums[column], self._counts[column]
            self._values[column].append(value)
            if value is None:
                sums.append(sums[-1])
                counts.append(counts[-1])
            else:
                sums.append(sums[-1] + (int(value) if self._whole[column] else self._scaled(column, value)))
                counts.append(counts[-1] + 1)

    def _scaled(self, column: int, value: float | int) -> int:
        if self._whole[column]:
            return int(value)
        numerator, denominator = value.as_integer_ratio()
        return (numerator << _FRACTION_BITS) // denominator

    def window(self, time: int, width: int, aggregates: Sequence[tuple[WindowFunction, int]]) -> list[Value]:
        """Each aggregate (function, index of its column) over the events in ``(time - width, time]`` that were known at ``time``."""
        start, stop = bisect_right(self._times, time - width), bisect_right(self._times, time)
        late = self._known_late(time, width) if self._late else ()
        return [self._aggregate(function, column, start, stop, late) for function, column in aggregates]

    def _known_late(self, time: int, width: int) -> list[tuple[Value, ...]]:
        first = bisect_right(self._late, time - width, key=lambda late: late[0])
        last = bisect_right(self._late, time, key=lambda late: late[0])
        return [values for _, known, values in self._late[first:last] if known <= time]

    def _aggregate(self, function: WindowFunction, column: int, start: int, stop: int, late: Sequence[tuple[Value, ...]]) -> Value:
        if function == "count":
            return stop - start + len(late)
        if function in ("min", "max"):
            present = [value for value in self._values[column][start:stop] if value is not None]
            present += [value for values in late if (value := values[column]) is not None]
            return None if not present else float(min(present) if function == "min" else max(present))
        sums, counts = self._sums[column], self._counts[column]
        total, count = sums[stop] - sums[start], counts[stop] - counts[start]
        for values in late:
            value = values[column]
            if value is not None:
                total += self._scaled(column, value)
                count += 1
        if function == "sum":
            return total if self._whole[column] else _unscaled(total)
        if not count:
            return None
        return (total if self._whole[column] else _unscaled(total)) / count

    def last(self, time: int) -> tuple[int, tuple[Value, ...]] | None:
        """The time and values of the newest event at or before ``time`` that was known then; the later known of two at one time."""
        at = bisect_right(self._times, time) - 1
        found = (self._times[at], self._times[at]) if at >= 0 else None
        best: tuple[Value, ...] | None = tuple(column[at] for column in self._values) if at >= 0 else None
        for happened, known, values in self._late[: bisect_right(self._late, time, key=lambda late: late[0])][::-1]:
            if found is not None and happened < found[0]:
                break
            if known <= time and (found is None or (happened, known) > found):
                found, best = (happened, known), values
        return None if found is None or best is None else (found[0], best)

    def forget_before(self, time: int) -> None:
        """Drop the events before ``time``, to save memory; windows that reach further back need a fresh load."""
        at = bisect_left(self._times, time)
        if at:
            del self._times[:at]
            for values, sums, counts in zip(self._values, self._sums, self._counts, strict=True):
                del values[:at], sums[:at], counts[:at]
        self._late = [late for late in self._late if late[0] >= time]


def _unscaled(total: int) -> float:
    return total / (1 << _FRACTION_BITS)  # of two integers, however long they are, this rounds once and correctly
