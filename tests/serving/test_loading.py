"""What a route needs is on this disk, and each route runs the code of its own snapshot."""

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from clew.backend import LocalBackend
from clew.catalog.schema import AssetVersion, VersionRef
from clew.definitions import FeaturesDefinition, FunctionRef, to_document
from clew.errors import ClewError, Unavailable
from clew.feature_store.schema import FeatureColumn, FeatureViewDetails, UsedView
from clew.serving import service
from clew.serving.loading import Kept, load
from clew.serving.schema import RequestField, Route
from clew.tracking.source import snapshot

Register = Callable[..., AssetVersion]
VIEW = """
import polars as pl
from scaling_of_a_test import scale

def scaled(request):
    return request.select(a=pl.col("a") * scale())
"""


@pytest.fixture(autouse=True)
def _modules() -> Iterator[None]:
    before, path = set(sys.modules), list(sys.path)
    yield
    for name in set(sys.modules) - before:
        if name.endswith("_of_a_test"):
            del sys.modules[name]
    sys.path[:] = path


def a_route(backend: LocalBackend, folder: Path, factor: float) -> Route:
    """The route of ``late@1``, with a request feature whose helper multiplies by ``factor``."""
    (folder / "views_of_a_test.py").write_text(VIEW)
    (folder / "scaling_of_a_test.py").write_text(f"def scale():\n    return {factor}\n")
    digest = snapshot(backend, folder).digest
    reference = FunctionRef("views_of_a_test", "scaled", str(folder / "views_of_a_test.py"))
    definition = FeaturesDefinition("scaled", (), (), None, None, None, {"a": "Float64"}, reference)
    details = FeatureViewDetails("request", to_document(definition), (FeatureColumn("a", "Float64"),), (), ())
    use = UsedView("scaled", 1, {}, "", ("a",), details)
    (route,) = backend.call(service.live_routes).items
    instant = RequestField("at", "Datetime(time_unit='us', time_zone='UTC')", required=True)
    document = replace(
        route.document, features=("a",), fields=(instant, RequestField("a", "Float64")), key=("at",), time="at", uses=(use,),
        training_set=VersionRef("training", 1), sources={"scaled": digest},
    )  # fmt: skip
    return replace(route, document=document)


@pytest.fixture
def deployed(sqlite_backend: LocalBackend, register: Register) -> LocalBackend:
    register(sqlite_backend, "late", slope=1.0, width=1)
    sqlite_backend.call(service.deploy_ungated, "late", "late@1", "a test")
    return sqlite_backend


def asked(backend: LocalBackend, route: Route, kept: Kept, using: LocalBackend | None) -> Callable[[], float]:
    live = load(route, kept, backend.settings, backend.project, using)
    rows = live.requests.convert([{"at": "2013-04-01T08:00:00Z", "a": 2.0}]).rows
    return lambda: float(live.champion.answer(rows).matrix[0, 0])


def test_a_changed_helper_is_served_after_the_flip_and_the_old_one_until_then(deployed: LocalBackend, tmp_path: Path) -> None:
    kept = Kept(deployed.settings, deployed.project)
    folder = tmp_path / "project"
    folder.mkdir()
    first = asked(deployed, a_route(deployed, folder, 10.0), kept, deployed)
    assert first() == 20.0
    second = asked(deployed, a_route(deployed, folder, 100.0), kept, deployed)
    assert (second(), first()) == (200.0, 20.0)


def test_code_and_model_are_loaded_from_this_disk_when_nothing_else_is_there(deployed: LocalBackend, tmp_path: Path) -> None:
    kept = Kept(deployed.settings, deployed.project)
    folder = tmp_path / "project"
    folder.mkdir()
    route = a_route(deployed, folder, 3.0)
    with pytest.raises(Unavailable, match="not on this disk"):
        load(route, kept, deployed.settings, deployed.project, None)
    asked(deployed, route, kept, deployed)
    kept.keep(route)
    shutil.rmtree(folder)
    shutil.rmtree(deployed.settings.home / "storage")
    (again,) = kept.last_good()
    assert msgspec.json.encode(again.route) == msgspec.json.encode(route)
    assert asked(deployed, again.route, kept, None)() == 6.0


def test_a_model_of_another_width_does_not_load(deployed: LocalBackend, register: Register) -> None:
    register(deployed, "late", slope=1.0, width=3)
    (route,) = deployed.call(service.live_routes).items
    wrong = replace(route, document=replace(route.document, features=("a", "b")))
    with pytest.raises(Exception, match=r"INVALID_ARGUMENT|Got invalid dimensions") as caught:
        load(wrong, Kept(deployed.settings, deployed.project), deployed.settings, deployed.project, deployed)
    assert not isinstance(caught.value, ClewError)


def test_features_come_in_the_models_order_not_the_views(deployed: LocalBackend) -> None:
    from clew.serving.loading import _ViewSource

    class Reader:
        names = ("a", "b", "c")

        def read(self, rows: list[dict[str, float]]) -> object:
            from clew.feature_store.reader import Features, ViewReading

            matrix = np.array([[row[name] for name in self.names] for row in rows], np.float32)
            return Features(matrix, self.names, (ViewReading("v", 1, (False, True)),), (0, 0))

    matrix, missing = _ViewSource(Reader(), ("c", "a")).read([{"a": 1, "b": 2, "c": 3}, {"a": 4, "b": 5, "c": 6}])  # type: ignore[arg-type]
    assert matrix.tolist() == [[3, 1], [6, 4]]
    assert missing == [[], ["v"]]
