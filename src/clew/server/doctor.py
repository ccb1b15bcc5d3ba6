"""``clew doctor``: each thing that has to work, tried for real, with what to do where it doesn't."""

import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

import clew
from clew.access.service import get_project
from clew.backend import HttpBackend, LocalBackend
from clew.errors import ClewError
from clew.server.folder_lock import server_of
from clew.server.pages import STATIC
from clew.settings import Settings

__all__ = ["Finding", "examine"]

_LOW_DISK_BYTES = 1 << 30
_PROBE = b"clew doctor was here"


@dataclass(frozen=True)
class Finding:
    """``words`` say what was found, and where it is not fine, what to do."""

    what: str
    fine: bool
    words: str


def examine(settings: Settings) -> list[Finding]:
    """Try everything that a first use needs. Leaves a prepared folder behind, as a first use would.

    Where ``CLEW_URL`` names a server, that one keeps database and stores; here is only what a client needs of its own.
    """
    checks: list[tuple[str, Callable[[Settings], str]]] = [("python", _python), ("folder", _folder)]
    if settings.url is not None:
        checks.append(("server", _remote))
    else:
        checks += [("database", _database), ("storage", _storage), ("online store", _online), ("page", _page), ("server", _server)]
    return [_tried(name, check, settings) for name, check in checks]


def _tried(name: str, check: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(name, True, check(settings))
    except ClewError as error:
        return Finding(name, False, error.message)
    except Exception as error:  # a doctor reports what it trips over
        return Finding(name, False, f"{type(error).__name__}: {error}")


def _python(settings: Settings) -> str:
    if not (3, 11) <= sys.version_info[:2] <= (3, 14):
        raise ClewError(f"Python {platform.python_version()} is not supported; use 3.11 to 3.14")
    return f"{platform.python_version()} at {sys.executable}"


def _folder(settings: Settings) -> str:
    settings.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.home).free
    if free < _LOW_DISK_BYTES:
        raise ClewError(f"{settings.home} has {free >> 20} MiB left; free some space before the disk is full")
    return f"{settings.home}, {free >> 30} GiB free, project {settings.project!r}"


def _database(settings: Settings) -> str:
    if settings.database_url.startswith("postgres") and importlib.util.find_spec("psycopg") is None:
        raise ClewError("PostgreSQL needs a driver: pip install 'clew-ml[postgres]'")
    backend = LocalBackend(settings).prepare()
    try:
        with backend.database.read() as connection:
            connection.exec_driver_sql("select 1")
        return f"{backend.database.url.render_as_string(hide_password=True)}, schema up to date"
    finally:
        backend.dispose()


def _storage(settings: Settings) -> str:
    from clew.storage.blobs import Blobs, local_folder

    blobs = Blobs(settings.storage_url, cache=settings.home / "cache")
    probe = blobs.put(_PROBE)
    if blobs.get(probe.digest) != _PROBE:
        raise ClewError(f"{settings.storage_url} gave back other bytes than were put")
    if local_folder(settings.storage_url) is not None:
        blobs.path(probe.digest).unlink()
    return f"{settings.storage_url}, written and read back"


def _online(settings: Settings) -> str:
    from clew.feature_store.online import open_store

    return open_store(settings.online_url, durability=settings.durability).describe()


def _page(settings: Settings) -> str:
    if not (STATIC / "index.html").is_file():
        raise ClewError("the web page is not built; in a checkout, `make install` builds it")
    return "built"


def _remote(settings: Settings) -> str:
    """The server that ``CLEW_URL`` names: it answers, takes our token, is of our version, and has the project."""
    assert settings.url is not None
    backend = HttpBackend(settings, settings.url)
    try:
        about = msgspec.json.decode(backend.request("GET", "/server"), type=dict[str, Any])
        version = about.get("version")
        if version != clew.__version__:
            raise ClewError(f"{backend.url} is Clew {version}, and this is {clew.__version__}; install the same one on both sides")
        project = backend.call(get_project)
    finally:
        backend.dispose()
    return f"{backend.url} answers, Clew {version}, project {project.slug!r}"


def _server(settings: Settings) -> str:
    found = server_of(settings.home)
    return f"runs at {found['url']} (process {found['pid']})" if found else "none runs on this folder; `clew up` starts one"
