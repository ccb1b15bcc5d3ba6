"""Operations as HTTP routes. What a route takes and gives follows from the operation's signature; nothing is written twice."""

import types
from typing import Any, Union, get_args, get_origin

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from clew.backend import LocalBackend
from clew.errors import Invalid, NotFound, TooLarge
from clew.operations import Operation, load_all
from clew.serving.addresses import serving_url

__all__ = ["MAX_BODY_BYTES", "PREFIX", "actor_of", "astray_routes", "decode_object", "json_response", "operation_routes", "read_body"]

PREFIX = "/api/v1"
MAX_BODY_BYTES = 32 << 20
_DRAIN_FACTOR = 8
_MAX_KEY = 64


def operation_routes(backend: LocalBackend) -> list[Route]:
    """A route for each operation. Fixed paths come before ones with parameters, so that neither hides the other."""
    declared = sorted(load_all(), key=lambda item: (item.path.replace("{", "~"), item.method))
    return [Route(PREFIX + item.path, _endpoint(backend, item), methods=[item.method], name=item.name) for item in declared]


def astray_routes(backend: LocalBackend) -> list[Route]:
    """Predictions are asked of a serving process, on a port of its own; who asks for one here is told where."""

    def elsewhere(request: Request) -> Response:
        address = serving_url(backend)  # raises, saying how to start one
        path = request.url.path
        raise NotFound(f"this is the API; endpoints answer at {address}: POST {address}{path}", url=address)

    paths = ("/endpoints/{name}/predict", "/v2/models/{name}/infer")
    return [Route(path, elsewhere, methods=["POST"], name="astray") for path in paths]


def _endpoint(backend: LocalBackend, operation: Operation) -> Any:  # Any: Starlette's own union of endpoint types
    async def endpoint(request: Request) -> Response:
        body = {} if operation.method == "GET" else decode_object(await read_body(request, MAX_BODY_BYTES))
        values = _values(operation, request, body)
        project = request.path_params.get("project", backend.project)
        key = request.headers.get("idempotency-key")
        if key is not None and len(key) > _MAX_KEY:
            raise Invalid(f"the Idempotency-Key has {len(key)} characters; it may have {_MAX_KEY}")
        result = await run_in_threadpool(backend.run, operation, values, project=project, actor=actor_of(request), key=key)
        if operation.kind != "read":
            request.app.state.live.touch()
        return json_response(result)

    return endpoint


def _values(operation: Operation, request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """The operation's arguments. Text from the path and the query is read leniently, JSON strictly."""
    texts: dict[str, Any] = {name: value for name, value in request.path_params.items() if name in operation.parameters}
    if operation.method == "GET":
        texts |= {name: _from_query(operation, name, request.query_params.getlist(name)) for name in request.query_params}
    clash = sorted(set(texts) & set(body))
    if clash:
        raise Invalid(f"{clash[0]!r} stands in the path and in the body; leave it out of the body")
    lenient = {}
    for name, text in texts.items():
        if name in operation.parameters:
            try:
                lenient[name] = msgspec.convert(text, operation.parameters[name][0], strict=False)
            except msgspec.ValidationError as error:
                raise Invalid(f"{name}: {error}") from error
        else:
            lenient[name] = text  # convert names what it does not know
    return operation.convert(lenient | body)


def _from_query(operation: Operation, name: str, texts: list[str]) -> Any:
    """Text as it is; where the parameter is a list or an object, JSON, or for a list the name given several times."""
    kind = operation.parameters.get(name, (str, None))[0]
    if not _is_structured(kind):
        return texts[-1]
    if len(texts) == 1 and texts[0][:1] in "[{":
        try:
            return msgspec.json.decode(texts[0])
        except msgspec.DecodeError as error:
            raise Invalid(f"{name}: {texts[0]!r} is not valid JSON: {error}") from error
    return texts


def _is_structured(kind: Any) -> bool:  # Any: a type expression
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return any(_is_structured(part) for part in get_args(kind))
    return (origin or kind) in (list, tuple, dict, set, frozenset) or hasattr(origin or kind, "__dataclass_fields__")


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The whole body. Raises ``TooLarge`` past the limit, after reading on for a while: a client that still sends sees the answer."""
    declared = request.headers.get("content-length", "")
    too_large = declared.isdecimal() and int(declared) > limit_bytes
    received = 0
    chunks: list[bytes] = []
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit_bytes:
            too_large = True
        if too_large:
            chunks.clear()
            if received > limit_bytes * _DRAIN_FACTOR:
                break
        else:
            chunks.append(chunk)
    if too_large:
        raise TooLarge(
            f"the body is over {limit_bytes >> 20} MiB; files go to PUT {PREFIX}/projects/<project>/blobs", limit_bytes=limit_bytes
        )
    return b"".join(chunks)


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body; an empty body is an empty object. Raises ``Invalid``."""
    if not body:
        return {}
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid(f"the body is not valid JSON: {error}") from error
    except RecursionError as error:
        raise Invalid("the body's JSON is nested too deeply") from error
    if not isinstance(document, dict):
        raise Invalid(f"the body must be a JSON object with the operation's parameters, not {type(document).__name__}")
    return document


def json_response(value: Any, status: int = 200) -> Response:  # Any: whatever an operation returns
    if value is None:
        return Response(status_code=204)
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def actor_of(request: Request) -> str:
    actor: str = request.scope.get("clew.actor", "local")
    return actor
