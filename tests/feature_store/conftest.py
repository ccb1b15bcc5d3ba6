"""The small airline as a fixture. Its definitions stand in ``small_airline``, beside."""

import sys
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from clew.backend import HttpBackend, LocalBackend
from clew.testing.server import LiveServer

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by path, and these two are imported by name

from small_airline import LANDINGS, SCHEDULE, START, WEATHER, Airline, flights, landing_rows, schedule_rows, weather_rows


@pytest.fixture
def airline(backend: LocalBackend) -> Airline:
    return settled(backend)


@pytest.fixture
def remote_airline(live_server: LiveServer) -> Airline:
    """The same behind a real server: every operation, file and table goes over HTTP."""
    return settled(live_server.backend())


def settled(backend: LocalBackend | HttpBackend) -> Airline:
    made = Airline(backend, flights(), START + timedelta(days=2))
    before = int(made.border.timestamp() * 1e6)
    made.ingest(SCHEDULE, schedule_rows(made.frame.filter(pl.col("published").dt.epoch("us") < before)))
    made.ingest(LANDINGS, landing_rows(made.frame.filter(pl.col("landed").dt.epoch("us") < before)))
    made.ingest(WEATHER, weather_rows(48))
    return made
