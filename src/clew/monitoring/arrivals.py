"""When the rows of a dataset became known: how old is the newest one that was known at a time?"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from clew.catalog import service as catalog
from clew.clock import from_micros, to_micros
from clew.datasets import tail
from clew.datasets.growth import details_of
from clew.operations import Context

__all__ = ["Arrivals", "arrivals_of"]

Micros = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Arrivals:
    """``known`` in order, and the newest event time among the rows known by each, ``(n,)`` both, in microseconds."""

    time: str
    known: Micros
    newest_known: Micros

    def newest(self, at: datetime) -> datetime | None:
        """The event time of the newest row that was known at an instant; ``None`` before the first."""
        place = int(np.searchsorted(self.known, to_micros(at), side="right"))
        return from_micros(int(self.newest_known[place - 1])) if place else None

    def longest_pause(self) -> float:
        """The longest time in seconds between two rows, by when they became known; 0 for fewer than two."""
        return float(np.diff(self.known).max(initial=0)) / 1e6


def arrivals_of(context: Context, name: str, *, rows: int | None = None) -> Arrivals | None:
    """Of all rows of a dataset, those appended since its newest version too, or of its first ``rows``. ``None`` for what has no times."""
    import polars as pl

    with context.reading() as inside:
        version = catalog.latest_version(inside, name)
        if version is None or version.kind != "dataset" or (details := details_of(version)).time is None:
            return None
        time = details.time
        assert time is not None  # for mypy: asked above
        known = details.known or time
        appended = tail.uncut(inside, name)
    stored = context.tables.scan(details.pin).select(pl.col(time).dt.epoch("us").alias("time"), pl.col(known).dt.epoch("us").alias("known"))
    frame = (stored if rows is None else stored.head(rows)).collect()
    if rows is None:
        later = {"time": [row[time] for _, row in appended], "known": [row[known] for _, row in appended]}
        frame = pl.concat([frame, pl.DataFrame(later, schema=frame.schema)])
    frame = frame.drop_nulls()
    times = frame["time"].to_numpy().astype(np.int64)
    # What lies in the future is known already, as a schedule is, and says nothing of how fresh the stream is until its time has come.
    by = np.maximum(frame["known"].to_numpy().astype(np.int64), times)
    order = np.argsort(by, kind="stable")
    return Arrivals(time, by[order], np.maximum.accumulate(times[order]))
