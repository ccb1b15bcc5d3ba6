"""An endpoint over the small airline of the feature store's tests, asked about its third day as that day went by."""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "feature_store"))  # pytest imports test files by path, and these by name
sys.path.insert(0, str(Path(__file__).parent))

from season import Season, a_season, told_again, told_once
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from small_airline import LANDINGS, SCHEDULE, START, WEATHER, Airline, flights, landing_rows, schedule_rows, weather_rows

from clew.access.service import set_event_time
from clew.backend import LocalBackend
from clew.catalog.schema import VersionRef
from clew.feature_store.reading import load_training_data
from clew.feature_store.schema import training_set_details
from clew.feature_store.service import push_rows
from clew.registry.saving import save_model
from clew.registry.schema import ModelDetails
from clew.registry.service import register_model
from clew.serving import service
from clew.serving.answers import log_folder
from clew.serving.app import Front
from clew.serving.loading import Kept, load
from clew.serving.prediction_log import PredictionLog
from clew.serving.statistics import Statistics
from clew.settings import Settings


@dataclass
class Served:
    """The airline, its endpoint ``late``, and what was asked of it."""

    airline: Airline
    front: Front
    identifiers: list[str]

    @property
    def backend(self) -> LocalBackend:
        return self.airline.backend

    def ask(self, row: dict[str, Any]) -> str:
        live = self.front.live["late"]
        body = msgspec.json.encode({"rows": [row]})
        (given,) = asyncio.run(self.front.answer(live, live.requests.read(body).rows, time.perf_counter_ns()))
        return given.prediction_id


@pytest.fixture
def served(backend: LocalBackend) -> Iterator[Served]:
    backend.call(set_event_time, START + timedelta(days=5))
    airline = Airline(backend, flights(), START + timedelta(days=2))
    before = int(airline.border.timestamp() * 1e6)
    airline.ingest(SCHEDULE, schedule_rows(airline.frame.filter(pl.col("published").dt.epoch("us") < before)))
    airline.ingest(LANDINGS, landing_rows(airline.frame.filter(pl.col("landed").dt.epoch("us") < before)))
    airline.ingest(WEATHER, weather_rows(48))
    training = airline.build()
    _register(airline, training.ref)
    backend.call(service.deploy_ungated, "late", "late@1", "a test")
    log = PredictionLog(log_folder(backend.settings, backend.project))
    front = Front(log, Statistics())
    (route,) = backend.call(service.live_routes).items
    front.live["late"] = load(route, Kept(backend.settings, backend.project), backend.settings, backend.project, backend)
    made = Served(airline, front, [])
    _replay(made)
    yield made
    log.close()


@pytest.fixture(scope="session")
def _told_once(tmp_path_factory: pytest.TempPathFactory, _migrated_sqlite: Path) -> Season:
    """The season up to its first answer, on SQLite, to copy from."""
    return told_once(tmp_path_factory.mktemp("season"), _migrated_sqlite)


@pytest.fixture
def season(settings: Settings, _told_once: Season) -> Iterator[Season]:
    """Half a year of a small airport; nothing is served yet."""
    with told_again(_told_once, settings) as season:
        yield season


@pytest.fixture
def season_on_each(backend: LocalBackend) -> Season:
    """The same, told anew on each database."""
    return a_season(backend)


@pytest.fixture
def register_late() -> Callable[[Airline, VersionRef], None]:
    """Trains and registers the model ``late`` on a training set of the airline."""
    return _register


def _register(airline: Airline, training: VersionRef) -> None:
    backend = airline.backend
    data = load_training_data(backend, training.name, training.number, "train")
    details = training_set_details(backend.call(service.catalog.get_version, training.name, training.number))
    model = make_pipeline(SimpleImputer(keep_empty_features=True), LogisticRegression(max_iter=2_000))
    model.fit(data.X.to_numpy(), np.asarray(data.y).astype(int))
    saved = save_model(backend, model, data.X)
    made = ModelDetails(
        training, details.views, saved.signature, saved.flavor, saved.files, saved.onnx, saved.verification, "recipe", {}, {}, details.time_min,
        details.time_max, details.time_max,
    )  # fmt: skip
    backend.call(register_model, "late", "sha256:" + "d" * 64, saved.files, "a test", made)


def _replay(made: Served) -> None:
    """The third day: rows are pushed as they become known, and each flight is asked about as it departs."""
    airline = made.airline
    weather = weather_rows(72).filter(pl.col("hour").dt.epoch("us") >= int((START + timedelta(hours=48)).timestamp() * 1e6))
    waiting = [
        ("schedule", "published", schedule_rows(airline.later("published"))),
        ("landings", "landed", landing_rows(airline.later("landed"))),
        ("weather", "reported", weather.sort("reported")),
    ]
    arrivals = sorted(((row[at], name, row) for name, at, frame in waiting for row in frame.to_dicts()), key=lambda one: (one[0], one[1]))
    asked = airline.later("departs").select("departs", "flight", "carrier", "station", "distance").to_dicts()
    for row in asked:
        known = [arrival for arrival in arrivals if arrival[0] <= row["departs"]]
        _push(airline, known)
        del arrivals[: len(known)]
        made.identifiers.append(made.ask(row))
    _push(airline, arrivals)


def _push(airline: Airline, arrivals: list[tuple[datetime, str, dict[str, Any]]]) -> None:
    for name in ("schedule", "landings", "weather"):
        rows = [row for _, of, row in arrivals if of == name]
        if rows:
            airline.backend.call(push_rows, name, rows)
