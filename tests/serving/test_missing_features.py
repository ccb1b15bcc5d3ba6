"""A row that lacks a feature, for a model that takes no missing values: 422, which feature of which view, and no answer."""

from collections.abc import Callable
from dataclasses import replace

import httpx
import pytest
from live_routes import a_route, half_of_a

from clew.backend import LocalBackend
from clew.catalog.schema import AssetVersion
from clew.errors import MissingFeature, from_wire
from clew.feature_store.schema import FeatureViewDetails, UsedView
from clew.serving import service
from clew.serving.app import Front
from clew.serving.runtime import DirectSource, LiveModel, LiveRoute

ROW = {"at": "2013-04-01T08:00:00Z", "a": 1.0, "b": 2.0}


@pytest.fixture
def strict(front: Front) -> Front:
    route = a_route()
    speed = UsedView("speed", 1, {}, "", ("b",), FeatureViewDetails("request", {}, (), (), ()))
    route = replace(route, document=replace(route.document, takes_missing=False, uses=(speed,)))
    front.live["late"] = LiveRoute(route, LiveModel(route.document, DirectSource(("a", "b")), half_of_a))
    return front


@pytest.mark.parametrize(
    ("lacking", "words", "view"),
    [
        ("a", "the feature 'a' is missing, and late@1 takes no missing values", None),
        ("b", "the feature 'b' of speed is missing, and late@1 takes no missing values", "speed"),
    ],
)
def test_it_names_feature_view_and_row(strict: Front, client: httpx.Client, lacking: str, words: str, view: str | None) -> None:
    assert strict.find("late")
    rows = [ROW | {"at": f"2013-04-01T08:00:{second:02}Z"} for second in range(60)] * 2
    rows[100] = ROW | {lacking: None}
    answer = client.post("/endpoints/late/predict", json={"rows": rows})
    assert answer.status_code == 422
    error = from_wire(answer.json()["error"])
    assert isinstance(error, MissingFeature)
    assert error.message.startswith(f"row 100: {words}")
    assert (error.details["view"], error.details["column"], error.details["rows"]) == (view, lacking, [100])


def test_rows_that_lack_nothing_are_answered(strict: Front, client: httpx.Client) -> None:
    assert client.post("/endpoints/late/predict", json={"rows": [ROW]}).status_code == 200


def test_a_route_says_whether_its_model_takes_missing_values(sqlite_backend: LocalBackend, register: Callable[..., AssetVersion]) -> None:
    for takes_missing in (True, False):
        version = register(sqlite_backend, "late", slope=1.0 + takes_missing, takes_missing=takes_missing)
        sqlite_backend.call(service.deploy_ungated, "late", str(version.ref), "a test")
        (route,) = sqlite_backend.call(service.live_routes).items
        assert route.document.takes_missing == takes_missing
