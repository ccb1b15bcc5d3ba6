"""Small models that are written down, so that their answers can be told by hand."""

import numpy as np
import onnx

from clew.backend import LocalBackend
from clew.catalog.schema import AssetVersion, VersionRef
from clew.registry.schema import Field, ModelDetails, Signature, Verification
from clew.registry.service import register_model


def an_onnx(slope: float, width: int = 2) -> bytes:
    """A model that answers the logistic function of ``slope`` times its first input; NaN counts as 0."""
    weights = np.zeros((width, 1), np.float32)
    weights[0] = slope
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("IsNaN", ["X"], ["absent"]),
            onnx.helper.make_node("Where", ["absent", "zero", "X"], ["present"]),
            onnx.helper.make_node("MatMul", ["present", "weights"], ["score"]),
            onnx.helper.make_node("Sigmoid", ["score"], ["probability"]),
        ],
        "logistic",
        [onnx.helper.make_tensor_value_info("X", onnx.TensorProto.FLOAT, [None, width])],
        [onnx.helper.make_tensor_value_info("probability", onnx.TensorProto.FLOAT, [None, 1])],
        [onnx.numpy_helper.from_array(weights, "weights"), onnx.numpy_helper.from_array(np.float32(0).reshape(()), "zero")],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = model.SerializeToString()
    return content


def register_model_of(
    backend: LocalBackend, name: str, *, slope: float, width: int = 2, refit_of: VersionRef | None = None, takes_missing: bool = True
) -> AssetVersion:
    """A version of a small model that was trained on nothing: its inputs ``a`` and ``b`` stand in the request."""
    blob = backend.upload(an_onnx(slope, width))
    details = ModelDetails(
        None, (), Signature((Field("a", "Float64"), Field("b", "Float64")), (Field("probability", "Float32"),)), "onnx", blob.digest,
        blob.digest, Verification(1, 1, 0.0, 1e-5, takes_missing=takes_missing), "recipe", {}, {}, None, None, None, refit_of=refit_of,
    )  # fmt: skip
    return backend.call(register_model, name, "sha256:" + "d" * 64, blob.digest, "a test", details).version
