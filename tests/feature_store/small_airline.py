"""A small airline: two carriers, two stations, flights of three days, half of them late."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import view_functions

from clew.backend import HttpBackend, LocalBackend
from clew.catalog.schema import AssetVersion
from clew.definitions import (
    Aggregate,
    DatasetDefinition,
    FeaturesDefinition,
    FunctionRef,
    TrainingSetDefinition,
    ViewUse,
    WindowsDefinition,
    definition_digest,
)
from clew.feature_store.training import assemble
from clew.feature_store.views import build_view
from clew.sdk.ingest import ingest_frame

START = datetime(2013, 3, 1, 12, tzinfo=UTC)
ZONE = "America/New_York"
SCHEDULE = DatasetDefinition("schedule", ("departs", "flight"), "departs", "published", None)
LANDINGS = DatasetDefinition("landings", ("departs", "flight"), "landed", None, None)
WEATHER = DatasetDefinition("weather", ("station", "hour"), "hour", "reported", None)
PACE = WindowsDefinition(
    "pace", "landings", ("carrier",), ("2h", "1d"),
    {"late": Aggregate("mean", "late"), "delay": Aggregate("mean", "delay"), "worst": Aggregate("max", "delay"), "flown": Aggregate("count")},
)  # fmt: skip
TRAFFIC = WindowsDefinition("traffic", "schedule", ("station",), ("1h",), {"flights": Aggregate("count")})


def reference(function: Callable[..., Any]) -> FunctionRef:
    return FunctionRef("view_functions", function.__name__, str(Path(view_functions.__file__)))


def weather_view(function: Callable[..., Any] = view_functions.station_weather, **changes: Any) -> FeaturesDefinition:
    options: dict[str, Any] = {"ttl": "2h", "missing": None} | changes
    return FeaturesDefinition(
        function.__name__, ("weather",), ("station",), "hour", options["ttl"], options["missing"], {}, reference(function)
    )


CALENDAR = FeaturesDefinition(
    "calendar", (), (), None, None, None,
    {"departs": f"Datetime(time_unit='us', time_zone='{ZONE}')", "distance": "Float64"}, reference(view_functions.calendar),
)  # fmt: skip
TRAINING = TrainingSetDefinition(
    "training", "schedule", "landings", "late", "6h",
    (ViewUse("pace", {"carrier": "carrier"}), ViewUse("traffic", {"station": "station"}), ViewUse("station_weather", {}), ViewUse("calendar", {})),
    holdout="1d", zone=ZONE,
)  # fmt: skip


def flights(count: int = 240, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    departs = [START + timedelta(minutes=int(minute)) for minute in np.sort(rng.integers(0, 3 * 1440, count))]
    delay = np.round(rng.normal(10, 20, count), 1)
    frame = pl.DataFrame({
        "departs": pl.Series(departs, dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone(ZONE), "flight": range(count),
        "carrier": rng.choice(["UA", "AA"], count), "station": rng.choice(["EWR", "JFK", None], count, p=[0.5, 0.4, 0.1]),
        "distance": rng.integers(100, 900, count).astype(float), "delay": np.where(rng.random(count) < 0.1, np.nan, delay),
    }).with_columns(pl.col("delay").fill_nan(None), published=pl.col("departs") - pl.duration(hours=6))  # fmt: skip
    landed = pl.col("departs") + pl.duration(minutes=60) + pl.duration(minutes=pl.col("delay").fill_null(0).clip(-30).cast(pl.Int64))
    return frame.with_columns(landed=landed, late=pl.col("delay").fill_null(0) > 15)


def schedule_rows(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("departs", "flight", "carrier", "station", "distance", "published")


def landing_rows(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("departs", "flight", "carrier", "landed", "delay", "late")


def weather_rows(hours: int = 72) -> pl.DataFrame:
    rng = np.random.default_rng(2)
    hour = pl.Series("hour", [START + timedelta(hours=number) for number in range(hours)], dtype=pl.Datetime("us", "UTC"))
    frame = pl.DataFrame({"station": ["EWR", "JFK"]}).join(pl.DataFrame(hour.dt.convert_time_zone(ZONE)), how="cross").sort("hour")
    wind = pl.Series("wind", rng.normal(10, 4, frame.height))
    gust = pl.Series("gust", [None if place % 3 else value for place, value in enumerate(wind)], dtype=pl.Float64)
    return frame.with_columns(wind, gust, reported=pl.col("hour") + pl.duration(minutes=40)).filter(pl.col("hour").dt.day() != 2)


@dataclass(frozen=True)
class Airline:
    """A project with data; ``frame`` are all flights, of which those of the first two days are ingested."""

    backend: LocalBackend | HttpBackend
    frame: pl.DataFrame
    border: datetime

    def ingest(self, definition: DatasetDefinition, frame: pl.DataFrame) -> AssetVersion:
        return ingest_frame(self.backend, definition, frame, source="test").growth.version

    def view(self, definition: WindowsDefinition | FeaturesDefinition, **options: Any) -> AssetVersion:
        return build_view(self.backend, definition, definition_digest(definition), **options)

    def build(self) -> AssetVersion:
        for definition in (PACE, TRAFFIC, weather_view(), CALENDAR):
            self.view(definition)
        return self.assemble()

    def assemble(self, definition: TrainingSetDefinition = TRAINING, **options: Any) -> AssetVersion:
        return assemble(self.backend, definition, definition_digest(definition), **options)

    def later(self, column: str) -> pl.DataFrame:
        return self.frame.filter(pl.col(column).dt.epoch("us") >= int(self.border.timestamp() * 1e6)).sort(column)

    def between(self, start: datetime) -> pl.DataFrame:
        """Flights from a time up to the border."""
        departs = pl.col("departs").dt.epoch("us")
        return self.frame.filter(departs >= int(start.timestamp() * 1e6), departs < int(self.border.timestamp() * 1e6))
