"""A candidate beside the champion: who answers, what is kept of both, and what closes it. No request fails for it."""

import math
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx
import numpy as np
import pytest
from live_routes import a_live_route, a_route

from clew.clock import from_micros
from clew.definitions import GuardDefinition
from clew.errors import OutOfBounds, Unavailable
from clew.serving.app import Front
from clew.serving.guarding import LocalGuard, Trial
from clew.serving.prediction_log import decode_id, read_frame
from clew.serving.records import Record, decode_record
from clew.serving.runtime import DirectSource, LiveModel
from clew.serving.schema import Candidate
from clew.serving.splitting import falls_to_candidate
from clew.serving.trying import LiveCandidate

Predict = Callable[[np.ndarray], np.ndarray]
STRICT = GuardDefinition(errors=0.01, p95_ms=50, shift=0.2)


def quarter_of_a(matrix: np.ndarray) -> np.ndarray:
    return matrix[:, 0] / 4


def tried(predict: Predict = quarter_of_a, share: float = 0.0, guard: GuardDefinition | None = None, **options: Any) -> LiveCandidate:
    document = a_route(number=2).document
    return LiveCandidate(Candidate(document, "salt", share, guard), LiveModel(document, DirectSource(("a", "b")), predict), **options)


def put(front: Front, candidate: LiveCandidate) -> LiveCandidate:
    front.live["late"] = a_live_route(candidate=candidate)
    return candidate


def a_row(second: int, a: float = 1.0) -> dict[str, Any]:
    return {"at": f"2013-04-01T00:{second // 60:02}:{second % 60:02}+00:00", "a": a, "b": 0.0}


def ask(client: httpx.Client, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.post("/endpoints/late/predict", json={"rows": list(rows)})
    assert answer.status_code == 200, answer.text
    predictions: list[dict[str, Any]] = answer.json()["predictions"]
    return predictions


def logged(front: Front, prediction: dict[str, Any]) -> Record:
    payload = read_frame(front.predictions._folder, decode_id(prediction["prediction_id"]))
    assert payload is not None
    return decode_record(payload)


def test_a_shadow_scores_every_row_and_answers_none(front: Front, client: httpx.Client) -> None:
    put(front, tried())
    (answer,) = ask(client, a_row(1))
    assert (answer["model"], answer["probability"]) == ("late@1", 0.5)
    record = logged(front, answer)
    assert record.number == 1
    assert record.other is not None
    assert (record.other.number, record.other.probability, record.other.error) == (2, 0.25, None)


def test_a_canary_answers_its_share_of_the_keys_and_always_the_same(front: Front, client: httpx.Client) -> None:
    put(front, tried(share=0.3))
    rows = [a_row(second) for second in range(200)]
    first = [one["model"] for one in ask(client, *rows)]
    assert [one["model"] for one in ask(client, *rows)] == first
    assert 30 < first.count("late@2") < 95
    answer = next(one for one in ask(client, *rows) if one["model"] == "late@2")
    record = logged(front, answer)
    assert (record.number, record.probability) == (2, 0.25)
    assert record.other is not None
    assert (record.other.number, record.other.probability) == (1, 0.5)


@pytest.mark.parametrize("salt", ["one", "another"])
def test_a_key_stays_with_the_candidate_while_its_share_grows(salt: str) -> None:
    shares = (0.0, 0.05, 0.1, 0.5, 0.9)
    for number in range(500):
        fell = [falls_to_candidate(salt, ["UA", number], share) for share in shares]
        assert fell == sorted(fell)
    counted = [sum(falls_to_candidate(salt, ["UA", number], share) for number in range(20_000)) for share in shares]
    for share, count in zip(shares, counted, strict=True):
        assert abs(count - 20_000 * share) <= 4 * math.sqrt(20_000 * share * (1 - share))


def test_another_salt_picks_other_keys() -> None:
    both = sum(falls_to_candidate("one", [n], 0.5) and falls_to_candidate("another", [n], 0.5) for n in range(10_000))
    assert 2_300 < both < 2_700


def crash(matrix: np.ndarray) -> np.ndarray:
    raise ValueError("no such luck")


def nan(matrix: np.ndarray) -> np.ndarray:
    return np.full(len(matrix), np.nan, np.float32)


def out_of_bounds(matrix: np.ndarray) -> np.ndarray:
    raise OutOfBounds("row 0: the feature 'a' of seen is 100, and must be between 0 and 1", view="seen", column="a")


@pytest.mark.parametrize(("predict", "says"), [(crash, "no such luck"), (nan, "which is no answer"), (out_of_bounds, "out of bounds")])
def test_the_champion_answers_what_a_candidate_cannot_and_the_guard_closes_it(
    front: Front, client: httpx.Client, predict: Predict, says: str
) -> None:
    candidate = put(front, tried(predict, share=0.99, guard=STRICT))
    answers = [ask(client, a_row(second))[0] for second in range(20)]
    assert {one["model"] for one in answers} == {"late@1"}
    assert says in candidate.closed
    assert front.live["late"].candidate is None
    (closed,) = front.take_closed()
    assert (closed.route.epoch, closed.reason) == (1, candidate.closed)
    assert from_micros(closed.event_time) in [datetime.fromisoformat(a_row(second)["at"]) for second in range(20)]
    assert front.take_closed() == []
    first = logged(front, answers[0])
    assert first.other is not None
    assert first.other.probability is None
    assert first.other.error
    assert logged(front, answers[-1]).other is None


def test_bounds_close_at_the_first_row_and_errors_need_more_than_one(front: Front, client: httpx.Client) -> None:
    candidate = put(front, tried(out_of_bounds, guard=None))
    ask(client, a_row(1))
    assert candidate.closed
    candidate = put(front, tried(crash, guard=STRICT))
    ask(client, a_row(1))
    assert not candidate.closed
    ask(client, a_row(2))
    assert candidate.closed


def test_a_store_that_is_away_is_no_ground_to_close_a_candidate(front: Front, client: httpx.Client) -> None:
    def away(matrix: np.ndarray) -> np.ndarray:
        raise Unavailable("the online store does not answer")

    candidate = put(front, tried(away, share=0.99, guard=STRICT))
    assert {ask(client, a_row(second))[0]["model"] for second in range(20)} == {"late@1"}
    assert not candidate.closed


def test_one_bad_row_of_a_request_is_not_the_fault_of_the_others(front: Front, client: httpx.Client) -> None:
    def afraid_of_13(matrix: np.ndarray) -> np.ndarray:
        if (matrix[:, 0] == 12).any():
            raise ValueError("12")
        return matrix[:, 0] / 4

    put(front, tried(afraid_of_13, share=0.999999))
    answers = ask(client, a_row(1), a_row(2, a=12), a_row(3))
    assert [one["model"] for one in answers] == ["late@2", "late@1", "late@2"]


def test_a_candidate_that_hangs_holds_up_nobody_for_long(front: Front, client: httpx.Client) -> None:
    release = threading.Event()

    def hang(matrix: np.ndarray) -> np.ndarray:
        release.wait(30)
        return matrix[:, 0]

    candidate = put(front, tried(hang, share=0.5, guard=STRICT, timeout_seconds=0.2))
    began = time.monotonic()
    try:
        answers = [ask(client, a_row(second))[0] for second in range(10)]
    finally:
        release.set()
    assert {one["model"] for one in answers} == {"late@1"}
    assert "no answer within 0.2 s" in candidate.closed
    assert time.monotonic() - began < 10  # two rows waited, and not ten times 30 s


def test_a_slow_candidate_is_closed(front: Front, client: httpx.Client) -> None:
    def slow(matrix: np.ndarray) -> np.ndarray:
        time.sleep(0.02)
        return matrix[:, 0] / 4

    candidate = put(front, tried(slow, guard=GuardDefinition(p95_ms=10)))
    for second in range(60):
        ask(client, a_row(second))
        if candidate.closed:
            break
    assert "took longer than 10 ms" in candidate.closed


def test_a_busy_machine_and_the_first_rows_are_not_held_against_a_candidate() -> None:
    guard = LocalGuard(GuardDefinition(p95_ms=10))
    for _ in range(20):
        assert guard.observe(Trial(0.5, 0.5, 90_000)) is None  # it reads every entity for the first time
    for _ in range(100):
        assert guard.observe(Trial(0.5, 0.5, 90_000, champion_us=50_000)) is None
    assert any(guard.observe(Trial(0.5, 0.5, 90_000, champion_us=1_000)) for _ in range(10))


def test_shifted_scores_close_a_candidate(front: Front, client: httpx.Client) -> None:
    def shifted(matrix: np.ndarray) -> np.ndarray:
        return matrix[:, 0] / 2 + 0.45

    candidate = put(front, tried(shifted, guard=GuardDefinition(shift=0.1)))
    for second in range(400):
        ask(client, a_row(second))
        if candidate.closed:
            break
    assert "scores shifted by +0.45" in candidate.closed


def test_a_request_that_the_champion_refuses_is_not_held_against_the_candidate(front: Front, client: httpx.Client) -> None:
    candidate = put(front, tried(guard=STRICT))
    assert client.post("/endpoints/late/predict", json={"rows": [a_row(1, a=13)]}).status_code == 500
    assert client.post("/endpoints/late/predict", json={"rows": [{"a": 1.0}]}).status_code == 400
    assert not candidate.closed
    assert ask(client, a_row(2))[0]["model"] == "late@1"


def test_requests_side_by_side_end_well_while_a_candidate_is_closed(front: Front, client: httpx.Client) -> None:
    put(front, tried(crash, share=0.5, guard=STRICT))
    failures: list[str] = []

    def many(first: int) -> None:
        for second in range(first, first + 40):
            answer = client.post("/endpoints/late/predict", json={"rows": [a_row(second)]})
            if answer.status_code != 200:
                failures.append(answer.text)

    threads = [threading.Thread(target=many, args=(first,)) for first in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(front.take_closed()) == 1
