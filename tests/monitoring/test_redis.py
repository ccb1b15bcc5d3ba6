"""The small airline with its features in Redis: the same answers as with LMDB, through pushes, and through a server that lost them all."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from redis_server import RedisServer, running_redis
from small_airline import LANDINGS, SCHEDULE, START, WEATHER, Airline, flights, landing_rows, schedule_rows, weather_rows

from clew.access.service import set_event_time
from clew.backend import LocalBackend
from clew.catalog.schema import VersionRef
from clew.errors import Unavailable
from clew.feature_store.online import open_store
from clew.feature_store.service import pin_views, push_rows
from clew.monitoring.measuring import measure_skew
from clew.serving import service
from clew.serving.answers import find_record
from clew.serving.loading import Kept, load
from clew.testing.server import live_server

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
ASKED = ["departs", "flight", "carrier", "station", "distance"]


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def backend(sqlite_backend: LocalBackend, redis_server: RedisServer) -> Iterator[LocalBackend]:
    """What ``served`` is built on: the URL is all that differs."""
    backend = LocalBackend(replace(sqlite_backend.settings, online_url=redis_server.url))
    yield backend
    backend.dispose()
    open_store(redis_server.url).close()


def test_features_from_redis_are_those_from_lmdb_and_have_no_skew(served, sqlite_backend: LocalBackend) -> None:  # type: ignore[no-untyped-def]
    report = measure_skew(served.backend, "late")
    assert report.none, str(report)
    assert report.rows == len(served.identifiers) > 50

    (route,) = sqlite_backend.call(service.live_routes).items
    views = [VersionRef(use.view, use.number) for use in route.document.uses if use.details.kind != "request"]
    assert not sqlite_backend.call(pin_views, owner="endpoint:late", views=views).waiting
    assert sqlite_backend.settings.online_url.startswith("lmdb:")
    from_lmdb = load(route, Kept(sqlite_backend.settings, "test"), sqlite_backend.settings, "test", sqlite_backend)
    with served.backend.context("test").reading() as inside:
        records = [find_record(inside, identifier) for identifier in served.identifiers]
    rows = [from_lmdb.requests.convert([record.row]).rows[0] for record in records]
    logged = np.stack([np.frombuffer(record.features, np.float32) for record in records])
    np.testing.assert_array_equal(logged, from_lmdb.champion.answer(rows).matrix)
    np.testing.assert_array_equal(logged, served.front.live["late"].champion.answer(rows).matrix)
    assert np.isfinite(logged).mean() > 0.5


def test_an_endpoint_outlives_a_redis_that_lost_everything(
    tmp_path: Path, redis_server: RedisServer, register_late: Callable[[Airline, VersionRef], None]
) -> None:
    with live_server(tmp_path, environ={"CLEW_ONLINE_URL": redis_server.url}) as server:
        backend = server.backend()
        backend.call(set_event_time, START.replace(day=6))
        airline = Airline(backend, flights(), START.replace(day=3))
        airline.ingest(SCHEDULE, schedule_rows(airline.frame))
        airline.ingest(LANDINGS, landing_rows(airline.frame.head(190)))
        airline.ingest(WEATHER, weather_rows(48))
        register_late(airline, airline.build().ref)
        backend.call(service.deploy_ungated, "late", "late@1", "a test")
        asked = airline.frame.select(ASKED).tail(30).to_dicts()
        body = {"rows": [row | {"departs": row["departs"].isoformat()} for row in asked]}
        with httpx.Client(base_url=server.serving_url, timeout=20) as client:

            def ask() -> list[float]:
                answer = client.post("/endpoints/late/predict", json=body)
                assert answer.status_code == 200, answer.text
                return [one["probability"] for one in answer.json()["predictions"]]

            def refused(words: str) -> None:
                answer, ready = client.post("/endpoints/late/predict", json=body), client.get("/readyz")
                assert (answer.status_code, answer.headers["retry-after"], ready.status_code) == (503, "1", 503)
                assert answer.json()["error"]["code"] == "unavailable"
                assert ready.json()["ready"] is client.get("/v2/models/late/ready").json()["ready"] is False
                assert words in answer.json()["error"]["message"]
                assert words in ready.json()["missing"][0]

            def first_answers() -> list[float]:
                """Those that follow on refusals, of which there may be none where the server was quick."""
                _wait(lambda: client.get("/readyz").is_success or client.post("/endpoints/late/predict", json=body).is_success)
                return ask()

            _wait(lambda: client.get("/readyz").json().get("endpoints"))
            assert client.get("/readyz").json()["ready"] is True
            before = ask()
            assert len(set(before)) > 10
            backend.call(push_rows, "landings", landing_rows(airline.frame.tail(40)).to_dicts())
            after_push = ask()
            assert after_push != before

            redis_server.kill()
            refused("does not answer")
            with pytest.raises(Unavailable, match="does not answer"):  # the rows are kept, and come online with the others
                backend.call(push_rows, "landings", landing_rows(airline.frame.slice(190, 10)).to_dicts())
            redis_server.start()
            refilled = first_answers()
            assert refilled != after_push
            assert client.get("/readyz").is_success
            server.kill()  # which is who fills; the serving process outlives it
            with redis_server.client() as redis:
                redis.flushall()
            refused("the online rows of pace are not all there")
            server.start()
            assert first_answers() == refilled
    assert "not-to-be-seen" not in server.log.read_text()


def _wait(condition: Callable[[], Any]) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come true within a minute")
