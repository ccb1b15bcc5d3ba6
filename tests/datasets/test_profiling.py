"""Profiles of versions: computed when first asked for, kept, and held against other versions; over HTTP as in this process."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

import clew
from clew.backend import Backend, LocalBackend, use
from clew.catalog import service as catalog
from clew.datasets import profiling, service
from clew.datasets.profile import Profile, decode, profile
from clew.datasets.reading import profile_version, scan_version
from clew.datasets.schema import dataset_profiles
from clew.definitions import DatasetDefinition
from clew.errors import Invalid, NotFound
from clew.sdk.ingest import ingest_frame
from clew.server.garbage import find_garbage
from clew.testing.server import LiveServer

LANDINGS = DatasetDefinition("landings", ("flight",), None, None, None)


def rows(first: int, last: int, **columns: Any) -> pl.DataFrame:
    frame = pl.DataFrame({"flight": range(first, last)})
    delay = pl.col("flight") % 100 + 0.5
    return frame.with_columns(delay=delay, carrier=pl.lit("UA"), **columns)


def ingest(backend: Backend, frame: pl.DataFrame, **options: Any) -> None:
    """Whatever the columns hold: the rules that the rows before gave are put aside."""
    (backend.settings.root / "expectations" / "landings.toml").unlink(missing_ok=True)
    ingest_frame(backend, LANDINGS, frame, source="a.csv", **options)


def kept(backend: LocalBackend) -> list[tuple[int, int]]:
    with backend.context("test").reading() as inside:
        query = sa.select(dataset_profiles.c.number, dataset_profiles.c.bins_of).order_by(
            dataset_profiles.c.number, dataset_profiles.c.bins_of
        )
        return [(row.number, row.bins_of) for row in inside.db.execute(query)]


def test_a_profile_is_there_once_it_was_asked_for(backend: LocalBackend) -> None:
    ingest(backend, rows(0, 300))
    assert kept(backend) == []
    assert backend.call(service.version_profile, "landings", 1) is None
    found = profile_version(backend, "landings", 1)
    assert found.version == "landings@1"
    assert found.profile == profile(scan_version(backend, "landings", 1))
    assert found["carrier"].counts == (300,)
    assert backend.call(service.version_profile, "landings", 1) == found
    assert kept(backend) == [(1, 1)]


def test_its_document_is_a_blob_of_the_project_and_no_garbage(backend: LocalBackend) -> None:
    ingest(backend, rows(0, 300))
    stored = backend.call(service.compute_profile, "landings", 1)
    assert backend.call(service.compute_profile, "landings", 1) == stored
    document = decode(backend.download(stored.digest).read_bytes())
    assert document == profile_version(backend, "landings", 1).profile
    assert stored.digest not in find_garbage(backend).digests


def test_a_version_is_held_against_another_in_its_bins(backend: LocalBackend) -> None:
    ingest(backend, rows(0, 300))
    ingest(backend, rows(300, 600).with_columns(carrier=pl.lit("AA"), delay=pl.lit(None, pl.Float64)))
    found = profile_version(backend, "landings", 2, against=1)
    assert (found.version, found.against) == ("landings@2", "landings@1")
    assert found.before == profile_version(backend, "landings", 1).profile
    assert found["delay"].bins == found.before["delay"].bins
    moved = {shift.name: shift for shift in found.shifts}
    assert (moved["delay"].missing_before, moved["delay"].missing_after) == (0, 0.5)
    assert moved["delay"].kolmogorov_smirnov == 0
    assert (moved["carrier"].total_variation, moved["carrier"].new) == (0.5, ("AA",))
    assert kept(backend) == [(1, 1), (2, 1)]
    assert profile_version(backend, "landings", 2)["carrier"].bins.values == ("AA", "UA")


def test_columns_that_came_went_or_changed_their_kind_have_no_distance(backend: LocalBackend) -> None:
    ingest(backend, rows(0, 300, gone=pl.lit(1.5)))
    ingest(backend, rows(0, 300, new=pl.col("flight") / 7).with_columns(delay=pl.col("delay").cast(pl.String)), replace=True)
    found = profile_version(backend, "landings", 2, against=1)
    assert {shift.name for shift in found.shifts} == {"flight", "carrier"}
    assert [column.name for column in found.profile.columns] == ["flight", "delay", "carrier", "new"]
    assert sum(found["new"].counts) == 300


def test_a_profile_in_an_older_format_or_without_its_bytes_is_computed_again(
    sqlite_backend: LocalBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = sqlite_backend
    ingest(backend, rows(0, 300))
    found = profile_version(backend, "landings", 1)
    Path(backend.download(backend.call(service.compute_profile, "landings", 1).digest)).unlink()
    assert backend.call(service.version_profile, "landings", 1) is None
    assert profile_version(backend, "landings", 1) == found
    backend.context("test").run_write(lambda inside: inside.db.execute(sa.update(dataset_profiles).values(format=0)))
    assert backend.call(service.version_profile, "landings", 1) is None
    assert profile_version(backend, "landings", 1) == found
    assert kept(backend) == [(1, 1)]


def test_what_can_not_be_profiled_is_said(backend: LocalBackend) -> None:
    ingest(backend, rows(0, 300))
    with pytest.raises(Invalid, match="landings@1 can't be held against itself"):
        profile_version(backend, "landings", 1, against=1)
    with pytest.raises(NotFound, match="its newest is landings@1"):
        profile_version(backend, "landings", 1, against=7)

    def model(context: Any) -> None:
        catalog.add_version(context, kind="model", name="late", definition_digest="d", content_digest="c", why="", details={})

    backend.context("test").run_write(model)
    with pytest.raises(Invalid, match="late@1 is a model, not a dataset"):
        profile_version(backend, "late", 1)


def test_a_client_of_a_server_gets_the_same(live_server: LiveServer) -> None:
    remote = live_server.backend()
    ingest(remote, rows(0, 300, code=pl.col("flight").cast(pl.String)))
    ingest(remote, rows(300, 400, code=pl.lit("x")))
    found = profile_version(remote, "landings", 2, against=1)
    assert found == profiling.profile_rows(
        "landings@2", scan_version(remote, "landings", 2), "landings@1", scan_version(remote, "landings", 1)
    )
    use(remote)
    assert clew.get("landings@2").profile(against=1) == found
    assert clew.get("landings@1").profile()["code"].rows == 300


def test_other_versions_of_rows_have_a_profile_too() -> None:
    before, after = pl.LazyFrame({"late_6h": [0.1, 0.2, None]}), pl.LazyFrame({"late_6h": [0.1, 0.2, 0.3]})
    found = profiling.profile_rows("late_training@2", after, "late_training@1", before)
    assert found.profile == profile(after, found.before)
    assert found.shifts[0].missing_before == pytest.approx(1 / 3)
    assert isinstance(profiling.profile_rows("late_training@2", after).profile, Profile)
