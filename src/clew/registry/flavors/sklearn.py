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
        if not classifier and hasattr(model, "classes_"):
            raise Refused(
                f"{type(model).__name__} has no predict_proba, and a classifier is asked for a probability: wrap it in CalibratedClassifierCV"
            )
        if classifier and len(model.classes_) != 2:
            raise Refused(f"the classifier has {len(model.classes_)} classes; only two can be exported so far")
        options = {"zipmap": False} if classifier else None
        try:
            with _booleans_as_integers():
                graph = to_onnx(
                    _convertible(model),
                    initial_types=[("X", FloatTensorType([None, features]))],
                    options=options,
                    target_opset=_OPSET,
                )
        except Exception as error:  # the converter raises whatever it meets; its reason is what the user needs
            raise Refused(f"{type(model).__name__} does not convert to ONNX: {str(error).splitlines()[0][:300]}") from error
        _send_missing_values_as_the_trees_do(model, graph.graph)
        return Export(graph.SerializeToString(), graph.graph.output[1 if classifier else 0].name)

    def score(self, model: Any, matrix: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float64]":
        import numpy as np
        import polars as pl

        names = getattr(model, "feature_names_in_", None)
        rows: Any = matrix if names is None else pl.DataFrame(matrix, schema=list(names))
        answer = model.predict_proba(rows)[:, 1] if hasattr(model, "predict_proba") else model.predict(rows)
        return np.asarray(answer, dtype=np.float64)

    def advice(self, model: Any, *, only_missing: bool) -> str:
        kinds = [type(part).__name__ for part in _parts(model)]
        if only_missing:
            return (
                "Only rows with a missing value differ: let the model impute them, make_pipeline(SimpleImputer(), ...), or take a model whose "
                "trees take missing values, such as HistGradientBoostingClassifier"
            )
        if any(getattr(part, "is_categorical_", None) is not None for part in _parts(model)):
            return "Its categorical splits do not convert: code categories as numbers"
        if len(kinds) > 1 and kinds[-1].startswith("HistGradientBoosting"):
            return f"{kinds[-1]} splits at the very values that it has seen, and {kinds[-2]} before it is rounded otherwise: leave it out"
        return "docs/explanation/models.md lists which estimators convert exactly"

    def libraries(self) -> tuple[str, ...]:
        return ("scikit-learn", "numpy", "skops")


def _convertible(model: Any) -> Any:
    """The model, or a copy that answers float32 rows alike where the converter would stumble over the model itself.

    Histogram boosting compares with a float64 threshold between two neighbouring values; rounded to float32, it can meet the upper one
    and send that row the other way. Rounded down, it separates the same float32 values. Classes that are Booleans become 0 and 1: some
    converters take them for text.
    """
    import numpy as np

    histograms = any(hasattr(part, "_predictors") for part in _parts(model))
    if not histograms and getattr(getattr(model, "classes_", None), "dtype", None) != np.bool_:
        return model
    exact = copy.deepcopy(model)
    for part in _parts(exact):
        for iteration in getattr(part, "_predictors", ()):
            for tree in iteration:
                _round_down(tree.nodes)
        if "classes_" in vars(part) and part.classes_.dtype == np.bool_:
            part.classes_ = part.classes_.astype(np.int64)
    return exact


def _round_down(nodes: Any) -> None:
    import numpy as np

    thresholds = nodes["num_threshold"]
    rounded = thresholds.astype(np.float32)
    above = rounded.astype(np.float64) > thresholds
    nodes["num_threshold"] = np.where(above, np.nextafter(rounded, np.float32(-np.inf)), rounded)


def _parts(model: Any) -> Iterator[Any]:
    """The model and the fitted ones that it is made of, in the order in which the converter writes them."""
    yield model
    steps = [step for _, step in getattr(model, "steps", ())]
    calibrated = [one.estimator for one in getattr(model, "calibrated_classifiers_", ())]
    ensemble = getattr(model, "estimators_", [])
    for one in (*steps, *calibrated, *(ensemble if isinstance(ensemble, list) else ensemble.flat)):
        yield from _parts(one)


def _send_missing_values_as_the_trees_do(model: Any, graph: Any) -> None:
    """Write into the graph to which side each node of a tree sends a missing value, which skl2onnx leaves out.

    What doesn't match is left as it is: verification tells whether the export takes missing values.
    """
    trees = [part.tree_ for part in _parts(model) if hasattr(part, "tree_")]
    ensembles = [node for node in graph.node if node.op_type.startswith("TreeEnsemble")]
    attributes = [{attribute.name: attribute.ints for attribute in node.attribute} for node in ensembles]
    if sum(len(one["nodes_nodeids"]) for one in attributes) != sum(tree.node_count for tree in trees):
        return
    sides = iter([int(side) for tree in trees for side in tree.__getstate__()["nodes"]["missing_go_to_left"]])
    for one in attributes:
        tracks = one["nodes_missing_value_tracks_true"]
        for place in range(len(tracks)):
            tracks[place] = next(sides)


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
