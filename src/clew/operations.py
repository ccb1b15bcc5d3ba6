"""Operations: the joint between the services and everything that calls them.

A decorated service function stays a function. Its signature is the request, its return type the response; the HTTP route, the
remote call, the OpenAPI entry and the permission check all follow from the one declaration.
"""

import base64
import functools
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, get_type_hints

import msgspec

from clew.errors import Invalid

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from clew.settings import Settings
    from clew.storage.blobs import Blobs
    from clew.storage.database import Database
    from clew.storage.tables import Tables

__all__ = ["Context", "Operation", "Page", "decode_cursor", "encode_cursor", "load_all", "operation", "operation_of"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

Kind = Literal["read", "write", "staged"]
SLICES = (
    "access",
    "catalog",
    "tracking",
    "datasets",
    "feature_store",
    "registry",
    "tuning",
    "pipelines",
    "serving",
    "monitoring",
    "delivery",
)
_REGISTRY: dict[str, "Operation"] = {}


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list; ``next_cursor`` is ``None`` on the last."""

    items: list[T]
    next_cursor: str | None = None


@dataclass(frozen=True)
class Context:
    """What a service function may touch. ``now`` is the project's event time; ``db`` is inside the call's one transaction.

    A *read* or *write* operation gets ``db``. A *staged* one does the work on blobs and tables first, and opens short transactions
    itself with ``reading`` and ``run_write``.
    """

    project: str
    actor: str
    now: datetime
    settings: "Settings"
    database: "Database"
    blobs: "Blobs"
    tables: "Tables"
    connection: "Connection | None" = None

    @property
    def db(self) -> "Connection":
        if self.connection is None:
            raise AssertionError("a staged operation opens its transactions with context.reading() or context.run_write()")
        return self.connection

    @contextmanager
    def reading(self) -> Iterator["Context"]:
        with self.database.read() as connection:
            yield replace(self, connection=connection)

    def run_write(self, function: Callable[["Context"], R]) -> R:
        """``function`` in one write transaction, again when two writers collided."""
        return self.database.run_write(lambda connection: function(replace(self, connection=connection)))


@dataclass(frozen=True)
class Operation:
    """The declaration of one operation: ``method`` and ``path`` as in ``GET /projects/{project}/runs/{run_id}``."""

    name: str
    method: str
    path: str
    permission: str
    kind: Kind
    function: Callable[..., Any]

    @functools.cached_property
    def path_parameters(self) -> tuple[str, ...]:
        return tuple(re.findall(r"{(\w+)}", self.path))

    @functools.cached_property
    def parameters(self) -> dict[str, tuple[Any, Any]]:
        """Name → (type, default or ``inspect.Parameter.empty``), without the context."""
        hints = get_type_hints(self.function)
        signature = inspect.signature(self.function).parameters.values()
        return {item.name: (hints[item.name], item.default) for item in list(signature)[1:]}

    @functools.cached_property
    def returns(self) -> Any:
        return get_type_hints(self.function).get("return", type(None))

    def convert(self, values: dict[str, Any], *, strict: bool = True) -> dict[str, Any]:
        """Plain values as the types of the signature. Raises ``Invalid`` naming the parameter."""
        unknown = sorted(set(values) - set(self.parameters))
        if unknown:
            raise Invalid(f"{self.name} has no parameter {unknown[0]!r}; it takes {', '.join(self.parameters) or 'none'}")
        converted = {}
        for name, (kind, default) in self.parameters.items():
            if name in values:
                try:
                    converted[name] = msgspec.convert(values[name], kind, strict=strict)
                except msgspec.ValidationError as error:
                    raise Invalid(f"{name}: {error}") from error
            elif default is inspect.Parameter.empty:
                raise Invalid(f"{self.name} needs {name!r}")
        return converted


def operation(
    route: str, *, permission: str, kind: Kind
) -> Callable[[Callable[Concatenate[Context, P], R]], Callable[Concatenate[Context, P], R]]:
    """Declare the function below as an operation, at ``METHOD /path``; paths of a project begin with ``/projects/{project}``."""
    method, path = route.split(" ", 1)

    def declare(function: Callable[Concatenate[Context, P], R]) -> Callable[Concatenate[Context, P], R]:
        slice_name = function.__module__.split(".")[1]
        declared = Operation(f"{slice_name}.{function.__name__}", method, path, permission, kind, function)
        if _REGISTRY.get(route, declared).name != declared.name:
            raise AssertionError(f"two operations at {route}: {_REGISTRY[route].name} and {declared.name}")
        _REGISTRY[route] = declared
        function.__operation__ = declared  # type: ignore[attr-defined]  # functions take attributes; typing has no word for it
        return function

    return declare


def operation_of(function: Callable[..., Any]) -> Operation:
    declared = getattr(function, "__operation__", None)
    if declared is None:
        raise AssertionError(f"{function.__qualname__} is not declared with @operation")
    return declared  # type: ignore[no-any-return]  # set by ``operation`` only


def load_all() -> list[Operation]:
    """Every operation of every slice, sorted by path."""
    for name in SLICES:
        module = f"clew.{name}.service"
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name not in (module, f"clew.{name}"):
                raise
    return sorted(_REGISTRY.values(), key=lambda item: (item.path, item.method))


def encode_cursor(position: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def decode_cursor(cursor: str, **kinds: type) -> dict[str, Any]:
    """The position in a cursor that ``encode_cursor`` made, with a value of each kind. Raises ``Invalid`` for any other text."""
    try:
        position = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=dict[str, Any])
        told = all(type(position.get(name)) is kind for name, kind in kinds.items())  # and so no True for a 1
    except ValueError:
        told = False
    if not told:
        raise Invalid(f"{cursor!r} is not a cursor that this list gave; start again without one")
    return position
