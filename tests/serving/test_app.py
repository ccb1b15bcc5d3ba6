"""Answers over HTTP: logged before they leave, and bad input gets a 4xx that says what to mend."""

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from clew.errors import StorageFull
from clew.serving.app import Front
from clew.serving.prediction_log import decode_id, read_frame, read_segment, segment_paths
from clew.serving.records import Record, decode_record
from clew.serving.requests import MAX_BODY_BYTES

ROW = {"at": "2013-04-01T08:00:00+00:00", "a": 0.5, "b": None}


def records(tmp_path: Path) -> list[Record]:
    return [decode_record(payload) for path in segment_paths(tmp_path / "predictions").values() for _, payload in read_segment(path)]


def test_each_row_is_answered_with_its_prediction_id_model_and_epoch(client: httpx.Client) -> None:
    answer = client.post("/endpoints/late/predict", json={"rows": [ROW, ROW | {"a": 1}]}).json()
    assert [one["probability"] for one in answer["predictions"]] == [0.25, 0.5]
    assert {one["model"] for one in answer["predictions"]} == {"late@1"}
    assert answer["epoch"] == 1
    assert len({one["prediction_id"] for one in answer["predictions"]}) == 2


def test_fields_that_nobody_takes_are_named_in_the_answer_counted_and_not_logged(
    client: httpx.Client, front: Front, tmp_path: Path
) -> None:
    answer = client.post("/endpoints/late/predict", json={"rows": [ROW, ROW | {"hr": 3, "seat": None}, ROW | {"hr": 2**70}]})
    assert answer.status_code == 200 and len(answer.json()["predictions"]) == 3
    assert answer.json()["ignored"] == ["hr", "seat"]
    assert [one.row for one in records(tmp_path)] == [ROW] * 3
    assert "ignored" not in client.post("/endpoints/late/predict", json={"rows": [ROW]}).json()
    (minute,) = front.statistics.take()["late"]
    assert (minute.requests, minute.errors, minute.ignored) == (2, 0, {"hr": 1, "seat": 1})
    assert 'clew_serving_ignored_total{endpoint="late"} 1\n' in client.get("/metrics").text


def test_an_answer_is_in_the_log_with_what_was_asked_and_what_the_model_saw(client: httpx.Client, tmp_path: Path) -> None:
    (prediction,) = client.post("/endpoints/late/predict", json={"rows": [ROW]}).json()["predictions"]
    payload = read_frame(tmp_path / "predictions", decode_id(prediction["prediction_id"]))
    assert payload is not None
    record = decode_record(payload)
    assert record.row == ROW
    assert record.probability == 0.25
    assert np.array_equal(np.frombuffer(record.features, "<f4"), np.float32([0.5, np.nan]), equal_nan=True)
    assert (record.endpoint, record.model, record.number, record.epoch, record.error) == ("late", "late", 1, 1, None)
    assert record.event_time == 1_364_803_200_000_000
    assert 0 < record.latency_us < 5_000_000


def test_a_large_request_is_answered_in_order(client: httpx.Client) -> None:
    rows = [ROW | {"a": number} for number in range(500) if number != 13]
    answer = client.post("/endpoints/late/predict", json={"rows": rows}).json()
    assert [one["probability"] for one in answer["predictions"]] == [row["a"] / 2 for row in rows]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("path", "content", "status", "says"),
    [
        ("/endpoints/late/predict", b"{", 400, "not valid JSON"),
        ("/endpoints/late/predict", b'{"rows": [{"at": "2013-04-01T08:00:00Z", "a": NaN, "b": 1}]}', 400, "NaN"),
        (
            "/endpoints/late/predict",
            b'{"rows": [{"at": "2013-04-01T08:00:00Z", "a": 1, "b": -1e300}]}',
            400,
            "row 0: 'b' is -1e+300, more than",
        ),
        ("/endpoints/late/predict", b'{"rows": [{"a": 1}]}', 400, "row 0: 'at' is missing"),
        ("/endpoints/early/predict", b"{}", 404, "this process serves late"),
        ("/v2/models/early/infer", b"{}", 404, "this process serves late"),
        ("/v2/models/late/infer", b"{}", 400, "list of input tensors"),
        ("/v2/models/late/infer", b"[]", 400, "list of input tensors"),
    ],
)
def test_a_bad_request_is_told_what_to_mend(client: httpx.Client, path: str, content: bytes, status: int, says: str) -> None:
    answer = client.post(path, content=content)
    assert answer.status_code == status
    assert says in answer.json()["error"]["message"]


def test_a_body_over_the_limit_is_too_large(client: httpx.Client) -> None:
    answer = client.post("/endpoints/late/predict", content=b" " * (MAX_BODY_BYTES + 1))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


def test_errors_are_logged_too(client: httpx.Client, tmp_path: Path, front: Front) -> None:
    assert client.post("/endpoints/late/predict", json={"rows": [ROW | {"a": "x"}]}).status_code == 400
    failed = client.post("/endpoints/late/predict", json={"rows": [ROW | {"a": 13}]})
    assert failed.status_code == 500
    assert "ValueError" in failed.json()["error"]["message"]
    wrong, crashed = records(tmp_path)
    assert wrong.error is not None
    assert wrong.error.startswith("invalid: row 0: 'a' must be a number")
    assert crashed.error is not None
    assert crashed.error.startswith("error: late@1 failed")
    (minute,) = front.statistics.take()["late"]
    assert (minute.requests, minute.errors, minute.refused) == (2, 2, 1)


def test_a_full_disk_is_a_503_and_no_answer(client: httpx.Client, front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(payloads: list[bytes]) -> list[str]:
        raise StorageFull("the disk is full")

    monkeypatch.setattr(front.predictions, "append", full)
    answer = client.post("/endpoints/late/predict", json={"rows": [ROW]})
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "storage_full"
    assert answer.headers["retry-after"] == "1"


def tensors(**columns: list[Any]) -> dict[str, Any]:
    types = {"at": "BYTES", "a": "FP64", "b": "FP64"}
    return {"id": "42", "inputs": [{"name": n, "datatype": types[n], "shape": [len(v)], "data": v} for n, v in columns.items()]}


def test_the_open_inference_protocol_gives_the_same_answers(client: httpx.Client) -> None:
    answer = client.post("/v2/models/late/infer", json=tensors(at=[ROW["at"]] * 2, a=[0.5, 1.0], b=[None, 2.0])).json()
    assert answer["id"] == "42"
    assert (answer["model_name"], answer["model_version"]) == ("late", "1")
    probability, identifiers = answer["outputs"]
    assert probability == {"name": "probability", "datatype": "FP32", "shape": [2], "data": [0.25, 0.5]}
    assert identifiers["datatype"] == "BYTES"
    assert len(set(identifiers["data"])) == 2


def test_the_open_inference_protocol_names_tensors_that_nobody_takes_in_a_parameter(client: httpx.Client) -> None:
    asked = tensors(at=[ROW["at"]], a=[0.5], b=[None])
    assert client.post("/v2/models/late/infer", json=asked).json()["parameters"] == {"epoch": 1}
    asked["inputs"] += [{"name": name, "datatype": "INT64", "shape": [1], "data": [3]} for name in ("seat", "hr")]
    answer = client.post("/v2/models/late/infer", json=asked).json()
    assert answer["parameters"] == {"epoch": 1, "ignored": "hr, seat"}
    assert answer["outputs"][0]["data"] == [0.25]


def test_the_open_inference_protocol_says_what_a_model_takes(client: httpx.Client) -> None:
    document = client.get("/v2/models/late").json()
    assert document["inputs"][0] == {"name": "at", "datatype": "BYTES", "shape": [-1]}
    assert document["versions"] == ["1"]
    assert client.get("/v2/models/late/ready").json()["ready"] is True
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json()["ready"] is True


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"inputs": []}, "list of input tensors"),
        ({"inputs": [5]}, "a name, a shape"),
        (tensors(at=[ROW["at"]], a=[1.0, 2.0], b=[1.0]), "differ in length"),
        ({"inputs": [{"name": "a", "datatype": "FP64", "shape": [3], "data": [1.0]}]}, "its shape is"),
        ({"inputs": [{"name": "a", "datatype": "INT64", "shape": [1], "data": [1]}]}, "must be FP64, not INT64"),
        ({"inputs": [{"name": [], "datatype": "INT64", "shape": [1], "data": [1]}]}, "name is text"),
    ],
)
def test_bad_tensors_are_named(client: httpx.Client, document: dict[str, Any], says: str) -> None:
    answer = client.post("/v2/models/late/infer", json=document)
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]


def test_prometheus_reads_requests_errors_and_latencies(client: httpx.Client) -> None:
    client.post("/endpoints/late/predict", json={"rows": [ROW, ROW]})
    client.post("/endpoints/late/predict", content=b"{")
    text = client.get("/metrics").text
    assert 'clew_serving_requests_total{endpoint="late"} 2' in text
    assert 'clew_serving_rows_total{endpoint="late"} 2' in text
    assert 'clew_serving_errors_total{endpoint="late"} 1' in text
    assert 'clew_serving_latency_seconds_bucket{endpoint="late",le="+Inf"} 2' in text


def test_a_model_that_answers_nothing_is_an_error_and_no_answer(client: httpx.Client) -> None:
    answer = client.post("/endpoints/late/predict", json={"rows": [ROW, ROW | {"a": None}]})
    assert answer.status_code == 500
    assert "late@1 answered row 1 with nan" in answer.json()["error"]["message"]
