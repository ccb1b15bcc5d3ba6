"""Bytes in and out: blobs by digest, table versions as Parquet. Written by hand, as an operation's body is JSON."""

import mimetypes
import tempfile
from pathlib import Path

from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from clew.access import service as access
from clew.backend import LocalBackend
from clew.errors import NotFound, TooLarge
from clew.operations import Context
from clew.server.routes import PREFIX, actor_of, json_response
from clew.storage.blobs import Blob
from clew.storage.disks import writing_under
from clew.storage.tables import TablePin

__all__ = ["MAX_BLOB_BYTES", "stream_routes"]

MAX_BLOB_BYTES = 16 << 30
_SHOWN_INLINE = {"image/png", "image/jpeg", "image/gif", "image/webp", "text/plain", "application/json"}
_FOREVER = "private, max-age=31536000, immutable"


def stream_routes(backend: LocalBackend, *, max_blob_bytes: int = MAX_BLOB_BYTES) -> list[Route]:
    """The routes of blobs and tables over one backend."""

    async def put_blob(request: Request) -> Response:
        context = await run_in_threadpool(_enter, backend, request)
        path = await _receive(request, backend.settings.home / "incoming", max_blob_bytes)
        try:
            blob = await run_in_threadpool(_keep, context, path)
        finally:
            path.unlink(missing_ok=True)
        return json_response(blob)

    async def get_blob(request: Request) -> Response:
        context = await run_in_threadpool(_enter, backend, request)
        path = await run_in_threadpool(_owned_path, context, request.path_params["digest"])
        return _file(path, request.query_params.get("name"))

    async def get_table(request: Request) -> Response:
        context = await run_in_threadpool(_enter, backend, request)
        path = await run_in_threadpool(_as_parquet, context, request.path_params["table"], request.path_params["version"])
        return FileResponse(path, media_type="application/vnd.apache.parquet", background=BackgroundTask(path.unlink, missing_ok=True))

    project = f"{PREFIX}/projects/{{project}}"
    return [
        Route(f"{project}/blobs", put_blob, methods=["PUT"], name="put_blob"),
        Route(f"{project}/blobs/{{digest}}", get_blob, methods=["GET"], name="get_blob"),
        Route(f"{project}/tables/{{table:path}}/{{version:int}}", get_table, methods=["GET"], name="get_table"),
    ]


def _enter(backend: LocalBackend, request: Request) -> Context:
    """A context of the request's project. Raises ``NotFound`` for a project that is not there."""
    context = backend.context(request.path_params["project"], actor=actor_of(request))
    with context.reading() as inside:
        access.get_project(inside)
    return context


async def _receive(request: Request, folder: Path, limit_bytes: int) -> Path:
    """The body in a temporary file. Raises ``TooLarge``, or ``StorageFull`` with nothing left behind."""
    with writing_under(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return await _write(request, folder, limit_bytes)


async def _write(request: Request, folder: Path, limit_bytes: int) -> Path:
    received = 0
    file = tempfile.NamedTemporaryFile(dir=folder, delete=False)  # noqa: SIM115 - closed below, kept for the caller
    path = Path(file.name)
    try:
        with file:
            async for chunk in request.stream():
                received += len(chunk)
                if received > limit_bytes:
                    raise TooLarge(f"a file may have {limit_bytes >> 20} MiB", limit_bytes=limit_bytes)
                await run_in_threadpool(file.write, chunk)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _keep(context: Context, path: Path) -> Blob:
    blob = context.blobs.put(path)
    context.run_write(lambda inside: access.own_blob(inside, blob))
    return blob


def _owned_path(context: Context, digest: str) -> Path:
    with context.reading() as inside:
        if not access.owns_blob(inside, digest):
            raise NotFound(f"the project {context.project!r} has no blob {digest}")
    return context.blobs.path(digest)


def _file(path: Path, name: str | None) -> Response:
    """The file, shown by the browser only where its type can't run as a page of ours."""
    guessed = mimetypes.guess_type(name or "")[0] or "application/octet-stream"
    shown = guessed in _SHOWN_INLINE
    headers = {"cache-control": _FOREVER, "x-content-type-options": "nosniff", "content-security-policy": "sandbox"}
    return FileResponse(
        path,
        headers=headers,
        media_type=guessed if shown else "application/octet-stream",
        filename=Path(name).name if name else None,
        content_disposition_type="inline" if shown else "attachment",
    )


def _as_parquet(context: Context, table: str, version: int) -> Path:
    if table.split("/", maxsplit=1)[0] != context.project:
        raise NotFound(f"the project {context.project!r} has no table {table!r}")
    folder = context.settings.home / "outgoing"
    rows = context.tables.scan(TablePin(table, version, 0, 0))
    with writing_under(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".parquet", delete=False) as file:
            path = Path(file.name)
        try:
            rows.sink_parquet(path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    return path
