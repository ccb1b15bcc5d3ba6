"""Point-in-time joins: for each request, the row that was the newest as it was known then.

Arrays in, indices out. Instants are ``int64`` microseconds, entities ``int64`` codes from 0; the code -1 is *no entity*
and matches nothing.
"""

import numpy as np
import numpy.typing as npt

__all__ = ["NEVER", "Ints", "SortedPairs", "as_of"]

Ints = npt.NDArray[np.int64]

NEVER = np.int64(2**62)
"""A known time that no request reaches: a row without one is never seen. Below the ``int64`` limit, so that a span can be added."""

_LIMIT = 2**62


class SortedPairs:
    """Pairs of (code, time), sorted, with bisection for many pairs at once.

    ``order`` holds the input's positions in sorted order; pairs that are equal keep the input's order.
    """

    def __init__(self, codes: Ints, times: Ints) -> None:
        self.order: Ints = np.lexsort((times, codes)).astype(np.int64)
        low, high = (int(times.min()), int(times.max())) if len(times) else (0, 0)
        self._base, self._span = low, high - low + 1
        # One int64 holds code and time while the span allows it; for very many entities the time's rank stands in for the time.
        self._ranks = np.unique(times) if len(codes) and (int(codes.max()) + 2) * self._span >= _LIMIT else None
        if self._ranks is not None:
            self._span = len(self._ranks)
        self._keys = self._composite(codes, times)[self.order]

    def __len__(self) -> int:
        return len(self.order)

    def first_at_or_after(self, codes: Ints, times: Ints) -> Ints:
        """For each pair, how many sorted pairs stand before it: the position of the first one with its code at or after its time."""
        return np.searchsorted(self._keys, self._composite(codes, times)).astype(np.int64)

    def _composite(self, codes: Ints, times: Ints) -> Ints:
        # A time past the last one becomes the first instant of the next code, which is where bisection must end.
        if self._ranks is not None:
            return codes * self._span + np.searchsorted(self._ranks, times)
        return codes * self._span + np.clip(times, self._base, self._base + self._span) - self._base


def as_of(request_codes: Ints, request_times: Ints, event_codes: Ints, event_times: Ints, event_known: Ints) -> Ints:
    """For each request, the index of the event with the greatest time among those of its code with ``time <= t`` and ``known <= t``.

    Of several at that time the last known one wins, then the last given; -1 where there is none. Bitemporal correctness reduces to one
    bisection over the instant at which an event enters, ``max(time, known)``, and a running maximum that an event known late, but older
    than what was already there, doesn't move.
    """
    found = np.full(len(request_codes), -1, np.int64)
    events, requests = np.flatnonzero(event_codes >= 0), np.flatnonzero(request_codes >= 0)
    if not len(events) or not len(requests):
        return found
    codes, times, known = event_codes[events], event_times[events], event_known[events]
    by_age = np.lexsort((known, times))
    age = np.empty(len(events), np.int64)
    age[by_age] = np.arange(len(events))
    entering = SortedPairs(codes, np.maximum(times, known))
    sorted_codes = codes[entering.order]
    newest = np.maximum.accumulate(sorted_codes * len(events) + age[entering.order]) - sorted_codes * len(events)
    last = entering.first_at_or_after(request_codes[requests], request_times[requests] + 1) - 1
    hit = (last >= 0) & (sorted_codes[last] == request_codes[requests])
    found[requests[hit]] = events[by_age[newest[last[hit]]]]
    return found
