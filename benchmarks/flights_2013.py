"""The flights of 2013 as rows of a model: what was known at each scheduled departure, and whether the flight came late.

The same views as ``examples/flights``, in one pass and without a project, so that a benchmark can fit dozens of models on them.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from clew.feature_store.windows import EventColumn, Events, sliding

sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "flights"))  # where the raw files are read and tidied

from prepare import read_flights, read_weather
from source_data import fetch

__all__ = ["Flights", "load"]

_HOUR = 3_600_000_000
_WINDOWS = {"carrier": (6, 168), "origin": (3, 168), "dest": (6,), "tailnum": (24,)}


@dataclass(frozen=True)
class Flights:
    """Labelled rows in order of departure: features ``(n, f)``, label, and the day of the year in New York, from 0."""

    features: npt.NDArray[np.float32]
    names: tuple[str, ...]
    late: npt.NDArray[np.bool_]
    day: npt.NDArray[np.int64]

    def days(self, first: int, last: int) -> npt.NDArray[np.bool_]:
        """The rows of the days from ``first`` up to, not including, ``last``."""
        return (self.day >= first) & (self.day < last)


def load() -> Flights:
    """All labelled flights of the year; the raw files are downloaded when they are not there yet."""
    folder = fetch(Path(__file__).parents[1] / "examples" / "flights" / "data")
    flights = pl.concat([read_flights(file).collect() for file in sorted(folder.glob("flights-*.csv"))]).sort("departs")
    weather = pl.concat([read_weather(file).collect() for file in sorted(folder.glob("weather-*.csv"))]).sort("reported")
    late = (flights["delay"] > 15).cast(pl.Int64)
    columns: dict[str, npt.NDArray[np.generic]] = {}
    departs = flights["departs"].dt.timestamp("us").to_numpy()
    landed = flights["landed"].is_not_null().to_numpy()
    for entity, hours in _WINDOWS.items():
        codes = flights[entity].cast(pl.Categorical).to_physical().cast(pl.Int64).fill_null(-1).to_numpy()
        times = flights["landed"].dt.timestamp("us").to_numpy()[landed].astype(np.int64)
        known = {
            "late": EventColumn(late.to_numpy()[landed].astype(np.int64), np.ones(landed.sum(), np.bool_)),
            "delay": EventColumn(flights["delay"].to_numpy()[landed].astype(np.float64), np.ones(landed.sum(), np.bool_)),
        }
        events = Events(codes[landed], times, times, known)
        for width in hours:
            found = sliding(codes, departs, events, width * _HOUR, [("mean", "late"), ("mean", "delay"), ("count", None)])
            columns |= {f"{entity}_{name}_{width}h": values for name, values in zip(("late", "delay", "flown"), found, strict=True)}
    joined = flights.join_asof(
        weather.drop("hour"), left_on="departs", right_on="reported", by="origin", tolerance="3h", check_sortedness=False
    )
    columns |= {name: joined[name].to_numpy() for name in ("temp", "wind_speed", "visib", "precip", "pressure")}
    columns |= {"hour": flights["departs"].dt.hour().to_numpy(), "weekday": flights["departs"].dt.weekday().to_numpy()}
    columns["distance"] = flights["distance"].to_numpy()
    features = np.column_stack([values.astype(np.float32) for values in columns.values()])
    day = flights["departs"].dt.ordinal_day().to_numpy().astype(np.int64) - 1
    return Flights(features[landed], tuple(columns), late.to_numpy()[landed].astype(np.bool_), day[landed])
