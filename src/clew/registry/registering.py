"""A fitted model becomes a version by hand, without a build: what ``run.register`` does."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from clew.backend import Backend
from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion
from clew.errors import Invalid, NotFound
from clew.registry.saving import save_model
from clew.registry.schema import ModelDetails, Signature
from clew.registry.service import register_model

if TYPE_CHECKING:
    import polars as pl

__all__ = ["register"]

Scalar = str | int | float | bool | None


def register(
    backend: Backend,
    name: str,
    model: Any,  # Any: a fitted model of any framework
    example: Any,  # Any: a Polars or pandas frame, or a NumPy matrix
    *,
    run_id: str | None = None,
    parameters: Mapping[str, Scalar] | None = None,
    metrics: Mapping[str, float] | None = None,
    source: str | None = None,
) -> AssetVersion:
    """Save, export, verify and register a fitted model; the same model again is the version that it has already.

    ``example`` holds real rows of its features, in the columns' order that it was fitted on: they name the signature, and the export
    is verified on them. Raises ``Refused`` where the model does not convert or its export answers otherwise.
    """
    rows = _as_rows(model, example)
    saved = save_model(backend, model, rows)
    definition = _digest("registered", saved.flavor, saved.signature)
    details = ModelDetails(
        training_set=None, views=(), signature=saved.signature, flavor=saved.flavor, files=saved.files, onnx=saved.onnx,
        verification=saved.verification, recipe=definition, parameters=dict(parameters or {}), metrics=dict(metrics or {}),
        trained_from=None, trained_to=None, seen_until=None, source=source, libraries=saved.libraries,
    )  # fmt: skip
    why = _why(backend, name, saved.signature)
    return backend.call(register_model, name, definition, saved.onnx, why, details, run_id).version


def _why(backend: Backend, name: str, signature: Signature) -> str:
    try:
        latest = backend.call(catalog.resolve, name)
    except NotFound:
        return "the first version"
    known = msgspec.convert(latest.details, ModelDetails).signature if latest.kind == "model" else signature
    return f"another fit than {latest.ref}" if known == signature else f"another signature than {latest.ref}"


def _digest(*parts: Any) -> str:  # Any: what JSON holds
    return "sha256:" + hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()


def _as_rows(model: Any, example: Any) -> "pl.DataFrame":
    """The example as a float32 frame with named columns, as many as the model was fitted on."""
    import numpy as np
    import polars as pl

    if isinstance(example, pl.DataFrame):
        frame = example
    elif hasattr(example, "columns") and hasattr(example, "to_numpy"):  # a pandas frame, without importing pandas
        frame = pl.DataFrame({str(column): example[column].to_numpy() for column in example.columns})
    else:
        matrix = np.asarray(example)
        if matrix.ndim != 2:
            raise Invalid(f"example= is a frame or a matrix of some rows of the model's features; this has {matrix.ndim} dimensions")
        frame = pl.DataFrame(matrix, schema=_names(model, matrix.shape[1]))
    wanted = getattr(model, "n_features_in_", frame.width)
    if frame.width != wanted:
        raise Invalid(f"the model was fitted on {wanted} features and example= has {frame.width} columns: {', '.join(frame.columns)}")
    text = [column for column, dtype in frame.schema.items() if not (dtype.is_numeric() or dtype == pl.Boolean)]
    if text:
        raise Invalid(
            f"example= has {text[0]!r} as {frame.schema[text[0]]}, and a model's features are numbers: register the fitted model without it"
        )
    return frame.cast(pl.Float32)


def _names(model: Any, count: int) -> Sequence[str]:
    fitted = getattr(model, "feature_names_in_", None)
    return [str(name) for name in fitted] if fitted is not None and len(fitted) == count else [f"feature_{index}" for index in range(count)]
