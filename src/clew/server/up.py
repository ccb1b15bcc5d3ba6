"""``clew up``: one server for a folder, with the serving process beside it and the duties behind it."""

import contextlib
import logging
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import uvicorn

from clew.admission import EVERY_ADDRESS, is_loopback
from clew.backend import LocalBackend
from clew.errors import Conflict, Invalid
from clew.ports import free_port
from clew.server.app import AppOptions, build_app
from clew.server.delivering import Delivery
from clew.server.folder_lock import FolderLock
from clew.server.leading import Leadership
from clew.server.maintenance import Maintenance
from clew.server.serving_child import ServingChild
from clew.settings import Settings

__all__ = ["DEFAULT_PORT", "Addresses", "UpOptions", "up"]

DEFAULT_PORT = 7340
_GRACE_SECONDS = 10
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_log = logging.getLogger("clew.server")


@dataclass(frozen=True)
class UpOptions:
    """``port`` 0 takes any free one; ``serving_port`` ``None`` is the next after ``port``."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    serving_port: int | None = None
    serving: bool = True
    log: str = "auto"
    """How the serving process logs; this one's own logging is its caller's."""


@dataclass(frozen=True)
class Addresses:
    """Where the server answers; ``url`` carries the token where one is demanded."""

    home: Path
    project: str
    url: str
    serving_url: str | None


def up(settings: Settings, options: UpOptions, announce: Callable[[Addresses], None] = lambda _: None) -> None:
    """Serve until SIGINT or SIGTERM. Raises ``Conflict`` for a folder or a port that is taken, before anything was changed."""
    settings = _with_token(settings, options.host)
    listener = _listen(options.host, options.port)
    port = int(listener.getsockname()[1])
    url = f"http://{_shown(options.host)}:{port}"
    serving_port = (options.serving_port or (port + 1 if options.port else free_port(options.host))) if options.serving else None
    serving_url = f"http://{_shown(options.host)}:{serving_port}" if serving_port else None
    lock = FolderLock(settings.home, url=url, serving_url=serving_url)
    backend = LocalBackend(settings).prepare()
    serving = ServingChild(settings, options.host, serving_port, log=options.log) if serving_port else None
    leadership = Leadership(backend)
    maintenance = Maintenance(backend, leadership.leads)
    delivery = Delivery(
        backend, f"http://{_shown('127.0.0.1' if options.host in EVERY_ADDRESS else options.host)}:{port}", leadership.leads
    )
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    try:
        if serving is not None:
            serving.start()
        leadership.start()
        maintenance.start()
        delivery.start()
        about = {"serving_url": serving_url, "home": str(settings.home)}
        app = build_app(backend, AppOptions(settings.token, about, serving.missing if serving else list))
        announce(Addresses(settings.home, settings.project, f"{url}/?token={settings.token}" if settings.token else url, serving_url))
        config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=_GRACE_SECONDS)
        _Server(config, app.state.live.close).run(sockets=[listener])
    finally:
        if serving is not None:
            serving.stop()
        delivery.stop()
        maintenance.stop()
        leadership.stop()
        backend.dispose()
        lock.release()
        for number, handler in handlers.items():
            signal.signal(number, handler)


class _Server(uvicorn.Server):
    """Uvicorn that ends event streams before it waits for open answers, and that returns after a signal so that ``up`` can clean up."""

    def __init__(self, config: uvicorn.Config, close_streams: Callable[[], Awaitable[None]]) -> None:
        super().__init__(config)
        self._close_streams = close_streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._close_streams()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """They stay captured until ``up`` has cleaned up: pressed once more, Ctrl-C would leave the serving process behind."""
        for number in _SIGNALS:
            signal.signal(number, self.handle_exit)
        yield


def _with_token(settings: Settings, host: str) -> Settings:
    """Away from loopback there is always a token: the one that is set, or one made once and kept in the folder."""
    if settings.token or is_loopback(host):
        return settings
    file = settings.home / "token"
    if not file.is_file():
        settings.home.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(secrets.token_urlsafe(32))
    return replace(settings, token=file.read_text().strip())


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Bound before anything else happens, so that a taken port costs nothing."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named and Nagle is off: asyncio turns it off only where the protocol is named, and 40 ms a request are lost else.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except socket.gaierror as error:
        listener.close()
        raise Invalid(f"{host!r} is no address of this machine ({error.strerror}); 127.0.0.1 is here only, 0.0.0.0 is everybody") from error
    except OSError as error:
        listener.close()
        raise Conflict(f"can't listen on {host}:{port} ({error.strerror}); choose another port with --port") from error
    return listener


def _shown(host: str) -> str:
    named = "127.0.0.1" if host in EVERY_ADDRESS else host
    return f"[{named}]" if ":" in named else named
