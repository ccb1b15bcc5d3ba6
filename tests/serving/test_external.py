"""An existing system behind an endpoint: its answers are the endpoint's, and whatever it does, nothing else suffers."""

import asyncio
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import hypothesis.strategies as st
import pytest
import uvicorn
from existing_system import ANSWER, ExistingSystem, existing_system
from hypothesis import given
from live_routes import a_live_route, a_route, half_of_a
from starlette.applications import Starlette

from clew.clock import from_micros
from clew.definitions import GuardDefinition
from clew.errors import Unavailable
from clew.registry.schema import ExternalSystem
from clew.serving.app import Front, create_app
from clew.serving.external import LiveExternal, probability_in
from clew.serving.prediction_log import read_segment, segment_paths
from clew.serving.records import Record, decode_record
from clew.serving.runtime import DirectSource, LiveModel, LiveRoute
from clew.serving.schema import Candidate, RequestField, Route, RouteDocument
from clew.serving.trying import LiveCandidate

WaitFor = Callable[[Callable[[], object]], None]
ROW = {"at": "2013-04-01T08:00:00+00:00", "a": 0.5, "b": None}
PATIENT_MS = 600_000
"""The timeout of a test that tests none."""
FIELDS = (RequestField("at", "Datetime(time_unit='us', time_zone='UTC')", required=True), RequestField("a", "Float64"))


def the_document(system: ExistingSystem, **changed: Any) -> RouteDocument:
    external = ExternalSystem(system.url, **({"answer": ANSWER, "timeout_ms": PATIENT_MS} | changed))
    return RouteDocument("late", "late", 1, "", (), FIELDS, key=("at",), time="at", external=external)


def in_front_of(system: ExistingSystem, candidate: LiveCandidate | None = None, **changed: Any) -> LiveRoute:
    document = the_document(system, **changed)
    tried = None if candidate is None else candidate.candidate
    route = Route("late", 1, document, "deploy", True, "", from_micros(0), "test", candidate=tried)
    return LiveRoute(route, LiveExternal(document), candidate)


def a_candidate(share: float = 0.0, guard: GuardDefinition | None = None, predict: Any = half_of_a) -> LiveCandidate:
    document = a_route(number=2).document
    model = LiveModel(document, DirectSource(("a", "b")), predict)
    return LiveCandidate(Candidate(document, "salt", share, guard), model, timeout_seconds=PATIENT_MS / 1_000)


@pytest.fixture
def system() -> Iterator[ExistingSystem]:
    with existing_system() as found:
        yield found


@pytest.fixture
def client(front: Front) -> Iterator[httpx.Client]:
    """A client of a real server on loopback, which lets go of the existing system at its end as the serving process does."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> Any:
        yield
        for live in front.live.values():
            await live.close()

    server = uvicorn.Server(uvicorn.Config(create_app(front, lifespan=lifespan), port=0, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    with httpx.Client(base_url=f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", timeout=PATIENT_MS / 1_000) as client:
        yield client
    server.should_exit = True
    thread.join()


def str_of(value: Any) -> str:
    return str(value)[:20]


def ask(client: httpx.Client, *rows: dict[str, Any], endpoint: str = "late") -> httpx.Response:
    return client.post(f"/endpoints/{endpoint}/predict", json={"rows": list(rows)})


def records(tmp_path: Path) -> list[Record]:
    return [decode_record(payload) for path in segment_paths(tmp_path / "predictions").values() for _, payload in read_segment(path)]


# ── its answers ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_endpoint_answers_what_the_existing_system_answers_and_logs_it_as_a_prediction(
    front: Front, client: httpx.Client, system: ExistingSystem, tmp_path: Path
) -> None:
    front.live["late"] = in_front_of(system)
    rows = [ROW | {"a": number / 10, "income": [number], "b": None} for number in range(20)]
    answer = ask(client, *rows)
    assert answer.status_code == 200
    assert [one["probability"] for one in answer.json()["predictions"]] == [ExistingSystem.score(row) for row in rows]
    assert sorted(system.asked, key=lambda row: float(row["a"])) == rows, "each row as it came, with what no training set names"
    logged = records(tmp_path)
    assert [one.row for one in logged] == rows
    assert [(one.model, one.number, one.probability, one.features, one.views) for one in logged] == [
        ("late", 1, ExistingSystem.score(row), b"", {}) for row in rows
    ]
    assert {one.event_time for one in logged} == {1_364_803_200_000_000}


def test_connections_are_kept_and_few_however_many_rows_there_are(front: Front, client: httpx.Client, system: ExistingSystem) -> None:
    front.live["late"] = in_front_of(system)
    system.mode = "a while"
    assert ask(client, *[ROW] * 200).status_code == 200
    assert system.most_at_once == 8 and system.connections == 8
    threads = [threading.Thread(target=ask, args=(client, *[ROW] * 50)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert system.most_at_once <= 32 and len(system.asked) == 600


def test_no_cookie_is_carried_from_row_to_row(front: Front, client: httpx.Client, system: ExistingSystem) -> None:
    front.live["late"] = in_front_of(system)
    for _ in range(3):
        ask(client, ROW)
    assert all("cookie" not in headers for headers in system.headers)
    assert all("authorization" not in headers for headers in system.headers)


def test_the_open_inference_protocol_says_what_it_is(front: Front, client: httpx.Client, system: ExistingSystem) -> None:
    front.live["late"] = in_front_of(system)
    assert client.get("/v2/models/late").json()["platform"] == "http"
    inputs = [
        {"name": "at", "datatype": "BYTES", "shape": [1], "data": [ROW["at"]]},
        {"name": "a", "datatype": "FP64", "shape": [1], "data": [0.5]},
    ]
    answer = client.post("/v2/models/late/infer", json={"inputs": inputs}).json()
    assert answer["outputs"][0]["data"] == [ExistingSystem.score(ROW)]


def test_a_token_is_sent_from_the_environment_and_stands_in_no_message(
    front: Front, client: httpx.Client, system: ExistingSystem, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(Unavailable, match="set LATE_TOKEN where the serving process starts"):
        in_front_of(system, token_env="LATE_TOKEN")
    monkeypatch.setenv("LATE_TOKEN", "secret one")
    with pytest.raises(Unavailable, match="LATE_TOKEN is no token") as refused:
        in_front_of(system, token_env="LATE_TOKEN")
    assert "secret" not in refused.value.message
    monkeypatch.setenv("LATE_TOKEN", "s3cr3t")
    front.live["late"] = in_front_of(system, token_env="LATE_TOKEN")
    ask(client, ROW)
    assert system.headers[-1]["authorization"] == "Bearer s3cr3t"
    system.mode = "401"
    failed = ask(client, ROW)
    assert failed.status_code == 502 and "it answered 401" in failed.text
    assert all(b"s3cr3t" not in path.read_bytes() for path in (tmp_path / "predictions").iterdir())


@pytest.mark.parametrize("value", [2**64 - 1, -(2**63), 1e308, {"x": [None, True, "é\0"]}, [[]] * 100, "x" * (1 << 20)], ids=str_of)
def test_a_field_that_no_training_set_names_goes_along_whatever_it_holds(
    front: Front, client: httpx.Client, system: ExistingSystem, tmp_path: Path, value: Any
) -> None:
    front.live["late"] = in_front_of(system)
    row = ROW | {"income": value}
    assert ask(client, row).status_code == 200
    assert system.asked == [row]
    assert [one.row for one in records(tmp_path)] == [row]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (str(2**70), "holds 1180591620717411303424, and a whole number lies from -2^63 to 2^64 - 1"),
        (str(-(2**70)), "holds -1180591620717411303424, and"),
        (str(2**64), "holds 18446744073709551616, and"),
        (str(-(2**63) - 1), "holds -9223372036854775809, and"),
        ('{"x": [1, ' + str(2**70) + "]}", "holds 1180591620717411303424, and"),
        ("9" * 4_000, "holds 9999999999"),
        ("[" * 40 + "]" * 40, "is nested deeper than 32 levels"),
        ('{"x": ' * 900 + "1" + "}" * 900, "is nested deeper than 32 levels"),
    ],
    ids=str_of,
)
def test_what_could_not_be_logged_is_refused_before_the_system_is_asked_naming_row_and_field(
    front: Front, client: httpx.Client, system: ExistingSystem, value: str, says: str
) -> None:
    front.live["late"] = in_front_of(system)
    rows = [json.dumps(ROW), json.dumps(ROW)[:-1] + f', "income": {value}}}']
    answer = client.post("/endpoints/late/predict", content=f'{{"rows": [{", ".join(rows)}]}}')
    error = answer.json()["error"]
    assert answer.status_code == 400 and error["details"] == {"row": 1, "field": "income"}
    assert error["message"].startswith("row 1: 'income' ") and says in error["message"] and len(error["message"]) < 200
    assert system.asked == []


@pytest.mark.parametrize("value", ["1e400", "NaN", "-Infinity", "[" * 100_000 + "]" * 100_000, "9" * 10_000, '"\\ud800"'], ids=str_of)
def test_what_is_no_json_is_refused_wherever_it_stands(front: Front, client: httpx.Client, system: ExistingSystem, value: str) -> None:
    front.live["late"] = in_front_of(system)
    answer = client.post("/endpoints/late/predict", content=f'{{"rows": [{json.dumps(ROW)[:-1]}, "income": {value}}}]}}')
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "invalid"
    assert system.asked == []


# ── its failures ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

FAILURES = [
    ("no json", 502, "its answer is not JSON"), ("empty", 502, "its answer is not JSON"), ("nested", 502, "its answer is not JSON"),
    ("nan", 502, "not JSON, for NaN and Infinity are not"), ("no number", 502, "no number at 'predictions.0.probability'"),
    ("text", 502, "no number at 'predictions.0.probability'"), ("true", 502, "no number at 'predictions.0.probability'"),
    ("above", 502, "it answered 1.5, and a probability lies in [0, 1]"),
    ("vast", 502, "it answered 99999999999999999999, and a probability lies in [0, 1]"), ("huge", 502, "its answer is over 1,048,576 bytes"),
    ("500", 502, "it answered 500"), ("404", 502, "it answered 404"), ("302", 502, "it answered 302, a redirect, which is not followed"),
    ("307", 502, "it answered 307, a redirect, which is not followed"), ("compressed", 502, "its answer is compressed"),
    ("broken off", 502, "the connection broke off"), ("hanging", 504, "nothing came within 2,000 ms"), ("dripping", 504, "nothing came within 2,000 ms"),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "status", "says"), FAILURES)
def test_a_failure_is_said_and_logged_and_the_next_answer_is_right(
    front: Front, client: httpx.Client, system: ExistingSystem, tmp_path: Path, wait_for: WaitFor, mode: str, status: int, says: str
) -> None:
    limit = 2_000 if status == 504 else PATIENT_MS
    front.live["late"] = in_front_of(system, a_candidate(guard=GuardDefinition(errors=0.01)), timeout_ms=limit)
    system.mode = mode
    failed = ask(client, ROW)
    error = failed.json()["error"]
    assert failed.status_code == status
    assert f"late@1, the existing system at 127.0.0.1:{system.port}, gave no answer: " in error["message"]
    assert says in error["message"]
    wait_for(lambda: system.asked)
    assert len(system.asked) == 1, "neither asked again nor elsewhere"
    (logged,) = records(tmp_path)
    assert (logged.probability, logged.error) == (None, f"{error['code']}: {error['message']}")
    totals = front.statistics.totals["late"]
    assert (totals.requests, totals.errors, totals.refused) == (1, 1, 0)
    system.mode = "well"
    system.gate.set()
    champion = front.live["late"].champion
    assert isinstance(champion, LiveExternal)
    champion.external = replace(champion.external, timeout_ms=PATIENT_MS)
    assert ask(client, ROW).json()["predictions"][0]["probability"] == ExistingSystem.score(ROW)
    candidate = front.live["late"].candidate
    assert candidate is not None and candidate.closed == ""


def test_a_system_that_is_down_is_not_asked_row_by_row_and_answers_again_when_it_is_back(
    front: Front, client: httpx.Client, system: ExistingSystem, wait_for: WaitFor
) -> None:
    front.live["late"] = in_front_of(system)
    assert ask(client, ROW).status_code == 200
    system.kill()
    failed = ask(client, *[ROW] * 64)
    assert failed.status_code == 502
    assert "can't be reached" in ask(client, ROW).text
    system.come_back()
    assert ask(client, ROW).status_code == 200
    front.live["slow"] = in_front_of(system, timeout_ms=2_000)
    system.mode, system.asked = "hanging", []
    assert ask(client, *[ROW] * 64, endpoint="slow").status_code == 504
    wait_for(lambda: len(system.asked) >= 8)
    assert len(system.asked) == 8, "those that were on their way when the first of them failed, and no other"


def test_a_refused_row_says_nothing_about_the_others(front: Front, system: ExistingSystem) -> None:
    live = LiveExternal(the_document(system))
    system.mode = "picky"

    async def run() -> list[Any]:
        replies = await live.ask([{"a": 1.0}, {"a": 13}, {"a": 2.0}])
        live.retire()
        await live.wait_closed()
        return replies

    replies = asyncio.run(run())
    assert [one.probability for one in replies] == [ExistingSystem.score({"a": 1.0}), None, ExistingSystem.score({"a": 2.0})]


def test_a_failure_names_the_row_of_the_whole_request(front: Front, client: httpx.Client, system: ExistingSystem) -> None:
    front.live["late"] = in_front_of(system)
    system.mode = "picky"
    error = ask(client, *[ROW] * 70, ROW | {"a": 13}, *[ROW] * 5).json()["error"]
    assert error["message"].startswith("row 70: late@1, the existing system at") and error["details"]["row"] == 70


def test_other_endpoints_of_the_process_answer_while_it_hangs(front: Front, client: httpx.Client, system: ExistingSystem) -> None:
    front.live["slow"] = in_front_of(system)
    system.mode = "hanging"
    threads = [threading.Thread(target=ask, args=(client, *[ROW] * 8), kwargs={"endpoint": "slow"}) for _ in range(10)]
    for thread in threads:
        thread.start()
    while system.at_once < 32:
        time.sleep(0.01)
    before = threading.active_count()
    assert [ask(client, ROW).status_code for _ in range(20)] == [200] * 20
    assert (system.at_once, threading.active_count()) == (32, before), "no more connections, and no thread for who waits"
    system.gate.set()
    for thread in threads:
        thread.join()


# ── a candidate beside it ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_both_score_each_row_and_one_frame_holds_the_pair(
    front: Front, client: httpx.Client, system: ExistingSystem, tmp_path: Path
) -> None:
    front.live["late"] = in_front_of(system, a_candidate())
    assert ask(client, ROW).json()["predictions"][0]["model"] == "late@1"
    (logged,) = records(tmp_path)
    assert logged.other is not None
    assert (logged.probability, logged.other.number, logged.other.probability) == (ExistingSystem.score(ROW), 2, 0.25)


def test_a_candidate_that_fails_leaves_the_answer_to_the_existing_system(
    front: Front, client: httpx.Client, system: ExistingSystem
) -> None:
    front.live["late"] = in_front_of(system, a_candidate(share=0.999))
    answers = [ask(client, ROW | {"a": 13, "at": f"2013-04-01T08:{minute:02}:00+00:00"}).json() for minute in range(10)]
    assert {one["predictions"][0]["probability"] for one in answers} == {ExistingSystem.score({"a": 13})}


def test_a_row_of_the_candidates_share_is_answered_by_it_also_where_the_existing_system_fails(
    front: Front, client: httpx.Client, system: ExistingSystem, tmp_path: Path
) -> None:
    """The others get the system's error: a version on trial answers no more than its share."""
    front.live["late"] = in_front_of(system, a_candidate(share=0.5))
    system.mode = "500"
    rows = [ROW | {"at": f"2013-04-01T08:{minute:02}:00+00:00"} for minute in range(40)]
    statuses = [ask(client, row).status_code for row in rows]
    assert set(statuses) == {200, 502}
    answered = [record for record in records(tmp_path) if record.error is None]
    assert len(answered) == statuses.count(200)
    assert {(one.number, one.probability) for one in answered} == {(2, 0.25)}
    assert all(one.other is not None and one.other.probability is None and "it answered 500" in str(one.other.error) for one in answered)


def test_a_slow_existing_system_does_not_excuse_a_slow_candidate(front: Front, client: httpx.Client, system: ExistingSystem) -> None:
    def slow(matrix: Any) -> Any:
        time.sleep(0.03)
        return half_of_a(matrix)

    front.live["late"] = in_front_of(system, a_candidate(guard=GuardDefinition(errors=None, p95_ms=5), predict=slow))
    system.mode = "a while"
    for _ in range(60):
        ask(client, ROW)
    candidate = front.live["late"].candidate
    assert candidate is None, "20 ms of the existing system are no sign that this machine is busy"


def test_an_existing_system_can_be_on_trial_itself_and_is_closed_for_its_failures(
    front: Front, client: httpx.Client, system: ExistingSystem
) -> None:
    champion = a_live_route()
    tried = Candidate(the_document(system), "salt", 0.0, GuardDefinition(errors=0.01))
    candidate = LiveCandidate(tried, LiveExternal(the_document(system)), timeout_seconds=PATIENT_MS / 1_000)
    front.live["late"] = LiveRoute(a_route(number=2, candidate=tried), champion.champion, candidate)
    row = ROW | {"income": 7}
    assert ask(client, row).json()["predictions"][0]["probability"] == 0.25
    assert system.asked[0]["income"] == 7
    system.mode = "500"
    for _ in range(5):
        assert ask(client, row).status_code == 200
    assert front.live["late"].candidate is None
    assert "rows failed" in front.take_closed()[0].reason


# ── reading what it says ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.floats(0, 1), st.lists(st.one_of(st.integers(0, 5), st.from_regex(r"[a-z_]{1,8}", fullmatch=True)), max_size=6))
def test_the_number_is_found_wherever_a_path_leads(value: float, path: list[int | str]) -> None:
    document: Any = value
    for part in reversed(path):
        document = [0.0] * part + [document] if isinstance(part, int) else {part: document, "other": [1]}
    assert probability_in(json.dumps(document).encode(), [str(part) for part in path]) == value


def said_of(body: bytes, path: list[str]) -> float | str:
    try:
        return probability_in(body, path)
    except ValueError as error:
        return str(error)


def is_sound(found: float | str) -> bool:
    if isinstance(found, str):
        return found.startswith(("its answer", "it answered"))
    return math.isfinite(found) and 0 <= found <= 1


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from("ab01"), inner, max_size=3)),
)


@given(JSON, st.lists(st.sampled_from(["a", "b", "0", "1", "²", "-1"]), max_size=3))
def test_whatever_comes_is_a_probability_or_is_refused_in_words(document: Any, path: list[str]) -> None:
    assert is_sound(said_of(json.dumps(document).encode(), path))


@given(st.binary(max_size=200))
def test_bytes_that_are_no_json_are_refused_in_words(body: bytes) -> None:
    assert is_sound(said_of(body, []))
