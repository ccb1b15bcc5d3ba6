"""A monitor on an endpoint that an existing system answers for: it judges its scores, and nothing that only a model of Clew's has."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from season import END, SERVED, Season

from clew.clock import to_micros
from clew.definitions import MonitorDefinition
from clew.errors import Refused
from clew.monitoring import looking
from clew.monitoring.alerts import list_alerts
from clew.monitoring.measuring import measure_skew
from clew.monitoring.schema import MonitorLook
from clew.monitoring.service import measure_performance
from clew.monitoring.shadowing import shadow
from clew.registry.schema import ExternalSystem
from clew.registry.service import register_external
from clew.serving import service
from clew.serving.answers import log_folder
from clew.serving.explaining import explain, in_words
from clew.serving.prediction_log import PredictionLog
from clew.serving.records import Other, Record, encode_record

QUALITY = MonitorDefinition("quality", "late", performance=("log_loss", "auc"), drift=True, missing=True, skew=True, looks=3)
DAY = timedelta(days=1)


@pytest.fixture
def taken_over(season: Season) -> Season:
    """An existing system answers from the first day on; late@2 is in shadow behind it."""
    season.backend.call(register_external, "late", ExternalSystem("http://127.0.0.1:9/score"), "training")
    season.backend.call(service.deploy_ungated, "late", "late@3", "the existing system")
    season.backend.call(service.try_candidate_ungated, "late", "late@2", "salt", "a test")
    season.declare(QUALITY)
    return season


def scores_of(rows: pl.DataFrame, shift: float) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-(rows["distance"].to_numpy() - 600) / 150 - shift)))


def answered(season: Season, days: int, *, changed_from: int) -> list[str]:
    """So many days of what the existing system said, with the other's score beside it; it says something else from a day on."""
    route = season.backend.call(service.endpoint_status, "late").route
    rows = season.asked(SERVED, SERVED + days * DAY)
    shift = np.where(rows["departs"].dt.epoch("us").to_numpy() >= to_micros(SERVED + changed_from * DAY), 3.0, 0.0)
    said = scores_of(rows, 0.0) * (shift == 0) + scores_of(rows, 3.0) * (shift > 0)
    log = PredictionLog(log_folder(season.backend.settings, season.backend.project))
    payloads = []
    for row, score in zip(rows.iter_rows(named=True), said, strict=True):
        at, body = to_micros(row["departs"]), {**row, "departs": row["departs"].isoformat(), "income": [1]}
        beside = Other(2, b"", {}, [], 0.5, 900)
        payloads.append(encode_record(Record(at, at, "late", route.epoch, "late", 3, body, b"", {}, [], float(score), 900, None, beside)))
    identifiers = [one for first in range(0, len(payloads), 200) for one in log.append(payloads[first : first + 200])]
    log.close()
    return identifiers


def looks(season: Season, days: int) -> list[MonitorLook]:
    season.now(SERVED + days * DAY)
    return season.backend.call(looking.look, "quality").items


def test_its_scores_are_judged_and_its_drift_is_told_from_its_own_first_weeks(taken_over: Season) -> None:
    days = (END - SERVED).days
    answered(taken_over, days, changed_from=days - 35)
    found = looks(taken_over, days - 1)
    assert {one.kind for one in found} == {"performance", "drift"}, "no view of ours is behind its answers"
    judged = [one for one in found if one.kind == "performance"]
    assert len(judged) == 2 and all(one.source == "late@3" and "log loss 0." in one.summary for one in judged)
    weeks = [one for one in found if one.kind == "drift"]
    assert {one.word for one in weeks[:6]} == {"not enough data yet"}
    assert weeks[-1].word == "changed", weeks[-1].summary
    assert ("drift", "predictions") in [(one.kind, one.subject) for one in taken_over.backend.call(list_alerts).items]
    assert looks(taken_over, days - 1) == [], "asked again, nothing new"


def test_what_can_not_be_looked_at_is_said(taken_over: Season, tmp_path: Path) -> None:
    identifiers = answered(taken_over, 2, changed_from=9)
    taken_over.now(SERVED + 3 * DAY)
    report = taken_over.backend.call(measure_performance, "late")
    assert (report.answers, report.figures.rows, report.versions) == (len(identifiers), len(identifiers), {"late@3": len(identifiers)})
    with pytest.raises(Refused, match=r"late@3 is the existing system at 127\.0\.0\.1:9: what it computes with is not known here"):
        measure_skew(taken_over.backend, "late")
    (tmp_path / "decisions.csv").write_text("departs,flight,held\n2013-04-01T06:00:00-04:00,1,yes\n")
    with pytest.raises(Refused, match=r"late@3 is the existing system .* can't be asked about the past"):
        shadow(taken_over.backend, "late@3", tmp_path / "decisions.csv", "late")


def test_an_answer_is_walked_back_to_the_existing_system_with_what_came_of_it(taken_over: Season) -> None:
    identifier = answered(taken_over, 2, changed_from=9)[0]
    taken_over.now(SERVED + 3 * DAY)
    found = taken_over.backend.call(explain, identifier)
    words = in_words(found)
    assert "late@3, the existing system at http://127.0.0.1:9/score" in words
    assert "features known to the existing system alone" in words and "in truth" in words
    assert (found.features, found.views, found.datasets, found.run_id, found.rows) == ([], [], [], None, {})
    assert found.training_set is not None and found.training_set.name == "training"
    assert found.answer.row["income"] == [1] and found.answer.other is not None
