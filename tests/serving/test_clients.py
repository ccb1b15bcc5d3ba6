"""The SDK's endpoint and the command line against a real serving process."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import polars as pl
import pytest
from serving_process import serving, wait

import clew
from clew import backend as backends
from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion, DefinitionDraft
from clew.definitions import EndpointDefinition, FunctionRef, GateDefinition, definition_digest, kind_of, to_document
from clew.errors import Conflict, Invalid, Unavailable
from clew.ports import free_port
from clew.sdk.endpoints import Endpoint
from clew.serving import service
from clew.serving.commands import _deploy_by_hand, endpoint_of

Register = Callable[..., AssetVersion]


@pytest.fixture
def endpoint(sqlite_backend: LocalBackend, register: Register) -> Iterator[Endpoint]:
    register(sqlite_backend, "late", slope=1.0)
    register(sqlite_backend, "late", slope=-1.0)
    sqlite_backend.call(service.deploy_ungated, "late", "late@1", "a test")
    backends.use(sqlite_backend)
    yield Endpoint(EndpointDefinition("late", "late"))
    clew.sdk.declarations.forget()


def test_predict_answers_rows_frames_and_a_single_row(endpoint: Endpoint, sqlite_backend: LocalBackend) -> None:
    with serving(sqlite_backend.settings) as (client, process):
        wait(lambda: "late" in client.get("/readyz").json()["endpoints"], process)
        wait(lambda: bool(sqlite_backend.call(service.list_serving_processes).items), process)
        one, two = endpoint.predict([{"a": 0.0, "b": 1}, {"a": None, "b": None}])
        assert (one.probability, two.value, one.model, one.missing) == (0.5, 0.5, "late@1", ())
        assert [answer.model for answer in endpoint.predict(pl.DataFrame({"a": [1.0], "b": [2.0]}))] == ["late@1"]
        (alone,) = endpoint.predict({"a": 1.0, "b": 2.0, "hr": 3})
        assert (one.ignored, alone.ignored) == ((), ("hr",))
        (awaited,) = asyncio.run(endpoint.apredict([{"a": 0.0, "b": 1}]))
        assert awaited.probability == 0.5
        with pytest.raises(Invalid, match="row 0: 'b' is missing"):
            endpoint.predict([{"a": 1.0}])
        with pytest.raises(Invalid, match="can't be sent"):
            endpoint.predict([{"a": object(), "b": 1}])
        status = endpoint.deploy(2, ungated=True, reason="the other sign")
        assert (status.flipped, status.endpoint.number) == (True, 2)
        assert endpoint.predict([{"a": 3.0, "b": 1}])[0].probability < 0.1
        assert endpoint.rollback().endpoint.number == 1
        assert endpoint.status().endpoint.number == 1
        with pytest.raises(Conflict, match="no earlier route"):
            endpoint.rollback()
    with pytest.raises(Unavailable, match="no serving process answers"):
        endpoint.predict([{"a": 1.0, "b": 1}])


def test_without_a_serving_process_predict_says_how_to_start_one(endpoint: Endpoint) -> None:
    with pytest.raises(Unavailable, match="clew up"):
        endpoint.predict([{"a": 1.0, "b": 1}])


def run(backend: LocalBackend, *arguments: str) -> "subprocess.CompletedProcess[str]":
    import os

    environment = os.environ | {"CLEW_HOME": str(backend.settings.home), "CLEW_PROJECT": "test"}
    command = [sys.executable, "-m", "clew.cli", *arguments]
    return subprocess.run(command, env=environment, cwd=backend.settings.root, capture_output=True, text=True, timeout=60)


def test_the_commands_deploy_list_explain_and_roll_back(endpoint: Endpoint, sqlite_backend: LocalBackend) -> None:
    refused = run(sqlite_backend, "deploy", "late@2")
    assert refused.returncode == 1
    assert "--ungated" in refused.stderr
    done = run(sqlite_backend, "deploy", "late@2", "--ungated", "--reason", "a try", "--json")
    assert json.loads(done.stdout)["endpoint"]["number"] == 2, done.stderr
    assert "late@2" in run(sqlite_backend, "endpoints").stdout
    with serving(sqlite_backend.settings) as (client, process):
        wait(lambda: "late" in client.get("/readyz").json()["endpoints"], process)
        answer = client.post("/endpoints/late/predict", json={"rows": [{"a": 1.0, "b": None, "hr": 3}]}).json()["predictions"][0]
    listed = run(sqlite_backend, "endpoints", "late")
    assert "have fields that nobody takes, and they are left out: 'hr' (1)" in listed.stderr
    assert answer["prediction_id"] in listed.stdout, listed.stderr
    document = json.loads(run(sqlite_backend, "endpoints", "late", "--json").stdout)
    assert [one["prediction_id"] for one in document["answers"]] == [answer["prediction_id"]]
    assert (document["status"]["endpoint"]["number"], [route["epoch"] for route in document["routes"]]) == (2, [2, 1])
    told = run(sqlite_backend, "explain", answer["prediction_id"])
    assert "late@2, route 2 of late, ungated" in told.stdout, told.stderr
    assert json.loads(run(sqlite_backend, "explain", answer["prediction_id"], "--json").stdout)["model"]["number"] == 2
    back = run(sqlite_backend, "rollback", "late", "--reason", "enough")
    assert back.stdout.startswith("late serves late@1, epoch 3: no serving process runs"), back.stderr
    unknown = run(sqlite_backend, "explain", "p_nonsense")
    assert (unknown.returncode, "no prediction id" in unknown.stderr) == (1, True)


def test_a_slip_makes_no_endpoint_where_the_project_declares_some(endpoint: Endpoint, sqlite_backend: LocalBackend) -> None:
    arguments = ("deploy", "late@2", "--ungated", "--reason", "a try", "--endpoint", "lote")
    assert endpoint_of(sqlite_backend, "late", "lote") == "lote", "no file declares an endpoint, so names are free"
    declare(sqlite_backend, EndpointDefinition("late", "late"))
    refused = run(sqlite_backend, *arguments)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no endpoint 'lote' is declared; there are late. --new makes one of that name" in " ".join(refused.stderr.split())
    assert [one.name for one in sqlite_backend.call(service.list_endpoints).items] == ["late"]
    done = run(sqlite_backend, *arguments, "--new")
    assert done.stdout.startswith("lote serves late@2"), done.stderr
    assert endpoint_of(sqlite_backend, "late", "lote") == "lote", "it is there by now"


def test_serving_a_version_by_hand_asks_its_gate(endpoint: Endpoint, sqlite_backend: LocalBackend) -> None:
    declare(
        sqlite_backend,
        GateDefinition("fair", "late", "training", FunctionRef("gates", "fair", "gates.py")),
        EndpointDefinition("late", "late"),
    )
    refused = run(sqlite_backend, "serve", "late@2", "--port", "0")
    assert refused.returncode == 1
    words = " ".join(refused.stderr.split())
    assert "late@2 has not been through the gate 'fair'" in words
    assert "`clew serve late@2 --ungated`" in words
    assert sqlite_backend.call(service.endpoint_status, "late").endpoint.number == 1
    _deploy_by_hand(sqlite_backend, "late", "late@2", ungated=True)
    assert sqlite_backend.call(service.endpoint_status, "late").endpoint.number == 2


def declare(backend: LocalBackend, *definitions: EndpointDefinition | GateDefinition) -> None:
    drafts = [DefinitionDraft(kind_of(one), one.name, definition_digest(one), to_document(one)) for one in definitions]
    backend.call(catalog.apply_definitions, drafts)


def test_a_row_may_hold_times(endpoint: Endpoint) -> None:
    from clew.sdk.endpoints import _encode

    sent = json.loads(_encode({"departs": datetime(2013, 4, 1, 12, tzinfo=UTC)}))
    assert sent == {"rows": [{"departs": "2013-04-01T12:00:00Z"}]}


def test_clew_serve_serves_a_version_that_was_registered_by_hand(sqlite_backend: LocalBackend, register: Register, tmp_path: Path) -> None:
    import os
    import signal

    register(sqlite_backend, "churn", slope=1.0)
    port = free_port()
    environment = os.environ | {"CLEW_HOME": str(sqlite_backend.settings.home), "CLEW_PROJECT": "test"}
    command = [sys.executable, "-m", "clew.cli", "serve", "churn@1", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            wait(lambda: client.post("/endpoints/churn/predict", json={"rows": [{"a": 0.0, "b": 1.0}]}).is_success, process)
            assert client.get("/v2/models/churn").json()["versions"] == ["1"]
    finally:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0, "Ctrl-C is how it ends"
    assert b"Traceback" not in said
    assert b"interrupted" not in said
