"""A monitor that can never judge performance is named when it is applied, with what would do."""

from typing import Any

import pytest
from sklearn.metrics import log_loss, roc_auc_score

import clew
from clew.backend import LocalBackend
from clew.monitoring.promises import never_judging
from clew.sdk import declarations


def declare(holdout: str | None, window: str, looks: int = 12, block: str = "1d") -> None:
    @clew.dataset(key="id", time="at")
    def events(file: Any) -> None: ...

    seen = clew.windows("seen", events, entity=clew.entity("id"), over="1d", n=clew.count())
    training = clew.training_set("rows", events, label=events["late"], label_within="1d", features=[seen], holdout=holdout, block=block)

    @clew.model(training)
    def late(training: clew.TrainingData) -> None: ...

    service = clew.endpoint("late", model=late)
    clew.monitor("late_quality", service, performance=[log_loss, roc_auc_score], window=window, looks=looks)
    clew.monitor("events_quality", events, drift=True)


def told() -> list[str]:
    return never_judging(one.definition for one in declarations.all_declared())


def test_one_that_can_never_judge_is_told_when_applied_with_what_would_do(
    local_backend: LocalBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    declare("21d", "14d")
    clew.apply()
    assert (
        "late_quality will never judge performance: with a holdout of 21d, a window of 14d and 12 looks a run it can't hold its rate of 5 %; "
        "a holdout of 24 weeks, a window of 4 weeks or 1 look a run would do"
    ) in capsys.readouterr().err


@pytest.mark.parametrize(("holdout", "window", "looks"), [("168d", "14d", 12), ("21d", "28d", 12), ("21d", "14d", 1), (None, "28d", 12)])
def test_each_that_would_do_is_quiet(
    holdout: str | None, window: str, looks: int, local_backend: LocalBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(holdout, window, looks)
    clew.apply()
    assert capsys.readouterr().err == ""


def test_blocks_longer_than_a_week_are_told_in_days() -> None:
    declare(None, "20d", block="10d")
    (found,) = told()
    assert "with no holdout, a window of 20d" in found and found.endswith("a holdout of 240 days or a window of 40 days would do")


def test_a_monitor_of_what_this_file_does_not_declare_is_none_of_its_business() -> None:
    declare("21d", "14d")
    kept = [one.definition for one in declarations.all_declared() if one.name != "rows"]
    assert never_judging(kept) == []
