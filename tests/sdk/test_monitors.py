"""Declarations of what is watched, what builds by itself, and how a new version comes behind an endpoint."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sklearn.metrics import log_loss, roc_auc_score

import clew
from clew.definitions import EndpointDefinition, MonitorDefinition, TriggerDefinition, from_document, to_document
from clew.errors import Invalid
from clew.sdk import declarations
from clew.sdk.endpoints import Endpoint
from clew.sdk.models import Model


@pytest.fixture(autouse=True)
def _no_other_declarations() -> Iterator[None]:
    declarations.forget()
    yield
    declarations.forget()


@pytest.fixture
def late() -> Model[..., Any]:
    @clew.dataset(key="id", time="at")
    def events(file: Any) -> None: ...

    seen = clew.windows("seen", events, entity=clew.entity("id"), over="1d", n=clew.count())
    training = clew.training_set("training", events, label=events["late"], label_within="1d", features=[seen])

    @clew.model(training)
    def late(training: clew.TrainingData, depth: int = 3) -> None: ...

    return late


@pytest.fixture
def service(late: Model[..., Any]) -> Endpoint:
    return clew.endpoint(
        "late", model=late, rollout=[clew.shadow("2d"), clew.canary(0.1, "7d")], guard=clew.guard(errors=0.01, p95_ms=50, harm=0.02)
    )


def test_the_face_of_a_loop_survives_its_documents(late: Model[..., Any], service: Endpoint) -> None:
    quality = clew.monitor("late_quality", service, performance=[log_loss, roc_auc_score], drift=True, skew=True)
    trigger = clew.on(clew.any_of(quality.worse, clew.cron("0 4 1 * *", zone="America/New_York")), build=late, name="late_retrain")
    for declared in (service, quality, trigger):
        assert from_document(to_document(declared.definition)) == declared.definition
    assert isinstance(service.definition, EndpointDefinition)
    assert [(step.kind, step.share, step.duration) for step in service.definition.rollout] == [("shadow", 0.0, "2d"), ("canary", 0.1, "7d")]
    assert isinstance(quality.definition, MonitorDefinition)
    assert quality.definition.performance == ("log_loss", "auc")
    assert isinstance(trigger.definition, TriggerDefinition)
    assert [condition.kind for condition in trigger.definition.conditions] == ["worse", "cron"]
    assert trigger.definition.build == "late"


@pytest.mark.parametrize(
    ("declare", "says"),
    [
        (lambda: clew.canary(0.0, "1d"), "between 0 and 1"),
        (lambda: clew.canary(1.0, "1d"), "promoted"),
        (lambda: clew.canary(0.1, "soon"), "no duration"),
        (lambda: clew.shadow("0d"), "no duration"),
        (lambda: clew.guard(errors=0), "above 0"),
        (lambda: clew.guard(errors=1.5), "below 1"),
        (lambda: clew.guard(harm=-0.1), "above 0"),
        (lambda: clew.guard(alpha=0.9), "false stop"),
        (lambda: clew.any_of(), "at least one"),
        (lambda: clew.cron("0 4 1 * *", zone="America/Nowhere"), "no such zone"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_is_written(declare: Callable[[], object], says: str) -> None:
    with pytest.raises(Invalid, match=says):
        declare()


def test_shares_go_up_and_the_shadow_comes_first(late: Model[..., Any]) -> None:
    with pytest.raises(Invalid, match="go down"):
        clew.endpoint("one", model=late, rollout=[clew.canary(0.5, "1d"), clew.canary(0.1, "1d")])
    with pytest.raises(Invalid, match="comes first"):
        clew.endpoint("two", model=late, rollout=[clew.canary(0.1, "1d"), clew.shadow("1d")])


def test_a_monitor_knows_what_it_can_measure(service: Endpoint) -> None:
    with pytest.raises(Invalid, match="knows log_loss"):
        clew.monitor("one", service, performance=["f1"])
    with pytest.raises(Invalid, match="at least 14 days"):
        clew.monitor("two", service, performance=[log_loss], window="7d")
    with pytest.raises(Invalid, match="rate"):
        clew.monitor("three", service, rate=2)


def test_a_dataset_is_watched_for_what_it_has() -> None:
    @clew.dataset(key="id", time="at")
    def events(file: Any) -> None: ...

    watched = clew.monitor("rows", events, drift=True)
    assert watched.definition.dataset == "events"
    with pytest.raises(Invalid, match="neither performance nor skew"):
        clew.monitor("more", events, skew=True)
