"""Reading versions of feature views and training sets from a client."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from clew.backend import Backend
from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion
from clew.datasets import reading as datasets
from clew.definitions import FeaturesDefinition, from_document
from clew.errors import Invalid, NotFound
from clew.feature_store import service
from clew.feature_store.evaluation import evaluate, evaluate_view
from clew.feature_store.functions import KNOWN, ViewFunction
from clew.feature_store.schema import FeatureViewDetails, UsedView, training_set_details
from clew.feature_store.tables import table_rows
from clew.feature_store.training_data import TrainingData

if TYPE_CHECKING:
    import polars as pl

__all__ = ["latest_rows", "load_functions", "load_training_data", "recompute", "scan_version", "source_of"]


def scan_version(backend: Backend, name: str, number: int, *, with_known: bool = False) -> "pl.LazyFrame":
    """The rows of a version, lazily. A view of windows has none of its own: it is evaluated at each event of its dataset.

    ``with_known`` keeps the column ``_known`` of a view's table.
    """
    version = backend.call(catalog.get_version, name, number)
    if version.kind == "training_set":
        return backend.scan(training_set_details(version).pin)
    details = service.view_details(version)
    if details.pin is not None:
        rows = backend.scan(details.pin)
        return rows if with_known else rows.drop(KNOWN)
    if details.kind == "request":
        raise Invalid(f"{version.ref} is computed from a request's fields and has no rows")
    return _windows_at_events(backend, version, details).lazy()


def _windows_at_events(backend: Backend, version: AssetVersion, details: FeatureViewDetails) -> "pl.DataFrame":
    import polars as pl

    rows = datasets.scan_version(backend, details.inputs[0].name, details.inputs[0].number).collect()
    names = [one.name for one in details.entity]
    use = UsedView(version.name, version.number, {name: name for name in names}, "", tuple(c.name for c in details.columns), details)
    asked = rows.select(*names, details.time or "")
    return pl.concat([asked, evaluate_view(asked, details.time or "", use, lambda _: rows, {})], how="horizontal")


def load_training_data(backend: Backend, name: str, number: int, part: str = "train") -> TrainingData:
    """A version's rows: ``train``, those before the holdout; ``holdout``; or ``all``."""
    import polars as pl

    from clew.clock import to_micros

    details = training_set_details(backend.call(catalog.get_version, name, number))
    rows = backend.scan(details.pin)
    if part not in ("train", "holdout", "all"):
        raise Invalid(f"{part!r} is no part of a training set; there are train, holdout and all")
    if part == "holdout" and details.holdout_from is None:
        raise NotFound(f"{name}@{number} keeps no holdout; declare one, such as holdout='28d'")
    if part != "all" and details.holdout_from is not None:
        later = pl.col(details.time).dt.epoch("us") >= to_micros(details.holdout_from)
        rows = rows.filter(later if part == "holdout" else ~later)
    return TrainingData(
        rows.collect(), label=details.label, time=details.time, key=details.key, entities=details.entities, features=details.features,
        block=details.block, zone=details.zone,
    )  # fmt: skip


def source_of(backend: Backend, use: UsedView) -> "pl.DataFrame":
    """The rows behind a stored view, as its version pins them."""
    if use.details.pin is not None:
        return backend.scan(use.details.pin).collect()
    needed = [*(one.name for one in (*use.details.entity, *use.details.values)), use.details.time, use.details.known]
    rows = datasets.scan_version(backend, use.details.inputs[0].name, use.details.inputs[0].number)
    return rows.select(*dict.fromkeys(name for name in needed if name)).collect()


def latest_rows(backend: Backend, use: UsedView, functions: Mapping[str, ViewFunction]) -> "pl.DataFrame":
    """The rows behind a stored view from all that is known today, appended rows too, by the definition of its version."""
    details = use.details
    frames = []
    for reference in details.inputs:
        newest = backend.call(catalog.resolve, reference.name)
        if newest.kind != "dataset":
            return source_of(backend, use)  # a view of views is as new as its last build
        frames.append(datasets.scan_version(backend, newest.name, newest.number, include_tail=True).collect())
    if details.kind == "windows":
        return frames[0]
    definition = from_document(details.definition)
    function = functions.get(use.view)
    if not isinstance(definition, FeaturesDefinition) or function is None:
        return source_of(backend, use)
    keys = []
    for reference in details.inputs:
        dataset = service.dataset_shape(backend, reference)
        keys.append((dataset.key, dataset.known))
    return table_rows(definition, function, frames, keys)


def recompute(
    backend: Backend, requests: "pl.DataFrame", time: str, views: "tuple[UsedView, ...]", functions: Mapping[str, ViewFunction]
) -> "pl.DataFrame":
    """The features of served requests, computed anew from the datasets of today as they were known at each request's time.

    What serving answered should equal it within a relative 1e-6 (float32 holds 7 digits); whole numbers exactly.
    """
    kept: dict[str, pl.DataFrame] = {}

    def source(use: UsedView) -> "pl.DataFrame":
        address = f"{use.view}@{use.number}"
        if address not in kept:
            kept[address] = latest_rows(backend, use, functions)
        return kept[address]

    return evaluate(requests, time, views, source, functions)


def load_functions(views: "tuple[UsedView, ...]", folder: object = None) -> dict[str, ViewFunction]:
    """The functions of views, by view, from the modules at hand or the files of a folder of source."""
    from pathlib import Path

    from clew.feature_store.functions import load_function

    found: dict[str, ViewFunction] = {}
    for use in views:
        definition = from_document(use.details.definition)
        if isinstance(definition, FeaturesDefinition):
            found[use.view] = load_function(definition.function, Path(str(folder)) if folder is not None else None)
        found |= load_functions(use.inputs, folder)
    return found
