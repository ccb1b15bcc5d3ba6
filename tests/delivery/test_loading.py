"""A version that serving processes can't load: it goes when none can, and goes no further while one can't."""

from datetime import timedelta

import pytest
from declaring import START
from serving_process import serving as serving_process
from serving_process import wait

from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.clock import wall_now
from clew.delivery import service as delivery
from clew.delivery.schema import Rollout
from clew.registry.schema import Field, ModelDetails, Signature, Verification
from clew.registry.service import register_model
from clew.serving import service as serving
from clew.serving.schema import Acknowledgement


def say(project: LocalBackend, process: str, state: str, message: str = "", epoch: int | None = None) -> None:
    """What a serving process reports of the route in force."""
    now = project.call(serving.endpoint_status, "late").route.epoch
    said = Acknowledgement("late", now if epoch is None else epoch, state, message)  # type: ignore[arg-type]
    project.call(serving.report_serving, process, f"http://{process}", wall_now(), [said])


def newest(project: LocalBackend) -> Rollout:
    return project.call(delivery.list_rollouts).items[0]


@pytest.fixture
def tried(project: LocalBackend) -> LocalBackend:
    """Two processes serve late@1, and late@2 sets out."""
    for process in ("one", "two"):
        say(project, process, "serving")
    project.call(delivery.roll_out_ungated, "late", "late@2", "a test")
    return project


def test_event_time_waits_until_each_has_said_whether_it_can(tried: LocalBackend) -> None:
    assert set(tried.call(delivery.advance_clock, START + timedelta(days=1)).waiting) == {
        "http://one to take up the route of late", "http://two to take up the route of late",
    }  # fmt: skip
    say(tried, "one", "failed", "a file is missing")
    assert tried.call(delivery.advance_clock, START + timedelta(days=1)).waiting == ("http://two to take up the route of late",)


def test_what_no_process_can_load_is_rolled_back_at_once_with_the_reason(tried: LocalBackend) -> None:
    tried.call(delivery.advance_clock, START + timedelta(days=1))
    for process in ("one", "two"):
        say(tried, process, "failed", "a file is missing")
    tried.call(delivery.advance_clock, START + timedelta(days=1))
    ended = newest(tried)
    assert (ended.state, ended.ended_at, ended.history[-1].by) == ("rolled back", START, "guard")
    assert ended.history[-1].reason == "no serving process could load it: a file is missing"
    assert tried.call(catalog.get_version, "late", 2).state == "rejected"


def test_what_one_process_of_two_can_not_load_is_held_at_the_end_of_its_step(tried: LocalBackend) -> None:
    say(tried, "one", "serving")
    say(tried, "two", "failed", "no room")
    assert tried.call(delivery.advance_clock, START + timedelta(days=3)).waiting == ()
    held = newest(tried)
    assert (held.state, held.step) == ("running", 0)
    assert [event.reason for event in held.history[1:]] == ["held: a serving process can't load it: no room"], "said once"
    say(tried, "two", "serving")
    tried.call(delivery.advance_clock, START + timedelta(days=3, hours=1))
    assert newest(tried).step == 1


def test_a_process_that_serves_other_endpoints_has_no_word(tried: LocalBackend) -> None:
    tried.call(serving.report_serving, "three", "http://three", wall_now(), [])
    for process in ("one", "two"):
        say(tried, process, "failed", "a file is missing")
    tried.call(delivery.advance_clock, START + timedelta(hours=1))
    assert newest(tried).state == "rolled back"


@pytest.mark.slow
def test_a_real_process_says_that_it_can_not_load_a_damaged_model_and_the_champion_answers_on(project: LocalBackend) -> None:
    blob = project.upload(b"this is no model")
    signature = Signature((Field("a", "Float64"), Field("b", "Float64")), (Field("probability", "Float32"),))
    details = ModelDetails(
        None, (), signature, "onnx", blob.digest, blob.digest, Verification(1, 1, 0.0, 1e-5), "recipe", {}, {}, None, None, None
    )
    damaged = project.call(register_model, "late", "sha256:" + "d" * 64, blob.digest, "a test", details).version
    with serving_process(project.settings) as (client, process):
        wait(lambda: project.call(serving.endpoint_status, "late").flipped, process)
        project.call(delivery.roll_out_ungated, "late", str(damaged.ref), "a test")
        wait(lambda: project.call(delivery.advance_clock, START + timedelta(days=1)).waiting == (), process)
        ended = newest(project)
        assert ended.state == "rolled back" and ended.history[-1].reason.startswith("no serving process could load it: ")
        answer = client.post("/endpoints/late/predict", json={"rows": [{"a": 1.0, "b": 0.0}]})
        assert answer.json()["predictions"][0]["model"] == "late@1"
