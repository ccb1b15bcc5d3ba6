"""A fitted model becomes files: saved in its own format, exported, verified on real rows, and uploaded."""

from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import msgspec

from clew.backend import Backend
from clew.errors import Invalid, Refused
from clew.registry.flavors import Flavor, flavor_of
from clew.registry.runtime import Scorer, load_onnx, verify
from clew.registry.schema import Field, Signature, Verification
from clew.storage.blobs import Manifest, ManifestFile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

__all__ = ["SavedModel", "save_model"]

_VERIFIED_ROWS = 4_096
_GAP_ROWS = 256


@dataclass(frozen=True)
class SavedModel:
    """Where a model's files are: ``files`` is the digest of their manifest, ``onnx`` of the export, which is what the model computes."""

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

    if rows.is_empty():
        raise Invalid("a model is verified on real rows of its features, and there are none; hand over some, such as example=X.head(100)")
    flavor = flavor_of(model)
    matrix = np.ascontiguousarray(_sample(rows).to_numpy(), dtype=np.float32)
    export = flavor.export(model, matrix.shape[1])
    verification = _verified(flavor, model, export.content, matrix)
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
    import numpy as np

    if rows.height <= _VERIFIED_ROWS:
        return rows
    return rows[np.linspace(0, rows.height - 1, _VERIFIED_ROWS).astype(np.int64)]


def _verified(flavor: Flavor, model: Any, content: bytes, matrix: "npt.NDArray[np.float32]") -> Verification:
    """Verified on the rows as they are, and again with a value missing in each: an outage comes also to a view that never had one.

    A model that answers otherwise once exported where a value is missing takes none, if its rows have none. If they do, it is refused.
    """
    import numpy as np

    scorer = load_onnx(content)
    lacking = np.isnan(matrix).any(axis=1)
    try:
        found = verify(scorer, flavor.score(model, matrix), matrix)
    except Refused as error:
        only_missing = bool(lacking.any() and not lacking.all()) and _agrees(flavor, model, scorer, matrix[~lacking])
        raise Refused(f"{error.message}. {flavor.advice(model, only_missing=only_missing)}", **error.details) from error
    except ValueError as error:
        if not lacking.any():
            raise
        raise Refused(
            f"{int(lacking.sum()):,} of {len(matrix):,} rows have a missing value, and {type(model).__name__} takes none: {str(error).splitlines()[0]}. "
            "Let the model impute them, as make_pipeline(SimpleImputer(), ...) does"
        ) from error
    gaps = _with_gaps(matrix)
    try:
        again = verify(scorer, flavor.score(model, gaps), gaps)
    except ValueError:  # how scikit-learn says that a model takes no missing values
        return replace(found, takes_missing=False)
    except Refused as error:
        if not lacking.any():
            return replace(found, takes_missing=False)
        advice = flavor.advice(model, only_missing=True)
        raise Refused(f"with one value of each row missing, {error.message}. {advice}", **error.details) from error
    return replace(found, rows_with_gaps=len(gaps), largest_difference=max(found.largest_difference, again.largest_difference))


def _agrees(flavor: Flavor, model: Any, scorer: Scorer, matrix: "npt.NDArray[np.float32]") -> bool:
    try:
        verify(scorer, flavor.score(model, matrix), matrix)
    except Refused:
        return False
    return True


def _with_gaps(matrix: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float32]":
    """Real rows, each without one of its features in turn; the last without any."""
    import numpy as np

    count, features = min(len(matrix), max(_GAP_ROWS, matrix.shape[1])), matrix.shape[1]
    gaps = matrix[np.linspace(0, len(matrix) - 1, count).astype(np.int64)].copy()
    gaps[np.arange(count), np.arange(count) % features] = np.nan
    gaps[-1] = np.nan
    return gaps


def _versions(distributions: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in distributions:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue  # a library that is vendored by another has no version of its own
    return found
