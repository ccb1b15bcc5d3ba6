"""Features of many requests at once, as known at each request's time: for training sets, previews, and recomputing what was served."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from clew.clock import parse_duration
from clew.definitions import FeaturesDefinition, WindowsDefinition, from_document
from clew.errors import Invalid
from clew.feature_store.functions import KNOWN, ViewFunction, apply_to_request, request_frame_schema
from clew.feature_store.joins import as_of
from clew.feature_store.schema import UsedView
from clew.feature_store.sources import entity_codes, event_column, micros
from clew.feature_store.windows import Events, sliding

if TYPE_CHECKING:
    from datetime import timedelta

    import polars as pl

__all__ = ["Check", "Source", "evaluate", "evaluate_view", "micros_of", "request_frame"]

Source = Callable[[UsedView], "pl.DataFrame"]
"""The rows behind a stored view: those of its dataset, or of its table with the column ``_known``."""
Check = Callable[[UsedView, "pl.DataFrame"], None]
"""Looks at a view's features before they are used, and raises for what may not be."""


def evaluate(
    requests: "pl.DataFrame",
    time: str,
    views: Sequence[UsedView],
    source: Source,
    functions: Mapping[str, ViewFunction],
    check: Check | None = None,
) -> "pl.DataFrame":
    """All features of the requests by name, float32, exactly one row for each request, in order."""
    import polars as pl

    features: dict[str, pl.Series] = {}
    for use in views:
        made = evaluate_view(requests, time, use, source, functions, check)
        for name, column in zip(use.columns, made.iter_columns(), strict=True):
            features[name] = column.cast(pl.Float32).alias(name)
    return pl.DataFrame(features)


def evaluate_view(
    requests: "pl.DataFrame",
    time: str,
    use: UsedView,
    source: Source,
    functions: Mapping[str, ViewFunction],
    check: Check | None = None,
) -> "pl.DataFrame":
    """One view's features in their own types and under their own names; ``check`` looks at them, and at those of the views it takes."""
    made = _evaluate_view(requests, time, use, source, functions, check)
    if check is not None:
        check(use, made)
    return made


def _evaluate_view(
    requests: "pl.DataFrame", time: str, use: UsedView, source: Source, functions: Mapping[str, ViewFunction], check: Check | None
) -> "pl.DataFrame":
    absent = [column for column in use.by.values() if column not in requests.columns]
    if absent:
        raise Invalid(f"{use.view} is looked up by {absent[0]!r}, which the rows don't have; they have {', '.join(requests.columns)}")
    definition = from_document(use.details.definition)
    if isinstance(definition, WindowsDefinition):
        return _windows(requests, time, use, definition, source(use))
    assert isinstance(definition, FeaturesDefinition)  # a view is one or the other
    if use.details.kind == "table":
        return _last_values(requests, time, use, definition, source(use))
    stored = [evaluate_view(requests, time, one, source, functions, check) for one in use.inputs]
    function = functions.get(use.view)
    if function is None:
        raise Invalid(f"the function of {use.view} is not at hand; run this beside the file that declares it")
    made = apply_to_request(definition, function, stored, request_frame(requests, definition))
    return made.select(column.name for column in use.details.columns)


def request_frame(requests: "pl.DataFrame", definition: FeaturesDefinition) -> "pl.DataFrame":
    """The request's fields in their declared types; a naive or another zone is none of the request's, so zones are converted."""
    import polars as pl

    columns = []
    for name, dtype in request_frame_schema(definition).items():
        if name not in requests.columns:
            raise Invalid(f"{definition.name} needs the request's field {name!r}; the rows have {', '.join(requests.columns)}")
        column = requests[name]
        if isinstance(dtype, pl.Datetime) and isinstance(column.dtype, pl.Datetime) and dtype.time_zone and column.dtype.time_zone:
            columns.append(column.dt.convert_time_zone(dtype.time_zone).dt.cast_time_unit(dtype.time_unit))
        else:
            columns.append(column.cast(dtype))
    return pl.DataFrame(columns)


def micros_of(duration: "str | timedelta") -> int:
    span = parse_duration(duration) if isinstance(duration, str) else duration
    return span.days * 86_400_000_000 + span.seconds * 1_000_000 + span.microseconds


def _events(requests: "pl.DataFrame", use: UsedView, rows: "pl.DataFrame", columns: Sequence[str]) -> tuple[np.ndarray, Events]:
    details = use.details
    codes, event_codes = entity_codes(requests, rows, [(use.by[one.name], one.name) for one in details.entity])
    times = micros(rows, details.time or "")
    known = times if details.known is None else micros(rows, details.known)
    return codes, Events(event_codes, times, known, {name: event_column(rows[name]) for name in columns})


def _windows(requests: "pl.DataFrame", time: str, use: UsedView, definition: WindowsDefinition, rows: "pl.DataFrame") -> "pl.DataFrame":
    import polars as pl

    codes, events = _events(requests, use, rows, [column.name for column in use.details.values])
    times = micros(requests, time)
    wanted = [(aggregate.function, aggregate.column) for aggregate in definition.aggregates.values()]
    answers = [answer for span in definition.over for answer in sliding(codes, times, events, micros_of(span), wanted)]
    made = pl.DataFrame([pl.Series(name, answer) for name, answer in zip(definition.columns, answers, strict=True)])
    made = made.with_columns(pl.col(pl.Float64).fill_nan(None))
    return made if definition.missing is None else made.fill_null(float(definition.missing))


def _last_values(
    requests: "pl.DataFrame", time: str, use: UsedView, definition: FeaturesDefinition, rows: "pl.DataFrame"
) -> "pl.DataFrame":
    import polars as pl

    details = use.details
    codes, event_codes = entity_codes(requests, rows, [(use.by[one.name], one.name) for one in details.entity])
    event_times, times = micros(rows, details.time or ""), micros(requests, time)
    known = rows[KNOWN].dt.epoch("us").fill_null(pl.Series(event_times)).to_numpy().astype(np.int64, copy=False)
    found = as_of(codes, times, event_codes, event_times, known)
    names = [column.name for column in details.columns]
    if definition.ttl is not None and definition.missing != "hold" and len(event_times):
        found = np.where((found >= 0) & (times - event_times[found] <= micros_of(definition.ttl)), found, -1)
    index = pl.Series(found, dtype=pl.Int64)
    made = rows.select(pl.col(names).gather(index.clip(0))) if rows.height else rows.select(names).clear(len(found))
    hit = index >= 0
    fill = None if definition.missing in (None, "hold") else float(definition.missing)
    return made.with_columns(pl.when(hit).then(pl.col(name)).otherwise(pl.lit(fill)).alias(name) for name in names)
