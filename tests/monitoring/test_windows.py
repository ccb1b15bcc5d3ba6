"""Profiles of windows: what a monitor's weeks held, kept with its looks and added up without a row being read again."""

import json
from dataclasses import replace
from datetime import timedelta

import polars as pl
import pytest
import sqlalchemy as sa
from season import SERVED, Season

from clew.datasets.profile import profile
from clew.definitions import MonitorDefinition
from clew.errors import NotFound
from clew.monitoring.looking import list_monitors, look, monitor_looks, window_profile
from clew.monitoring.windows import compact, restored

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:Skipping features without:UserWarning")

WEEK = timedelta(weeks=1)
DRIFT = MonitorDefinition("quality", "late", drift=True, missing=False)


def test_a_kept_profile_comes_back_as_it_was() -> None:
    before = profile(pl.DataFrame({"x": [float(number % 90) for number in range(900)], "site": ["north", "south", "east"] * 300}))
    rows = pl.DataFrame({"x": [1.5, None, float("nan"), float("inf")], "site": ["north", "west", None, "west"]})
    after = profile(rows, before)
    assert restored(json.loads(json.dumps(compact(after))), before) == after
    assert restored({"site": compact(after)["site"]}, before).columns == (after["site"],)


def test_weeks_of_answers_add_up_and_stand_in_the_bins_of_training(season_on_each: Season) -> None:
    season = season_on_each
    season.serve(SERVED, SERVED + 9 * WEEK)
    season.declare(DRIFT)
    season.now(SERVED + 9 * WEEK)
    assert season.backend.call(window_profile, "quality") is None
    season.backend.call(look, "quality")
    one, four, all_of_them = (season.backend.call(window_profile, "quality", weeks=number) for number in (1, 4, 100))
    assert one is not None and four is not None and all_of_them is not None
    assert (one.weeks, four.weeks, all_of_them.weeks) == (1, 4, 9)
    assert (all_of_them.start, all_of_them.end, four.start) == (SERVED, SERVED + 9 * WEEK, SERVED + 5 * WEEK)
    assert four.source == "late@2"
    assert {column.bins for column in four.profile.columns} == {column.bins for column in four.before.columns}
    asked = season.asked(SERVED, SERVED + 9 * WEEK)
    assert all_of_them.profile.rows == all_of_them["predictions"].rows == asked.height
    distance = all_of_them["distance"].moments
    assert distance is not None and distance.mean == pytest.approx(asked["distance"].mean(), rel=1e-6)
    assert (distance.minimum, distance.maximum) == (asked["distance"].min(), asked["distance"].max())
    # The weather is gone from the second day of the eighth week on.
    assert one["wind"].missing == one.profile.rows < four["wind"].missing == all_of_them["wind"].missing < 2 * one.profile.rows
    assert four.before["wind"].missing < four["wind"].missing
    assert {shift.name for shift in four.shifts} == {column.name for column in four.profile.columns}


def test_looks_made_one_by_one_keep_what_looks_at_once_keep(season: Season) -> None:
    season.serve(SERVED, SERVED + 4 * WEEK)
    season.declare(DRIFT, replace(DRIFT, name="once"))
    for week in range(1, 5):
        season.now(SERVED + week * WEEK)
        season.backend.call(look, "quality")
    season.backend.call(look, "once")
    often, once = (season.backend.call(window_profile, name) for name in ("quality", "once"))
    assert often is not None and once is not None
    assert replace(often, monitor="once") == once


def test_the_weeks_that_were_kept_are_read_only_when_a_week_of_drift_is_owed(season_on_each: Season) -> None:
    season = season_on_each
    season.serve(SERVED, SERVED + 2 * WEEK)
    season.declare(replace(DRIFT, missing=True))
    reads: list[str] = []

    @sa.event.listens_for(season.backend.database.engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "monitor_looks.profile" in statement:
            reads.append(statement)

    season.now(SERVED + 2 * WEEK)
    assert "drift" in {one.kind for one in season.backend.call(look, "quality").items} and len(reads) == 1
    season.now(SERVED + 2 * WEEK + timedelta(days=1))
    assert {one.kind for one in season.backend.call(look, "quality").items} == {"missing"}
    season.backend.call(list_monitors)
    season.backend.call(monitor_looks, "quality")
    assert len(reads) == 1


def test_a_monitor_that_is_not_declared_has_none(season: Season) -> None:
    with pytest.raises(NotFound, match="no monitor is named 'other'"):
        season.backend.call(window_profile, "other")
