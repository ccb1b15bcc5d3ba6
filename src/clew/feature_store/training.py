"""Assembling a training set: the spine's rows whose label has matured, each with its features as they were known at its time."""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from clew.backend import Backend
from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion, VersionRef
from clew.clock import from_micros, to_micros
from clew.datasets import reading as datasets
from clew.datasets.schema import DatasetDetails
from clew.definitions import FeaturesDefinition, TrainingSetDefinition, from_document
from clew.errors import Invalid, Refused
from clew.feature_store import service
from clew.feature_store.bounds import bounds_of, check_frame
from clew.feature_store.evaluation import Check, evaluate, micros_of
from clew.feature_store.functions import ViewFunction, load_function
from clew.feature_store.reading import source_of
from clew.feature_store.schema import TrainingSetDetails, UsedView
from clew.feature_store.training_data import block_numbers, block_start
from clew.storage.tables import TablePin

if TYPE_CHECKING:
    import polars as pl

__all__ = ["assemble", "preview"]

_NO_PIN = TablePin("", 0, 0, 0)
_MOST_EARLY = 0.01  # a few early labels are a feed's blemish; more is a clock or a column that is wrong
_UNITS = (("d", 86_400_000_000), ("h", 3_600_000_000), ("min", 60_000_000), ("s", 1_000_000))
Inputs = Mapping[str, VersionRef]


@dataclass(frozen=True)
class _Rows:
    """Labelled rows in the spine's order, and what was found on the way."""

    frame: "pl.DataFrame"
    spine: DatasetDetails
    time: str
    unlabelled: int
    cut_off: int
    late: "pl.Series"
    """How long after its row each label came that is none because it came too late, in microseconds."""


def assemble(
    backend: Backend,
    definition: TrainingSetDefinition,
    definition_digest: str,
    *,
    inputs: Inputs | None = None,
    functions: Mapping[str, ViewFunction] | None = None,
    run_id: str | None = None,
    why: str = "",
) -> AssetVersion:
    """The version of a training set over versions of its datasets and views, the newest ones where ``inputs`` names none.

    Raises ``OutOfBounds`` naming view, column, value and rows for a feature outside its declared bounds; nothing is stored then.
    """
    find = _finder(backend, inputs)
    spine, label = find(definition.spine), find(definition.label_dataset)
    views = _used_views(backend, definition, find)
    rows = _labelled(backend, definition, spine, label)
    if not rows.frame.height:
        raise Refused(f"{definition.name} has no row whose label has matured: {_why_none(definition, rows.late)}")
    frame, details = _with_features(backend, definition, rows, views, dict(functions or {}), spine.ref, label.ref, _within_bounds(rows))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "training_set.parquet"
        frame.write_parquet(file, compression="zstd")
        staged = backend.upload(file).digest
    return backend.call(
        service.commit_training_set,
        name=definition.name,
        definition_digest=definition_digest,
        details=details,
        staged=staged,
        run_id=run_id,
        why=why,
    )


def preview(
    backend: Backend, definition: TrainingSetDefinition, *, rows: int = 1_000, functions: Mapping[str, ViewFunction] | None = None
) -> "pl.DataFrame":
    """The first rows, joined now from the newest versions and stored nowhere; values outside their bounds can be looked at in it."""
    find = _finder(backend, None)
    spine, label = find(definition.spine), find(definition.label_dataset)
    labelled = _labelled(backend, definition, spine, label)
    first = replace(labelled, frame=labelled.frame.head(rows))
    views = _used_views(backend, definition, find)
    return _with_features(backend, definition, first, views, dict(functions or {}), spine.ref, label.ref)[0]


def _finder(backend: Backend, inputs: Inputs | None) -> Callable[[str], AssetVersion]:
    def find(name: str) -> AssetVersion:
        if inputs is not None and name in inputs:
            return backend.call(catalog.get_version, name, inputs[name].number)
        return backend.call(catalog.resolve, name)

    return find


def _used_views(backend: Backend, definition: TrainingSetDefinition, find: Callable[[str], AssetVersion]) -> tuple[UsedView, ...]:
    """The versions of the views that a training set names, with the versions of those that they take."""

    def use(view: str, by: Mapping[str, str], prefix: str) -> UsedView:
        version = find(view)
        details = service.view_details(version)
        unknown = [name for name in by if name not in {one.name for one in details.entity}]
        if unknown:
            raise Invalid(f"{view} has no entity {unknown[0]!r}; it has {', '.join(one.name for one in details.entity) or 'none'}")
        looked_up = {one.name: by.get(one.name, one.name) for one in details.entity}
        columns = tuple(prefix + column.name for column in details.columns)
        stored = [backend.call(catalog.get_version, one.name, one.number) for one in details.inputs] if details.kind == "request" else []
        inputs = tuple(use(one.name, {}, "") for one in stored)
        return UsedView(view, version.number, looked_up, prefix, columns, details, version.definition_digest, inputs)

    return _told_apart([use(one.view, one.by, one.prefix) for one in definition.features])


def _told_apart(uses: Sequence[UsedView]) -> tuple[UsedView, ...]:
    """The uses, with the features of views that share a name named after their view: ``carrier_delays_late_7d``.

    A prefix that was given is kept as it is. Raises ``Invalid`` where names clash even so, such as of one view used twice.
    """
    shared = Counter(name for use in uses for name in use.columns)
    clashing = {use.view for use in uses if not use.prefix and any(shared[name] > 1 for name in use.columns)}
    told = [
        replace(use, columns=tuple(f"{use.view}_{name}" for name in use.columns)) if use.view in clashing and not use.prefix else use
        for use in uses
    ]
    for name, times in Counter(name for use in told for name in use.columns).items():
        if times > 1:
            views = [use.view for use in told if name in use.columns]
            raise Invalid(f"two features are named {name!r}, of {' and '.join(views)}; give one a prefix: {views[-1]}.by(…, prefix='…')")
    return tuple(told)


def _labelled(backend: Backend, definition: TrainingSetDefinition, spine: AssetVersion, label: AssetVersion) -> _Rows:
    """The spine's rows with their label: those old enough that it must have come, and for which it came within its time."""
    import polars as pl

    about, of_label = (msgspec.convert(version.details, DatasetDetails) for version in (spine, label))
    if about.time is None:
        raise Invalid(f"the spine {definition.spine} has no event time: declare @clew.dataset(…, time='…')")
    names = [column.name for column in about.columns]
    unknown = [name for name in of_label.key if name not in names]
    if unknown:
        raise Invalid(f"{definition.label_dataset} is keyed by {unknown[0]!r}, which the spine {definition.spine} does not have")
    if definition.label_column not in {column.name for column in of_label.columns}:
        raise Invalid(f"{definition.label_dataset} has no column {definition.label_column!r} to be the label")
    time = pl.col(about.time).dt.epoch("us")
    came = of_label.known or of_label.time
    labels = datasets.scan_version(backend, label.name, label.number).select(
        *of_label.key,
        pl.col(definition.label_column).alias("_label"),
        (pl.col(came).dt.epoch("us") if came else pl.lit(None, pl.Int64)).alias("_came"),
    ).collect()  # fmt: skip
    rows = datasets.scan_version(backend, spine.name, spine.number).collect()
    newest = labels["_came"].max() if came else rows.select(time.max()).item()
    if newest is None:
        raise Refused(f"{definition.label_dataset} has no row, so {definition.name} has no label")
    within = micros_of(definition.label_within)
    cut_off = int(str(newest)) - (within if came else 0)
    mature = rows.filter(time <= cut_off)
    if definition.last is not None:
        mature = mature.filter(time > time.max() - micros_of(definition.last))
    joined = mature.join(labels, on=list(of_label.key), how="left", maintain_order="left")
    if joined.height != mature.height:
        raise Refused(f"{label.ref} has several rows of one key ({', '.join(of_label.key)}), so a label could not be told")
    labelled = joined.filter(pl.col("_label").is_not_null())
    # Null where the label's dataset has no time: such a label is neither early nor late.
    after = labelled.select(pl.col("_came") - time).to_series()
    is_late = (after > within).fill_null(value=bool(came))
    kept = labelled.filter(~is_late)
    _refuse_early(definition, after.filter(~is_late))
    return _Rows(kept.drop("_came"), about, about.time, joined.height - kept.height, cut_off, after.filter(is_late))


def _refuse_early(definition: TrainingSetDefinition, after: "pl.Series") -> None:
    """Raise ``Refused`` where labels were known before their own row: they are no outcome of it, and its features may hold them."""
    early = after.filter(after < 0)
    if len(early) <= _MOST_EARLY * len(after):
        return
    raise Refused(
        f"{len(early):,} of {len(after):,} labels of {definition.name} were known before the time of their own row, in the median by "
        f"{_span(-early)}, so they are no outcome of it: look at the zone and the time column (time=, known=) of {definition.spine} and of "
        f"{definition.label_dataset}",
        early=len(early), labelled=len(after),
    )  # fmt: skip


def _why_none(definition: TrainingSetDefinition, late: "pl.Series") -> str:
    name, within = definition.label_dataset, definition.label_within
    if not len(late):
        return f"ingest more of {name}, or shorten label_within"
    there = "1 label is there and comes" if len(late) == 1 else f"{len(late):,} labels are there and come"
    return f"{there} later than label_within={within!r}, in the median {_span(late)} after the row; is the zone of {name} right, or label_within too short?"


def _span(micros: "pl.Series") -> str:
    """The median in the largest unit that it fills: ``4.9 h``."""
    middle = float(str(micros.median()))
    unit, size = next((one for one in _UNITS if middle >= one[1]), _UNITS[-1])
    return f"{middle / size:.3g} {unit}"


def _with_features(
    backend: Backend,
    definition: TrainingSetDefinition,
    rows: _Rows,
    views: tuple[UsedView, ...],
    functions: dict[str, ViewFunction],
    spine: VersionRef,
    label: VersionRef,
    check: Check | None = None,
) -> "tuple[pl.DataFrame, TrainingSetDetails]":
    import polars as pl

    for use in views:
        declared = from_document(use.details.definition)
        if use.details.kind == "request" and isinstance(declared, FeaturesDefinition) and use.view not in functions:
            functions[use.view] = load_function(declared.function)
    kept: dict[str, pl.DataFrame] = {}  # the views of one dataset read it once

    def source(use: UsedView) -> "pl.DataFrame":
        pin = use.details.pin
        address = f"{use.view}@{use.number}" if pin is not None else f"{use.details.inputs[0]}:{use.details.values}:{use.details.entity}"
        if address not in kept:
            kept[address] = source_of(backend, use)
        return kept[address]

    features = evaluate(rows.frame, rows.time, views, source, functions, check)
    looked_up = [column for use in views for one in (use, *use.inputs) for column in one.by.values()]
    entities = [name for name in dict.fromkeys(looked_up) if name not in rows.spine.key]
    apart = list(dict.fromkeys([*rows.spine.key, rows.time, *entities]))
    for name in features.columns:
        if name in (*apart, definition.label_column):
            raise Invalid(
                f"the feature {name!r} has the name of a key, an entity or the label of {definition.name}; rename it, or use a prefix"
            )
    frame = pl.concat([rows.frame.select(*apart, pl.col("_label").alias(definition.label_column)), features], how="horizontal")
    holdout = _holdout_from(definition, frame[rows.time])
    times = frame[rows.time]
    details = TrainingSetDetails(
        pin=_NO_PIN, rows=frame.height, features=tuple(features.columns), key=rows.spine.key, entities=tuple(entities), time=rows.time,
        label=definition.label_column, label_within=definition.label_within, holdout_from=holdout,
        holdout_rows=0 if holdout is None else int((times.dt.epoch("us") >= to_micros(holdout)).sum()), cut_off=from_micros(rows.cut_off),
        time_min=times.min(), time_max=times.max(), unlabelled=rows.unlabelled, block=definition.block, zone=definition.zone,  # type: ignore[arg-type]
        spine=spine, label_dataset=label, views=views,
    )  # fmt: skip
    return frame, details


def _within_bounds(rows: _Rows) -> Check:
    keys = rows.frame.select(rows.spine.key)

    def check(use: UsedView, made: "pl.DataFrame") -> None:
        check_frame(use.view, made, bounds_of(from_document(use.details.definition)), keys)

    return check


def _holdout_from(definition: TrainingSetDefinition, times: "pl.Series") -> datetime | None:
    """The start of the holdout: so many whole blocks back from the end of the newest block, by the zone's clock."""
    if definition.holdout is None or not len(times):
        return None
    length = micros_of(definition.block)
    last = int(block_numbers(times, definition.block, definition.zone).max())
    start = (last + 1) * length - micros_of(definition.holdout)
    return block_start(start // length, definition.block, definition.zone)
