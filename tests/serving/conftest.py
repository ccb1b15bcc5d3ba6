"""A route over a small model that is written down, so that its answers can be told by hand."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
import uvicorn

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by path, and serving_process is imported by name

from live_routes import a_live_route

from clew.backend import LocalBackend
from clew.catalog.schema import AssetVersion, VersionRef
from clew.registry.schema import Field, ModelDetails, Signature, Verification
from clew.registry.service import register_model
from clew.serving.app import Front, create_app
from clew.serving.prediction_log import PredictionLog
from clew.serving.statistics import Statistics


def an_onnx(slope: float, width: int = 2) -> bytes:
    """A model that answers the logistic function of ``slope`` times its first input; NaN counts as 0."""
    weights = np.zeros((width, 1), np.float32)
    weights[0] = slope
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("IsNaN", ["X"], ["absent"]),
            onnx.helper.make_node("Where", ["absent", "zero", "X"], ["present"]),
            onnx.helper.make_node("MatMul", ["present", "weights"], ["score"]),
            onnx.helper.make_node("Sigmoid", ["score"], ["probability"]),
        ],
        "logistic",
        [onnx.helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, [None, width])],
        [onnx.helper.make_tensor_value_info("probability", onnx.TensorProto.FLOAT, [None, 1])],
        [onnx.numpy_helper.from_array(weights, "weights"), onnx.numpy_helper.from_array(np.float32(0).reshape(()), "zero")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


@pytest.fixture
def register() -> Callable[..., AssetVersion]:
    """Registers a version of a small model that was trained on nothing: its inputs ``a`` and ``b`` stand in the request."""

    def register(backend: LocalBackend, name: str, *, slope: float, width: int = 2, refit_of: VersionRef | None = None) -> AssetVersion:
        blob = backend.upload(an_onnx(slope, width))
        details = ModelDetails(
            None, (), Signature((Field("a", "Float64"), Field("b", "Float64")), (Field("probability", "Float32"),)), "onnx", blob.digest,
            blob.digest, Verification(1, 1, 0.0, 1e-5), "recipe", {}, {}, None, None, None, refit_of=refit_of,
        )  # fmt: skip
        return backend.call(register_model, name, "sha256:" + "d" * 64, blob.digest, "a test", details).version

    return register


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    log = PredictionLog(tmp_path / "predictions")
    front = Front(log, Statistics())
    front.live["late"] = a_live_route()
    yield front
    log.close()


@pytest.fixture
def client(front: Front) -> Iterator[httpx.Client]:
    """A client of a real server on loopback."""
    server = uvicorn.Server(uvicorn.Config(create_app(front), port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client
    server.should_exit = True
    thread.join()
