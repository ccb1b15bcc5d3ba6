"""Building views: versions, known times, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
import view_functions
from small_airline import CALENDAR, LANDINGS, PACE, Airline, landing_rows, reference, weather_view

from clew.definitions import Aggregate
from clew.errors import BuildFailed, Invalid, Refused
from clew.feature_store.functions import KNOWN
from clew.feature_store.reading import scan_version
from clew.feature_store.service import feature_view_version, view_details


def test_the_same_definition_over_the_same_data_is_one_version(airline: Airline) -> None:
    first = airline.view(PACE)
    assert (first.number, first.why) == (1, "the first version")
    assert airline.view(PACE) == first
    airline.ingest(LANDINGS, landing_rows(airline.later("landed")).head(5))
    second = airline.view(PACE)
    assert (second.number, second.why) == (2, "data: landings@2")
    third = airline.view(replace(PACE, over=("3h",)))
    assert (third.number, third.why) == (3, "code: the definition or its function changed")


def test_a_function_view_is_a_table_that_knows_when_its_rows_became_known(airline: Airline) -> None:
    version = airline.view(weather_view())
    details = airline.backend.call(feature_view_version, version.name, version.number).details
    assert [column.name for column in details.columns] == ["wind", "gust", "windy"]
    assert details.additive
    rows = scan_version(airline.backend, version.name, version.number, with_known=True).collect()
    assert rows.height == 48
    assert (rows[KNOWN].dt.epoch("us") - rows["hour"].dt.epoch("us")).unique().to_list() == [40 * 60_000_000]
    assert KNOWN not in scan_version(airline.backend, version.name, version.number).collect_schema()
    assert airline.view(weather_view()) == version


def test_a_function_that_looks_at_other_rows_is_not_additive(airline: Airline) -> None:
    assert not view_details(airline.view(weather_view(view_functions.daily_rank))).additive


def test_a_view_of_a_view_is_built_on_its_rows(airline: Airline) -> None:
    airline.view(weather_view())
    second = replace(weather_view(view_functions.daily_rank), inputs=("station_weather",))
    version = airline.view(second)
    assert [str(one) for one in view_details(version).inputs] == ["station_weather@1"]
    known = scan_version(airline.backend, version.name, 1, with_known=True).collect()
    assert (known[KNOWN].dt.epoch("us") > known["hour"].dt.epoch("us")).all()


@pytest.mark.parametrize(
    ("function", "error", "words"),
    [
        (view_functions.without_known, Refused, "share entity and time|known"),
        (view_functions.textual, Invalid, "'mood' is String"),
        (view_functions.failing, BuildFailed, r"RuntimeError: no weather today \(view_functions.py:24\)"),
    ],
)
def test_a_function_that_makes_no_sound_rows_is_refused(
    airline: Airline, function: Callable[..., Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        airline.view(weather_view(function))


def test_rows_that_cannot_be_traced_to_when_they_became_known_are_refused(airline: Airline) -> None:
    def renamed(weather: pl.LazyFrame) -> pl.LazyFrame:
        return weather.select("station", at="hour", wind="wind")

    with pytest.raises(Invalid, match="drops 'hour' and 'reported'"):
        airline.view(replace(weather_view(), time="at"), function=renamed)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"entity": ("pilot",)}, "names the column 'pilot'"),
        ({"aggregates": {"x": Aggregate("mean", "carrier")}}, "'carrier' is String"),
        ({"missing": "hold"}, "no last value"),
        ({"entity": ("delay",)}, "entities are named by"),
    ],
)
def test_windows_that_cannot_be_are_refused(airline: Airline, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        airline.view(replace(PACE, **changes))


def test_a_view_of_the_request_must_answer_each_row(airline: Airline) -> None:
    assert [column.name for column in view_details(airline.view(CALENDAR)).columns] == ["hour", "distance"]
    with pytest.raises(BuildFailed, match="made 1 rows of 0"):
        airline.view(replace(CALENDAR, name="shrinking", function=reference(view_functions.shrinking)))


def test_windows_are_read_at_each_event(airline: Airline) -> None:
    version = airline.view(PACE)
    rows = scan_version(airline.backend, "pace", version.number).collect()
    assert rows.columns[:2] == ["carrier", "landed"]
    assert (rows["flown_2h"] >= 1).all()
