"""Half a year of a small airport, made up: twelve weeks to train on, and as many that are served, with the weather gone on a day in May.

Everything is real but time: datasets, views, a training set, two model versions (the gated one and its refit), an endpoint, and a
prediction log with the features that the datasets give. How late flights are depends on distance and wind.
"""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1] / "feature_store"))

import view_functions
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from small_airline import CALENDAR, LANDINGS, PACE, SCHEDULE, WEATHER, ZONE, weather_view

from clew.access.service import set_event_time
from clew.backend import LocalBackend
from clew.catalog.schema import DefinitionDraft, VersionRef
from clew.catalog.service import apply_definitions, get_version
from clew.clock import to_micros
from clew.definitions import MonitorDefinition, TrainingSetDefinition, ViewUse, definition_digest, to_document
from clew.feature_store.reading import load_training_data, recompute
from clew.feature_store.schema import training_set_details
from clew.feature_store.training import assemble
from clew.feature_store.views import build_view
from clew.registry.loading import load_scorer
from clew.registry.saving import save_model
from clew.registry.schema import ModelDetails
from clew.registry.service import register_model
from clew.sdk.ingest import ingest_frame
from clew.serving import service
from clew.serving.answers import log_folder
from clew.serving.prediction_log import PredictionLog
from clew.serving.records import Other, Record, encode_record
from clew.settings import Settings, load_settings

START = datetime(2013, 1, 6, 5, tzinfo=UTC)  # midnight of a Sunday in New York
SERVED = datetime(2013, 3, 31, 4, tzinfo=UTC)  # twelve weeks later, and an hour of summer time
END = datetime(2013, 6, 23, 4, tzinfo=UTC)
OUTAGE = datetime(2013, 5, 20, 22, tzinfo=UTC)  # 18 o'clock in New York
A_DAY = 30
SEASON = TrainingSetDefinition(
    "training", "schedule", "landings", "late", "6h",
    (ViewUse("pace", {"carrier": "carrier"}), ViewUse("station_weather", {}), ViewUse("calendar", {})), holdout="28d", zone=ZONE,
)  # fmt: skip
FUNCTIONS = {"station_weather": view_functions.station_weather, "calendar": view_functions.calendar}
QUALITY = MonitorDefinition("quality", "late", performance=("log_loss", "auc"), drift=True, skew=True, looks=3)


def flights(seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    days = (END - START).days + 1  # the hour of summer time
    minutes = np.sort(np.concatenate([day * 1_440 + rng.integers(0, 1_440, A_DAY) for day in range(days)]))
    departs = pl.Series([START + timedelta(minutes=int(minute)) for minute in minutes], dtype=pl.Datetime("us", "UTC"))
    count = len(minutes)
    frame = pl.DataFrame({
        "departs": departs.dt.convert_time_zone(ZONE), "flight": range(count), "carrier": rng.choice(["UA", "AA"], count),
        "station": rng.choice(["EWR", "JFK"], count), "distance": np.round(rng.gamma(4, 150, count)),
    }).with_columns(published=pl.col("departs") - pl.duration(hours=6))  # fmt: skip
    hours = (minutes // 60).astype(int)
    chance = 1 / (1 + np.exp(-(frame["distance"].to_numpy() - 600) / 150 - (winds()[hours] - 10) / 3))
    late = rng.random(count) < chance
    delay = np.where(late, 30.0, 0.0)
    return before(
        frame.with_columns(delay=pl.Series(delay), late=pl.Series(late), landed=pl.col("departs") + pl.duration(minutes=70)), "departs", END
    )


def winds() -> np.ndarray:
    return np.random.default_rng(9).normal(10, 4, (END - START).days * 24 + 48)


def weather(until: datetime) -> pl.DataFrame:
    hours = int((until - START) / timedelta(hours=1))
    hour = pl.Series("hour", [START + timedelta(hours=number) for number in range(hours)], dtype=pl.Datetime("us", "UTC"))
    frame = pl.DataFrame({"station": ["EWR", "JFK"]}).join(
        pl.DataFrame([hour.dt.convert_time_zone(ZONE), pl.Series("wind", winds()[:hours])]), how="cross"
    )
    return frame.sort("hour").with_columns(gust=pl.lit(None, pl.Float64), reported=pl.col("hour") + pl.duration(minutes=40))


def before(frame: pl.DataFrame, column: str, at: datetime) -> pl.DataFrame:
    return frame.filter(pl.col(column).dt.epoch("us") < to_micros(at))


@dataclass
class Season:
    backend: LocalBackend
    frame: pl.DataFrame
    training: VersionRef

    def declare(self, *monitors: MonitorDefinition) -> None:
        drafts = [DefinitionDraft("monitor", one.name, definition_digest(one), to_document(one)) for one in monitors]
        self.backend.call(apply_definitions, drafts)

    def now(self, at: datetime) -> None:
        self.backend.call(set_event_time, at)

    def asked(self, start: datetime, end: datetime) -> pl.DataFrame:
        rows = self.frame.select("departs", "flight", "carrier", "station", "distance")
        return before(rows, "departs", end).filter(pl.col("departs").dt.epoch("us") >= to_micros(start))

    def serve(
        self, start: datetime, end: datetime, *, epoch: int = 1, number: int = 2, other: int | None = None, scale: float = 1.0,
        scores: Any = None,
    ) -> None:  # fmt: skip
        """Write the answers of a span to the log, from features that the datasets give; ``scale`` is what distances are mistaken by."""
        rows = self.asked(start, end).with_columns(pl.col("distance") * scale)
        document = self.backend.call(service.whole_route, "late", epoch).document
        features = recompute(self.backend, rows, "departs", document.uses, FUNCTIONS).select(document.features)
        matrix = features.to_numpy().astype(np.float32)
        given = load_scorer(self.backend, "late", number)(matrix) if scores is None else scores(matrix)
        beside = None if other is None else load_scorer(self.backend, "late", other)(matrix)
        payloads = []
        for place, row in enumerate(rows.iter_rows(named=True)):
            body = {**row, "departs": row["departs"].isoformat()}
            tried = None if other is None or beside is None else Other(other, matrix[place].tobytes(), {}, [], float(beside[place]), 900)
            payloads.append(encode_record(Record(
                to_micros(row["departs"]), to_micros(row["departs"]), "late", epoch, "late", number, body, matrix[place].tobytes(), {}, [],
                float(given[place]), 900, None, tried,
            )))  # fmt: skip
        log = PredictionLog(log_folder(self.backend.settings, self.backend.project))
        for first in range(0, len(payloads), 200):
            log.append(payloads[first : first + 200])
        log.close()

    def register(self, why: str, *, refit_of: VersionRef | None = None, recipe: str = "recipe", strength: float = 1.0) -> VersionRef:
        """A version trained on the rows before the holdout or, as a refit, on all."""
        data = load_training_data(self.backend, self.training.name, self.training.number, "train" if refit_of is None else "all")
        details = training_set_details(self.backend.call(get_version, self.training.name, self.training.number))
        model = make_pipeline(SimpleImputer(keep_empty_features=True), LogisticRegression(C=strength, max_iter=5_000))
        model.fit(data.X.to_numpy(), np.asarray(data.y).astype(int))
        saved = save_model(self.backend, model, data.X)
        last = data.time.max()
        assert isinstance(last, datetime)
        made = ModelDetails(
            self.training, details.views, saved.signature, saved.flavor, saved.files, saved.onnx, saved.verification, recipe, {}, {},
            details.time_min, last, last, refit_of,
        )  # fmt: skip
        found = self.backend.call(register_model, "late", definition_digest(SEASON), f"{saved.files}-{why}"[-80:], why, made)
        return found.version.ref


def a_season(backend: LocalBackend) -> Season:
    """Everything until the first version answers; nothing is served yet."""
    backend.call(set_event_time, SERVED)
    frame = flights()
    landings = frame.select("departs", "flight", "carrier", "landed", "delay", "late")
    schedule = frame.select("departs", "flight", "carrier", "station", "distance", "published")
    known = weather(OUTAGE)
    first = {
        "schedule": ingest_frame(backend, SCHEDULE, before(schedule, "departs", SERVED), source="2013-q1").growth.version,
        "landings": ingest_frame(backend, LANDINGS, before(landings, "landed", SERVED), source="2013-q1").growth.version,
        "weather": ingest_frame(backend, WEATHER, before(known, "reported", SERVED), source="2013-q1").growth.version,
    }
    for definition in (PACE, weather_view(), CALENDAR):
        build_view(backend, definition, definition_digest(definition))
    training = assemble(backend, SEASON, definition_digest(SEASON), functions=FUNCTIONS)
    for definition, rows in ((SCHEDULE, schedule), (LANDINGS, landings), (WEATHER, known)):
        ingest_frame(backend, definition, rows, source="2013-q2")
    assert first["schedule"].number == 1
    season = Season(backend, frame, training.ref)
    gated = season.register("before the holdout")
    season.register("on all", refit_of=gated)
    backend.call(service.deploy_ungated, "late", "late@2", "a test")
    return season


def told_once(folder: Path, migrated: Path) -> Season:
    """The season up to its first answer, on SQLite and with nothing left open, to copy from; ``migrated`` is an empty database."""
    home = folder / ".clew"
    home.mkdir()
    shutil.copy(migrated, home / "clew.db")
    backend = LocalBackend(replace(load_settings(folder, {}), project="test"))
    made = a_season(backend)
    with backend.database.engine.connect() as connection:
        connection.connection.dbapi_connection.execute("pragma wal_checkpoint(truncate)")  # type: ignore[union-attr]
    backend.dispose()
    return made


@contextmanager
def told_again(season: Season, settings: Settings) -> Iterator[Season]:
    """A copy of it in a folder of its own."""
    shutil.copytree(season.backend.settings.home, settings.home)
    backend = LocalBackend(settings)
    yield replace(season, backend=backend)
    backend.dispose()


def stored(value: Any) -> Any:
    """As JSON gives it back."""
    return msgspec.json.decode(msgspec.json.encode(value))
