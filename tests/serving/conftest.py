"""A route over a small model that is written down, so that its answers can be told by hand."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by path, and serving_process is imported by name

from live_routes import a_live_route
from small_models import register_model_of

from clew.catalog.schema import AssetVersion
from clew.serving.app import Front, create_app
from clew.serving.prediction_log import PredictionLog
from clew.serving.statistics import Statistics


@pytest.fixture
def register() -> Callable[..., AssetVersion]:
    return register_model_of


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
