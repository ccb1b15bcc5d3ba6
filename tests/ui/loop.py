"""A loop that has gone round: months of a made-up airport, watched, retrained, one version rolled back and one on its way."""

import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "monitoring"))  # pytest imports test files by path, and the season by its name

import numpy as np
from season import QUALITY, SERVED, Season, a_season
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.catalog.schema import DefinitionDraft, VersionRef
from clew.definitions import (
    AnyDefinition,
    Condition,
    EndpointDefinition,
    FunctionRef,
    GuardDefinition,
    ModelDefinition,
    RolloutStep,
    TriggerDefinition,
    definition_digest,
    kind_of,
    to_document,
)
from clew.delivery.service import advance_clock, claim_job, conclude_build, fail_job, list_rollouts
from clew.feature_store.reading import load_training_data
from clew.monitoring.looking import look
from clew.monitoring.schema import FeatureSkew, SkewReport
from clew.monitoring.service import measure_performance, record_skew
from clew.registry.saving import save_model
from clew.registry.service import model_version, register_model
from clew.serving import service as serving

ENDPOINT = EndpointDefinition(
    "late", "late", (RolloutStep("shadow", "2d"), RolloutStep("canary", "7d", 0.1)), GuardDefinition(errors=0.01, p95_ms=50, harm=0.02)
)
MODEL = ModelDefinition("late", "training", {}, None, None, False, FunctionRef("airport", "late", "airport.py"))
TRIGGER = TriggerDefinition(
    "late_retrain", "late", (Condition("worse", "quality"), Condition("cron", cron="0 4 1 * *", zone="America/New_York"))
)
BAD, GOOD = datetime(2013, 5, 1, 8, tzinfo=UTC), datetime(2013, 6, 1, 8, tzinfo=UTC)
"""When the schedule retrains: first to a version that knows nothing, then to one that does."""
NOW = datetime(2013, 6, 6, 16, tzinfo=UTC)
_DAY = timedelta(days=1)


@dataclass
class Loop:
    """What was made. The versions on the way come from the schedule's builds, in this order."""

    backend: LocalBackend
    season: Season
    builds: list[str] = field(default_factory=lambda: ["dies", "wrong", "good"])
    """What comes of each retraining."""

    def go(self, to: datetime) -> None:
        """Move event time there; builds that it waits for are done at once."""
        while self.backend.call(advance_clock, to).waiting:
            self._work()

    def _work(self) -> None:
        job = self.backend.call(claim_job, "a worker")
        assert job is not None, "event time waits for something that is no build"
        outcome = self.builds.pop(0) if self.builds else "dies"
        if outcome == "dies":
            self.backend.call(fail_job, job.id, job.token, "MemoryError: 12 GiB asked for, 8 are there")
            return
        why = f"retrained, {job.arguments['cause']}"
        made = self.season.register(why) if outcome == "good" else self._register_wrong(why)
        reason = "AUC +0.0021, 95 % −0.0042 to +0.0084 (28 days, 840 rows); lower bound −0.0042 against −0.01"
        _judge(self.backend, made, reason)
        self.backend.call(conclude_build, job.id, job.token, made.number, "no worse", reason)

    def _register_wrong(self, why: str) -> VersionRef:
        """A version that takes late for on time: what a gate with other rows might have let pass."""
        data = load_training_data(self.backend, self.season.training.name, self.season.training.number, "train")
        fitted = make_pipeline(SimpleImputer(keep_empty_features=True), LogisticRegression(max_iter=5_000))
        fitted.fit(data.X.to_numpy(), 1 - np.asarray(data.y).astype(int))
        saved = save_model(self.backend, fitted, data.X)
        like = self.backend.call(model_version, "late", 1).details
        made = replace(like, files=saved.files, onnx=saved.onnx, signature=saved.signature, verification=saved.verification)
        return self.backend.call(register_model, "late", "sha256:" + "d" * 64, saved.files, why, made).version.ref

    def serve(self, start: datetime, end: datetime, other: int | None = None) -> None:
        epoch = max(route.epoch for route in self.backend.call(serving.route_history, "late").items)
        self.season.serve(start, end, epoch=epoch, other=other)

    def open_rollout(self) -> str | None:
        return next((one.id for one in self.backend.call(list_rollouts).items if one.ended_at is None), None)


def tell_the_loop(backend: LocalBackend) -> Loop:
    """Everything up to ``NOW``, in the middle of a canary. No server may run on the folder yet: the answers are written to its log."""
    loop = Loop(backend, a_season(backend))
    declare(backend, replace(QUALITY, looks=3), MODEL, ENDPOINT, TRIGGER)
    loop.serve(SERVED, BAD)
    loop.go(BAD)
    loop.serve(BAD, BAD + 4 * _DAY, other=3)
    while loop.open_rollout() and backend.call(list_rollouts).items[0].started_at + 9 * _DAY > (now := _now(backend)):
        if now >= BAD + 3 * _DAY:
            loop.serve(now + _DAY, now + 2 * _DAY, other=3)
        loop.go(now + _DAY)
    loop.serve(_now(backend) + _DAY, GOOD)
    loop.go(GOOD)
    loop.serve(GOOD, NOW, other=4)
    loop.go(NOW)
    backend.call(measure_performance, "late")
    backend.call(record_skew, "late", _skew())
    backend.call(look, "quality")
    return loop


def declare(backend: LocalBackend, *definitions: AnyDefinition) -> None:
    drafts = [DefinitionDraft(kind_of(one), one.name, definition_digest(one), to_document(one)) for one in definitions]
    backend.call(catalog.apply_definitions, drafts, source="sha256:" + "5" * 64)


def _now(backend: LocalBackend) -> datetime:
    from clew.access.service import get_project

    at = backend.call(get_project).event_time
    assert at is not None
    return at


def _judge(backend: LocalBackend, version: VersionRef, reason: str) -> None:
    difference = {"estimate": 0.0021, "low": -0.0042, "high": 0.0084, "level": 0.95, "blocks": 28, "rows": 840}
    figures: dict[str, Any] = {
        "metric": "AUC",
        "difference": difference,
        "margin": 0.01,
        "challenger": 0.762,
        "champion": 0.76,
        "unit": "days",
    }
    with backend.database.write() as connection:
        inside = replace(backend.context(backend.project), connection=connection, now=_now(backend))
        catalog.add_verdict(
            inside, gate="no_worse", model=version.name, number=version.number, passed=True, word="no worse", reason=reason, figures=figures
        )


def _skew() -> SkewReport:
    wrong = FeatureSkew("delay_7d", "pace@1", 500, 41, 3.5, "p_1", 12.5, 9.0)
    return SkewReport("late", None, None, 500, 3_000, 41, 3.5, 1e-6, [wrong, FeatureSkew("distance", "calendar@1", 500, 0, 0.0)])
