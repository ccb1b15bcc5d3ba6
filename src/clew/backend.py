"""How everything reaches the operations: in this process over the database, or over HTTP to a server. One face, two transports."""

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from clew import console
from clew.clock import wall_now
from clew.errors import ClewError, StillRunning, Unavailable, from_wire
from clew.identifiers import new_id
from clew.operations import Context, Operation, operation_of
from clew.settings import Settings, load_settings

if TYPE_CHECKING:
    import httpx
    import polars as pl

    from clew.storage.blobs import Blob
    from clew.storage.tables import TablePin

__all__ = ["Backend", "HttpBackend", "LocalBackend", "active", "connect", "current", "use"]

P = ParamSpec("P")
R = TypeVar("R")

_TIMEOUT_SECONDS = 60.0
_TRIES = 3


class Backend(Protocol):
    """Where a project lives. Thread-safe; not to be used across a fork."""

    project: str
    settings: Settings

    def call(self, operation: Callable[Concatenate[Context, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run an operation: one call, one transaction; when it has returned, it has committed. Raises the operation's own errors."""
        ...

    def upload(self, source: "bytes | Path") -> "Blob":
        """Stage a file; it is kept for good when an operation commits a row that names its digest."""
        ...

    def download(self, digest: str) -> Path:
        """A local file with the content of a blob that the project owns; to read, not to change."""
        ...

    def scan(self, pin: "TablePin") -> "pl.LazyFrame":
        """The rows of one pinned table version."""
        ...


class LocalBackend:
    """Runs operations in this process over the database and the stores. The server runs this one too."""

    def __init__(self, settings: Settings, *, actor: str = "local") -> None:
        from clew.storage.blobs import Blobs
        from clew.storage.database import Database
        from clew.storage.disks import writing_under
        from clew.storage.tables import Tables

        self.settings = settings
        self.project = settings.project
        self.actor = actor
        with writing_under(settings.home):
            settings.home.mkdir(parents=True, exist_ok=True)
        self.database = Database(settings.database_url, durability=settings.durability)
        self.blobs = Blobs(settings.storage_url, cache=settings.home / "cache", durability=settings.durability)
        self.tables = Tables(settings.storage_url)

    def prepare(self) -> "LocalBackend":
        """Migrate the schema and make sure that the project is there."""
        from clew.access import service as access

        self.database.migrate()
        access.ensure_project(self.context(self.project))
        return self

    def context(self, project: str, *, actor: str | None = None) -> Context:
        return Context(project, actor or self.actor, wall_now(), self.settings, self.database, self.blobs, self.tables)

    def call(self, operation: Callable[Concatenate[Context, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        declared = operation_of(operation)
        if declared.kind != "read":
            console.say_where(self.settings)
        return self.run(declared, dict(zip(declared.parameters, args, strict=False)) | kwargs, project=self.project)  # type: ignore[no-any-return]

    def run(self, operation: Operation, values: dict[str, Any], *, project: str, actor: str | None = None, key: str | None = None) -> Any:
        """The one place where an operation runs: permission, transaction, audit and idempotency."""
        from clew.access import service as access

        context = self.context(project, actor=actor)
        if operation.kind == "read":
            with context.reading() as inside:
                inside = access.enter(inside, operation)
                return operation.function(inside, **values)
        if operation.kind == "write":
            return context.run_write(lambda inside: access.once(inside, operation, values, key))
        return access.once_staged(context, operation, values, key)

    def upload(self, source: "bytes | Path") -> "Blob":
        from clew.access import service as access

        console.say_where(self.settings)
        blob = self.blobs.put(source)
        self.context(self.project).run_write(lambda context: access.own_blob(context, blob))
        return blob

    def download(self, digest: str) -> Path:
        return self.blobs.path(digest)

    def scan(self, pin: "TablePin") -> "pl.LazyFrame":
        return self.tables.scan(pin)

    def dispose(self) -> None:
        self.database.dispose()


class HttpBackend:
    """Sends operations to a server and raises the errors that it answers with, by their code."""

    def __init__(self, settings: Settings, url: str) -> None:
        import httpx

        self.settings = settings
        self.project = settings.project
        self.url = url.rstrip("/")
        headers = {"user-agent": "clew-python"}
        if settings.token:
            headers["authorization"] = f"Bearer {settings.token}"
        self._client = httpx.Client(base_url=f"{self.url}/api/v1", headers=headers, timeout=_TIMEOUT_SECONDS)
        self._cache = settings.home / "cache"

    def call(self, operation: Callable[Concatenate[Context, P], R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        declared = operation_of(operation)
        if declared.kind != "read":
            console.say_where(self.settings)
        values = dict(zip(declared.parameters, args, strict=False)) | kwargs
        path = declared.path
        for name in declared.path_parameters:
            value = self.project if name == "project" and name not in values else values.pop(name)
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        headers = {"content-type": "application/json"}
        if declared.kind != "read":
            headers["idempotency-key"] = new_id("key")
        if declared.method == "GET":
            query = {name: _query_value(value) for name, value in values.items() if value is not None}
            content = self.request("GET", path, params=query)
        else:
            content = self.request(declared.method, path, content=msgspec.json.encode(values), headers=headers)
        return msgspec.json.decode(content or b"null", type=declared.returns)  # type: ignore[no-any-return]

    def request(self, method: str, path: str, **options: Any) -> bytes:  # Any: httpx's own keyword arguments
        """One request, sent again when no answer came: what is no read or upload carries its idempotency key, so it acts once."""
        import httpx

        failures = 0
        while True:
            try:
                response = self._client.request(method, path, **options)
            except httpx.TransportError as error:
                failures += 1
                if failures == _TRIES:
                    raise Unavailable(
                        f"no Clew server answers at {self.url} ({error}); start one with `clew up`, or unset CLEW_URL"
                    ) from error
                continue
            if response.is_success:
                return response.content
            refusal = self._refusal(response, f"{method} {path}")
            if not isinstance(refusal, StillRunning):  # the server has waited before it said so: ask again, for as long as it takes
                raise refusal
            failures = 0

    def _refusal(self, response: "httpx.Response", request: str) -> ClewError:
        """The error that an answer stands for."""
        try:
            document = msgspec.json.decode(response.content)["error"]
        except (msgspec.DecodeError, KeyError, TypeError) as error:
            raise ClewError(f"{self.url} answered {response.status_code} to {request}, not as a Clew server does") from error
        return from_wire(document)

    def upload(self, source: "bytes | Path") -> "Blob":
        from clew.storage.blobs import Blob

        console.say_where(self.settings)
        content = source if isinstance(source, bytes) else source.read_bytes()
        return msgspec.json.decode(self.request("PUT", f"/projects/{self.project}/blobs", content=content), type=Blob)

    def download(self, digest: str) -> Path:
        return self._cached(f"blobs/{digest.replace(':', '-')}", f"/projects/{self.project}/blobs/{digest}")

    def scan(self, pin: "TablePin") -> "pl.LazyFrame":
        import polars as pl

        path = f"/projects/{self.project}/tables/{quote(pin.table, safe='')}/{pin.version}"
        return pl.scan_parquet(self._cached(f"tables/{pin.table}/{pin.version}.parquet", path))

    def dispose(self) -> None:
        self._client.close()

    def _cached(self, name: str, path: str) -> Path:
        file = self._cache / name
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_name(f"{file.name}.{new_id('part')}")
            part.write_bytes(self.request("GET", path))
            part.replace(file)
        return file


def _query_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    return msgspec.json.encode(value).decode().strip('"')


_current: Backend | None = None
_lock = threading.Lock()


def connect(url: str | None = None, *, project: str | None = None, settings: Settings | None = None) -> Backend:
    """The backend for a URL or, without one, for ``CLEW_URL``, else for the folder ``.clew`` of the project."""
    settings = settings or load_settings()
    if project is not None:
        settings = replace(settings, project=project)
    url = url or settings.url
    return HttpBackend(replace(settings, url=url), url) if url else LocalBackend(settings).prepare()


def current() -> Backend:
    """The backend of this process, connected by the first verb that needs it."""
    global _current  # noqa: PLW0603 - one backend a process, resolved by the first verb
    with _lock:
        if _current is None or getattr(_current, "_process", os.getpid()) != os.getpid():
            _current = connect()
            _current._process = os.getpid()  # type: ignore[attr-defined]  # a fork must not share connections
        return _current


def active() -> Backend | None:
    """The backend that this process uses already, without connecting one."""
    with _lock:
        return _current if _current is not None and getattr(_current, "_process", os.getpid()) == os.getpid() else None


def use(backend: Backend | None) -> None:
    """Make ``backend`` the current one; ``None`` forgets it, so that the next verb connects anew."""
    global _current  # noqa: PLW0603
    with _lock:
        _current = backend
        if backend is not None:
            backend._process = os.getpid()  # type: ignore[attr-defined]
