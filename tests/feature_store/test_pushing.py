"""What a push costs: rows that are at hand are not read again, and a function runs once for all versions that share it."""

from typing import Any

import pytest
from small_airline import LANDINGS, WEATHER, Airline, landing_rows, schedule_rows, weather_rows, weather_view
from test_service import assert_no_skew, pin, push, served

from clew.catalog import service as catalog
from clew.catalog.schema import VersionRef
from clew.datasets import tail
from clew.datasets.service import cut_tail
from clew.feature_store.function_worker import FunctionWorker
from clew.feature_store.online_rows import OnlineRows
from clew.feature_store.service import catch_up, pin_views


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


def test_a_cut_brings_nothing_that_a_push_has_brought(airline: Airline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build cuts what was appended; the online rows are the same, and only what is new of a file is brought."""
    airline.build()
    pin(airline, served(airline))
    landed = landing_rows(airline.later("landed"))
    assert push(airline, "landings", landed[:5]).waiting == []
    airline.backend.call(cut_tail, "landings")
    brought: list[int] = []
    put = OnlineRows.put

    def spy(self: OnlineRows, *arguments: Any, **options: Any) -> Any:
        brought.append(1)
        return put(self, *arguments, **options)

    monkeypatch.setattr(OnlineRows, "put", spy)
    caught = airline.backend.call(catch_up)
    assert caught.waiting == []
    assert caught.views
    assert brought == []
    assert airline.backend.call(catch_up).views == []  # and it is not behind any more
    airline.ingest(LANDINGS, landed[5:8])
    assert airline.backend.call(catch_up).waiting == []
    assert brought
    assert_no_skew(airline, airline.later("published").head(20), served(airline))
