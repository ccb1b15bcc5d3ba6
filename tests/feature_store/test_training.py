"""Training sets against a brute force that reads the declaration word by word."""

import math
from dataclasses import replace
from datetime import datetime, timedelta

import polars as pl
import pytest
import view_functions
from small_airline import (
    CALENDAR,
    LANDINGS,
    PACE,
    TRAINING,
    Airline,
    flights,
    landing_rows,
    reference,
    weather_rows,
)

from clew.definitions import ViewUse, WindowsDefinition
from clew.errors import Invalid, Refused
from clew.feature_store.reading import load_training_data, scan_version
from clew.feature_store.schema import training_set_details
from clew.feature_store.training import preview


def mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def brute(row: dict[str, object], landings: list[dict[str, object]], departures: list[dict[str, object]]) -> dict[str, float | None]:
    at = row["departs"]
    assert isinstance(at, datetime)
    made: dict[str, float | None] = {}
    for name, span in (("2h", timedelta(hours=2)), ("1d", timedelta(days=1))):
        inside = [one for one in landings if one["carrier"] == row["carrier"] and at - span < one["landed"] <= at]  # type: ignore[operator]
        delays = [float(str(one["delay"])) for one in inside if one["delay"] is not None]
        made |= {
            f"late_{name}": mean([float(bool(one["late"])) for one in inside]), f"delay_{name}": mean(delays),
            f"worst_{name}": max(delays, default=None), f"flown_{name}": float(len(inside)),
        }  # fmt: skip
    near = [one for one in departures if one["station"] == row["station"] and at - timedelta(hours=1) < one["departs"] <= at]  # type: ignore[operator]
    made["flights_1h"] = float(len(near)) if row["station"] is not None else 0.0
    known = [
        one
        for one in weather_rows(48).to_dicts()
        if one["station"] == row["station"] and one["reported"] <= at and at - one["hour"] <= timedelta(hours=2)
    ]
    last = max(known, key=lambda one: one["hour"], default={"wind": None, "gust": None})
    made |= {"wind": last["wind"], "gust": last["gust"], "windy": None if last["wind"] is None else float(last["wind"] > 10)}
    return made | {"hour": float(at.hour), "distance": float(str(row["distance"]))}


def test_every_cell_is_what_was_known_at_the_rows_time(airline: Airline) -> None:
    version = airline.build()
    rows = scan_version(airline.backend, "training", version.number).collect()
    landings = airline.frame.filter(pl.col("landed").dt.epoch("us") < int(airline.border.timestamp() * 1e6)).to_dicts()
    spine = {row["flight"]: row for row in airline.frame.to_dicts()}
    published = [row for row in spine.values() if row["published"] < airline.border]
    assert rows.height > 100
    for row in rows.to_dicts():
        expected = brute(spine[row["flight"]], landings, published)
        found = {name: row[name] for name in expected}
        filled = [{name: math.nan if value is None else value for name, value in one.items()} for one in (found, expected)]
        assert filled[0] == pytest.approx(filled[1], rel=1e-6, nan_ok=True), row["flight"]
        assert row["late"] == spine[row["flight"]]["late"]


def test_rows_are_the_spines_in_order_matured_and_labelled_in_time(airline: Airline) -> None:
    strays = flights(4, seed=9).with_columns(flight=pl.col("flight") + 5_000)
    airline.ingest(LANDINGS, landing_rows(strays))  # labels of no row of the spine
    details = training_set_details(airline.build())
    rows = scan_version(airline.backend, "training", 1).collect()
    newest = max(
        airline.frame.filter(pl.col("landed").dt.epoch("us") < int(airline.border.timestamp() * 1e6))["landed"].max(),
        strays["landed"].max(),
    )  # type: ignore[type-var]
    assert details.cut_off == newest - timedelta(hours=6)  # type: ignore[operator]
    expected = airline.frame.filter(
        pl.col("departs").dt.epoch("us") <= int(details.cut_off.timestamp() * 1e6),
        pl.col("landed").dt.epoch("us") < int(airline.border.timestamp() * 1e6),
    )
    assert rows["flight"].to_list() == expected["flight"].to_list()
    assert details.rows == rows.height
    assert [str(one.view) for one in details.views] == ["pace", "traffic", "station_weather", "calendar"]


def test_a_label_that_comes_too_late_is_none(airline: Airline) -> None:
    airline.build()
    short = replace(TRAINING, name="short", label_within="1h")
    details = training_set_details(airline.assemble(short))
    assert 0 < details.unlabelled < details.rows + details.unlabelled
    rows = scan_version(airline.backend, "short", 1).collect().join(airline.frame, on="flight")
    assert (rows["landed"] - rows["departs"]).max() <= timedelta(hours=1)  # type: ignore[operator]


def test_labels_known_before_their_own_row_are_refused(airline: Airline) -> None:
    airline.build()
    landed = landing_rows(airline.frame.filter(pl.col("landed").dt.epoch("us") < int(airline.border.timestamp() * 1e6)))
    early = replace(LANDINGS, name="early_landings")
    airline.ingest(early, landed.with_columns(pl.col("landed") - pl.duration(hours=9)))
    with pytest.raises(
        Refused, match=r"\d+ of \d+ labels of early were known before .* by 7\.\d+ h, .* zone .* schedule and of early_landings"
    ):
        airline.assemble(replace(TRAINING, name="early", label_dataset="early_landings"))


@pytest.mark.parametrize(("count", "refused"), [(1, False), (10, True)])
def test_a_few_early_labels_are_kept_and_one_at_the_rows_time_is_none(airline: Airline, count: int, refused: bool) -> None:
    airline.build()
    landed = landing_rows(airline.frame.filter(pl.col("landed").dt.epoch("us") < int(airline.border.timestamp() * 1e6)))
    place = pl.int_range(pl.len())
    moved = landed.with_columns(
        pl.when(place < count).then(pl.col("departs") - pl.duration(minutes=1))
        .when(place < 100).then(pl.col("departs")).otherwise(pl.col("landed")).alias("landed")
    )  # fmt: skip
    airline.ingest(replace(LANDINGS, name="moved"), moved)
    definition = replace(TRAINING, name="few", label_dataset="moved")
    if refused:
        with pytest.raises(Refused, match=f"^{count} of "):
            airline.assemble(definition)
    else:
        rows = scan_version(airline.backend, "few", airline.assemble(definition).number).collect()
        assert landed["flight"][0] in rows["flight"]


def test_labels_that_all_come_late_are_counted(airline: Airline) -> None:
    airline.build()
    with pytest.raises(
        Refused,
        match=r"matured: \d+ labels are there and come later than label_within='1m', in the median .* h after the row; is the zone of landings",
    ):
        airline.assemble(replace(TRAINING, name="late", label_within="1m"))


def test_the_holdout_begins_with_a_block_and_is_never_trained_on(airline: Airline) -> None:
    version = airline.build()
    details = training_set_details(version)
    train = load_training_data(airline.backend, "training", 1)
    holdout = load_training_data(airline.backend, "training", 1, "holdout")
    assert details.holdout_from is not None
    assert train.time.max() < details.holdout_from <= holdout.time.min()  # type: ignore[operator]
    assert len(train) + len(holdout) == details.rows == len(load_training_data(airline.backend, "training", 1, "all"))
    assert len(holdout) == details.holdout_rows
    assert set(holdout.blocks()) == {holdout.blocks().max()}
    assert train.keys.columns == ["departs", "flight"]
    assert train.entities.columns == ["carrier", "station"]


def test_the_same_inputs_are_the_same_version_and_new_data_a_new_one(airline: Airline) -> None:
    first = airline.build()
    assert airline.build() == first
    airline.ingest(LANDINGS, landing_rows(airline.later("landed")))
    second = airline.build()
    assert second.number == 2
    assert second.why.startswith("data: landings@2, pace@2")


def test_last_keeps_the_newest_rows_only(airline: Airline) -> None:
    airline.build()
    details = training_set_details(airline.assemble(replace(TRAINING, name="recent", last="12h", holdout=None)))
    assert details.time_min is not None
    assert details.time_max is not None
    assert details.time_max - details.time_min < timedelta(hours=12)


def test_features_that_share_a_name_are_named_after_their_views(airline: Airline) -> None:
    airline.build()
    airline.view(WindowsDefinition("home_pace", "landings", ("carrier",), ("2h",), {"late": PACE.aggregates["late"]}))
    both = replace(TRAINING, name="both", features=(ViewUse("pace", {}), ViewUse("home_pace", {})))
    features = training_set_details(airline.assemble(both)).features
    assert "pace_late_2h" in features
    assert "pace_flown_1d" in features
    assert "home_pace_late_2h" in features
    twice = replace(TRAINING, name="twice", features=(ViewUse("pace", {}), ViewUse("pace", {})))
    with pytest.raises(Invalid, match="two features are named 'pace_late_2h'"):
        airline.assemble(twice)
    prefixed = replace(TRAINING, name="prefixed", features=(ViewUse("pace", {}, "a_"), ViewUse("pace", {}, "b_")))
    assert "b_late_2h" in training_set_details(airline.assemble(prefixed)).features


def test_a_feature_may_not_be_named_as_a_key(airline: Airline) -> None:
    airline.build()

    def clashing(request: pl.LazyFrame) -> pl.LazyFrame:
        return request.select(flight="distance")

    airline.view(replace(CALENDAR, name="clashing", function=reference(view_functions.calendar)), function=clashing)
    with pytest.raises(Invalid, match="'flight' has the name of a key"):
        airline.assemble(replace(TRAINING, name="bad", features=(ViewUse("clashing", {}),)), functions={"clashing": clashing})


def test_a_view_of_the_request_may_take_stored_features(airline: Airline) -> None:
    airline.build()
    definition = replace(
        CALENDAR, name="relative", inputs=("pace",), request={"distance": "Float64"}, function=reference(view_functions.relative)
    )
    airline.view(definition)
    airline.assemble(replace(TRAINING, name="ratio", features=(ViewUse("relative", {}),)))
    rows = scan_version(airline.backend, "ratio", 1).collect()
    full = scan_version(airline.backend, "training", 1).collect()
    expected = (full["distance"] / (full["flown_2h"] + 1)).to_list()
    assert rows["per_flown"].to_list() == pytest.approx(expected, rel=1e-6)


def test_a_lookup_by_an_absent_column_is_refused(airline: Airline) -> None:
    airline.build()
    with pytest.raises(Invalid, match="looked up by 'pilot'"):
        airline.assemble(replace(TRAINING, name="bad", features=(ViewUse("pace", {"carrier": "pilot"}),)))
    with pytest.raises(Invalid, match="no entity 'pilot'"):
        airline.assemble(replace(TRAINING, name="bad", features=(ViewUse("pace", {"pilot": "carrier"}),)))


def test_nothing_matured_is_said(airline: Airline) -> None:
    airline.build()
    with pytest.raises(Refused, match="no row whose label has matured"):
        airline.assemble(replace(TRAINING, name="early", label_within="52w"))


def test_a_preview_is_the_first_rows_and_stores_nothing(airline: Airline) -> None:
    version = airline.build()
    rows = preview(airline.backend, TRAINING, rows=7)
    assert rows.equals(scan_version(airline.backend, "training", version.number).head(7).collect())


def test_times_keep_their_zone(airline: Airline) -> None:
    airline.build()
    assert load_training_data(airline.backend, "training", 1).time.dtype == pl.Datetime("us", "America/New_York")
