"""A request whose feature lies outside its bounds: 422, which value of which view, and in the log as an error of the version."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from clew.backend import LocalBackend
from clew.catalog.schema import AssetVersion, VersionRef
from clew.definitions import FeaturesDefinition, FunctionRef, to_document
from clew.errors import OutOfBounds, from_wire
from clew.feature_store.schema import FeatureColumn, FeatureViewDetails, UsedView
from clew.serving import service
from clew.serving.app import Front
from clew.serving.loading import Kept, load
from clew.serving.prediction_log import read_segment, segment_paths
from clew.serving.records import decode_record
from clew.serving.schema import RequestField, Route, ServedView
from clew.tracking.source import snapshot

VIEW = """
import polars as pl

def speed(request):
    return request.select(pl.col("a"), b=pl.col("a") * 10)
"""
ROW = {"at": "2013-04-01T08:00:00Z", "a": 0.5}


@pytest.fixture
def bounded(sqlite_backend: LocalBackend, register: Callable[..., AssetVersion], tmp_path: Path, front: Front) -> Iterator[Front]:
    """The front over a route of a real model, with a view of the request whose ``b`` must be between 0 and 10."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "speeds_of_a_test.py").write_text(VIEW)
    reference = FunctionRef("speeds_of_a_test", "speed", str(folder / "speeds_of_a_test.py"))
    definition = FeaturesDefinition("speed", (), (), None, None, None, {"a": "Float64"}, reference, {"b": (0, 10)})
    columns = (FeatureColumn("a", "Float64"), FeatureColumn("b", "Float64"))
    use = UsedView("speed", 1, {}, "", ("speed_a", "speed_b"), FeatureViewDetails("request", to_document(definition), columns, (), ()))
    register(sqlite_backend, "late", slope=1.0)
    sqlite_backend.call(service.deploy_ungated, "late", "late@1", "a test")
    (route,) = sqlite_backend.call(service.live_routes).items
    instant = RequestField("at", "Datetime(time_unit='us', time_zone='UTC')", required=True)
    document = replace(
        route.document, features=("speed_b", "speed_a"), fields=(instant, RequestField("a", "Float64")), key=("at",), time="at", uses=(use,),
        views=(ServedView("speed", 1),), training_set=VersionRef("training", 1), sources={"speed": snapshot(sqlite_backend, folder).digest},
    )  # fmt: skip
    kept = Kept(sqlite_backend.settings, sqlite_backend.project)
    travelled = msgspec.json.decode(msgspec.json.encode(replace(route, document=document)), type=Route)
    front.live["late"] = load(travelled, kept, sqlite_backend.settings, sqlite_backend.project, sqlite_backend)
    return front


def ask(client: httpx.Client, *values: float | None) -> httpx.Response:
    rows: list[dict[str, Any]] = [ROW | {"a": value} for value in values]
    return client.post("/endpoints/late/predict", json={"rows": rows})


@pytest.mark.usefixtures("bounded")
def test_a_row_outside_is_refused_with_what_to_mend_and_the_request_with_it(client: httpx.Client) -> None:
    assert ask(client, 0, 1, None).status_code == 200
    answer = ask(client, 0.5, 1.5, -1)
    assert answer.status_code == 422
    error = from_wire(answer.json()["error"])
    assert isinstance(error, OutOfBounds)
    assert error.message == "row 1: the feature 'b' of speed is 15, and must be between 0 and 10"
    assert error.details == {"view": "speed", "column": "b", "value": 15.0, "bounds": [0.0, 10.0], "row": 1, "rows": [1, 2]}


@pytest.mark.usefixtures("bounded")
def test_rows_of_a_large_request_are_counted_from_its_first(client: httpx.Client) -> None:
    error = ask(client, *[0.5] * 150, 7).json()["error"]
    assert (error["code"], error["details"]["row"], error["details"]["rows"]) == ("out_of_bounds", 150, [150])
    assert error["message"].startswith("row 150: the feature 'b' of speed is 70")


def test_the_refusal_is_logged_as_an_error_of_the_version_that_was_asked(client: httpx.Client, bounded: Front, tmp_path: Path) -> None:
    ask(client, 2)
    (record,) = [decode_record(payload) for path in segment_paths(tmp_path / "predictions").values() for _, payload in read_segment(path)]
    assert record.error == "out_of_bounds: row 0: the feature 'b' of speed is 20, and must be between 0 and 10"
    assert (record.model, record.number, record.epoch, record.views, record.probability) == ("late", 1, 1, {"speed": 1}, None)
    (minute,) = bounded.statistics.take()["late"]
    assert (minute.requests, minute.errors) == (1, 1)


@pytest.mark.usefixtures("bounded")
def test_the_open_inference_protocol_refuses_it_too(client: httpx.Client) -> None:
    columns = {"at": ("BYTES", [ROW["at"]]), "a": ("FP64", [1.1])}
    inputs = [{"name": name, "datatype": kind, "shape": [1], "data": data} for name, (kind, data) in columns.items()]
    answer = client.post("/v2/models/late/infer", json={"inputs": inputs})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "out_of_bounds")
