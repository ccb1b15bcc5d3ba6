"""Reading and ingesting over HTTP is the same as in this process."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.datasets import service
from clew.datasets.reading import scan_version
from clew.definitions import DatasetDefinition
from clew.errors import Conflict, NotFound, Refused
from clew.sdk.ingest import ingest_frame
from clew.testing.server import LiveServer

LANDINGS = DatasetDefinition("landings", ("flight",), "landed", None, None)
START = datetime(2013, 1, 1, 14, tzinfo=UTC)


def rows(*flights: int, delay: float = 5.0) -> pl.DataFrame:
    landed = pl.Series([START + timedelta(minutes=flight) for flight in flights]).dt.convert_time_zone("America/New_York")
    kind = pl.Series(["a"] * len(flights), dtype=pl.Categorical)
    return pl.DataFrame({"flight": pl.Series(flights, dtype=pl.UInt16), "landed": landed, "kind": kind}).with_columns(delay=pl.lit(delay))


def test_a_client_of_a_server_ingests_and_reads_as_one_on_the_folder(live_server: LiveServer) -> None:
    remote = live_server.backend()
    frame = rows(1, 2)
    assert ingest_frame(remote, LANDINGS, frame, source="a.csv").growth.version.number == 1
    assert_frame_equal(scan_version(remote, "landings", 1).collect(), frame)
    with pytest.raises(Refused, match=r"broken in row 1 \(900\.0\)"):
        ingest_frame(remote, LANDINGS, rows(3, delay=900.0))
    with pytest.raises(Conflict, match="differs in delay"):
        ingest_frame(remote, LANDINGS, rows(2, delay=6.0))
    local = LocalBackend(live_server.settings)
    try:
        local.context(local.project).run_write(lambda inside: service.append_rows(inside, "landings", rows(3).to_dicts()))
        assert_frame_equal(scan_version(remote, "landings", 1, include_tail=True).collect(), rows(1, 2, 3))
        assert remote.call(service.cut_tail, "landings").rows == 3
        assert_frame_equal(scan_version(remote, "landings", 2).collect(), scan_version(local, "landings", 2).collect())
    finally:
        local.dispose()
    found = remote.call(service.dataset_version, "landings", 2)
    assert found.details.columns[1].zone == "America/New_York"
    assert remote.call(service.diff_versions, "landings", 1, 2).added_examples == [[3]]
    assert remote.call(service.preview_rows, "landings", 2, limit=1).rows == [[1, "2013-01-01T09:01:00-05:00", "a", 5.0]]


def test_a_long_tail_is_read_page_by_page(sqlite_backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest_frame(sqlite_backend, LANDINGS, rows(0))
    context = sqlite_backend.context("test")
    context.run_write(lambda inside: service.append_rows(inside, "landings", rows(*range(1, 8)).to_dicts()))
    monkeypatch.setattr(service, "_MAX_TAIL", 3)
    assert scan_version(sqlite_backend, "landings", 1, include_tail=True).collect()["flight"].to_list() == list(range(8))


def test_a_version_that_is_not_there_says_what_is(sqlite_backend: LocalBackend) -> None:
    ingest_frame(sqlite_backend, LANDINGS, rows(0))
    with pytest.raises(NotFound, match="its newest is landings@1"):
        scan_version(sqlite_backend, "landings", 9)
    assert sqlite_backend.call(catalog.resolve, "landings@1").kind == "dataset"
