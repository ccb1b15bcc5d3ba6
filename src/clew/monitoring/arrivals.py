"""When the rows of a dataset became known: how old is the newest one that was known at a time?"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from clew.catalog import service as catalog
from clew.catalog.schema import VersionRef
from clew.clock import from_micros, to_micros
from clew.datasets import tail
from clew.datasets.growth import details_of
from clew.datasets.rows import to_frame
from clew.datasets.schema import Column, DatasetDetails
from clew.operations import Context

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Arrivals", "arrivals_in", "arrivals_of"]

_MOST_KEPT = 64

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


def arrivals_of(context: Context, name: str) -> Arrivals | None:
    """Of all rows of a dataset, those appended since its newest version too; ``None`` for what has no times. Outside of any transaction."""
    import polars as pl

    with context.reading() as inside:
        version = catalog.latest_version(inside, name)
        if version is None or version.kind != "dataset" or (details := details_of(version)).time is None:
            return None
        columns = [one for one in details.columns if one.name in (details.time, details.known)]
        appended = _appended(inside, version.ref, columns)
    stored = context.tables.scan(details.pin).select(one.name for one in columns).collect()
    return arrivals_in(pl.concat([stored, appended]), details)


_appended_times: "OrderedDict[tuple[str, str, str], tuple[VersionRef, int, pl.DataFrame]]" = OrderedDict()
"""By dataset, the times of the rows that were appended to its newest version, as far as a sequence number: a stream is looked at again
and again, and its rows are read once. They are added to until the next version, which holds them."""


def _appended(context: Context, version: VersionRef, columns: Sequence[Column]) -> "pl.DataFrame":
    import polars as pl

    dataset = (context.database.name, context.project, version.name)
    nothing = (version, 0, to_frame([], columns))
    kept = _appended_times.get(dataset, nothing)
    _, upto, frame = kept if kept[0] == version else nothing
    fresh = tail.uncut(context, version.name, after=upto)
    if fresh:
        upto, frame = fresh[-1][0], pl.concat([frame, to_frame([row for _, row in fresh], columns)])
    _appended_times[dataset] = version, upto, frame
    _appended_times.move_to_end(dataset)
    while len(_appended_times) > _MOST_KEPT:
        _appended_times.popitem(last=False)
    return frame


def arrivals_in(rows: "pl.DataFrame", details: DatasetDetails) -> Arrivals:
    """Of rows of a dataset that has an event time."""
    import polars as pl

    assert details.time is not None  # the callers have asked
    known = details.known or details.time
    frame = rows.select(time=pl.col(details.time).dt.epoch("us"), known=pl.col(known).dt.epoch("us")).drop_nulls()
    times = frame["time"].to_numpy().astype(np.int64)
    # What lies in the future is known already, as a schedule is, and says nothing of how fresh the stream is until its time has come.
    by = np.maximum(frame["known"].to_numpy().astype(np.int64), times)
    order = np.argsort(by, kind="stable")
    return Arrivals(details.time, by[order], np.maximum.accumulate(times[order]))
