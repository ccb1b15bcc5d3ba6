"""Deploying, rolling back, and what serving processes report, on both databases, with a real model."""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from clew.access.service import list_events, set_event_time
from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion, DefinitionDraft, LineageGraph
from clew.clock import wall_now
from clew.definitions import EndpointDefinition, FunctionRef, GateDefinition, definition_digest, to_document
from clew.errors import Conflict, Invalid, NotFound, Refused
from clew.operations import operation_of
from clew.serving import service
from clew.serving.schema import Acknowledgement, Minute, Route

Register = Callable[..., AssetVersion]


def judge(backend: LocalBackend, number: int, *, passed: bool) -> None:
    context = backend.context(backend.project)
    word = "better" if passed else "worse"
    context.run_write(
        lambda inside: catalog.add_verdict(
            inside, gate="no_worse", model="late", number=number, passed=passed, word=word, reason="28 days, 25,358 rows", figures={}
        )
    )


def apply(backend: LocalBackend, *definitions: EndpointDefinition | GateDefinition) -> None:
    drafts = [
        DefinitionDraft("endpoint" if isinstance(one, EndpointDefinition) else "gate", one.name, definition_digest(one), to_document(one))
        for one in definitions
    ]
    backend.call(catalog.apply_definitions, drafts)


def test_a_version_that_passed_its_gate_is_deployed_and_the_alias_moves_with_the_route(backend: LocalBackend, register: Register) -> None:
    register(backend, "late", slope=1.0)
    judge(backend, 1, passed=True)
    route = backend.call(service.deploy, "late", "late@1")
    assert (route.epoch, str(route.ref), route.in_force, route.ungated) == (1, "late@1", True, False)
    assert backend.call(catalog.resolve, "late@champion").number == 1
    with pytest.raises(Conflict, match="belongs to the endpoint 'late' and moves with its route"):
        backend.call(catalog.set_alias, "late", "champion", 1)


def test_a_version_that_no_gate_judged_is_refused_with_the_way_out(backend: LocalBackend, register: Register) -> None:
    register(backend, "late", slope=1.0)
    with pytest.raises(Refused, match=r"no gate has judged late@1.*--ungated --reason"):
        backend.call(service.deploy, "late", "late@1")
    with pytest.raises(NotFound):
        backend.call(service.endpoint_status, "late")


def test_a_version_that_a_gate_rejected_is_refused(backend: LocalBackend, register: Register) -> None:
    register(backend, "late", slope=1.0)
    judge(backend, 1, passed=True)
    judge(backend, 1, passed=False)
    with pytest.raises(Refused, match="did not pass the gate 'no_worse': worse, 28 days, 25,358 rows"):
        backend.call(service.deploy, "late", "late@1")


def test_a_declared_gate_that_did_not_run_is_named(backend: LocalBackend, register: Register) -> None:
    register(backend, "late", slope=1.0)
    judge(backend, 1, passed=True)
    apply(backend, GateDefinition("fair", "late", "late_training", FunctionRef("m", "fair", "m.py")))
    with pytest.raises(Refused, match="late@1 has not been through the gate 'fair'"):
        backend.call(service.deploy, "late", "late@1")


def test_a_refit_is_deployed_by_the_gate_of_the_version_it_refits(backend: LocalBackend, register: Register) -> None:
    tested = register(backend, "late", slope=1.0)
    register(backend, "late", slope=2.0, refit_of=tested.ref)
    judge(backend, 1, passed=True)
    assert str(backend.call(service.deploy, "late", "late@2").ref) == "late@2"


def test_an_ungated_deploy_needs_a_reason_that_stays_on_record(backend: LocalBackend, register: Register) -> None:
    register(backend, "late", slope=1.0)
    with pytest.raises(Invalid, match="needs a reason"):
        backend.call(service.deploy_ungated, "late", "late@1", " ")
    route = backend.call(service.deploy_ungated, "late", "late@1", "the fire drill")
    assert (route.ungated, route.reason, route.created_by) == (True, "the fire drill", "local")


def test_the_version_that_is_served_is_not_deployed_again(backend: LocalBackend, register: Register) -> None:
    register(backend, "late", slope=1.0)
    first = backend.call(service.deploy_ungated, "late", "late@1", "try")
    assert backend.call(service.deploy_ungated, "late", "late@champion", "try") == first


def test_an_endpoint_serves_the_model_that_it_was_declared_for(backend: LocalBackend, register: Register) -> None:
    register(backend, "churn", slope=1.0)
    apply(backend, EndpointDefinition("late", "late"))
    with pytest.raises(Invalid, match="the endpoint 'late' serves 'late', not 'churn'"):
        backend.call(service.deploy_ungated, "late", "churn@1", "mistake")


def test_a_second_endpoint_of_a_model_leaves_the_alias_to_the_first(backend: LocalBackend, register: Register) -> None:
    for slope in (1.0, 2.0):
        register(backend, "late", slope=slope)
    backend.call(service.deploy_ungated, "late", "late@1", "try")
    backend.call(service.deploy_ungated, "late-trial", "late@2", "try")
    assert backend.call(catalog.resolve, "late@champion").number == 1
    assert [(one.name, one.number) for one in backend.call(service.list_endpoints).items] == [("late", 1), ("late-trial", 2)]


def test_rollback_walks_back_deploy_by_deploy_and_then_says_that_there_is_no_more(backend: LocalBackend, register: Register) -> None:
    for slope in (1.0, 2.0, 3.0):
        register(backend, "late", slope=slope)
    for number in (1, 2, 3):
        backend.call(service.deploy_ungated, "late", f"late@{number}", "try")
    assert str(backend.call(service.rollback, "late", "worse").ref) == "late@2"
    assert backend.call(catalog.resolve, "late@champion").number == 2
    assert str(backend.call(service.rollback, "late").ref) == "late@1"
    with pytest.raises(Conflict, match="no earlier route"):
        backend.call(service.rollback, "late")
    backend.call(service.deploy_ungated, "late", "late@3", "mended")
    assert str(backend.call(service.rollback, "late").ref) == "late@1"
    history = backend.call(service.route_history, "late", limit=4)
    assert [(route.epoch, route.cause, route.document.number) for route in history.items] == [
        (7, "rollback", 1), (6, "deploy", 3), (5, "rollback", 1), (4, "rollback", 2),
    ]  # fmt: skip
    older = backend.call(service.route_history, "late", cursor=history.next_cursor)
    assert [route.epoch for route in older.items] == [3, 2, 1]
    assert [route.in_force for route in history.items + older.items] == [True] + [False] * 6


def test_names_that_nobody_serves_say_what_there_is(backend: LocalBackend, register: Register) -> None:
    with pytest.raises(NotFound, match="nothing is deployed yet"):
        backend.call(service.rollback, "late")
    register(backend, "late", slope=1.0)
    backend.call(service.deploy_ungated, "late", "late@1", "try")
    with pytest.raises(NotFound, match="no endpoint named 'early' has a route; there are late"):
        backend.call(service.endpoint_status, "early")
    with pytest.raises(NotFound, match="there is no late@9"):
        backend.call(service.deploy, "late", "late@9")


def test_an_endpoint_is_flipped_when_every_living_process_serves_its_route(backend: LocalBackend, register: Register) -> None:
    register(backend, "late", slope=1.0)
    backend.call(service.deploy_ungated, "late", "late@1", "try")
    assert not backend.call(service.endpoint_status, "late").flipped
    now = wall_now()
    minute = Minute(now.replace(second=0, microsecond=0), 10, 12, 1, 900, 2_000, ignored={"hr": 3, "\0": 1})
    for process in ("sp_a", "sp_b"):
        said = [Acknowledgement("late", 1, "serving" if process == "sp_a" else "loaded")]
        backend.call(service.report_serving, process, "http://127.0.0.1:7341", now, said, {"late": [minute]})
    status = backend.call(service.endpoint_status, "late")
    assert {one.process: (one.state, one.alive) for one in status.processes} == {"sp_a": ("serving", True), "sp_b": ("loaded", True)}
    assert not status.flipped
    backend.call(service.report_serving, "sp_b", "http://127.0.0.1:7341", now, [Acknowledgement("late", 1, "serving")], {"late": [minute]})
    status = backend.call(service.endpoint_status, "late")
    assert status.flipped
    assert (status.requests, status.errors) == (20, 2)
    assert status.minutes[0].p95_us == 2_000
    assert status.ignored == status.minutes[0].ignored == {"hr": 6, "\0": 2}


def test_a_report_of_the_same_minute_replaces_the_one_before(backend: LocalBackend, register: Register) -> None:
    register(backend, "late", slope=1.0)
    backend.call(service.deploy_ungated, "late", "late@1", "try")
    now = wall_now()
    for requests in (1, 5):
        minutes = {"late": [Minute(now.replace(second=0, microsecond=0) - timedelta(minutes=1), requests, requests, 0, 1, 2)]}
        backend.call(service.report_serving, "sp_a", "http://x", now, [], minutes)
    assert backend.call(service.endpoint_status, "late").requests == 5


def test_a_deploy_without_a_gate_is_a_permission_of_its_own() -> None:
    assert operation_of(service.deploy_ungated).permission != operation_of(service.deploy).permission


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from clew.access.service import list_events, set_event_time
from clew.backend import LocalBackend
from clew.serving import online, service
from clew.settings import load_settings

home, url, where = sys.argv[1:]
def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)
if where == "before the online rows":
    online.fill = die
elif where == "inside the transaction":
    service._move_champion = die
else:
    online.release = die
settings = replace(load_settings(Path(home).parent, {}), project="test", database_url=url)
LocalBackend(settings).call(service.deploy_ungated, "late", "late@2", "a test")
"""


@pytest.mark.parametrize(
    ("where", "epoch"), [("before the online rows", 1), ("inside the transaction", 1), ("after the commit", 2)], ids=lambda item: str(item)
)
def test_a_deploy_killed_anywhere_is_whole_or_not_there(backend: LocalBackend, register: Register, where: str, epoch: int) -> None:
    for slope in (1.0, 2.0):
        register(backend, "late", slope=slope)
    backend.call(service.deploy_ungated, "late", "late@1", "a test")
    command = [sys.executable, "-c", KILLED, str(backend.settings.home), backend.settings.database_url, where]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    status = backend.call(service.endpoint_status, "late")
    assert (status.route.epoch, status.endpoint.number) == (epoch, epoch)
    assert backend.call(catalog.resolve, "late@champion").number == epoch
    again = backend.call(service.deploy_ungated, "late", "late@2", "again")
    assert (again.epoch, again.document.number) == (2, 2)


# ── candidates ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def champion(backend: LocalBackend, register: Register) -> LocalBackend:
    for slope in (1.0, -1.0, 2.0):
        register(backend, "late", slope=slope)
    backend.call(service.deploy_ungated, "late", "late@1", "a test")
    return backend


def try_it(backend: LocalBackend, reference: str = "late@2", share: float = 0.0, salt: str = "salt") -> Route:
    return backend.call(service.try_candidate_ungated, "late", reference, salt, "a test", share)


def test_a_candidate_comes_beside_the_champion_and_moves_on_with_its_salt(champion: LocalBackend) -> None:
    shadow = try_it(champion)
    assert (shadow.epoch, shadow.cause, str(shadow.ref)) == (2, "candidate", "late@1")
    assert shadow.candidate is not None
    assert (str(shadow.candidate.ref), shadow.candidate.share) == ("late@2", 0.0)
    assert try_it(champion).epoch == 2  # the same again changes nothing
    canary = try_it(champion, share=0.1)
    assert canary.candidate is not None
    assert (canary.epoch, canary.candidate.share, canary.candidate.salt) == (3, 0.1, "salt")
    assert champion.call(catalog.resolve, "late@champion").number == 1


def test_a_promotion_makes_the_candidate_the_champion(champion: LocalBackend) -> None:
    try_it(champion, share=0.1)
    route = champion.call(service.deploy_ungated, "late", "late@2", "promoted")
    assert (str(route.ref), route.candidate) == ("late@2", None)
    assert champion.call(catalog.resolve, "late@champion").number == 2


def test_a_rollback_closes_the_candidate_first_and_goes_back_after(champion: LocalBackend) -> None:
    champion.call(service.deploy_ungated, "late", "late@3", "a test")
    try_it(champion)
    closed = champion.call(service.rollback, "late", "not today")
    assert (str(closed.ref), closed.candidate, closed.cause, closed.reason) == ("late@3", None, "closed", "not today")
    assert str(champion.call(service.rollback, "late").ref) == "late@1"


def test_two_candidates_at_once_are_a_conflict(champion: LocalBackend) -> None:
    try_it(champion)
    with pytest.raises(Conflict, match="late@2 is tried"):
        try_it(champion, "late@3")
    with pytest.raises(Conflict, match="late@1 answers"):
        try_it(champion, "late@1")


def test_a_candidate_needs_a_gate_or_a_reason(champion: LocalBackend) -> None:
    with pytest.raises(Refused, match="no gate has judged late@2"):
        champion.call(service.try_candidate, "late", "late@2", "salt")
    with pytest.raises(Invalid, match="needs a reason"):
        champion.call(service.try_candidate_ungated, "late", "late@2", "salt", " ")
    with pytest.raises(Invalid, match="share"):
        try_it(champion, share=1.0)


def test_what_a_guard_closed_is_closed_once_and_for_its_candidate_only(champion: LocalBackend) -> None:
    epoch = try_it(champion).epoch
    first = champion.call(service.close_candidate, "late", epoch, "it failed", "guard")
    assert (first.epoch, first.candidate, first.reason) == (3, None, "it failed")
    assert champion.call(service.close_candidate, "late", epoch, "it failed", "guard").epoch == 3  # a second process says so too
    again = try_it(champion, salt="another").epoch
    assert champion.call(service.close_candidate, "late", epoch, "it failed", "guard").epoch == again  # a late word of the first trial
    events = [event for event in champion.call(list_events).items if event.kind == "candidate.closed"]
    assert [(event.body["by"], event.body["reason"]) for event in events] == [("guard", "it failed")]


def test_the_reason_of_an_endpoint_is_the_one_by_which_its_version_answers(champion: LocalBackend) -> None:
    deployed = champion.call(service.endpoint_status, "late").reason
    assert deployed == champion.call(service.endpoint_status, "late").route.reason != ""
    epoch = try_it(champion).epoch
    assert champion.call(service.endpoint_status, "late").reason == deployed
    champion.call(service.close_candidate, "late", epoch, "out of bounds", "guard")
    closed = champion.call(service.endpoint_status, "late")
    assert (closed.reason, closed.route.reason) == (deployed, "out of bounds"), "the candidate's reason is none for the champion"
    champion.call(service.deploy_ungated, "late", "late@2", "a better one")
    assert champion.call(service.endpoint_status, "late").reason == "a better one"
    champion.call(service.rollback, "late", "not so good")
    assert champion.call(service.endpoint_status, "late").reason == "not so good"


def test_what_a_notebook_prints_is_a_line(champion: LocalBackend) -> None:
    try_it(champion)
    status = champion.call(service.endpoint_status, "late")
    assert repr(status) == "<endpoint late: late@1, epoch 2, late@2 tried beside it; no serving process runs>"
    version = champion.call(catalog.get_version, "late", 1)
    assert repr(version) == "<model late@1, ready: a test>"
    assert repr(champion.call(catalog.lineage, "late", 1)) == "<lineage of 1 versions by 0 edges: late@1>"
    many = LineageGraph([replace(version, number=number) for number in range(1, 11)], [])
    assert repr(many).endswith("late@7, late@8 and 2 more>")


def test_a_version_that_was_deployed_twice_is_left_by_one_rollback(champion: LocalBackend) -> None:
    champion.call(service.deploy_ungated, "late", "late@2", "the second")
    try_it(champion, "late@3")
    champion.call(service.deploy_ungated, "late", "late@2", "the second again, to end the trial")
    back = champion.call(service.rollback, "late")
    assert str(back.ref) == "late@1"
    with pytest.raises(Conflict, match="no earlier route"):
        champion.call(service.rollback, "late")


def test_in_a_replay_an_endpoint_tells_event_time(backend: LocalBackend, register: Register) -> None:
    opened, later = datetime(2013, 4, 1, 4, tzinfo=UTC), datetime(2013, 4, 3, tzinfo=UTC)
    backend.call(set_event_time, opened)
    for slope in (1.0, 2.0):
        register(backend, "late", slope=slope)
    backend.call(service.deploy_ungated, "late", "late@1", "a test")
    backend.call(set_event_time, later)
    assert backend.call(service.list_endpoints).items[0].deployed_at == opened
    assert backend.call(service.deploy_ungated, "late", "late@2", "a test").created_at == later
    assert [route.created_at for route in backend.call(service.route_history, "late").items] == [later, opened]
    assert backend.call(service.endpoint_status, "late").endpoint.deployed_at == later


def test_an_endpoint_tells_since_when_its_version_answers_and_not_when_a_candidate_came(backend: LocalBackend, register: Register) -> None:
    opened, later = datetime(2013, 4, 1, 4, tzinfo=UTC), datetime(2013, 4, 3, tzinfo=UTC)
    backend.call(set_event_time, opened)
    for slope in (1.0, 2.0):
        register(backend, "late", slope=slope)
    backend.call(service.deploy_ungated, "late", "late@1", "a test")
    backend.call(set_event_time, later)
    tried = backend.call(service.try_candidate_ungated, "late", "late@2", salt="salt", reason="a try")
    (endpoint,) = backend.call(service.list_endpoints).items
    assert (tried.created_at, endpoint.epoch, endpoint.deployed_at) == (later, 2, opened)
