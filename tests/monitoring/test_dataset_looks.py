"""A monitor of a dataset: rows as they come, against the version that there was when it was declared."""

import shutil
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from clew import backend as backends
from clew import console
from clew.access.service import set_event_time
from clew.backend import LocalBackend
from clew.catalog.schema import DefinitionDraft
from clew.catalog.service import apply_definitions
from clew.cli import app
from clew.clock import to_micros
from clew.datasets.service import append_rows
from clew.definitions import DatasetDefinition, MonitorDefinition, definition_digest, to_document
from clew.monitoring.alerts import list_alerts
from clew.monitoring.looking import list_monitors, look, window_profile
from clew.monitoring.schema import Monitor, MonitorLook, Unjudged
from clew.sdk.ingest import ingest_frame

START = datetime(2013, 1, 1, tzinfo=UTC)
BORDER = START + timedelta(weeks=10)
READINGS = DatasetDefinition("readings", ("number",), "at", None, None)
WATCH = MonitorDefinition("readings_quality", None, "readings", drift=True)
A_DAY = 48


def readings(
    start: datetime, end: datetime, *, seed: int = 0, warmer: float = 0.0, site: str = "south", nulls: float = 0.01
) -> pl.DataFrame:
    count = int((end - start) / timedelta(days=1)) * A_DAY
    rng = np.random.default_rng([seed, to_micros(start) // 86_400_000_000])
    first = int((start - START) / timedelta(days=1)) * A_DAY
    heat = pl.Series("heat", rng.normal(20 + warmer, 5, count))
    return pl.DataFrame({
        "number": range(first, first + count),
        "at": pl.Series([start + timedelta(minutes=30 * place) for place in range(count)], dtype=pl.Datetime("us", "UTC")),
        "heat": pl.Series([None if gone else value for value, gone in zip(heat, rng.random(count) < nulls, strict=True)], dtype=pl.Float64),
        "site": rng.choice(["north", site], count), "constant": [1] * count, "nothing": pl.Series([None] * count, dtype=pl.Float64),
    })  # fmt: skip


@pytest.fixture
def watched(backend: LocalBackend) -> LocalBackend:
    backend.call(set_event_time, BORDER)
    ingest(backend, readings(START, BORDER))
    backend.call(apply_definitions, [DefinitionDraft("monitor", WATCH.name, definition_digest(WATCH), to_document(WATCH))])
    return backend


def looks(backend: LocalBackend, at: datetime) -> list[MonitorLook]:
    backend.call(set_event_time, at)
    return backend.call(look, WATCH.name).items


def ingest(backend: LocalBackend, rows: pl.DataFrame) -> None:
    """Without the rules that an ingest infers: what they would refuse at the door is what a monitor has to find here."""
    ingest_frame(backend, READINGS, rows, source="test")
    shutil.rmtree(backend.settings.root / "expectations")


def weeks(count: int) -> datetime:
    return BORDER + timedelta(weeks=count)


def test_rows_like_those_before_are_safe_whether_ingested_or_appended(watched: LocalBackend) -> None:
    ingest(watched, readings(BORDER, weeks(2)))
    rows = readings(weeks(2), weeks(3)).with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).to_dicts()
    watched.context("test").run_write(lambda inside: append_rows(inside, "readings", rows))
    found = looks(watched, weeks(3))
    assert {(one.kind, one.word) for one in found} == {("drift", "safe"), ("missing", "safe")}
    assert [one.end for one in found if one.kind == "drift"] == [weeks(1), weeks(2), weeks(3)]
    assert {one.source for one in found} == {"readings@1"}
    assert watched.call(list_alerts).items == []


def test_a_stream_that_stops_is_missing_within_hours(watched: LocalBackend) -> None:
    ingest(watched, readings(BORDER, weeks(1)))
    found = looks(watched, weeks(1) + timedelta(hours=6))
    assert [one.word for one in found if one.kind == "missing"][-2:] == ["safe", "missing"]
    (alert,) = watched.call(list_alerts).items
    assert alert.subject == "readings" and "twice the longest pause in readings@1" in alert.summary


def test_a_column_that_is_empty_more_often_is_missing(watched: LocalBackend) -> None:
    ingest(watched, readings(BORDER, weeks(1), nulls=1.0))
    assert "missing" in {one.word for one in looks(watched, weeks(1)) if one.kind == "missing"}
    (alert,) = watched.call(list_alerts).items
    assert alert.subject == "heat" and "nothing known for 12 of 12 rows" in alert.summary


def test_numbers_that_moved_and_a_category_that_is_new_have_changed(watched: LocalBackend) -> None:
    ingest(watched, readings(BORDER, weeks(9), warmer=6, site="east"))
    found = [one for one in looks(watched, weeks(9)) if one.kind == "drift"][-1]
    assert found.word == "changed"
    words = {one["feature"]: one["word"] for one in found.figures["features"]}
    assert (words["heat"], words["site"], words["constant"]) == ("changed", "changed", "safe")
    assert "nothing" not in words  # a column without a value has no reference
    assert {one.subject for one in watched.call(list_alerts).items} == {"heat", "site"}


def test_a_dataset_without_a_version_or_without_times_has_nothing_to_look_at(backend: LocalBackend) -> None:
    backend.call(set_event_time, BORDER)
    drafts = [
        DefinitionDraft("monitor", one.name, definition_digest(one), to_document(one))
        for one in (WATCH, MonitorDefinition("places_quality", None, "places", drift=True))
    ]
    backend.call(apply_definitions, drafts)
    assert looks(backend, weeks(1)) == []
    ingest_frame(
        backend, DatasetDefinition("places", ("place",), None, None, None), pl.DataFrame({"place": ["JFK"], "x": [1.0]}), source="p"
    )
    assert backend.call(look, "places_quality").items == []


def test_a_dataset_that_starts_anew_is_still_held_against_its_reference(watched: LocalBackend) -> None:
    ingest_frame(watched, READINGS, readings(BORDER, weeks(1), nulls=1.0).drop("nothing"), source="anew", replace=True)
    shutil.rmtree(watched.settings.root / "expectations")
    found = looks(watched, weeks(1))
    assert {one.source for one in found} == {"readings@1"}
    assert {one.subject for one in watched.call(list_alerts).items} == {"heat"}  # `nothing` never was there


def test_a_datasets_weeks_name_values_that_its_version_never_held(watched: LocalBackend) -> None:
    ingest(watched, readings(BORDER, weeks(1)))
    ingest(watched, readings(weeks(1), weeks(3), warmer=9.0, site="west", nulls=0.2))
    looks(watched, weeks(3))
    found = watched.call(window_profile, WATCH.name, weeks=2)
    assert found is not None and (found.source, found.weeks, found.start) == ("readings@1", 2, weeks(1))
    by_name = {shift.name: shift for shift in found.shifts}
    assert by_name["site"].new == ("west",) and 0.4 < found["site"].rest.total / found.profile.rows < 0.6
    assert 0.1 < (by_name["heat"].missing_after or 0.0) < 0.3
    assert found.shifts[0].name in ("heat", "site") and found.shifts[-1].jensen_shannon == 0.0


def test_the_word_on_missing_data_is_of_the_newest_quarter_that_had_rows_enough(backend: LocalBackend) -> None:
    """A reference of one moment has no pause that could be a limit on age, so that a quarter without rows can't say anything."""

    def arrive(first: int, count: int, at: datetime) -> None:
        ingest(backend, pl.DataFrame({"number": range(first, first + count), "at": [at] * count, "heat": [20.0] * count}))

    def listed() -> Monitor:
        (found,) = backend.call(list_monitors).items
        return found

    hour = timedelta(hours=1)
    watch = MonitorDefinition(WATCH.name, None, "readings")
    backend.call(set_event_time, BORDER)
    arrive(0, 40, BORDER)
    backend.call(apply_definitions, [DefinitionDraft("monitor", watch.name, definition_digest(watch), to_document(watch))])
    backends.use(backend)
    looks(backend, BORDER + 6 * hour)
    arrive(40, 10, BORDER + 7 * hour)
    looks(backend, BORDER + 12 * hour)
    assert [(one.word, one.end) for one in listed().looks] == [("safe", BORDER + 12 * hour)]
    assert listed().unjudged is None

    (nothing,) = looks(backend, BORDER + 18 * hour)
    assert nothing.summary == "not enough data yet: no rows, and nothing with a limit on its age"
    assert [(one.word, one.end) for one in listed().looks] == [("safe", BORDER + 12 * hour)]
    assert listed().unjudged == Unjudged(BORDER + 18 * hour, rows=False)
    shown = CliRunner().invoke(app, ["monitors"], env={"COLUMNS": "200"}).output
    of = console.instant(BORDER + 12 * hour)
    assert f"readings_quality: what it says of missing data is as of {of}; no row has come since" in shown

    arrive(50, 1, BORDER + 19 * hour)
    (few,) = looks(backend, BORDER + 24 * hour)
    assert few.word == "not enough data yet" and "1 row, too few here or in the reference to tell" in few.summary
    looks(backend, BORDER + 30 * hour)
    assert listed().unjudged == Unjudged(BORDER + 30 * hour, rows=True)
    assert "too few rows have come since to tell" in CliRunner().invoke(app, ["monitors"], env={"COLUMNS": "200"}).output

    arrive(51, 10, BORDER + 31 * hour)
    looks(backend, BORDER + 36 * hour)
    assert (listed().looks[0].end, listed().unjudged) == (BORDER + 36 * hour, None)


def test_a_monitor_that_never_had_rows_enough_says_so(backend: LocalBackend) -> None:
    watch = MonitorDefinition(WATCH.name, None, "readings")
    backend.call(set_event_time, BORDER)
    ingest(backend, pl.DataFrame({"number": range(40), "at": [BORDER + timedelta(hours=1)] * 40, "heat": [20.0] * 40}))
    backend.call(apply_definitions, [DefinitionDraft("monitor", watch.name, definition_digest(watch), to_document(watch))])
    looks(backend, BORDER + timedelta(days=2))
    (found,) = backend.call(list_monitors).items
    assert {one.word for one in found.looks} == {"not enough data yet"} and found.unjudged is None
