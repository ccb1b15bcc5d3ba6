"""The Open Inference Protocol's JSON (version 2) over our rows: tensors in, tensors out. A door: it holds no rule of its own."""

from typing import Any

from clew.errors import Invalid
from clew.serving.runtime import LiveRoute
from clew.serving.schema import RequestField

__all__ = ["metadata", "response", "rows_of"]

_DATATYPES = {
    "Boolean": "BOOL", "Int8": "INT8", "Int16": "INT16", "Int32": "INT32", "Int64": "INT64", "UInt8": "UINT8", "UInt16": "UINT16",
    "UInt32": "UINT32", "UInt64": "UINT64", "Float32": "FP32", "Float64": "FP64",
}  # fmt: skip


def _datatype(field: RequestField) -> str:
    return _DATATYPES.get(field.dtype, "BYTES")  # text, and instants as ISO 8601


def metadata(live: LiveRoute) -> dict[str, Any]:
    """The metadata document of a model: one input tensor for each field of a row."""
    return {
        "name": live.document.endpoint,
        "versions": [str(live.document.number)],
        "platform": "onnx_onnxv1" if live.document.external is None else "http",
        "inputs": [{"name": field.name, "datatype": _datatype(field), "shape": [-1]} for field in live.document.fields],
        "outputs": [
            {"name": live.document.output, "datatype": "FP32", "shape": [-1]},
            {"name": "prediction_id", "datatype": "BYTES", "shape": [-1]},
        ],
    }


def rows_of(live: LiveRoute, document: Any) -> list[dict[str, Any]]:
    """The rows that a request's tensors hold, field by field. Raises ``Invalid`` naming the tensor."""
    inputs = document.get("inputs") if isinstance(document, dict) else None
    if not isinstance(inputs, list) or not inputs:
        raise Invalid("the body must be an object with a list of input tensors, one for each field: GET the model's metadata shows them")
    columns = dict(_column(tensor) for tensor in inputs)
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise Invalid(f"the input tensors differ in length: {lengths}")
    datatypes = {field.name: _datatype(field) for field in live.document.fields}
    for tensor in inputs:
        wanted = datatypes.get(tensor["name"])
        if wanted is not None and tensor["datatype"] != wanted:
            raise Invalid(f"the tensor {tensor['name']!r} must be {wanted}, not {tensor['datatype']}", field=tensor["name"])
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _column(tensor: Any) -> tuple[str, list[Any]]:
    if not isinstance(tensor, dict) or not {"name", "shape", "datatype", "data"} <= tensor.keys():
        raise Invalid("an input tensor has a name, a shape, a datatype and its data")
    name, shape, values = tensor["name"], tensor["shape"], tensor["data"]
    if not isinstance(name, str):
        raise Invalid("a tensor's name is text")
    if not isinstance(values, list):
        raise Invalid(f"the data of the tensor {name!r} must be a list", field=name)
    if shape == [len(values), 1] and values and isinstance(values[0], list):
        values = [row[0] if isinstance(row, list) and len(row) == 1 else row for row in values]
    if shape not in ([len(values)], [len(values), 1]):
        raise Invalid(
            f"the tensor {name!r} has {len(values)} values and says that its shape is {shape}; it must be [{len(values)}]", field=name
        )
    return name, values


def response(
    live: LiveRoute, identifiers: list[str], probabilities: list[float], ignored: list[str], request_id: str | None
) -> dict[str, Any]:
    """``ignored`` are the tensors that nobody takes. A parameter is no list, so that they stand in one text."""
    parameters = {"epoch": live.epoch, **{f"view:{view}": number for view, number in live.views.items()}}
    document = {
        "model_name": live.document.endpoint,
        "model_version": str(live.document.number),
        "parameters": {**parameters, "ignored": ", ".join(ignored)} if ignored else parameters,
        "outputs": [
            {"name": live.document.output, "datatype": "FP32", "shape": [len(probabilities)], "data": probabilities},
            {"name": "prediction_id", "datatype": "BYTES", "shape": [len(identifiers)], "data": identifiers},
        ],
    }
    return document if request_id is None else {"id": request_id, **document}
