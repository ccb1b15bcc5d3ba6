"""The OpenAPI document, made from the operations' signatures. The page's TypeScript types are generated from it."""

import inspect
from collections.abc import Iterator
from typing import Any

import msgspec

from clew.errors import ClewError
from clew.operations import Operation

__all__ = ["document", "main"]

_REF = "#/components/schemas/{name}"
Schema = dict[str, Any]


def document(operations: list[Operation], *, prefix: str, version: str) -> Schema:
    """An OpenAPI 3.1 document of all operations under ``prefix``."""
    kinds = [kind for item in operations for kind in (*(kind for kind, _ in item.parameters.values()), item.returns)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=_REF)
    remaining = iter(schemas)
    paths: dict[str, Schema] = {}
    requested: set[str] = set()
    for item in operations:
        parameters = {name: next(remaining) for name in item.parameters}
        requested |= {name for schema in parameters.values() for name in _references(schema, components)}
        paths.setdefault(prefix + item.path, {})[item.method.lower()] = _entry(item, parameters, next(remaining))
    for name, component in components.items():
        # An answer holds every field, those with a default too; only a request may leave such a field out.
        if "properties" in component and name not in requested:
            component["required"] = sorted(component["properties"])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Clew",
            "version": version,
            "description": "Every operation of Clew. Errors carry a stable code and say what to do next.",
        },
        "paths": paths,
        "components": {
            "schemas": {**components, "Error": _error_schema()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _entry(item: Operation, parameters: dict[str, Schema], answer: Schema) -> Schema:
    entry: Schema = {
        "operationId": item.name,
        "tags": [item.name.split(".")[0]],
        "summary": (inspect.getdoc(item.function) or item.name).splitlines()[0],
        "x-permission": item.permission,
        "x-kind": item.kind,
        "parameters": [_in_path(name, parameters.get(name, {"type": "string"})) for name in item.path_parameters],
        "responses": {
            **_success(answer),
            "default": {"description": "What went wrong", "content": _json({"$ref": _REF.format(name="Error")})},
        },
    }
    rest = {name: schema for name, schema in parameters.items() if name not in item.path_parameters}
    required = [name for name in rest if item.parameters[name][1] is inspect.Parameter.empty]
    if item.method == "GET":
        entry["parameters"] += [
            {"name": name, "in": "query", "required": name in required, "schema": schema} for name, schema in rest.items()
        ]
    elif rest:
        body = {"type": "object", "properties": rest, "required": required, "additionalProperties": False}
        entry["requestBody"] = {"required": bool(required), "content": _json(body)}
    if item.kind != "read":
        entry["parameters"].append(
            {"name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string", "maxLength": 64}}
        )
    return entry


def _in_path(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _success(answer: Schema) -> Schema:
    if answer == {"type": "null"}:
        return {"204": {"description": "Done"}}
    return {"200": {"description": "Done", "content": _json(answer)}}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _references(schema: Any, components: dict[str, Schema]) -> Iterator[str]:
    """The names of all components that a schema reaches."""
    waiting, seen = [schema], set[str]()
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            name = str(node.get("$ref", "")).rpartition("/")[2]
            if name and name not in seen:
                seen.add(name)
                waiting.append(components.get(name, {}))
                yield name
            waiting += node.values()


def _error_schema() -> Schema:
    fields = {"code": {"type": "string", "enum": _codes()}, "message": {"type": "string"}, "details": {"type": "object"}}
    error = {"type": "object", "properties": fields, "required": list(fields)}
    return {"type": "object", "properties": {"error": error}, "required": ["error"]}


def _codes(kind: type[ClewError] = ClewError) -> list[str]:
    return [kind.code, *(code for child in kind.__subclasses__() for code in _codes(child))]


def main() -> None:
    """``python -m clew.server.openapi``: the document on standard output, for the page's types."""
    import json
    import sys

    from clew.operations import load_all
    from clew.server.routes import PREFIX

    json.dump(document(load_all(), prefix=PREFIX, version="0"), sys.stdout, indent=1, sort_keys=True)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
