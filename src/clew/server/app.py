"""The ASGI application: every operation's route, the streams, live events, health, figures and the page."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import clew
from clew.admission import Admission
from clew.backend import LocalBackend
from clew.errors import ClewError
from clew.operations import load_all
from clew.server import answers, openapi
from clew.server.live import Live
from clew.server.observation import Figures, Observed
from clew.server.pages import page
from clew.server.routes import PREFIX, astray_routes, operation_routes
from clew.server.streams import stream_routes

__all__ = ["AppOptions", "build_app"]

_WORKER_THREADS = 40


@dataclass(frozen=True)
class AppOptions:
    """``token`` is ``None`` only on loopback. ``about`` goes out with ``/api/v1/server``: where the page finds the serving process."""

    token: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    ready: Callable[[], list[str]] = list
    """What is not up yet, in words; empty when all is."""


def build_app(backend: LocalBackend, options: AppOptions | None = None) -> Starlette:
    """The whole API over one backend. It starts no process and no thread; ``clew.server.up`` does."""
    options = options or AppOptions()
    live, figures = Live(backend), Figures()
    document = openapi.document(load_all(), prefix=PREFIX, version=clew.__version__)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        import anyio.to_thread

        anyio.to_thread.current_default_thread_limiter().total_tokens = _WORKER_THREADS
        watching = asyncio.create_task(live.watch())
        yield
        await live.close()
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # we just cancelled it
            await watching

    async def ready(request: Request) -> Response:
        missing = await run_in_threadpool(_missing, backend, options)
        return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)

    async def about(request: Request) -> Response:
        return JSONResponse({"version": clew.__version__, "project": backend.project, **options.about})

    app = Starlette(
        routes=[
            Route("/healthz", _healthy, name="healthz"),
            Route("/readyz", ready, name="readyz"),
            Route("/metrics", figures.page, name="metrics"),
            Route(f"{PREFIX}/openapi.json", lambda request: JSONResponse(document), name="openapi"),
            Route(f"{PREFIX}/server", about, name="server"),
            Route(f"{PREFIX}/projects/{{project}}/live", live.stream, name="live"),
            *stream_routes(backend),
            *operation_routes(backend),
            *astray_routes(backend),
            Route("/{path:path}", page, name="page"),
        ],
        middleware=[Middleware(Observed, figures=figures), Middleware(Admission, token=options.token, guarded=("/api/", "/metrics"))],
        exception_handlers={
            ClewError: answers.clew_error,
            HTTPException: answers.http_error,
            Exception: answers.unexpected_error,
        },
        lifespan=lifespan,
    )
    app.state.live = live
    return app


async def _healthy(request: Request) -> Response:
    return JSONResponse({"healthy": True})


def _missing(backend: LocalBackend, options: AppOptions) -> list[str]:
    """What keeps the server from answering, in words."""
    missing = list(options.ready())
    try:
        with backend.database.read() as connection:
            connection.exec_driver_sql("select 1")
    except Exception as error:  # whatever the driver raises, the answer is the same: not ready, and why
        missing.append(f"database: {error}")
    return missing
