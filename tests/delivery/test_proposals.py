"""``clew propose``: a changed recipe is tried, must be better, and leaves the definitions as they are."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
from declaring import START, declare
from small_loans import outside
from small_models import register_model_of

from clew.access.service import set_event_time
from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.definitions import (
    EndpointDefinition,
    FunctionRef,
    ModelDefinition,
    ParameterDefinition,
    RolloutStep,
    TrainingSetDefinition,
    definition_digest,
)
from clew.delivery import service as delivery
from clew.errors import Invalid, Refused
from clew.operations import Context
from clew.pipelines.proposals import changed, with_change
from clew.sdk.models import Model, integer
from clew.serving import service as serving
from clew.settings import load_settings

TRAINING = TrainingSetDefinition("rows", "asked", "outcomes", "bad", "1d", ())
RISK = ModelDefinition("risk", "rows", {}, None, None, True, FunctionRef("loans", "risk", "loans.py"))


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("lst", "30d", "rows has no 'lst' to change; it has"),
        ("last", "soon", "'soon' is no duration"),
        ("last", "0d", "is no duration"),
        ("features", "7", "rows.features can't be '7'"),
        ("name", "others", "has no 'name' to change"),
        ("features.0.view", "x", "has no 'features.0.view' to change"),
    ],
)
def test_a_field_that_is_not_there_or_can_not_be_is_told_with_those_that_there_are(field: str, value: str, told: str) -> None:
    with pytest.raises(Invalid, match=told):
        with_change(TRAINING, field, value)


@pytest.mark.parametrize(("value", "made"), [("30d", "30d"), ("null", None), ('"7d"', "7d")])
def test_a_value_is_read_as_json_where_it_is_json(value: str, made: str | None) -> None:
    assert with_change(TRAINING, "last", value).last == made  # type: ignore[union-attr]
    assert TRAINING.last is None, "the declaration itself is not touched"


def late(rows: object, c: float = 1.0, depth: Annotated[int | None, integer(1, 9)] = None, kind: str = "a", free=2) -> None:  # type: ignore[no-untyped-def]
    """A model's function; ``free`` says nothing of what it takes."""


@pytest.fixture
def model() -> Model[..., None]:
    defaults = {"c": 1.0, "depth": None, "kind": "a", "free": 2}
    parameters = {name: ParameterDefinition(default) for name, default in defaults.items()}  # type: ignore[arg-type]  # mixed on purpose
    return Model(late, ModelDefinition("late", "rows", parameters, None, None, False, FunctionRef("flights", "late", "flights.py")))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"late.c": "abc"}, "late.c can't be 'abc': it takes float"),
        ({"late.depth": "2.5"}, r"late.depth can't be 2.5: it takes int \| None"),
        ({"late.c": "true"}, "late.c can't be True: it takes float"),
        ({"late.kind": "15"}, "late.kind can't be 15: it takes str; text that reads as a number is written in double quotes"),
        ({"late.deep": "3"}, "late has no 'deep' to change; it has c, depth, kind, free"),
    ],
)
def test_what_a_parameter_can_not_take_is_refused_before_anything_is_built(
    model: Model[..., None], change: dict[str, str], told: str
) -> None:
    with pytest.raises(Invalid, match=told):
        changed([model], change)


@pytest.mark.parametrize(
    ("name", "value", "made"),
    [("c", "2", 2), ("depth", "null", None), ("depth", "3", 3), ("kind", "b", "b"), ("kind", '"15"', "15"), ("free", "x", "x")],
)
def test_what_a_parameter_takes_is_its_new_default(model: Model[..., None], name: str, value: str, made: object) -> None:
    (proposed,) = changed([model], {f"late.{name}": value})
    assert isinstance(proposed.definition, ModelDefinition)
    assert proposed.definition.parameters[name].default == made


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    """The small project of loans in its folder, with nobody who serves."""
    shutil.copytree(prepared, tmp_path / "loans")
    (tmp_path / "witness").symlink_to(prepared.parent / "witness")
    return tmp_path / "loans"


def clew(folder: Path, *arguments: str, fails: bool = False) -> str:
    witness = (folder.parent / "witness").resolve()  # the fit reads this, so that for another one it would have to be made anew
    environ = outside() | {"WITNESS": str(witness)}
    done = subprocess.run(
        [sys.executable, "-m", "clew.cli", *arguments], cwd=folder, env=environ, capture_output=True, text=True, timeout=170
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_proposal_that_is_no_better_is_rejected_with_the_reason_and_changes_no_definition(folder: Path) -> None:
    backend = LocalBackend(load_settings(folder, {}))
    before = {(one.kind, one.name): one.digest for one in backend.call(catalog.list_definitions).items}
    assert "rows has no 'lst' to change" in clew(folder, "propose", "risk", "--set", "rows.lst=30d", fails=True)
    assert "names nothing that is built" in clew(folder, "propose", "risk", "--set", "rose.last=30d", fails=True)
    assert "--set takes asset.field=value" in clew(folder, "propose", "risk", "--set", "rows.last", fails=True)
    told = clew(folder, "propose", "risk", "--set", "risk.strength=0.0001")
    assert "risk@3 is rejected: " in told, told
    version = backend.call(catalog.get_version, "risk", 3)
    assert version.state == "rejected" and version.details["parameters"] == {"strength": 0.0001}
    assert {(one.kind, one.name): one.digest for one in backend.call(catalog.list_definitions).items} == before
    assert str(backend.call(serving.endpoint_status, "risk").route.ref) == "risk@2"
    assert backend.call(delivery.list_rollouts).items == []
    assert "nothing differs from risk@2" in clew(folder, "why", "risk"), "the next build is the declared one's"
    backend.dispose()


def test_a_proposed_version_that_was_not_refitted_is_not_deployed_where_the_recipe_says_refit(local_backend: LocalBackend) -> None:
    local_backend.call(set_event_time, START)
    register_model_of(local_backend, "risk", slope=1.0)
    declare(local_backend, RISK, EndpointDefinition("risk", "risk", (RolloutStep("shadow", "2d"),)))
    local_backend.call(serving.deploy_ungated, "risk", "risk@1", "a test")
    proposed = register_model_of(local_backend, "risk", slope=2.0)  # by a definition that stands nowhere
    assert proposed.definition_digest != definition_digest(RISK)
    refitted = register_model_of(local_backend, "risk", slope=3.0, refit_of=proposed.ref)

    def passes(inside: Context) -> None:
        catalog.add_verdict(inside, gate="enough", model="risk", number=proposed.number, passed=True, word="better", reason="", figures={})

    local_backend.context("test").run_write(passes)
    with pytest.raises(Refused, match="its recipe says refit, and only the refit is deployed"):
        local_backend.call(delivery.roll_out, "risk", str(proposed.ref))
    begun = local_backend.call(delivery.roll_out, "risk", str(refitted.ref))
    assert begun is not None and begun.state == "running"
