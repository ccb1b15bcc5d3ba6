"""From a route to one that answers: its files on this disk, its features' reader, its model; and the last good one kept.

A process keeps, beside each route that it has loaded, all that the route needs. So it starts and serves without API and database.
"""

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from clew.definitions import FeaturesDefinition, from_document
from clew.errors import ClewError, Unavailable
from clew.feature_store.schema import used_views
from clew.serving import external
from clew.serving.external import LiveExternal
from clew.serving.runtime import DirectSource, LiveModel, LiveRoute
from clew.serving.schema import Candidate, Route, RouteDocument
from clew.serving.trying import LiveCandidate
from clew.settings import Settings

if TYPE_CHECKING:
    from clew.backend import Backend
    from clew.feature_store.functions import ViewFunction
    from clew.feature_store.reader import FeatureReader
    from clew.serving.runtime import FeatureSource, Matrix

__all__ = ["Kept", "KeptRoute", "functions_of", "load"]

_FILES = "files"


@dataclass(frozen=True)
class KeptRoute:
    """A route as it is kept on disk; ``closed`` is why its candidate, which it is kept without, was closed by this process's guard,
    ``closed_at`` the event time of the row that did it."""

    route: Route
    closed: str | None = None
    closed_at: int = 0


class Kept:
    """The folder of one project's routes: for each endpoint the last good one, and the files that they share."""

    def __init__(self, settings: Settings, project: str) -> None:
        self.folder = settings.home / "serving" / project
        self._files = self.folder / _FILES

    def last_good(self) -> list[KeptRoute]:
        """The routes that were served last, by endpoint."""
        return [msgspec.json.decode(path.read_bytes(), type=KeptRoute) for path in sorted(self.folder.glob("*/route.json"))]

    def keep(self, route: Route, closed: str | None = None, closed_at: int = 0) -> None:
        """Make a route the last good one of its endpoint; it must have been loaded. ``closed`` is why its candidate was closed here."""
        path = self.folder / route.endpoint / "route.json"
        _write(path, msgspec.json.encode(KeptRoute(route if closed is None else replace(route, candidate=None), closed, closed_at)))

    def model(self, digest: str, backend: "Backend | None") -> Path:
        """The model's file, fetched where it is not here yet."""
        path = self._files / f"{digest.replace(':', '-')}.onnx"
        if not path.is_file():
            _write(path, _asked(backend, digest).download(digest).read_bytes())
        return path

    def source(self, digest: str, backend: "Backend | None") -> Path:
        """The folder of a source snapshot, unpacked where it is not here yet."""
        from clew.tracking.source import unpack

        folder = self._files / digest.replace(":", "-")
        if not (folder / ".complete").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            unpack(_asked(backend, digest), digest, folder)
            (folder / ".complete").touch()
        return folder


def _asked(backend: "Backend | None", digest: str) -> "Backend":
    if backend is None:
        raise Unavailable(f"{digest} is not on this disk, and no Clew can be reached to fetch it from")
    return backend


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    part.replace(path)


def load(route: Route, kept: Kept, settings: Settings, project: str, backend: "Backend | None") -> LiveRoute:
    """The route, ready to answer. Raises what hinders it; the route that answers now is not touched."""
    champion = _load(route.document, kept, settings, project, backend)
    tried = None if route.candidate is None else _candidate(route.candidate, kept, settings, project, backend)
    return LiveRoute(route, champion, tried)


def _load(document: RouteDocument, kept: Kept, settings: Settings, project: str, backend: "Backend | None") -> LiveModel | LiveExternal:
    if document.external is not None:  # whether it is up shows when it is asked: a process starts before what it stands in front of
        external.warm_up()
        return LiveExternal(document)
    from clew.registry.runtime import load_onnx

    predict = load_onnx(kept.model(document.onnx, backend))
    source: FeatureSource = (
        DirectSource(document.features) if document.training_set is None else _view_source(document, kept, settings, project, backend)
    )
    model = LiveModel(document, source, predict)
    _warm_up(model, predict)
    return model


def _candidate(candidate: Candidate, kept: Kept, settings: Settings, project: str, backend: "Backend | None") -> LiveCandidate:
    from clew.serving.guarding import warm_up

    warm_up()
    return LiveCandidate(candidate, _load(candidate.document, kept, settings, project, backend))


def _view_source(document: RouteDocument, kept: Kept, settings: Settings, project: str, backend: "Backend | None") -> "_ViewSource":
    from clew.feature_store.online import open_store
    from clew.feature_store.reader import FeatureReader

    functions = functions_of(document, kept, backend, request_only=True)
    store = open_store(settings.online_url, durability=settings.durability)
    assert document.time is not None  # a training set has one
    reader = FeatureReader(document.uses, store, project=project, time=document.time, functions=functions)
    return _ViewSource(reader, document.features)


class _ViewSource:
    """The model's inputs from the feature store, by name."""

    def __init__(self, reader: "FeatureReader", features: Sequence[str]) -> None:
        self._reader = reader
        order = [reader.names.index(name) for name in features]
        self._order = None if order == list(range(len(reader.names))) else order

    def read(self, rows: Sequence[dict[str, Any]]) -> "tuple[Matrix, list[list[str]]]":
        found = self._reader.read(rows)
        missing = [[name for view in found.views for name in view.names(place)] for place in range(len(rows))]
        return found.matrix if self._order is None else found.matrix[:, self._order].copy(), missing

    def hindrances(self) -> list[str]:
        return self._reader.hindrances()


def functions_of(
    document: RouteDocument, kept: Kept, backend: "Backend | None", *, request_only: bool = False
) -> "dict[str, ViewFunction]":
    """The functions of a document's views, each from its own snapshot; those of request features alone with ``request_only``."""
    from clew.feature_store.functions import load_function

    found: dict[str, ViewFunction] = {}
    for use in used_views(document.uses):
        definition = from_document(use.details.definition)
        if not isinstance(definition, FeaturesDefinition) or (request_only and use.details.kind != "request"):
            continue
        digest = document.sources.get(use.view)
        folder = None if digest is None else kept.source(digest, backend)
        if folder is not None:
            _forget_modules(folder)
        found[use.view] = load_function(definition.function, folder)
    return found


def _forget_modules(folder: Path) -> None:
    """Forget the modules of other snapshots: a module's name says nothing of its version. Functions in use keep theirs."""
    elsewhere = [path for path in sys.path if Path(path).is_relative_to(folder.parent) and not Path(path).is_relative_to(folder)]
    for path in elsewhere:
        sys.path.remove(path)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and Path(file).is_relative_to(folder.parent) and not Path(file).is_relative_to(folder):
            del sys.modules[name]


def _warm_up(model: LiveModel, predict: "Callable[[Matrix], Matrix]") -> None:
    """Answer a row of nothing, so that the first request finds everything loaded. Raises what the model raises."""
    import numpy as np

    answer = predict(np.full((1, len(model.document.features)), np.nan, np.float32))
    if answer.shape != (1,):
        raise ClewError(f"{model.name} answers one row with {answer.shape}; an endpoint serves one probability a row")
