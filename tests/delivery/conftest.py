"""A replayed project with an endpoint that declares a rollout, over small models; serving processes are not needed for its rules."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))

from small_models import register_model_of

from clew.access.service import set_event_time
from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion, DefinitionDraft
from clew.definitions import AnyDefinition, EndpointDefinition, GuardDefinition, RolloutStep, definition_digest, kind_of, to_document
from clew.serving import service as serving

START = datetime(2013, 4, 1, 4, tzinfo=UTC)
STEPS = (RolloutStep("shadow", "2d"), RolloutStep("canary", "7d", 0.1))

Declare = Callable[..., None]


@pytest.fixture
def register() -> Callable[..., AssetVersion]:
    return register_model_of


def declare(backend: LocalBackend, *definitions: AnyDefinition) -> None:
    drafts = [DefinitionDraft(kind_of(one), one.name, definition_digest(one), to_document(one)) for one in definitions]
    backend.call(catalog.apply_definitions, drafts, source="sha256:" + "5" * 64)


@pytest.fixture
def project(backend: LocalBackend) -> LocalBackend:
    """late@1 answers, late@2 and late@3 are there; the endpoint declares two days of shadow and seven of canary."""
    backend.call(set_event_time, START)
    for slope in (1.0, -1.0, 2.0):
        register_model_of(backend, "late", slope=slope)
    declare(backend, EndpointDefinition("late", "late", STEPS, GuardDefinition(errors=0.01, harm=0.02)))
    backend.call(serving.deploy_ungated, "late", "late@1", "a test")
    return backend
