"""Verdicts: which word, on how many days, for which reason."""

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

from clew.errors import Invalid, Refused
from clew.feature_store.training_data import TrainingData
from clew.pipelines.comparison import Candidate, check_unseen, compare, failed, passed


def rows(days: int = 28, per_day: int = 200, seed: int = 3) -> TrainingData:
    rng = np.random.default_rng(seed)
    count = days * per_day
    x = rng.normal(size=count).astype(np.float32)
    start = datetime(2013, 3, 4, tzinfo=UTC)
    times = [start + timedelta(days=row // per_day, minutes=row % per_day) for row in range(count)]
    late = rng.random(count) < 1 / (1 + np.exp(-1.5 * x))
    carrier = rng.choice(["AA", "UA"], count)
    frame = pl.DataFrame({"at": times, "carrier": carrier, "x": x, "noise": rng.normal(size=count).astype(np.float32), "late": late})
    return TrainingData(frame, label="late", time="at", entities=["carrier"])


def candidate(name: str, weight: float, *, same_recipe: bool = True) -> Candidate:
    def predict(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        x = np.nan_to_num(matrix[:, 0].astype(np.float64), nan=2.0)
        return 1 / (1 + np.exp(-(weight * x + (1 - abs(weight)) * matrix[:, 1])))

    return Candidate(name, predict, ("x", "noise"), same_recipe=same_recipe)


def test_a_model_is_no_worse_than_itself_and_not_better() -> None:
    same = compare(candidate("late@2", 1), candidate("late@1", 1), on=rows(), metric=roc_auc_score)
    assert (same.no_worse_by(0.01).passed, same.no_worse_by(0.01).word) == (True, "no worse")
    assert (same.better().passed, same.better().word) == (False, "not better")


def test_a_clearly_better_model_is_better_and_the_reverse_worse() -> None:
    good, bad = candidate("late@2", 1), candidate("late@1", 0.1)
    assert compare(good, bad, on=rows(), metric=roc_auc_score).better().word == "better"
    assert compare(bad, good, on=rows(), metric=log_loss).no_worse_by(0.01).word == "worse"


def test_a_verdict_says_its_unit_and_count() -> None:
    verdict = compare(candidate("late@2", 1), candidate("late@1", 1), on=rows(), metric="auc").no_worse_by(0.01)
    assert "28 days, 5,600 rows" in verdict.reason


def test_thirteen_days_are_not_enough() -> None:
    verdict = compare(candidate("late@2", 1), candidate("late@1", 0.1), on=rows(13), metric="auc").better()
    assert (verdict.passed, verdict.word) == (False, "not enough data yet")


def test_a_metric_without_an_interval_is_refused() -> None:
    with pytest.raises(Invalid, match="accuracy_score"):
        compare(candidate("a", 1), candidate("b", 1), on=rows(), metric=accuracy_score)


def test_a_verdict_is_no_bare_bool() -> None:
    with pytest.raises(Invalid, match=r"\.passed"):
        bool(passed("the first version"))
    assert not failed("no").passed


def test_rows_of_one_class_are_not_enough_for_an_auc() -> None:
    data = rows()
    verdict = compare(candidate("a", 1), candidate("b", 1), on=data.filter(data.y == 1), metric="auc").better()
    assert (verdict.word, verdict.figures["difference"]) == ("not enough data yet", None)
    assert "both classes" in verdict.reason


def test_a_single_day_is_not_enough_and_no_error() -> None:
    verdict = compare(candidate("a", 1), candidate("b", 1), on=rows(1), metric="log_loss").no_worse_by(0.01)
    assert (verdict.word, verdict.figures["blocks"]) == ("not enough data yet", 1)


def test_a_margin_of_nothing_is_refused() -> None:
    with pytest.raises(Invalid, match=r"better\(\)"):
        compare(candidate("a", 1), candidate("b", 1), on=rows(), metric="auc").no_worse_by(0)


def test_rows_that_a_model_has_seen_are_refused() -> None:
    data = rows()
    check_unseen("late@1", datetime(2013, 3, 3, tzinfo=UTC), data)
    with pytest.raises(Refused, match="has seen rows up to"):
        check_unseen("late@1", datetime(2013, 3, 5, tzinfo=UTC), data)


def test_a_model_against_itself_is_rarely_called_better_or_worse() -> None:
    # Two models of equal worth with different errors: a 5 % test over days may call about one in twenty either.
    said = 0
    for seed in range(200):
        data = rows(days=20, per_day=30, seed=seed)
        rng = np.random.default_rng(seed + 1_000)
        errors = {name: rng.normal(size=20)[data.blocks() - data.blocks().min()] for name in ("a", "b")}

        def drawn(name: str, errors: dict[str, npt.NDArray[np.float64]] = errors) -> Candidate:
            return Candidate(name, lambda matrix: 1 / (1 + np.exp(-(1.5 * matrix[:, 0] + 0.5 * errors[name]))), ("x",))

        found = compare(drawn("a"), drawn("b"), on=data, metric="log_loss").difference
        assert found is not None
        said += not found.low <= 0 <= found.high
    assert said / 200 < 0.10
