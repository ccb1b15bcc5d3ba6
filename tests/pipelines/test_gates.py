"""What stops a version, what a report says, and what a gate may look at."""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from clew.errors import Invalid, Refused
from clew.feature_store.training_data import TrainingData
from clew.pipelines import gates
from clew.pipelines.comparison import Candidate, Verdict, compare, failed, passed

START = datetime(2013, 3, 4, tzinfo=UTC)
Matrix = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]


def rows(days: int = 28, per_day: int = 200, seed: int = 3) -> TrainingData:
    rng = np.random.default_rng(seed)
    count = days * per_day
    x = rng.normal(size=count).astype(np.float32)
    times = [START + timedelta(days=row // per_day, minutes=row % per_day) for row in range(count)]
    late = rng.random(count) < 1 / (1 + np.exp(-1.5 * x))
    carrier = rng.choice(["AA", "UA", "YV"], count, p=[0.6, 0.39, 0.01])
    frame = pl.DataFrame({"at": times, "carrier": carrier, "x": x, "noise": rng.normal(size=count).astype(np.float32), "late": late})
    return TrainingData(frame, label="late", time="at", entities=["carrier"])


def logistic(weight: float = 1.5, noise: float = 0.0, missing: float = 0.0) -> "object":
    def predict(matrix: Matrix) -> Scores:
        x = np.nan_to_num(matrix.astype(np.float64), nan=missing)
        return 1 / (1 + np.exp(-(weight * x[:, 0] + noise * x[:, 1])))

    return predict


def candidate(name: str, predict: object = None, seen_until: datetime | None = None) -> Candidate:
    return Candidate(name, predict or logistic(), ("x", "noise"), seen_until=seen_until)  # type: ignore[arg-type]


def lets_all_through(challenger: Candidate, champion: Candidate | None, recent: TrainingData) -> Verdict:
    return passed("the first version" if champion is None else "trusted")


def no_worse(challenger: Candidate, champion: Candidate | None, recent: TrainingData) -> Verdict:
    return passed("the first version") if champion is None else compare(challenger, champion, on=recent, metric="auc").no_worse_by(0.01)


def test_the_first_version_is_judged_by_its_own_figures() -> None:
    verdict = gates.judge(no_worse, candidate("late@1"), None, rows())
    assert verdict.passed
    assert verdict.reason.startswith("the first version: AUC 0.8")
    assert "28 days, 5,600 rows" in verdict.reason


def test_a_first_version_that_is_no_better_than_chance_is_stopped() -> None:
    verdict = gates.judge(no_worse, candidate("late@1", logistic(0, 1)), None, rows())
    assert (verdict.passed, verdict.word) == (False, "failed")
    assert "not told from chance" in verdict.reason


def test_a_gate_that_fails_stays_failed_for_its_own_reason() -> None:
    verdict = gates.judge(lambda *_: failed("not on my watch"), candidate("late@1"), None, rows())
    assert not verdict.passed
    assert verdict.reason.startswith("not on my watch")


@pytest.mark.parametrize("answer", [True, None, 0.7])
def test_a_gate_returns_a_verdict_and_nothing_else(answer: object) -> None:
    with pytest.raises(Invalid, match="a gate returns a verdict"):
        gates.judge(lambda *_: answer, candidate("late@1"), None, rows())  # type: ignore[arg-type,return-value]


def test_thirteen_days_are_not_enough_whatever_the_gate_says() -> None:
    verdict = gates.judge(lets_all_through, candidate("late@1"), None, rows(13))
    assert (verdict.passed, verdict.word) == (False, "not enough data yet")
    assert "13 days, 2,600 rows" in verdict.reason


def test_only_whole_days_that_neither_model_has_seen_are_looked_at() -> None:
    noon = START + timedelta(days=9, hours=1)
    looked_at: list[TrainingData] = []

    def gate(challenger: Candidate, champion: Candidate | None, recent: TrainingData) -> Verdict:
        looked_at.append(recent)
        return passed("")

    gates.judge(gate, candidate("late@3"), candidate("late@2", seen_until=noon), rows())
    assert looked_at[0].time.min() == START + timedelta(days=10)
    verdict = gates.judge(gate, candidate("late@3", seen_until=noon + timedelta(days=6)), candidate("late@2", seen_until=noon), rows())
    assert verdict.word == "not enough data yet"


def test_a_comparison_on_rows_that_a_model_has_seen_is_an_error() -> None:
    with pytest.raises(Refused, match="late@2 has seen rows up to"):
        compare(candidate("late@3"), candidate("late@2", seen_until=START + timedelta(days=2)), on=rows(), metric="auc")


def test_a_slice_that_loses_against_the_champion_stops_a_version_that_is_better_elsewhere() -> None:
    data = rows()
    on_ua = (data.frame()["carrier"] == "UA").to_numpy()

    def turned_on_ua(matrix: Matrix) -> Scores:
        sign = np.where(on_ua[: len(matrix)], -1, 1) if len(matrix) == len(on_ua) else 1
        return 1 / (1 + np.exp(-1.5 * sign * np.nan_to_num(matrix[:, 0].astype(np.float64))))

    found = gates.report(candidate("late@2", turned_on_ua), data, {}, ["carrier"], champion=candidate("late@1", logistic(0.2)))
    worse = {one["value"]: one["worse"] for one in found["slices"]}
    assert worse == {"AA": False, "UA": True}


def test_a_worse_slice_is_named_in_the_verdict() -> None:
    data = rows()
    frame = data.frame().with_columns(ua=(pl.col("carrier") == "UA").cast(pl.Float32))
    data = TrainingData(frame, label="late", time="at", entities=["carrier"])

    def turned_on_ua(matrix: Matrix) -> Scores:
        return 1 / (1 + np.exp(-1.5 * np.where(matrix[:, 2] == 1, -1, 1) * matrix[:, 0].astype(np.float64)))

    challenger, champion = Candidate("late@2", turned_on_ua, ("x", "noise", "ua")), Candidate("late@1", logistic(), ("x", "noise"))  # type: ignore[arg-type]
    verdict = gates.judge(lets_all_through, challenger, champion, data, slices=["carrier"])
    assert (verdict.passed, verdict.word) == (False, "worse")
    assert "carrier = UA" in verdict.reason
    assert "trusted" in verdict.reason


def test_slices_that_are_alike_are_not_flagged_more_often_than_declared() -> None:
    flagged = 0
    for seed in range(40):
        found = gates.report(candidate("late@2"), rows(seed=seed), {}, ["carrier"], champion=candidate("late@1"))
        flagged += any(one["worse"] or one["differs"] or one["miscalibrated"] for one in found["slices"])
    assert flagged <= 10  # three families of tests at 5 % each


def test_a_slice_of_few_rows_is_left_out() -> None:
    found = gates.report(candidate("late@1"), rows(), {}, ["carrier"])
    assert {one["value"] for one in found["slices"]} == {"AA", "UA"}  # YV has some fifty rows


def test_a_slice_by_an_unknown_column_is_refused() -> None:
    with pytest.raises(Invalid, match="no column 'airline'"):
        gates.report(candidate("late@1"), rows(), {}, ["airline"])


def test_a_score_that_depends_on_the_batch_is_stopped() -> None:
    def ranks(matrix: Matrix) -> Scores:
        return matrix[:, 0].argsort().argsort() / max(1, len(matrix) - 1)

    verdict = gates.judge(lets_all_through, candidate("late@1", ranks), None, rows())
    assert (verdict.passed, verdict.word) == (False, "failed")
    assert "the rows beside it" in verdict.reason


def test_a_feature_that_is_declared_immaterial_must_not_move_a_score() -> None:
    quiet = gates.judge(lets_all_through, candidate("late@1"), None, rows(), immaterial=["noise"])
    moved = gates.judge(lets_all_through, candidate("late@1", logistic(1.5, 0.1)), None, rows(), immaterial=["noise"])
    assert quiet.passed
    assert not moved.passed
    assert "must not depend on noise" in moved.reason


def test_each_view_missing_is_reported_with_its_declared_fallback() -> None:
    views = {"signal": gates.GatedView(("x",), ("carrier",), 0.0), "nothing": gates.GatedView(("noise",))}
    found = gates.report(candidate("late@1", logistic(missing=3.0)), rows(), views)
    signal, nothing = found["missing_views"]
    assert signal["mean_score_without"] > 0.98  # with nulls, everything is late
    assert signal["mean_score_fallback"] == pytest.approx(0.5)
    assert signal["log_loss"] < signal["log_loss_fallback"] < signal["log_loss_without"]
    assert nothing["log_loss_without"] == nothing["log_loss"]
    assert nothing["fallback"] is None


def test_a_held_view_answers_what_it_last_said_of_the_entity_before_the_block() -> None:
    at = [START + timedelta(days=day, hours=hour) for day in (0, 2) for hour in range(3)]
    frame = pl.DataFrame({
        "at": at, "origin": ["JFK", "LGA", "JFK", "JFK", "LGA", "EWR"], "wind": [1.0, 2.0, 3.0, 9.0, 9.0, 9.0], "late": [True, False] * 3
    }).with_columns(wind=pl.when(pl.col("wind") == 2).then(None).otherwise("wind"))  # fmt: skip
    data = TrainingData(frame.sample(fraction=1, shuffle=True, seed=1), label="late", time="at", entities=["origin"])
    seen: list[Matrix] = []

    def spy(matrix: Matrix) -> Scores:
        seen.append(matrix)
        return np.full(len(matrix), 0.5)

    from clew.pipelines import checks

    checks.score_with_fallback(Candidate("late@1", spy, ("wind",)), data, ("wind",), ("origin",), "hold")
    held = dict(zip(zip(data.time, data.frame()["origin"], strict=True), seen[0][:, 0].tolist(), strict=True))
    assert held[at[3], "JFK"] == 3.0  # the newest of two days before
    assert np.isnan([held[at[4], "LGA"], held[at[5], "EWR"], held[at[0], "JFK"]]).all()  # null then, never seen, and before the first block


def test_a_model_without_an_answer_is_reported_so_and_not_an_error() -> None:
    def linear(matrix: Matrix) -> Scores:
        return np.clip(0.5 + 0.2 * matrix[:, 0].astype(np.float64), 0, 1)

    found = gates.report(candidate("late@1", linear), rows(), {"signal": ["x"]})
    assert found["missing_views"][0]["log_loss_without"] is None


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(Refused, match="with no number, row 0 first"):
        candidate("late@1", lambda matrix: np.full(len(matrix), np.nan)).score(rows())


def test_rows_without_a_models_feature_are_refused_by_name() -> None:
    with pytest.raises(Invalid, match="late@1 needs the feature 'wind'"):
        Candidate("late@1", logistic(), ("x", "wind")).score(rows())  # type: ignore[arg-type]


def test_a_report_travels_as_json() -> None:
    verdict = gates.judge(
        no_worse, candidate("late@2"), candidate("late@1", logistic(1.2)), rows(), views={"signal": ["x"]}, slices=["carrier"]
    )
    document = msgspec.json.decode(msgspec.json.encode(verdict.figures))
    assert document["report"]["gain"]["blocks"] == 28
    assert document["report"]["latency_us"]["rows"] == 200
    assert 0 < sum(one["rows"] for one in document["report"]["calibration"]) <= 5_600


def test_rows_of_one_class_are_reported_without_an_auc() -> None:
    data = rows().filter(rows().y == 1)
    found = gates.report(candidate("late@1"), data, {})
    assert found["auc"] is None
    assert gates.judge(lets_all_through, candidate("late@1"), None, data).passed
