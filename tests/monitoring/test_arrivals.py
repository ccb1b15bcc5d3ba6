"""When rows became known: those in a dataset's version and those appended since are one stream."""

from datetime import UTC, datetime, timedelta

import polars as pl

from clew.access.service import set_event_time
from clew.backend import LocalBackend
from clew.datasets.service import append_rows, cut_tail
from clew.definitions import DatasetDefinition
from clew.monitoring.arrivals import arrivals_of
from clew.sdk.ingest import ingest_frame

START = datetime(2013, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_what_was_appended_is_known_before_and_after_a_cut(backend: LocalBackend) -> None:
    backend.call(set_event_time, START)
    readings = DatasetDefinition("readings", ("number",), "at", None, None)
    ingest_frame(backend, readings, pl.DataFrame({"number": [0], "at": [START]}), source="test")
    for number in range(1, 7):
        at = START + number * HOUR
        rows = [{"number": number, "at": at.isoformat()}]
        backend.context("test").run_write(lambda inside, rows=rows: append_rows(inside, "readings", rows))
        if number % 3 == 0:
            backend.call(cut_tail, "readings")
        for _ in range(2):
            found = arrivals_of(backend.context("test"), "readings")
            assert found is not None and len(found.known) == number + 1
            assert (found.newest(at), found.newest(at - HOUR), found.longest_pause()) == (at, at - HOUR, 3_600.0)
