"""``clew features`` and ``clew revert``, as a person calls them."""

import json
from dataclasses import replace
from typing import Any

import pytest
from small_airline import PACE, Airline
from typer.testing import CliRunner

from clew import backend as backends
from clew import console
from clew.catalog.schema import VersionRef
from clew.cli import app
from clew.errors import Invalid
from clew.feature_store.commands import COMMANDS
from clew.feature_store.service import pin_views


def call(airline: Airline, *words: str) -> str:
    backends.use(airline.backend)
    console.use_json(False)  # a real process runs one command only
    done = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def as_json(airline: Airline, *words: str) -> Any:
    return json.loads(call(airline, *words, "--json"))


def test_features_lists_shows_and_reverts(airline: Airline) -> None:
    airline.build()
    airline.view(replace(PACE, over=("3h",)))
    assert "station_weather" in call(airline, "features")
    assert [item["name"] for item in as_json(airline, "features")["items"]] == ["calendar", "pace", "station_weather", "traffic"]
    shown = call(airline, "features", "pace@1")
    assert "pace@1: windows over landings@1" in shown
    assert "late_2h" in shown
    assert as_json(airline, "features", "station_weather", "--rows", "2")[0]["station"] == "EWR"
    assert "not kept online" in shown
    reverted = call(airline, "revert", "pace@1")
    assert "pace@3 is pace@1 again" in reverted
    assert "Your files still lead: the next `clew build` takes pace as they declare it" in reverted
    assert "kept online for the revert that brought it back" in call(airline, "features", "pace@3")
    airline.backend.call(pin_views, owner="endpoint:late", views=[VersionRef("pace", 3)])
    assert "kept online for the endpoint late, the revert that brought it back" in call(airline, "features", "pace@3")
    assert as_json(airline, "revert", "pace@2")["of"] == 2


def test_a_revert_without_a_number_is_told_how(airline: Airline) -> None:
    airline.build()
    with pytest.raises(Invalid, match="clew revert pace@3"):
        COMMANDS["revert"]("pace")
