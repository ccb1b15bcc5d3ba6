"""What people and programs get from ``clew monitors`` and ``clew alerts``; and the same from Python."""

import json
from datetime import datetime, timedelta

import pytest
from season import OUTAGE, SERVED, Season
from typer.testing import CliRunner

from clew import backend as backends
from clew import console
from clew.cli import app
from clew.definitions import MonitorDefinition
from clew.monitoring.looking import look

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:Skipping features without:UserWarning")


@pytest.fixture
def told(season: Season) -> Season:
    """The weather is gone for a day, and a monitor has seen it."""
    backends.use(season.backend)
    season.declare(MonitorDefinition("quality", "late"))
    season.now(OUTAGE + timedelta(days=1))
    season.backend.call(look, "quality")
    return season


def run(*arguments: str, fails: bool = False) -> str:
    console.use_json(False)
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "400"})
    console.use_json(False)
    assert (result.exit_code != 0) == fails, result.output
    return result.output


def test_monitors_are_listed_with_their_words(told: Season) -> None:
    output = run("monitors")
    assert "quality" in output and "missing" in output
    (one,) = json.loads(run("monitors", "--json"))
    assert (one["name"], one["endpoint"], one["alerts"]) == ("quality", "late", 1)


def test_one_monitor_is_shown_with_its_looks_and_looks_when_told_to(told: Season) -> None:
    assert "its ttl is 2h" in run("monitors", "quality", "--limit", "3")
    told.now(OUTAGE + timedelta(days=2))
    before = len(json.loads(run("monitors", "quality", "--limit", "500", "--json")))
    run("monitors", "quality", "--look")
    assert len(json.loads(run("monitors", "quality", "--limit", "500", "--json"))) == before + 4


def test_looks_in_a_row_that_found_the_same_are_one_line(told: Season) -> None:
    looks = json.loads(run("monitors", "quality", "--kind", "missing", "--limit", "500", "--json"))
    same = [one for one in looks if one["word"] == "safe"]
    assert len({one["summary"] for one in same}) == 1 and len(same) > 20
    listed = run("monitors", "quality", "--kind", "missing").splitlines()
    (line,) = [one for one in listed if "nothing more than in the reference" in one]
    assert (
        f"{console.instant(datetime.fromisoformat(same[-1]['start']))}  {console.instant(datetime.fromisoformat(same[0]['end']))}" in line
    )
    assert f"  {len(same)}  " in line
    assert len(listed) == 1 + len({one["summary"] for one in looks})
    assert len(run("monitors", "quality", "--limit", "1").splitlines()) == 2
    assert "no window was due" in run("monitors", "quality", "--look")


def test_an_alert_is_acknowledged_silenced_and_resolved(told: Season) -> None:
    (alert,) = json.loads(run("alerts", "--json"))
    number = str(alert["id"])
    assert "is acknowledged: the provider is asked" in run("alerts", "ack", number, "--reason", "the provider is asked")
    assert "is silenced until 2013-05-23 22:00 UTC" in run("alerts", "silence", number, "--for", "2d")
    assert json.loads(run("alerts", "resolve", number, "--json"))["state"] == "resolved"
    assert "no alert waits for anybody" in run("alerts")
    assert number in run("alerts", "--all")


def test_the_same_from_python(told: Season) -> None:
    from clew.sdk.monitors import Monitor

    quality = Monitor(MonitorDefinition("quality", "late"))
    assert quality.look() == []
    assert quality.looks("missing", limit=1)[0].word == "missing"
    (alert,) = quality.alerts()
    assert str(alert).startswith("quality: missing of station_weather, missing: the newest row is")
    assert quality.alerts(resolved=True) == [alert]


def test_the_profile_is_told_by_the_command(season: Season) -> None:
    backends.use(season.backend)
    season.serve(SERVED, SERVED + timedelta(weeks=2))
    season.declare(MonitorDefinition("quality", "late", drift=True, missing=False))
    season.now(SERVED + timedelta(weeks=2))
    assert "has looked at no whole week yet" in run("monitors", "quality", "--profile")
    run("monitors", "quality", "--look")
    told = run("monitors", "quality", "--profile")
    assert "2 weeks, 2013-03-31 04:00 to 2013-04-14 04:00 UTC, against late@2" in told
    assert "422 rows, 2,509 there" in told and "predictions" in told
    found = json.loads(run("monitors", "quality", "--profile", "--weeks", "1", "--json"))
    assert (found["weeks"], found["profile"]["rows"], found["before"]["rows"]) == (1, 209, 2509)
