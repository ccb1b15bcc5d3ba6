"""A fitted model becomes files: saved in its own format, exported, verified on real rows, and uploaded."""

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import msgspec

from clew.backend import Backend
from clew.registry.flavors import flavor_of
from clew.registry.runtime import load_onnx, verify
from clew.registry.schema import Field, Signature, Verification
from clew.storage.blobs import Manifest, ManifestFile

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SavedModel", "save_model"]

_VERIFIED_ROWS = 4_096


@dataclass(frozen=True)
class SavedModel:
    """Where a model's files are: ``files`` is the digest of their manifest, ``onnx`` of the export, ``content`` of what it computes."""

    flavor: str
    files: str
    onnx: str
    signature: Signature
    verification: Verification
    libraries: dict[str, str]


def save_model(backend: Backend, model: Any, rows: "pl.DataFrame") -> SavedModel:  # Any: a model of any framework
    """Save, export and verify a fitted model. ``rows`` are real rows of its features, float32, null where missing.

    Raises ``Refused`` where the model does not convert, or where its export answers otherwise on these rows.
    """
    import numpy as np

    flavor = flavor_of(model)
    matrix = np.ascontiguousarray(_sample(rows).to_numpy(), dtype=np.float32)
    export = flavor.export(model, matrix.shape[1])
    verification = verify(load_onnx(export.content), flavor.score(model, matrix), matrix)
    onnx = backend.upload(export.content)
    files = [ManifestFile("model.onnx", onnx.digest, onnx.size_bytes)]
    for name, content in sorted(flavor.save(model).items()):
        blob = backend.upload(content)
        files.append(ManifestFile(name, blob.digest, blob.size_bytes))
    manifest = Manifest(tuple(sorted(files, key=lambda file: file.path)))
    output = Field("probability", "Float64") if hasattr(model, "predict_proba") else Field("value", "Float64")
    signature = Signature(tuple(Field(name, "Float32") for name in rows.columns), (output,))
    listed = backend.upload(msgspec.json.encode(manifest)).digest
    return SavedModel(flavor.name, listed, onnx.digest, signature, verification, _versions(flavor.libraries()))


def _sample(rows: "pl.DataFrame") -> "pl.DataFrame":
    """Rows spread over the whole frame, in order: its ends and its middle are different months."""
    if rows.height <= _VERIFIED_ROWS:
        return rows
    return rows.gather_every(rows.height // _VERIFIED_ROWS).head(_VERIFIED_ROWS)


def _versions(distributions: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # a library that is vendored by another has no version of its own
    return found
