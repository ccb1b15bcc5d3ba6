"""Building a version of a feature view, on the client's side: where the function is, and the inputs' rows can be read."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from clew.backend import Backend
from clew.bounds import within
from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion, VersionRef
from clew.datasets import reading as datasets
from clew.datasets.schema import DatasetDetails
from clew.definitions import Aggregate, FeaturesDefinition, WindowsDefinition, dtype_name, to_document
from clew.errors import Invalid
from clew.feature_store import service
from clew.feature_store.bounds import bounds_of, check_frame, check_names
from clew.feature_store.evaluation import evaluate_view
from clew.feature_store.functions import KNOWN, ViewFunction, apply_to_request, load_function, request_frame_schema
from clew.feature_store.reading import scan_version, source_of
from clew.feature_store.schema import FeatureColumn, FeatureViewDetails, UsedView
from clew.feature_store.tables import check_entities, table_rows

if TYPE_CHECKING:
    import polars as pl

__all__ = ["build_view", "input_names"]


@dataclass(frozen=True)
class _Input:
    """One input's rows, with what names a row and what says when it became known."""

    version: AssetVersion
    rows: "pl.LazyFrame"
    key: tuple[str, ...]
    known: str | None


def input_names(definition: WindowsDefinition | FeaturesDefinition) -> tuple[str, ...]:
    """The datasets and views that a view is made of."""
    return (definition.dataset,) if isinstance(definition, WindowsDefinition) else definition.inputs


def build_view(
    backend: Backend,
    definition: WindowsDefinition | FeaturesDefinition,
    definition_digest: str,
    *,
    inputs: Mapping[str, VersionRef] | None = None,
    function: ViewFunction | None = None,
    run_id: str | None = None,
    why: str = "",
) -> AssetVersion:
    """The version of a view over versions of its inputs, the newest ones where ``inputs`` names none.

    The same definition over the same content is the version that there is. Raises ``BuildFailed`` when the user's function does, and
    ``OutOfBounds`` naming column, value and rows for a feature outside its declared bounds; nothing is stored then.
    """
    versions = [_version(backend, name, inputs) for name in input_names(definition)]
    if isinstance(definition, WindowsDefinition):
        details = _windows_details(definition, versions[0])
        _check_windows(backend, definition, details, _dataset_details(definition.name, versions[0]))
        return _commit(backend, definition_digest, details, versions, None, run_id, why)
    function = function or load_function(definition.function)
    if definition.request:
        details = _request_details(definition, function, versions)
        return _commit(backend, definition_digest, details, versions, None, run_id, why)
    made, details = _make_table(definition, function, [_input(backend, version) for version in versions])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "view.parquet"
        made.write_parquet(file, compression="zstd")
        staged = backend.upload(file).digest
    return _commit(backend, definition_digest, details, versions, staged, run_id, why)


def _version(backend: Backend, name: str, inputs: Mapping[str, VersionRef] | None) -> AssetVersion:
    if inputs is not None and name in inputs:
        return backend.call(catalog.get_version, name, inputs[name].number)
    return backend.call(catalog.resolve, name)


def _commit(
    backend: Backend,
    definition_digest: str,
    details: FeatureViewDetails,
    versions: Sequence[AssetVersion],
    staged: str | None,
    run_id: str | None,
    why: str,
) -> AssetVersion:
    return backend.call(
        service.commit_view,
        name=str(details.definition["name"]),
        definition_digest=definition_digest,
        details=details,
        inputs=[version.ref for version in versions],
        staged=staged,
        run_id=run_id,
        why=why,
    )


# ── windows ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _windows_details(definition: WindowsDefinition, version: AssetVersion) -> FeatureViewDetails:
    import polars as pl

    dataset = _dataset_details(definition.name, version)
    types = {column.name: column.dtype for column in dataset.columns}
    if dataset.time is None:
        raise Invalid(f"{definition.name} needs event times, and {definition.dataset} has none: declare @clew.dataset(…, time='…')")
    if definition.missing == "hold":
        raise Invalid(f"{definition.name}: a window has no last value to hold; give missing= a number, or leave it out")
    values = tuple(dict.fromkeys(one.column for one in definition.aggregates.values() if one.column is not None))
    for name in (*definition.entity, *values):
        if name not in types:
            raise Invalid(f"{definition.name} names the column {name!r}, which {version.ref} does not have; it has {', '.join(types)}")
    check_entities(definition.name, definition.entity, types)
    for name in values:
        if not (types[name] == "Boolean" or types[name].startswith(("Int", "UInt", "Float"))):
            raise Invalid(f"{definition.name}: {name!r} is {types[name]}, and only numbers and Booleans can be aggregated")
    columns = [
        FeatureColumn(f"{name}_{span}", dtype_name(pl.Int64()) if one.function == "count" else dtype_name(pl.Float64()))
        for span in definition.over
        for name, one in definition.aggregates.items()
    ]
    if len({column.name for column in columns}) < len(columns):
        raise Invalid(f"{definition.name} has two features of one name; rename an aggregate")
    return FeatureViewDetails(
        kind="windows", definition=to_document(definition), columns=tuple(columns), entity=_typed(definition.entity, types),
        inputs=(version.ref,), time=dataset.time, known=dataset.known, key=dataset.key, values=_typed(values, types), rows=dataset.rows,
        additive=True, time_min=dataset.time_min, time_max=dataset.time_max,
    )  # fmt: skip


def _check_windows(backend: Backend, definition: WindowsDefinition, details: FeatureViewDetails, dataset: DatasetDetails) -> None:
    """Hold the windows, as they are at each event of the dataset, against their bounds."""
    bounded = {name: one for name, one in definition.aggregates.items() if one.bounds is not None and not _is_surely_within(one, dataset)}
    if not bounded:
        return
    narrow = replace(definition, aggregates=bounded)
    columns = tuple(column for column in details.columns if column.name in narrow.columns)
    values = tuple(one for one in details.values if one.name in {aggregate.column for aggregate in bounded.values()})
    narrowed = replace(details, definition=to_document(narrow), columns=columns, values=values)
    names = [one.name for one in details.entity]
    use = UsedView(definition.name, 0, {name: name for name in names}, "", narrow.columns, narrowed)
    rows = source_of(backend, use)
    asked = rows.select(*dict.fromkeys([*names, details.time or ""]))
    check_frame(definition.name, evaluate_view(asked, details.time or "", use, lambda _: rows, {}), bounds_of(narrow), asked)


def _is_surely_within(aggregate: Aggregate, dataset: DatasetDetails) -> bool:
    """Whether the column's own range says it: a mean, a least and a greatest value lie between those of the column."""
    if aggregate.function in ("count", "sum") or aggregate.bounds is None:
        return False
    column = next(one for one in dataset.columns if one.name == aggregate.column)
    ends = (column.minimum, column.maximum)
    return all(isinstance(end, int | float) and within(end, aggregate.bounds) for end in ends)


def _dataset_details(view: str, version: AssetVersion) -> DatasetDetails:
    if version.kind != "dataset":
        raise Invalid(f"{view} is declared over {version.ref}, a {version.kind.replace('_', ' ')}; windows slide over a dataset")
    return msgspec.convert(version.details, DatasetDetails)


def _typed(names: Sequence[str], types: Mapping[str, str]) -> tuple[FeatureColumn, ...]:
    return tuple(FeatureColumn(name, types[name]) for name in names)


# ── tables made by a function ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _input(backend: Backend, version: AssetVersion) -> _Input:
    if version.kind == "dataset":
        dataset = msgspec.convert(version.details, DatasetDetails)
        return _Input(version, datasets.scan_version(backend, version.name, version.number), dataset.key, dataset.known)
    details = service.view_details(version)
    if details.kind != "table":
        raise Invalid(f"{version.ref} has no rows of its own; only a view of the request can take it as an input")
    key = (*(one.name for one in details.entity), details.time or "")
    return _Input(version, scan_version(backend, version.name, version.number, with_known=True), key, KNOWN)


def _make_table(
    definition: FeaturesDefinition, function: ViewFunction, inputs: Sequence[_Input]
) -> "tuple[pl.DataFrame, FeatureViewDetails]":
    """The rows of a view, with the column ``_known``, and what the version is to say of them."""
    import polars as pl

    frames = [one.rows.collect() for one in inputs]
    made = table_rows(definition, function, frames, [(one.key, one.known) for one in inputs])
    types = {name: dtype_name(dtype) for name, dtype in made.schema.items()}
    apart = {*definition.entity, definition.time, KNOWN, *(one.known for one in inputs)}
    columns = _typed([name for name in made.columns if name not in apart], types)
    if not columns:
        raise Invalid(f"{definition.name} makes no feature: beside entity and time there is no column")
    check_names(definition, [column.name for column in columns])
    for column in columns:
        if not (made.schema[column.name].is_numeric() or made.schema[column.name] == pl.Boolean):
            raise Invalid(f"{definition.name}: the feature {column.name!r} is {column.dtype}, and features are numbers; code it as one")
    time = definition.time or ""
    check_frame(definition.name, made, definition.bounds, made.select(*definition.entity, time))
    details = FeatureViewDetails(
        kind="table", definition=to_document(definition), columns=columns, entity=_typed(definition.entity, types),
        inputs=tuple(one.version.ref for one in inputs), time=time, key=inputs[0].key, known=inputs[0].known, values=columns,
        rows=made.height,
        additive=_is_additive(definition, function, frames, inputs, made),
        time_min=made[time].min(), time_max=made[time].max(),  # type: ignore[arg-type]  # a column of times
    )  # fmt: skip
    kept = [*definition.entity, time, *(column.name for column in columns), KNOWN]
    return made.select(kept), details


def _is_additive(
    definition: FeaturesDefinition, function: ViewFunction, frames: "Sequence[pl.DataFrame]", inputs: Sequence[_Input], made: "pl.DataFrame"
) -> bool:
    """Whether the function of two halves makes what it makes of the whole: tried on the rows, halved in time and by turns."""
    import polars as pl

    if len(inputs) != 1 or inputs[0].version.kind != "dataset":
        return False
    frame = frames[0].with_row_index("_half")
    for half in (pl.col("_half") < frame.height // 2, pl.col("_half") % 2 == 0):
        parts = [frame.filter(which).drop("_half") for which in (half, ~half)]
        try:
            rows = [table_rows(definition, function, [part], [(inputs[0].key, inputs[0].known)]) for part in parts]
        except Exception:
            return False
        by = [*definition.entity, definition.time or "", KNOWN]
        if any(part.schema != made.schema for part in rows) or not pl.concat(rows).sort(by).equals(made.sort(by)):
            return False
    return True


# ── views of the request ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _request_details(definition: FeaturesDefinition, function: ViewFunction, inputs: Sequence[AssetVersion]) -> FeatureViewDetails:
    import polars as pl

    schema = request_frame_schema(definition)
    stored = []
    for version in inputs:
        details = service.view_details(version)
        stored.append(pl.DataFrame(schema={column.name: pl.Float64 for column in details.columns}))
    made = apply_to_request(definition, function, stored, pl.DataFrame(schema=schema))
    for name, dtype in made.schema.items():
        if not (dtype.is_numeric() or dtype == pl.Boolean):
            raise Invalid(f"{definition.name}: the feature {name!r} is {dtype}, and features are numbers; code it as one")
    check_names(definition, made.columns)
    columns = tuple(FeatureColumn(name, dtype_name(dtype)) for name, dtype in made.schema.items())
    return FeatureViewDetails(
        kind="request", definition=to_document(definition), columns=columns, entity=(), inputs=tuple(version.ref for version in inputs)
    )
