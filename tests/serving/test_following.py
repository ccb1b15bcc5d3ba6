"""What a serving process says of itself while it is busy."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from clew.backend import LocalBackend
from clew.catalog.schema import AssetVersion
from clew.serving import following, service
from clew.serving.answers import log_folder
from clew.serving.app import Front, create_app
from clew.serving.following import Follower
from clew.serving.prediction_log import PredictionLog
from clew.serving.statistics import Statistics


def test_a_process_shows_signs_of_life_while_a_route_takes_long_to_load(
    sqlite_backend: LocalBackend, register: Callable[..., AssetVersion], monkeypatch: pytest.MonkeyPatch
) -> None:
    register(sqlite_backend, "late", slope=1.0)
    sqlite_backend.call(service.deploy_ungated, "late", "late@1", "a test")
    seen: list[Any] = []

    def slow(*_: Any) -> Any:  # stands for a model of gigabytes
        for _ in range(2):
            before = sqlite_backend.call(service.list_serving_processes).items
            time.sleep(0.3)
            after = sqlite_backend.call(service.list_serving_processes).items
            seen.append((before, after))
        raise ValueError("enough")

    monkeypatch.setattr(following, "load", slow)
    monkeypatch.setattr(following, "_REPORT_SECONDS", 0.05)
    front = Front(PredictionLog(log_folder(sqlite_backend.settings, sqlite_backend.project)), Statistics())
    follower = Follower(front, sqlite_backend.settings, lambda: sqlite_backend, process="sp_test", url="http://127.0.0.1:1")

    async def run() -> None:
        tasks = [asyncio.create_task(follower.follow()), asyncio.create_task(follower.keep_alive())]
        while len(seen) < 2:
            await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())
    front.predictions.close()
    before, after = seen[-1]
    assert after[0].seen_at > before[0].seen_at


def test_a_process_is_not_ready_before_it_has_read_the_routes(sqlite_backend: LocalBackend, register: Callable[..., AssetVersion]) -> None:
    """With nothing on its disk it can't know whether an endpoint is served: that is a 503, and no 404."""
    register(sqlite_backend, "late", slope=1.0)
    sqlite_backend.call(service.deploy_ungated, "late", "late@1", "a test")
    front = Front(PredictionLog(log_folder(sqlite_backend.settings, sqlite_backend.project)), Statistics())
    follower = Follower(front, sqlite_backend.settings, lambda: sqlite_backend, process="sp_test", url="http://127.0.0.1:1")
    follower.restore()

    async def run() -> None:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app(front)), base_url="http://serving") as client:
            row = {"rows": [{"a": 1.0, "b": 1.0}]}
            assert (await client.get("/readyz")).json()["missing"] == ["the routes are not read yet"]
            assert (await client.post("/endpoints/late/predict", json=row)).status_code == 503
            await follower.step()
            assert (await client.get("/readyz")).json()["missing"] == []
            assert (await client.post("/endpoints/late/predict", json=row)).status_code == 200
            assert (await client.post("/endpoints/other/predict", json=row)).status_code == 404

    asyncio.run(run())
    front.predictions.close()
