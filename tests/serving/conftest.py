"""A route over a small model that is written down, so that its answers can be told by hand."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn

from clew.clock import from_micros
from clew.serving.app import Front, create_app
from clew.serving.prediction_log import PredictionLog
from clew.serving.runtime import DirectSource, LiveRoute
from clew.serving.schema import RequestField, Route, RouteDocument
from clew.serving.statistics import Statistics


def a_route(epoch: int = 1, number: int = 1, **changed: Any) -> Route:
    fields = (
        RequestField("at", "Datetime(time_unit='us', time_zone='UTC')", required=True),
        RequestField("a", "Float64"),
        RequestField("b", "Float64"),
    )
    document = RouteDocument("late", "late", number, "sha256:" + "0" * 64, ("a", "b"), fields, key=("at",), time="at")
    values: dict[str, Any] = {"cause": "deploy", "ungated": False, "reason": "", "created_at": from_micros(0), "created_by": "test"}
    return Route("late", epoch, document, **(values | changed))


def half_of_a(matrix: np.ndarray) -> np.ndarray:
    """The stub model: half of ``a``; an ``a`` of 13 is unlucky."""
    if (matrix[:, 0] == 13).any():
        raise ValueError("13")
    return matrix[:, 0] / 2


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    log = PredictionLog(tmp_path / "predictions")
    front = Front(log, Statistics())
    front.live["late"] = LiveRoute(a_route(), DirectSource(("a", "b")), half_of_a)
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
