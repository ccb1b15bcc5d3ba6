"""Measuring skew by replay, on a client's side: what was served is recomputed from today's data, as known at each row's time."""

import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from clew.backend import Backend
from clew.clock import to_micros
from clew.datasets.columns import Column
from clew.datasets.rows import to_frame
from clew.errors import Refused
from clew.monitoring.schema import FeatureSkew, SkewReport
from clew.monitoring.service import record_skew
from clew.monitoring.skew import TOLERANCE, compare
from clew.serving.answers import export_answers
from clew.serving.loading import Kept, functions_of
from clew.serving.schema import RouteDocument
from clew.serving.service import whole_route

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from clew.feature_store.functions import ViewFunction

__all__ = ["measure_skew"]


def measure_skew(
    backend: Backend,
    name: str,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    sample: int | None = None,
    tolerance: float = TOLERANCE,
    functions: "Mapping[str, ViewFunction] | None" = None,
) -> SkewReport:
    """Recompute the answers of a span of event time, all or the newest ``sample`` of them, and keep the report.

    ``functions`` are the views' own, by view; without, they come from the source snapshots that the route names.
    """
    import polars as pl

    export = backend.call(export_answers, name, start, end)
    answers = pl.read_parquet(backend.download(export.digest)).filter(pl.col("error").is_null())
    if sample is not None:
        answers = answers.tail(sample)
    found: dict[str, FeatureSkew] = {}
    rows, hindrance = 0, None
    for (epoch, number), part in answers.partition_by("epoch", "number", as_dict=True, maintain_order=True).items():
        document = backend.call(whole_route, name, int(epoch)).document_of(int(number))
        if document.training_set is None:
            continue  # its features stood in the request: there is nothing to recompute
        if document.external is not None:
            hindrance = Refused(
                f"{document.model}@{document.number} is the existing system at {document.external.host}: what it computes with is not known "
                "here, so there is nothing to recompute"
            )
            continue
        rows += part.height
        for one in _of_version(backend, document, part, tolerance, functions):
            found[one.feature] = _joined(found.get(one.feature), one)
    if hindrance is not None and not rows:
        raise hindrance
    features = list(found.values())
    report = SkewReport(
        name, start, end, rows, sum(one.rows for one in features), sum(one.differing for one in features),
        max((one.largest for one in features), key=_farther, default=0.0), tolerance, features,
    )  # fmt: skip
    backend.call(record_skew, name, report)
    return report


def _of_version(
    backend: Backend, document: RouteDocument, answers: "pl.DataFrame", tolerance: float, functions: "Mapping[str, ViewFunction] | None"
) -> list[FeatureSkew]:
    import numpy as np

    from clew.feature_store.reading import recompute

    assert document.time is not None  # a training set has one
    if functions is None:
        functions = functions_of(document, Kept(backend.settings, backend.project), backend)
    again = recompute(backend, _requests(document, answers), document.time, document.uses, dict(functions))
    width = len(document.features)
    served = np.array(answers["features"].to_list(), np.float32).reshape(-1, width)
    views = {column: f"{use.view}@{use.number}" for use in document.uses for column in use.columns}
    recomputed = np.array(again.select(document.features).to_numpy(), np.float32)
    left_out = _leave_out_early(served, recomputed, document, answers["missing"].to_list())
    found = compare(
        served, recomputed, [(one, views[one]) for one in document.features], answers["prediction_id"].to_list(), tolerance=tolerance
    )
    return [replace(one, rows=one.rows - left, left_out=left) for one, left in zip(found, left_out, strict=True)]


def _leave_out_early(
    served: "npt.NDArray[np.float32]", recomputed: "npt.NDArray[np.float32]", document: RouteDocument, missing: list[list[str]]
) -> list[int]:
    """Where a request asked about a time before a view's online rows, its NaN was said to be no answer, and differs from none.

    How many cells are left out so, feature by feature.
    """
    import numpy as np

    from clew.feature_store.reader import asked_too_early

    words = {column: asked_too_early(use.view) for use in document.uses for column in use.columns}
    counts = []
    for place, column in enumerate(document.features):
        early = np.array([words[column] in listed for listed in missing], np.bool_) & np.isnan(served[:, place])
        recomputed[early, place] = np.nan
        counts.append(int(early.sum()))
    return counts


def _requests(document: RouteDocument, answers: "pl.DataFrame") -> "pl.DataFrame":
    """What was asked, in the types of the request's fields."""
    columns = [Column(field.name, field.dtype, None, 0, None, None, None) for field in document.fields]
    rows = [msgspec.json.decode(row) for row in answers["row"]]
    times = {field.name: field.dtype for field in document.fields if field.dtype.startswith("Date")}
    for row in rows:
        for name, dtype in times.items():
            if row[name] is not None:
                row[name] = _stored(row[name], dtype)
    return to_frame(rows, columns)


def _stored(text: str, dtype: str) -> Any:
    if dtype == "Date":
        return date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()
    return to_micros(datetime.fromisoformat(text))


def _farther(largest: float | None) -> float:
    """By what differences are ordered: a value that one side misses is the farthest."""
    return math.inf if largest is None else largest


def _joined(one: FeatureSkew | None, other: FeatureSkew) -> FeatureSkew:
    """Two routes' findings of one feature; the example is that of the larger difference."""
    if one is None:
        return other
    worse = max(one, other, key=lambda found: _farther(found.largest))
    return FeatureSkew(
        worse.feature, worse.view, one.rows + other.rows, one.differing + other.differing, worse.largest, worse.example, worse.served,
        worse.recomputed, one.left_out + other.left_out,
    )  # fmt: skip
