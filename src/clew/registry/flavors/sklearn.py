"""scikit-learn: saved by skops, which reads without unpickling, and exported by skl2onnx."""

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from clew.errors import Refused
from clew.registry.flavors import Export

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["SklearnFlavor"]

_FILE = "model.skops"
_OPSET = 17
_TRUSTED = ("sklearn.", "numpy.dtype")
"""What is trusted on load: types of scikit-learn itself and NumPy's element types. Anything else is refused by name."""
_export_lock = threading.Lock()


class SklearnFlavor:
    """Classifiers with two classes, and regressors with one output."""

    name = "sklearn"

    def accepts(self, model: Any) -> bool:  # Any: a model of any framework
        return any(kind.__module__.startswith("sklearn.") for kind in type(model).__mro__)

    def save(self, model: Any) -> dict[str, bytes]:
        import skops.io

        return {_FILE: skops.io.dumps(model)}

    def load(self, files: dict[str, bytes]) -> Any:
        import skops.io

        try:
            content = files[_FILE]
            unknown = skops.io.get_untrusted_types(data=content)
        except (BadZipFile, KeyError, ValueError) as error:
            raise Refused(f"{_FILE} is missing or broken and can't be loaded: {error}") from error
        foreign = [name for name in unknown if not name.startswith(_TRUSTED)]
        if foreign:
            raise Refused(f"the model holds {foreign[0]}, no type of scikit-learn: loading it would run code that nobody has vouched for")
        return skops.io.loads(content, trusted=unknown)

    def export(self, model: Any, features: int) -> Export:
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType

        classifier = hasattr(model, "predict_proba")
        if classifier and len(model.classes_) != 2:
            raise Refused(f"the classifier has {len(model.classes_)} classes; only two can be exported so far")
        options = {"zipmap": False} if classifier else None
        try:
            with _booleans_as_integers():
                graph = to_onnx(
                    _with_float32_thresholds(model),
                    initial_types=[("X", FloatTensorType([None, features]))],
                    options=options,
                    target_opset=_OPSET,
                )
        except Exception as error:  # the converter raises whatever it meets; its reason is what the user needs
            raise Refused(f"{type(model).__name__} does not convert to ONNX: {str(error).splitlines()[0][:300]}") from error
        return Export(graph.SerializeToString(), graph.graph.output[1 if classifier else 0].name)

    def score(self, model: Any, matrix: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float64]":
        import numpy as np
        import polars as pl

        names = getattr(model, "feature_names_in_", None)
        rows: Any = matrix if names is None else pl.DataFrame(matrix, schema=list(names))
        answer = model.predict_proba(rows)[:, 1] if hasattr(model, "predict_proba") else model.predict(rows)
        return np.asarray(answer, dtype=np.float64)

    def libraries(self) -> tuple[str, ...]:
        return ("scikit-learn", "numpy", "skops")


def _with_float32_thresholds(model: Any) -> Any:
    """The model, or for histogram boosting a copy that splits float32 rows alike and whose thresholds are float32.

    scikit-learn compares with a float64 threshold between two neighbouring values; rounded to float32, it can meet the upper one and
    send that row the other way. Rounded down, it separates the same float32 values.
    """
    import numpy as np

    if not hasattr(model, "_predictors"):
        return model
    exact = copy.deepcopy(model)
    for iteration in exact._predictors:
        for tree in iteration:
            thresholds = tree.nodes["num_threshold"]
            rounded = thresholds.astype(np.float32)
            above = rounded.astype(np.float64) > thresholds
            tree.nodes["num_threshold"] = np.where(above, np.nextafter(rounded, np.float32(-np.inf)), rounded)
    return exact


@contextmanager
def _booleans_as_integers() -> Iterator[None]:
    """skl2onnx hands Booleans to fields of integers; protobuf 7 refuses them, older ones took them as 0 and 1."""
    from onnx import helper

    original = helper.make_attribute

    def integer(value: Any) -> Any:  # Any: whatever an attribute may hold
        return int(value) if type(value).__name__ in ("bool", "bool_") else value

    def make_attribute(key: str, value: Any, *args: Any, **kwargs: Any) -> Any:
        plain = [integer(item) for item in value] if isinstance(value, list | tuple) else integer(value)
        return original(key, plain, *args, **kwargs)

    with _export_lock:
        helper.make_attribute = make_attribute
        try:
            yield
        finally:
            helper.make_attribute = original
