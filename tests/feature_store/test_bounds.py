"""Bounds of features: where they are built, where training sets take them, and where they are served."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
import view_functions
from hypothesis import example, given
from hypothesis import strategies as st
from small_airline import CALENDAR, PACE, TRAINING, WEATHER, Airline, reference, weather_rows, weather_view

from clew.bounds import Bounds, within
from clew.catalog import service as catalog
from clew.catalog.schema import VersionRef
from clew.definitions import Aggregate, FeaturesDefinition, ViewUse, WindowsDefinition, definition_digest, to_document
from clew.errors import Invalid, NotFound, OutOfBounds, from_wire
from clew.feature_store.bounds import Limits, bounds_of, check_frame, counted_from, limits_of
from clew.feature_store.online import open_store
from clew.feature_store.reader import FeatureReader, stored_views
from clew.feature_store.reading import load_functions, load_training_data, scan_version
from clew.feature_store.schema import training_set_details
from clew.feature_store.service import pin_views, push_rows
from clew.feature_store.training import preview

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
SIDES = st.none() | NUMBERS


def ordered(low: float | None, high: float | None) -> Bounds:
    return (low, high) if low is None or high is None or low <= high else (high, low)


# ── the comparison ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(NUMBERS, min_size=1), SIDES, SIDES)
@example([0.1], None, 0.1)  # as a float32 it is more than a tenth
@example([1e300, -1e300], None, 1e300)
def test_what_lies_within_is_never_outside_as_a_float32(values: list[float], low: float | None, high: float | None) -> None:
    bounds = ordered(low, high)
    outside = Limits([("v", "x")], [bounds]).outside(np.array(values, np.float64).reshape(-1, 1))[:, 0]
    assert not any(out and within(value, bounds) for out, value in zip(outside, values, strict=True))


@given(st.lists(st.lists(st.floats(width=32), min_size=2, max_size=2), min_size=1), st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES))
def test_one_comparison_says_what_a_walk_over_the_values_says(
    rows: list[list[float]], first: tuple[float | None, float | None], second: tuple[float | None, float | None]
) -> None:
    with np.errstate(over="ignore"):
        declared = [tuple(None if side is None else float(np.float32(side)) for side in ordered(*one)) for one in (first, second)]
    limits = Limits([("v", "x"), ("w", "y")], declared)  # type: ignore[arg-type]
    matrix = np.array(rows, np.float32)
    expected = [place for place, row in enumerate(rows) if not all(within(value, of) for value, of in zip(row, declared, strict=True))]  # type: ignore[arg-type]
    if not expected:
        limits.check(matrix)
        return
    with pytest.raises(OutOfBounds) as raised:
        limits.check(matrix)
    told = raised.value.details
    assert (told["rows"], told["row"]) == (expected, expected[0])
    column = ["x", "y"].index(told["column"])
    assert told["view"] == "vw"[column]
    assert told["value"] == matrix[told["row"], column]
    assert tuple(told["bounds"]) == declared[column]


def test_missing_values_and_open_sides_break_nothing() -> None:
    Limits([("v", "x"), ("v", "y")], [(0, None), None]).check(np.array([[np.nan, -np.inf], [np.inf, np.nan]], np.float32))
    assert not Limits([("v", "x")], [None])


def test_the_rows_of_a_part_are_counted_in_the_whole_and_the_error_travels() -> None:
    with pytest.raises(OutOfBounds, match=r"^the feature 'temp' of weather is 212, and must be between -60 and 140") as raised:
        Limits([("weather", "temp")], [(-60, 140)]).check(np.array([[1], [212], [3], [-61]], np.float32))
    error = from_wire(counted_from(raised.value, 64).to_wire())
    assert isinstance(error, OutOfBounds)
    assert (error.status, error.code) == (422, "out_of_bounds")
    assert error.message.startswith("row 65: the feature 'temp'")
    assert error.details == {"view": "weather", "column": "temp", "value": 212.0, "bounds": [-60, 140], "row": 65, "rows": [65, 67]}


def test_an_aggregates_bounds_hold_for_each_of_its_windows() -> None:
    definition = WindowsDefinition("w", "d", ("e",), ("1h", "2h"), {"a": Aggregate("mean", "x", (0, 1)), "n": Aggregate("count")})
    assert bounds_of(definition) == {"a_1h": (0.0, 1.0), "a_2h": (0.0, 1.0)}


def test_a_value_is_named_with_its_keys_and_the_others_are_counted() -> None:
    frame = pl.DataFrame({"x": [1, None, *range(10, 20)]})
    keys = pl.DataFrame({"flight": range(12)})
    with pytest.raises(OutOfBounds) as raised:
        check_frame("v", frame, {"x": (None, 9)}, keys)
    assert "the feature 'x' of v must be at most 9, and is 10 at flight=2; 11 at flight=3;" in raised.value.message
    assert "14 at flight=6, and 5 more; nothing is stored" in raised.value.message
    assert raised.value.details["keys"][0] == {"flight": "2"}
    assert (raised.value.details["count"], raised.value.details["value"]) == (10, 10.0)


# ── building ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def bounded_weather(**bounds: Any) -> FeaturesDefinition:
    return replace(weather_view(), bounds=bounds)


def test_a_view_with_a_value_outside_is_not_built(airline: Airline) -> None:
    wind = weather_rows(48).sort("wind")
    highest = wind[-1]
    limit = wind["wind"][-2]
    with pytest.raises(OutOfBounds) as raised:
        airline.view(bounded_weather(wind=(None, limit)))
    told = raised.value.details
    assert (told["view"], told["column"], told["count"], told["bounds"]) == ("station_weather", "wind", 1, [None, limit])
    assert told["value"] == highest["wind"].item()
    assert told["keys"][0]["station"] == highest["station"].item()
    with pytest.raises(NotFound):
        airline.backend.call(catalog.resolve, "station_weather")
    assert airline.view(bounded_weather(wind=(None, highest["wind"].item()), gust=(-100, None))).number == 1  # a null gust breaks nothing


def test_other_bounds_are_another_definition_and_the_same_in_other_words_are_not(airline: Airline) -> None:
    assert definition_digest(bounded_weather(wind=(-50, 50))) == definition_digest(bounded_weather(wind=[-50.0, 50.0]))
    first = airline.view(bounded_weather(wind=(-50, 50)))
    second = airline.view(bounded_weather(wind=(-50, 60)))
    assert (second.number, second.why) == (2, "code: the definition or its function changed")
    assert first.content_digest == second.content_digest
    assert airline.view(bounded_weather(wind=(-50, 60))) == second


@pytest.mark.parametrize("definition", [bounded_weather(windd=(0, 1)), replace(CALENDAR, bounds={"windd": (0, 1)})])
def test_bounds_of_a_feature_that_the_function_does_not_make_are_refused(airline: Airline, definition: FeaturesDefinition) -> None:
    with pytest.raises(
        Invalid, match=r"bounds 'windd', and its function makes no such feature; it makes (wind, gust, windy|hour, distance)"
    ):
        airline.view(definition)


def bounded_pace(**aggregates: Aggregate) -> WindowsDefinition:
    return replace(PACE, aggregates=PACE.aggregates | aggregates)


def test_windows_with_a_value_outside_at_one_of_their_events_are_not_built(airline: Airline) -> None:
    airline.view(PACE)
    seen = scan_version(airline.backend, "pace", 1).collect()
    highest = seen["delay_2h"].max()
    assert isinstance(highest, float)
    with pytest.raises(OutOfBounds) as raised:
        airline.view(bounded_pace(delay=Aggregate("mean", "delay", (None, highest - 1))))
    told = raised.value.details
    assert (told["view"], told["column"]) == ("pace", "delay_2h")
    assert told["keys"][0]["carrier"] in ("UA", "AA")
    assert told["count"] == (seen["delay_2h"] > highest - 1).sum()
    assert airline.view(bounded_pace(delay=Aggregate("mean", "delay", (None, highest)))).number == 2
    busiest = seen["flown_1d"].max()
    assert isinstance(busiest, int)
    with pytest.raises(OutOfBounds, match="'flown_1d' of pace must be between 0 and"):
        airline.view(bounded_pace(flown=Aggregate("count", None, (0, busiest - 1))))
    assert airline.view(bounded_pace(flown=Aggregate("count", None, (0, busiest)), late=Aggregate("mean", "late", (0, 1)))).number == 3


# ── training ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_training_set_with_a_value_outside_is_not_stored_and_can_be_looked_at(airline: Airline) -> None:
    airline.build()
    farthest = load_training_data(airline.backend, "training", 1, "all").X["distance"].max()
    assert isinstance(farthest, float)
    airline.view(replace(CALENDAR, bounds={"distance": (0, farthest - 1)}))
    with pytest.raises(OutOfBounds) as raised:
        airline.assemble()
    told = raised.value.details
    assert (told["view"], told["column"], told["value"]) == ("calendar", "distance", farthest)
    assert set(told["keys"][0]) == {"departs", "flight"}
    assert airline.backend.call(catalog.resolve, "training").number == 1
    assert preview(airline.backend, TRAINING)["distance"].max() == farthest
    airline.view(replace(CALENDAR, bounds={"distance": (0, farthest), "hour": (0, 23)}))
    assert airline.assemble().number == 2


def test_a_view_that_the_request_takes_is_held_against_its_bounds_too(airline: Airline) -> None:
    airline.build()
    relative = FeaturesDefinition("relative", ("pace",), (), None, None, None, {"distance": "Float64"}, reference(view_functions.relative))
    airline.view(relative)
    training = replace(TRAINING, features=(ViewUse("relative", {}),))
    airline.assemble(training)
    # A request comes between two events, and can find a window emptier than any event does.
    airline.view(bounded_pace(flown=Aggregate("count", None, (1, None))))
    airline.view(relative)
    with pytest.raises(OutOfBounds, match="the feature 'flown_2h' of pace must be at least 1, and is 0 at departs="):
        airline.assemble(training)


def test_limits_stand_in_the_order_of_a_models_features(airline: Airline) -> None:
    airline.ingest(WEATHER, weather_rows(48))
    airline.view(bounded_weather(gust=(-100, 100)))
    details = airline.backend.call(catalog.resolve, "station_weather").details
    import msgspec

    from clew.feature_store.schema import FeatureViewDetails, UsedView

    use = UsedView(
        "station_weather", 1, {"station": "station"}, "w_", ("w_wind", "w_gust", "w_windy"), msgspec.convert(details, FeatureViewDetails)
    )
    limits = limits_of([use, use])
    assert limits.outside(np.full((1, 6), 101, np.float32)).tolist() == [[False, True, False] * 2]


# ── serving ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_whose_feature_lies_outside_is_refused_and_others_are_answered(airline: Airline) -> None:
    airline.build()
    airline.view(replace(CALENDAR, bounds={"distance": (0, 5_000), "hour": (0, 23)}))
    airline.view(bounded_weather(wind=(None, 60)))
    airline.assemble()
    views = training_set_details(airline.backend.call(catalog.resolve, "training")).views
    airline.backend.call(pin_views, owner="endpoint:late", views=[VersionRef(use.view, use.number) for use in stored_views(views)])
    store = open_store(airline.backend.settings.online_url)
    reader = FeatureReader(views, store, project=airline.backend.project, time="departs", functions=load_functions(views))
    asked = airline.frame.head(3).select("departs", "flight", "carrier", "station", "distance").to_dicts()
    rows = [row | {"departs": row["departs"].isoformat(), "station": "EWR"} for row in asked]
    assert reader.read([rows[0], rows[1] | {"distance": 5_000}, rows[2] | {"distance": None}]).matrix.shape[0] == 3
    with pytest.raises(OutOfBounds) as raised:
        reader.read([rows[0], rows[1] | {"distance": 5_000.5}, rows[2] | {"distance": -1}])
    told = raised.value.details
    assert (told["view"], told["column"], told["value"], told["bounds"]) == ("calendar", "distance", 5_000.5, [0.0, 5_000.0])
    assert (told["row"], told["rows"]) == (1, [1, 2])
    # A storm is appended: it gets in, since the dataset declares no bounds, and who asks about it is refused.
    at = rows[0]["departs"]
    storm = {"station": "EWR", "hour": at, "wind": 61.0, "gust": None, "reported": at}
    pushed = airline.backend.call(push_rows, name="weather", rows=[storm])
    assert (pushed.added, pushed.waiting) == (1, [])
    with pytest.raises(OutOfBounds, match="the feature 'wind' of station_weather is 61, and must be at most 60"):
        reader.read(rows[:1])
    assert reader.read([rows[0] | {"station": "JFK"}]).matrix.shape[0] == 1


def test_a_request_is_refused_by_the_bounds_of_a_view_that_its_function_takes(airline: Airline) -> None:
    airline.build()
    airline.view(bounded_pace(flown=Aggregate("count", None, (0, 10_000))))
    relative = FeaturesDefinition("relative", ("pace",), (), None, None, None, {"distance": "Float64"}, reference(view_functions.relative))
    airline.view(relative)
    airline.assemble(replace(TRAINING, features=(ViewUse("relative", {}),)))
    (use,) = training_set_details(airline.backend.call(catalog.resolve, "training")).views
    # The bounds as a version with narrower ones would have them: no carrier has flown so little at the end of three days.
    narrow = to_document(bounded_pace(flown=Aggregate("count", None, (1_000, None))))
    taken = replace(use, inputs=tuple(replace(one, details=replace(one.details, definition=narrow)) for one in use.inputs))
    airline.backend.call(pin_views, owner="endpoint:late", views=[VersionRef(one.view, one.number) for one in stored_views((use,))])
    store = open_store(airline.backend.settings.online_url)
    row = {"departs": airline.border.isoformat(), "carrier": "UA", "distance": 300.0}
    for views, refused in (((use,), False), ((taken,), True)):
        reader = FeatureReader(views, store, project=airline.backend.project, time="departs", functions=load_functions(views))
        if refused:
            with pytest.raises(OutOfBounds, match=r"the feature 'flown_2h' of pace is \d+, and must be at least 1000"):
                reader.read([row])
        else:
            assert reader.read([row]).matrix.shape == (1, 1)
