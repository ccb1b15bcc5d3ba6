"""Clew: the whole life of a machine-learning model, on one thread that leads from any prediction back to data and code."""

import importlib
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clew.backend import connect as connect
    from clew.errors import ClewError as ClewError
    from clew.errors import Pruned as Pruned
    from clew.feature_store.training_data import TrainingData as TrainingData
    from clew.pipelines.comparison import Candidate as Candidate
    from clew.pipelines.comparison import Verdict as Verdict
    from clew.pipelines.comparison import compare as compare
    from clew.pipelines.comparison import failed as failed
    from clew.pipelines.comparison import passed as passed
    from clew.sdk.datasets import dataset as dataset
    from clew.sdk.endpoints import canary as canary
    from clew.sdk.endpoints import endpoint as endpoint
    from clew.sdk.endpoints import guard as guard
    from clew.sdk.endpoints import shadow as shadow
    from clew.sdk.features import count as count
    from clew.sdk.features import entity as entity
    from clew.sdk.features import features as features
    from clew.sdk.features import maximum as max
    from clew.sdk.features import mean as mean
    from clew.sdk.features import minimum as min
    from clew.sdk.features import total as sum
    from clew.sdk.features import windows as windows
    from clew.sdk.models import choice as choice
    from clew.sdk.models import gate as gate
    from clew.sdk.models import integer as integer
    from clew.sdk.models import log_uniform as log_uniform
    from clew.sdk.models import model as model
    from clew.sdk.models import search as search
    from clew.sdk.models import uniform as uniform
    from clew.sdk.monitors import any_of as any_of
    from clew.sdk.monitors import cron as cron
    from clew.sdk.monitors import monitor as monitor
    from clew.sdk.monitors import on as on
    from clew.sdk.replays import replay as replay
    from clew.sdk.runs import Run as Run
    from clew.sdk.runs import get_run as get_run
    from clew.sdk.runs import log as log
    from clew.sdk.runs import run as run
    from clew.sdk.training import training_set as training_set
    from clew.sdk.verbs import apply as apply
    from clew.sdk.verbs import build as build
    from clew.sdk.versions import get as get

__version__ = "0.1.0"

_HOMES = {
    "Candidate": "clew.pipelines.comparison",
    "ClewError": "clew.errors",
    "Pruned": "clew.errors",
    "Run": "clew.sdk.runs",
    "TrainingData": "clew.feature_store.training_data",
    "Verdict": "clew.pipelines.comparison",
    "any_of": "clew.sdk.monitors",
    "apply": "clew.sdk.verbs",
    "build": "clew.sdk.verbs",
    "canary": "clew.sdk.endpoints",
    "choice": "clew.sdk.models",
    "compare": "clew.pipelines.comparison",
    "connect": "clew.backend",
    "count": "clew.sdk.features",
    "cron": "clew.sdk.monitors",
    "dataset": "clew.sdk.datasets",
    "endpoint": "clew.sdk.endpoints",
    "entity": "clew.sdk.features",
    "failed": "clew.pipelines.comparison",
    "features": "clew.sdk.features",
    "gate": "clew.sdk.models",
    "get": "clew.sdk.versions",
    "get_run": "clew.sdk.runs",
    "guard": "clew.sdk.endpoints",
    "integer": "clew.sdk.models",
    "log": "clew.sdk.runs",
    "log_uniform": "clew.sdk.models",
    "max": "clew.sdk.features:maximum",
    "mean": "clew.sdk.features",
    "min": "clew.sdk.features:minimum",
    "model": "clew.sdk.models",
    "monitor": "clew.sdk.monitors",
    "on": "clew.sdk.monitors",
    "passed": "clew.pipelines.comparison",
    "replay": "clew.sdk.replays",
    "run": "clew.sdk.runs",
    "search": "clew.sdk.models",
    "shadow": "clew.sdk.endpoints",
    "sum": "clew.sdk.features:total",
    "training_set": "clew.sdk.training",
    "uniform": "clew.sdk.models",
    "windows": "clew.sdk.features",
}
"""Where each public name lives; it is imported when first used, so that ``import clew`` stays light."""

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]  # the same names stand in the TYPE_CHECKING block; a test compares them


if not TYPE_CHECKING:  # the checkers go by the imports above, and tell of a name that is not there

    def __getattr__(name: str) -> Any:
        if name == "testing":  # the one package that scripts reach through the face, without importing it first
            return importlib.import_module("clew.testing")
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module 'clew' has no attribute {name!r}")
        module, _, attribute = home.partition(":")
        value = getattr(importlib.import_module(module), attribute or name)
        if isinstance(value, FunctionType):
            value = _of_the_face(value, name)
        globals()[name] = value
        return value

    def _of_the_face(function: Any, name: str) -> Any:
        """The function as scripts call it; modules of Clew import it from its home, and see every frame of an error."""
        shown = importlib.import_module("clew.sdk.border").bordered(function)
        shown.__module__, shown.__qualname__ = "clew", name  # where a pickle finds it again
        return shown


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
