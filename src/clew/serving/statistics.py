"""What each endpoint did by the minute, counted in the serving process and handed over from time to time."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from clew.clock import from_micros
from clew.serving.schema import Minute

__all__ = ["BUCKETS_MS", "Statistics", "Totals", "exposition"]

BUCKETS_MS = (1, 2, 5, 10, 25, 50, 100, 250, 1_000)
_MINUTE = 60_000_000
_KEPT_MINUTES = 24 * 60
_KEPT_LATENCIES = 20_000
_KEPT_NAMES, _NAME_LENGTH = 20, 64
"""Clients choose what they send: so many names of fields that nobody takes are counted a minute, and so much of each."""


@dataclass
class _Open:
    minute: int
    requests: int = 0
    rows: int = 0
    errors: int = 0
    refused: int = 0
    noted: int = 0
    latencies: deque[int] = field(default_factory=lambda: deque(maxlen=_KEPT_LATENCIES))
    ignored: dict[str, int] = field(default_factory=dict)

    def note_ignored(self, names: Sequence[str]) -> None:
        for name in dict.fromkeys(name[:_NAME_LENGTH] for name in names[:_KEPT_NAMES]):
            if name in self.ignored or len(self.ignored) < _KEPT_NAMES:
                self.ignored[name] = self.ignored.get(name, 0) + 1

    def close(self) -> Minute:
        ordered = sorted(self.latencies)
        p50, p95 = (ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0 for share in (0.5, 0.95))
        return Minute(from_micros(self.minute * _MINUTE), self.requests, self.rows, self.errors, p50, p95, self.refused, dict(self.ignored))


@dataclass
class Totals:
    """Since the process started. ``buckets`` counts requests up to each of ``BUCKETS_MS``, as Prometheus wants it."""

    requests: int = 0
    rows: int = 0
    errors: int = 0
    refused: int = 0
    ignored: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * len(BUCKETS_MS))


class Statistics:
    """Counts of one process. Not thread-safe: the event loop counts, and takes what is to be reported.

    Percentiles of a minute with more than 20,000 requests are those of its last 20,000.
    """

    def __init__(self) -> None:
        self.totals: dict[str, Totals] = {}
        self._open: dict[str, _Open] = {}
        self._changed: dict[tuple[str, datetime], Minute] = {}

    def count(
        self, endpoint: str, at: int, rows: int, latency_us: int, *, error: bool = False, refused: bool = False, ignored: Sequence[str] = ()
    ) -> None:
        """One answered request at a wall time in microseconds; ``refused`` when its error was the sender's, ``ignored`` its fields that
        nobody takes."""
        minute = at // _MINUTE
        current = self._open.get(endpoint)
        if current is None or current.minute != minute:
            self._note(endpoint)
            current = self._open[endpoint] = _Open(minute)
        current.requests += 1
        current.rows += rows
        current.errors += error
        current.refused += refused
        current.latencies.append(latency_us)
        current.note_ignored(ignored)
        totals = self.totals.setdefault(endpoint, Totals())
        totals.requests += 1
        totals.rows += rows
        totals.errors += error
        totals.refused += refused
        totals.ignored += bool(ignored)
        totals.seconds += latency_us / 1e6
        for place, bound in enumerate(BUCKETS_MS):
            totals.buckets[place] += latency_us <= bound * 1_000

    def _note(self, endpoint: str) -> None:
        current = self._open.get(endpoint)
        if current is not None and current.requests > current.noted:
            current.noted = current.requests
            closed = current.close()
            self._changed[endpoint, closed.minute] = closed

    def take(self) -> dict[str, list[Minute]]:
        """The minutes that changed since the last take, the present one among them."""
        for endpoint in self._open:
            self._note(endpoint)
        found: dict[str, list[Minute]] = {}
        for (endpoint, _), minute in sorted(self._changed.items()):
            found.setdefault(endpoint, []).append(minute)
        self._changed.clear()
        return found

    def give_back(self, minutes: dict[str, list[Minute]]) -> None:
        """What was taken and could not be reported; a day of it is kept."""
        for endpoint, rows in minutes.items():
            for row in rows:
                self._changed.setdefault((endpoint, row.minute), row)
        for key in sorted(self._changed, key=lambda key: key[1])[: max(0, len(self._changed) - _KEPT_MINUTES)]:
            del self._changed[key]


def exposition(totals: dict[str, Totals]) -> str:
    """The totals in Prometheus' text format."""
    lines: list[str] = []
    told = {
        "requests": "answered requests", "rows": "answered rows", "errors": "requests that got an error",
        "refused": "requests whose error was the sender's", "ignored": "answered requests with a field that nobody takes",
    }  # fmt: skip
    for name, kind in told.items():
        lines += [f"# HELP clew_serving_{name}_total {kind.capitalize()}.", f"# TYPE clew_serving_{name}_total counter"]
        lines += [f'clew_serving_{name}_total{{endpoint="{endpoint}"}} {getattr(one, name)}' for endpoint, one in sorted(totals.items())]
    lines += ["# HELP clew_serving_latency_seconds From the request to its answer.", "# TYPE clew_serving_latency_seconds histogram"]
    for endpoint, one in sorted(totals.items()):
        label = f'endpoint="{endpoint}"'
        lines += [
            f'clew_serving_latency_seconds_bucket{{{label},le="{ms / 1_000:g}"}} {n}' for ms, n in zip(BUCKETS_MS, one.buckets, strict=True)
        ]
        lines += [
            f'clew_serving_latency_seconds_bucket{{{label},le="+Inf"}} {one.requests}',
            f"clew_serving_latency_seconds_sum{{{label}}} {one.seconds:.6f}",
            f"clew_serving_latency_seconds_count{{{label}}} {one.requests}",
        ]
    return "\n".join(lines) + "\n"
