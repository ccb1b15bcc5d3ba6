"""Answers of the season's endpoint while a version is tried, written to the log as serving would write them."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from season import Season

from clew.clock import to_micros, wall_now
from clew.serving import service as serving
from clew.serving.answers import log_folder
from clew.serving.prediction_log import PredictionLog
from clew.serving.records import Other, Record, encode_record

ZONE = "America/New_York"


def write(season: Season, *rows: tuple[datetime, int, float, float | None]) -> None:
    """Answers of the champion, each with what the candidate said: ``(departs, flight, champion's score, candidate's)``."""
    route = season.backend.call(serving.endpoint_status, "late").route
    tried = route.candidate
    assert tried is not None
    features = np.zeros(len(route.document.features), np.float32).tobytes()
    log = PredictionLog(log_folder(season.backend.settings, season.backend.project))
    payloads = []
    for departs, flight, champion, candidate in rows:
        error = "13" if candidate is None else None
        other = Other(tried.document.number, features, {}, [], candidate, 900, error)
        row: dict[str, Any] = {"departs": departs.isoformat(), "flight": flight}
        at, now = to_micros(departs), to_micros(wall_now())
        payloads.append(
            encode_record(
                Record(now, at, "late", route.epoch, "late", route.document.number, row, features, {}, [], champion, 900, None, other)
            )
        )
    log.append(payloads)
    log.close()


def a_day(season: Season, start: datetime, *, candidate: str) -> list[tuple[datetime, int, float, float | None]]:
    """The flights of a day with an honest champion, and a candidate that says ``the same``, ``the contrary``, or ``a little else``."""
    found = []
    departs = pl.col("departs").dt.epoch("us")
    asked = season.frame.filter(departs >= to_micros(start), departs < to_micros(start + timedelta(days=1)))
    for at, flight, distance in asked.select("departs", "flight", "distance").iter_rows():
        score = float(1 / (1 + np.exp(-(distance - 600) / 150)))
        other = {"the same": score, "the contrary": 1 - score, "a little else": 0.97 * score + 0.015}[candidate]
        found.append((at, flight, score, other))
    return found
