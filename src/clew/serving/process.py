"""The serving process: ``python -m clew.serving.process``. Apart from the API, and alive without it."""

import argparse
import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from starlette.applications import Starlette

from clew.admission import Admission, is_loopback
from clew.backend import connect
from clew.clock import wall_now
from clew.errors import ClewError, Conflict, Invalid
from clew.identifiers import new_id
from clew.logs import set_up_logging
from clew.serving.answers import log_folder
from clew.serving.app import Front, create_app
from clew.serving.following import Follower
from clew.serving.prediction_log import PredictionLog
from clew.serving.statistics import Statistics
from clew.settings import Settings, load_settings

__all__ = ["ServeOptions", "main", "serve"]

log = logging.getLogger("clew.serving")
_SYNC_SECONDS = 1.0


@dataclass(frozen=True)
class ServeOptions:
    """``only`` names the endpoints to serve; all of the project's without. ``best_effort`` answers even where the log has no room."""

    host: str = "127.0.0.1"
    port: int = 7341
    only: Collection[str] = ()
    best_effort: bool = False


def serve(settings: Settings, options: ServeOptions) -> None:
    """Serve until the process is told to end. Raises ``Conflict`` when the port is taken, ``StorageFull`` without room for the log."""
    import uvicorn

    listening = _listen(options)
    port = listening.getsockname()[1]
    url = f"http://{'127.0.0.1' if options.host in ('0.0.0.0', '::') else options.host}:{port}"  # noqa: S104 - compared, not bound
    front = Front(
        PredictionLog(log_folder(settings, settings.project), strict=settings.durability == "full"),
        Statistics(),
        best_effort=options.best_effort,
    )
    follower = Follower(front, settings, lambda: connect(settings=settings), process=new_id("sp"), url=url, only=options.only)
    follower.restore()
    log.info("serving on %s since %s", url, wall_now().isoformat(timespec="seconds"))
    app = Admission(create_app(front, lifespan=_lifespan(front, follower)), _token(settings, options.host))
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=75,  # longer than clients keep an idle connection: they end it, so that none is met half closed
    )
    try:
        with contextlib.suppress(KeyboardInterrupt):  # Uvicorn raises it again when all is closed, and Ctrl-C is how this ends
            uvicorn.Server(config).run(sockets=[listening])
    finally:
        front.predictions.sync()
        front.predictions.close()


def _token(settings: Settings, host: str) -> str | None:
    """The token that requests must carry; ``None`` on loopback, where none is needed. Raises ``Invalid`` where one is and there is none."""
    if settings.token is None and not is_loopback(host):
        raise Invalid(f"{host} is open to others: set CLEW_TOKEN to the token that requests must carry, or serve on 127.0.0.1")
    return settings.token


def _listen(options: ServeOptions) -> socket.socket:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Accepted sockets inherit it. Without, an answer in two writes waits 40 ms for the client's delayed acknowledgement.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listening.bind((options.host, options.port))
    except OSError as error:
        listening.close()
        raise Conflict(f"can't listen on {options.host}:{options.port} ({error.strerror}); choose another port with --port") from error
    listening.listen(2_048)
    return listening


def _lifespan(front: Front, follower: Follower):  # type: ignore[no-untyped-def]  # Starlette's own type for this is private
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work) for work in (follower.follow(), follower.keep_alive(), _sync(front.predictions))]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for live in front.live.values():
            await live.close()
        with contextlib.suppress(Exception):  # a last report; the process ends whether it arrives or not
            await follower.report()

    return lifespan


async def _sync(predictions: PredictionLog) -> None:
    """Bound what a power cut can take to about a second of answers."""
    while True:
        await asyncio.sleep(_SYNC_SECONDS)
        try:
            await asyncio.to_thread(predictions.sync)
        except OSError as error:
            log.error("the prediction log could not be brought to the disk: %s", error)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m clew.serving.process", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7341)
    parser.add_argument("--endpoint", action="append", default=[], help="serve this endpoint only; may be given several times")
    parser.add_argument("--best-effort", action="store_true", help="answer even where the disk has no room for the log")
    parser.add_argument("--log", default="auto", help="text, json, or auto (text at a terminal)")
    options = parser.parse_args(arguments)
    set_up_logging(options.log)
    try:
        serve(load_settings(), ServeOptions(options.host, options.port, options.endpoint, options.best_effort))
    except ClewError as error:
        raise SystemExit(f"clew: {error.message}") from error


if __name__ == "__main__":
    main()
