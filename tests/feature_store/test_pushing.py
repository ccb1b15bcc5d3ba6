"""What a push costs: rows that are at hand are not read again, and a function runs once for all versions that share it."""

from typing import Any

import pytest
from small_airline import WEATHER, Airline, landing_rows, schedule_rows, weather_rows, weather_view
from test_service import pin, push, served

from clew.catalog import service as catalog
from clew.catalog.schema import VersionRef
from clew.datasets import tail
from clew.feature_store.function_worker import FunctionWorker
from clew.feature_store.service import pin_views


def test_rows_of_other_datasets_in_between_make_nobody_read_the_tail_again(airline: Airline, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sequence numbers run over all datasets: a gap in one is no missing row."""
    airline.build()
    pin(airline, served(airline))
    landed, planned = landing_rows(airline.later("landed")), schedule_rows(airline.later("published"))
    read: list[int] = []
    uncut = tail.uncut

    def spy(*arguments: Any, **options: Any) -> Any:
        found = uncut(*arguments, **options)
        read.append(len(found))
        return found

    monkeypatch.setattr(tail, "uncut", spy)
    for place in range(4):
        for name, frame in (("landings", landed), ("schedule", planned)):
            assert push(airline, name, frame[place : place + 1]).waiting == []
    assert read == []


def test_two_versions_by_one_definition_run_its_function_once(airline: Airline, monkeypatch: pytest.MonkeyPatch) -> None:
    airline.build()
    first = airline.backend.call(catalog.resolve, "station_weather")
    airline.ingest(WEATHER, weather_rows(73).tail(1))
    second = airline.view(weather_view())
    assert second.number > first.number
    views = [VersionRef(first.name, first.number), VersionRef(second.name, second.number)]
    assert airline.backend.call(pin_views, owner="endpoint:late", views=views).waiting == []
    calls: list[int] = []
    run = FunctionWorker.__call__

    def spy(self: FunctionWorker, *frames: Any) -> Any:
        calls.append(1)
        return run(self, *frames)

    monkeypatch.setattr(FunctionWorker, "__call__", spy)
    assert push(airline, "weather", weather_rows(75).tail(2)).waiting == []
    assert len(calls) == 1
