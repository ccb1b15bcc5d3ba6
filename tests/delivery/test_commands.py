"""What people and programs get from ``clew rollouts``, ``deploy``, ``promote``, ``pause``, ``resume``, ``rollback`` and ``triggers``."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from declaring import START, STEPS, declare
from small_models import register_model_of
from typer.testing import CliRunner

from clew import backend as backends
from clew import console
from clew.access.service import set_event_time
from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.catalog.schema import definitions
from clew.cli import app
from clew.clock import to_micros, wall_now
from clew.definitions import (
    Condition,
    EndpointDefinition,
    FunctionRef,
    GuardDefinition,
    ModelDefinition,
    MonitorDefinition,
    TriggerDefinition,
)
from clew.delivery import service as delivery
from clew.serving import service as serving
from clew.serving.answers import log_folder
from clew.serving.prediction_log import PredictionLog
from clew.serving.records import Record, encode_record


@pytest.fixture
def late(local_backend: LocalBackend) -> LocalBackend:
    """late@1 answers; late@2 and late@3 are there, and a trigger on a schedule."""
    local_backend.call(set_event_time, START)
    for slope in (1.0, -1.0, 2.0):
        register_model_of(local_backend, "late", slope=slope)
    declare(
        local_backend,
        EndpointDefinition("late", "late", STEPS, GuardDefinition(harm=0.02)),
        ModelDefinition("late", "training", {}, None, None, False, FunctionRef("flights", "late", "flights.py")),
        TriggerDefinition("retrain", "late", (Condition("cron", cron="0 4 2 * *"), Condition("worse", monitor="quality"))),
    )
    local_backend.call(serving.deploy_ungated, "late", "late@1", "a test")
    return local_backend


def run(*arguments: str, fails: bool = False) -> str:
    console.use_json(False)
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "400"})
    console.use_json(False)
    assert (result.exit_code != 0) == fails, result.output
    return result.output if not fails else str(result.exception)  # which the program's last line says


def test_a_version_is_sent_out_held_let_go_on_and_promoted(late: LocalBackend) -> None:
    sent = run("deploy", "late@2", "--ungated", "--reason", "a test")
    assert "late@2 is on its way: in shadow, it answers nobody yet; late@1 answers meanwhile" in sent
    assert "late@2 behind late is paused, 1 of 2: shadow for 2d: a holiday" in run("pause", "late", "--reason", "a holiday")
    late.call(delivery.advance_clock, START + timedelta(days=5))
    assert json.loads(run("resume", "late", "--json"))["state"] == "running"
    (one,) = json.loads(run("rollouts", "--json"))
    assert (one["endpoint"], one["state"], one["step"], len(one["history"])) == ("late", "running", 0, 3)
    listed = run("rollouts", "late")
    assert "a holiday" in listed and "resumed by hand" in listed and "1 of 2: shadow for 2d" in listed
    assert "late@2 behind late is promoted" in run("promote", "late", "--reason", "we know it well")
    assert "no version is on its way behind 'late'" in run("promote", "late", fails=True)
    assert "no version is on its way behind 'late'" in run("pause", "late", fails=True)


def test_a_rollback_ends_what_is_on_its_way_and_then_goes_back(late: LocalBackend) -> None:
    run("deploy", "late@2", "--ungated", "--reason", "a test")
    status = json.loads(run("rollback", "late", "--reason", "second thoughts", "--json"))
    assert (status["route"]["document"]["number"], status["route"]["candidate"]) == (1, None)
    assert json.loads(run("rollouts", "late", "--json"))[0]["state"] == "rolled back"
    run("deploy", "late@3", "--ungated", "--reason", "at once", "--now")
    assert "late serves late@1" in run("rollback", "late")


def test_with_now_the_bounds_are_left_out_as_well_when_told_so(late: LocalBackend) -> None:
    status = json.loads(run("deploy", "late@3", "--ungated", "--reason", "at once", "--now", "--without-bounds", "--json"))
    assert status["route"]["document"]["number"] == 3
    refused = run("deploy", "late@2", "--without-bounds", fails=True)
    assert "are left out only with ungated=True" in refused


def test_without_a_gate_it_says_how_to_go_on(late: LocalBackend) -> None:
    assert 'clew deploy late@2 --ungated --reason "…"' in run("deploy", "late@2", fails=True)


@pytest.mark.parametrize("ungated", [(), ("--ungated", "--reason", "a test")], ids=["gated", "ungated"])
def test_a_model_whose_newest_version_was_rejected_is_not_deployed_without_a_number(late: LocalBackend, ungated: tuple[str, ...]) -> None:
    late.context("test").run_write(lambda inside: catalog.mark_version(inside, "late", 3, "rejected", "worse, AUC −0.021"))
    refused = run("deploy", "late", *ungated, fails=True)
    assert "late@3, the newest version of late, was rejected: worse, AUC −0.021. `clew deploy late@2` sends" in refused
    assert 'clew deploy late@3 --ungated --reason "…"' in refused
    assert late.call(delivery.list_rollouts).items == []


def test_a_model_without_a_number_is_its_newest_version(late: LocalBackend) -> None:
    assert "late@3 is on its way" in run("deploy", "late", "--ungated", "--reason", "a test")


def test_triggers_are_listed_fired_paused_and_resumed(late: LocalBackend) -> None:
    late.call(delivery.advance_clock, START + timedelta(hours=1))
    listed = run("triggers")
    assert "retrain" in listed and "0 4 2 * * (UTC) or quality says worse" in listed
    (one,) = json.loads(run("triggers", "--json"))
    next_at = datetime.fromisoformat(one["next_at"])
    assert (one["name"], one["state"], one["barren"], next_at) == ("retrain", "active", 0, datetime(2013, 4, 2, 4, tzinfo=UTC))
    assert "of late is queued" in run("triggers", "fire", "retrain", "--reason", "I want it")
    assert "can't ask for a build of 'late' now: the build" in run("triggers", "fire", "retrain", fails=True)
    assert "retrain is paused: a holiday" in run("triggers", "pause", "retrain", "--reason", "a holiday")
    assert "a holiday" in run("triggers")
    assert json.loads(run("triggers", "resume", "retrain", "--json"))["state"] == "active"
    assert "no trigger 'retrian' is defined here" in run("triggers", "fire", "retrian", fails=True)


def test_in_a_replay_all_that_is_listed_of_an_endpoint_is_told_in_event_time(late: LocalBackend) -> None:
    opened, asked = console.instant(START), START + timedelta(hours=3)
    assert console.instant(datetime(2013, 4, 2, 4, tzinfo=UTC)) in run("triggers"), "before event time has moved"
    late.call(delivery.advance_clock, START + timedelta(days=1))
    log = PredictionLog(log_folder(late.settings, late.project))
    log.append([encode_record(Record(to_micros(wall_now()), to_micros(asked), "late", 1, "late", 1, {}, b"", {}, [], 0.5, 900, None))])
    log.close()
    run("deploy", "late@2", "--ungated", "--reason", "a test")
    tried = console.instant(START + timedelta(days=1))
    for command, told in (
        (("endpoints",), [opened]),
        (("endpoints", "late"), [opened, console.instant(asked), tried]),
        (("rollouts",), [tried]),
    ):
        listed = run(*command)
        assert [time for time in told if time not in listed] == []
        assert f"{wall_now():%Y-%m}" not in listed


def test_lists_say_what_was_due_and_is_not_done(local_backend: LocalBackend) -> None:
    register_model_of(local_backend, "late", slope=1.0)
    declare(local_backend, MonitorDefinition("quality", "late"), MonitorDefinition("other", "late"))
    long_ago = wall_now() - timedelta(days=40)
    local_backend.context("test").run_write(lambda inside: inside.db.execute(sa.update(definitions).values(created_at=long_ago)))
    for command in (("monitors",), ("rollouts",), ("triggers",)):
        said = run(*command)
        assert "a look of other was due at" in said
        assert "and 1 more, and nobody has done it; is `clew up` running?" in said
    local_backend.context("test").run_write(lambda inside: inside.db.execute(sa.update(definitions).values(created_at=wall_now())))
    assert "was due" not in run("monitors")


def test_where_nothing_is_there_it_says_what_brings_it(local_backend: LocalBackend) -> None:
    backends.use(local_backend)
    assert "no version has been on its way yet: `clew deploy <model>@<version>` sends one" in run("rollouts")
    assert "no trigger is declared: clew.on(…), then `clew apply`" in run("triggers")
    assert json.loads(run("rollouts", "--json")) == [] and json.loads(run("triggers", "--json")) == []
