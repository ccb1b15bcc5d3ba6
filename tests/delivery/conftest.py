"""A replayed project with an endpoint that declares a rollout, over small models; serving processes are not needed for its rules."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by path, and these helpers are imported by name
sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))
sys.path.insert(0, str(Path(__file__).parents[1] / "monitoring"))

from declaring import START, STEPS, declare
from season import Season, told_again, told_once
from small_loans import prepare
from small_models import register_model_of

from clew.access.service import set_event_time
from clew.backend import LocalBackend
from clew.catalog.schema import AssetVersion
from clew.definitions import EndpointDefinition, GuardDefinition
from clew.serving import service as serving
from clew.settings import Settings


@pytest.fixture
def register() -> Callable[..., AssetVersion]:
    return register_model_of


@pytest.fixture(scope="session")
def _told_once(tmp_path_factory: pytest.TempPathFactory, _migrated_sqlite: Path) -> Season:
    """Half a year of a small airport up to its first answer, to copy from."""
    return told_once(tmp_path_factory.mktemp("season"), _migrated_sqlite)


@pytest.fixture
def season(settings: Settings, _told_once: Season) -> Iterator[Season]:
    with told_again(_told_once, settings) as season:
        yield season


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small project of loans with a first version behind its endpoint, to copy from."""
    return prepare(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def project(backend: LocalBackend) -> LocalBackend:
    """late@1 answers, late@2 and late@3 are there; the endpoint declares two days of shadow and seven of canary."""
    backend.call(set_event_time, START)
    for slope in (1.0, -1.0, 2.0):
        register_model_of(backend, "late", slope=slope)
    declare(backend, EndpointDefinition("late", "late", STEPS, GuardDefinition(errors=0.01, harm=0.02)))
    backend.call(serving.deploy_ungated, "late", "late@1", "a test")
    return backend
