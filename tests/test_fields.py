"""What is said of a definition that is declared otherwise than it was."""

import dataclasses
from typing import Any

import msgspec
import pytest

from clew.definitions import (
    Aggregate,
    AnyDefinition,
    Condition,
    DatasetDefinition,
    EndpointDefinition,
    FeaturesDefinition,
    FunctionRef,
    GateDefinition,
    GuardDefinition,
    ModelDefinition,
    MonitorDefinition,
    ParameterDefinition,
    RolloutStep,
    SearchDefinition,
    Space,
    TrainingSetDefinition,
    TriggerDefinition,
    ViewUse,
    WindowsDefinition,
    to_document,
)
from clew.fields import FieldChange, changed_documents, changed_fields, written_fields

CODE = FunctionRef("flights", "f", "flights.py")
SPACE = Space("log_uniform", 0.01, 0.3)
DATASET = DatasetDefinition("landings", ("flight",), "landed", "known", CODE, "America/New_York", {"delay": (-120, 3000)})
WINDOWS = WindowsDefinition("delays", "landings", ("carrier",), ("6h", "7d"), {"late": Aggregate("mean", "late"), "n": Aggregate("count")})
VIEW = FeaturesDefinition("seen", ("weather",), ("origin",), "hour", "3h", "hold", {}, CODE, {"temp": (-60, 140)})
ASKED = FeaturesDefinition("asked", (), (), None, None, None, {"distance": "Float64"}, CODE)
MANY = tuple(ViewUse(f"a_view_of_number_{number}", {"origin": "origin"}) for number in range(7))
TRAINING = TrainingSetDefinition("training", "schedule", "landings", "late", "1d", MANY, "28d", "1d", "America/New_York")
MODEL = ModelDefinition(
    "late", "training", {"rate": ParameterDefinition(0.1, SPACE), "kernel": ParameterDefinition("rbf")}, 7, SearchDefinition(16, "auc", "maximize"), True, CODE
)  # fmt: skip
GATE = GateDefinition("no_worse", "late", "training", CODE)
STEPS = (RolloutStep("shadow", "2d"), RolloutStep("canary", "7d", 0.1))
ENDPOINT = EndpointDefinition("late", "late", STEPS, GuardDefinition(errors=0.01, p95_ms=50, harm=0.02))
MONITOR = MonitorDefinition("quality", "late", None, ("auc",))
TRIGGER = TriggerDefinition(
    "retrain", "late", (Condition("worse", monitor="quality"), Condition("cron", cron="0 4 1 * *", zone="America/New_York"))
)
ALL: tuple[AnyDefinition, ...] = (DATASET, WINDOWS, VIEW, ASKED, TRAINING, MODEL, GATE, ENDPOINT, MONITOR, TRIGGER)


@pytest.mark.parametrize(
    ("definition", "changes", "told"),
    [
        (DATASET, {"zone": "UTC"}, ["zone America/New_York → UTC"]),
        (DATASET, {"bounds": {"delay": (None, 3000), "taxi": (0, 1.5)}}, ["bounds.delay (-120, 3000) → (None, 3000)", "bounds.taxi None → (0, 1.5)"]),
        (DATASET, {"key": ("flight", "day"), "bounds": {}}, ["key [flight] → [flight, day]", "bounds.delay (-120, 3000) → None"]),
        (
            WINDOWS,
            {"over": ("6h",), "aggregates": {"late": Aggregate("max", "late", (0, 1))}},
            ["over [6h, 7d] → [6h]", 'late mean("late") → max("late", bounds=(0, 1))', "n count() → None"],
        ),
        (VIEW, {"ttl": "6h", "missing": 0}, ["ttl 3h → 6h", "missing hold → 0"]),
        (ASKED, {"request": {"distance": "Float32"}}, ["request.distance Float64 → Float32"]),
        (TRAINING, {"label_column": "delay", "label_within": "2d"}, ["label_within 1d → 2d", 'label landings["late"] → landings["delay"]']),
        (TRAINING, {"holdout": None, "zone": "UTC", "last": "30d"}, ["zone America/New_York → UTC", "last None → 30d", "holdout 28d → None"]),
        (
            TRAINING,
            {"features": (*MANY, ViewUse("weather", {"origin": "dest"}, "dest_"))},
            ['features […] → […, weather.by("dest", prefix="dest_")]'],
        ),
        (MODEL, {"parameters": {"rate": ParameterDefinition(0.2, SPACE), "kernel": ParameterDefinition(None)}}, ["rate 0.1 → 0.2", 'kernel "rbf" → None']),
        (
            MODEL,
            {"parameters": MODEL.parameters | {"rate": ParameterDefinition(0.1, Space("choice", choices=(0.1, "a")))}},
            ['rate.space log_uniform(0.01, 0.3) → choice(0.1, "a")'],
        ),
        (MODEL, {"search": SearchDefinition(32, "auc", "maximize"), "refit": False}, ["tune.trials 16 → 32", "refit True → False"]),
        (MODEL, {"search": SearchDefinition(16, "loss", "minimize"), "seed": 8}, ["seed 7 → 8", "tune.minimize None → loss", "tune.maximize auc → None"]),
        (ENDPOINT, {"guard": GuardDefinition(errors=0.01, p95_ms=75, harm=0.05)}, ["guard.p95_ms 50 → 75", "guard.harm 0.02 → 0.05"]),
        (
            ENDPOINT,
            {"rollout": (STEPS[0], RolloutStep("canary", "14d", 0.25))},
            ['rollout [shadow("2d"), canary(0.1, "7d")] → [shadow("2d"), canary(0.25, "14d")]'],
        ),
        (MONITOR, {"drift": True, "window": "14d", "rate": 0.1, "looks": 6}, ["drift False → True", "window 28d → 14d", "rate 0.05 → 0.1", "looks 12 → 6"]),
        (
            TRIGGER,
            {"conditions": (Condition("worse", monitor="quality"), Condition("cron", cron="0 5 1 * *"))},
            ['conditions […, cron("0 4 1 * *", zone="America/New_York")] → […, cron("0 5 1 * *")]'],
        ),
    ],
)  # fmt: skip
def test_a_field_that_changed_is_told_as_a_file_writes_it(definition: AnyDefinition, changes: dict[str, Any], told: list[str]) -> None:
    after = dataclasses.replace(definition, **changes)
    assert [str(one) for one in changed_fields(written_fields(definition), written_fields(after))] == told
    assert [str(one) for one in changed_documents(to_document(definition), to_document(after))] == told


@pytest.mark.parametrize("definition", ALL, ids=lambda one: str(one.name))
def test_a_definition_is_written_the_same_after_its_travels(definition: AnyDefinition) -> None:
    document = msgspec.json.decode(msgspec.json.encode(to_document(definition)))
    assert changed_documents(document, to_document(definition)) == []


@pytest.mark.parametrize("definition", ALL, ids=lambda one: str(one.name))
def test_no_field_of_a_definition_is_left_out(definition: AnyDefinition) -> None:
    for field in dataclasses.fields(definition):
        if field.name in ("name", "function"):
            continue
        other = object.__new__(type(definition))
        other.__dict__.update(vars(definition) | {field.name: "another"})
        assert changed_fields(written_fields(definition), written_fields(other)), f"nobody would hear of another {field.name}"


def test_a_parameter_that_is_called_as_a_field_of_the_model_hides_none() -> None:
    named = dataclasses.replace(MODEL, parameters={"refit": ParameterDefinition(1)})
    assert {"refit": "True", "parameters.refit": "1"}.items() <= written_fields(named).items()


def test_nothing_is_said_of_a_document_that_this_clew_can_not_read() -> None:
    assert changed_documents({"type": "Forecast"}, to_document(VIEW)) == []
    assert changed_documents({"type": "DatasetDefinition"}, to_document(DATASET)) == []


def test_a_change_is_a_document_with_both_values() -> None:
    found = changed_documents(to_document(WINDOWS), to_document(dataclasses.replace(WINDOWS, over=("6h",), missing=0.0)))
    assert msgspec.to_builtins(found) == [
        {"field": "over", "old": ["6h", "7d"], "new": ["6h"]},
        {"field": "missing", "old": None, "new": "0"},
    ]
    assert found[1] == FieldChange("missing", None, "0")
