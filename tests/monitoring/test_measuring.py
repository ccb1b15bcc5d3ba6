"""What was served on a day equals what the same day gives afterwards, as known then; and a wrong feature is found."""

import json
from datetime import timedelta

import polars as pl
import pytest
from small_airline import START, ZONE, flights, landing_rows
from typer.testing import CliRunner

from clew import backend as backends
from clew import console
from clew.cli import app
from clew.errors import Invalid, NotFound
from clew.feature_store.service import push_rows
from clew.monitoring import service
from clew.monitoring.measuring import measure_skew
from clew.serving.answers import compact_predictions, get_prediction, latest_answers
from clew.serving.explaining import explain, in_words

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_a_healthy_endpoint_has_no_skew_before_and_after_compaction(served) -> None:  # type: ignore[no-untyped-def]
    report = measure_skew(served.backend, "late")
    assert report.none, str(report)
    assert report.rows == len(served.identifiers) > 50
    assert report.cells == report.rows * len(served.front.live["late"].document.features)
    assert "no skew" in str(report)
    served.front.predictions.close()
    served.backend.call(compact_predictions)
    again = measure_skew(served.backend, "late", sample=10)
    assert (again.none, again.rows) == (True, 10)
    kept = served.backend.call(service.list_reports, "late", "skew").items
    assert [one.skew for one in kept] == [again, report]


def test_a_function_that_differs_online_is_found_with_feature_view_and_row(served) -> None:  # type: ignore[no-untyped-def]
    def in_miles(request: pl.LazyFrame) -> pl.LazyFrame:
        return request.select(hour=pl.col("departs").dt.hour(), distance=pl.col("distance") * 1.609)

    import view_functions

    functions = {"calendar": in_miles, "station_weather": view_functions.station_weather}
    report = measure_skew(served.backend, "late", functions=functions)
    (wrong,) = [one for one in report.features if one.differing]
    assert (wrong.feature, wrong.view.partition("@")[0], wrong.differing) == ("distance", "calendar", report.rows)
    assert wrong.example in served.identifiers
    assert wrong.recomputed == pytest.approx(1.609 * (wrong.served or 0), rel=1e-5)
    assert "distance of calendar@1" in str(report)


def test_a_value_that_one_side_only_has_is_told_and_its_report_is_kept(served) -> None:  # type: ignore[no-untyped-def]
    def forgetful(request: pl.LazyFrame) -> pl.LazyFrame:
        return request.select(hour=pl.col("departs").dt.hour(), distance=pl.lit(None, pl.Float64))

    import view_functions

    report = measure_skew(served.backend, "late", functions={"calendar": forgetful, "station_weather": view_functions.station_weather})
    (wrong,) = [one for one in report.features if one.differing]
    assert (wrong.feature, wrong.largest, wrong.recomputed, report.largest) == ("distance", None, None, None)
    assert served.backend.call(service.list_reports, "late", "skew").items[0].skew == report


def test_what_was_asked_about_a_time_that_the_online_store_no_longer_keeps_is_no_skew(served) -> None:  # type: ignore[no-untyped-def]
    newest = flights(60, seed=9).with_row_index("minute")
    at = pl.lit(START + timedelta(days=5)) - pl.duration(minutes=60 - pl.col("minute"))
    newest = newest.with_columns(
        departs=at.dt.convert_time_zone(ZONE), landed=at.dt.convert_time_zone(ZONE), flight=pl.col("minute") + 9_000
    )
    served.backend.call(push_rows, "landings", landing_rows(newest.drop("minute")).to_dicts())
    departs = (START + timedelta(hours=26)).isoformat()
    identifier = served.ask({"departs": departs, "flight": 1, "carrier": "UA", "station": "EWR", "distance": 100.0})
    answer = served.backend.call(get_prediction, identifier)
    assert answer.missing[:2] == ("pace", "pace (before its online rows)")
    found = served.backend.call(explain, identifier)
    early = {one.name: one for one in found.features}["flown_1d"]
    assert early.value is None and early.rows
    assert (
        f"flown_1d                      missing  pace@1: asked about a time before its online rows begin, and not answered from a part; "
        f"{early.rows} rows of that time are stored"
    ) in str(found)
    report = measure_skew(served.backend, "late")
    assert report.none, str(report)
    assert report.rows == len(served.identifiers) + 1
    left_out = sum(one.left_out for one in report.features)
    assert left_out > 0
    assert report.cells + left_out == report.rows * len(report.features)
    assert f"{left_out} are left out" in str(report)


def test_performance_is_judged_on_matured_labels_by_block(served) -> None:  # type: ignore[no-untyped-def]
    report = served.backend.call(service.measure_performance, "late")
    assert (report.answers, report.errors) == (len(served.identifiers), 0)
    assert report.figures.rows + report.figures.unlabelled == report.answers
    assert report.figures.waiting == 0
    assert report.word == "not enough data yet"
    assert report.figures.unit == "days"
    assert str(report).startswith("not enough data yet: ")
    assert report.versions == {"late@1": report.answers}
    (kept,) = served.backend.call(service.list_reports, "late", "performance").items
    assert kept.performance == report


def test_the_newest_answer_of_a_key_counts(served) -> None:  # type: ignore[no-untyped-def]
    before = served.backend.call(service.measure_performance, "late")
    asked = served.backend.call(get_prediction, served.identifiers[0])
    served.ask(asked.row)
    assert served.backend.call(service.measure_performance, "late").answers == before.answers


def test_truth_is_joined_by_the_key_of_the_request(served) -> None:  # type: ignore[no-untyped-def]
    delays = {row["flight"]: row for row in served.airline.frame.to_dicts()}
    page = served.backend.call(latest_answers, "late", limit=200)
    assert len(page.items) == len(served.identifiers)
    for answer in page.items:
        assert answer.truth.state == "known"
        assert answer.truth.value == float(delays[answer.row["flight"]]["late"])


def test_a_prediction_is_explained_down_to_rows_and_versions(served) -> None:  # type: ignore[no-untyped-def]
    found = served.backend.call(explain, served.identifiers[-1])
    assert str(found.model.ref) == "late@1"
    assert found.training_set is not None
    assert str(found.training_set.ref) == "training@1"
    assert {str(version.ref) for version in found.datasets} == {"schedule@1", "landings@1", "weather@1"}
    assert {version.name for version in found.views} == {"pace", "traffic", "station_weather", "calendar"}
    values = {feature.name: feature for feature in found.features}
    assert values["distance"].value == found.answer.row["distance"]
    assert values["distance"].view == "calendar"
    flown = values["flown_1d"].value
    assert flown is not None
    assert len(found.rows["pace"]) == min(20, int(flown))
    counted = {name: one.rows for name, one in values.items() if name.startswith("flown_")}
    assert counted == {name: values[name].value for name in counted}  # each window tells its own rows, however many
    assert values["distance"].rows is None
    assert all(row["carrier"] == found.answer.row["carrier"] for row in found.rows["pace"])
    words = in_words(found)
    assert "training@1" in words
    assert f"{flown:>12g}  pace@1, from {flown:g} rows" in words


def test_an_unknown_endpoint_is_named(served) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(NotFound, match="no endpoint named 'early'"):
        served.backend.call(service.measure_performance, "early")


def clew(*arguments: str, status: int = 0) -> str:
    console.use_json(False)
    result = CliRunner().invoke(app, list(arguments))
    console.use_json(False)
    assert (result.exit_code, result.exception if status == 0 else None) == (status, None), result.output
    return result.output


def test_performance_and_skew_have_commands(served) -> None:  # type: ignore[no-untyped-def]
    backends.use(served.backend)
    assert "not enough data yet" in clew("performance", "late")
    day = (START + timedelta(days=2)).date()
    report = json.loads(clew("performance", "late", "--from", str(day), "--to", f"{day + timedelta(days=1)}T00:00:00+00:00", "--json"))
    assert 0 < report["answers"] < len(served.identifiers)
    assert "no skew" in clew("skew", "late")
    assert json.loads(clew("skew", "late", "--sample", "10", "--json"))["rows"] == 10


@pytest.mark.parametrize(("text", "says"), [("yesterday", "2013-04-01T08:00:00-04:00"), ("2013-04-01T08:00", "has no offset")])
def test_a_time_that_cannot_be_one_is_told_how_one_is_written(served, text: str, says: str) -> None:  # type: ignore[no-untyped-def]
    backends.use(served.backend)
    with pytest.raises(Invalid, match=says):
        app(["performance", "late", "--from", text], standalone_mode=False)
