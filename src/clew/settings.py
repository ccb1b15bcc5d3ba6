"""Every setting, read once from the environment and ``[tool.clew]`` of the nearest ``pyproject.toml``."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from clew.clock import parse_duration
from clew.errors import Invalid
from clew.identifiers import check_slug

__all__ = ["TABLE_KEYS", "VARIABLES", "Settings", "full_tracebacks", "load_settings"]

VARIABLES: dict[str, tuple[str, str]] = {
    "CLEW_HOME": (
        "The folder that holds everything that is embedded.",
        "``.clew`` beside ``pyproject.toml``, or in the folder that one is in",
    ),
    "CLEW_PROJECT": ("The project: the namespace that names live in.", "``project`` of ``[tool.clew]``, else ``default``"),
    "CLEW_URL": (
        "A server's address, such as ``http://127.0.0.1:7340``: scripts and commands ask it, not the folder.",
        "the folder is used",
    ),
    "CLEW_ENV": ("Which of ``[tool.clew.environments]`` is meant.", "``local``, where there is one"),
    "CLEW_TOKEN": (
        "The token that a server open to others demands, and that a client sends.",
        "none on loopback; ``clew up`` on any other address makes one and keeps it in ``.clew/token``",
    ),
    "CLEW_SERVING_URL": (
        "Where ``Endpoint.predict`` asks, such as ``http://127.0.0.1:7341``.",
        "the serving process of the folder, or one that reports to the server",
    ),
    "CLEW_DATABASE_URL": ("Where metadata is kept: ``sqlite:///…`` or ``postgresql://…``.", "``clew.db`` in the folder"),
    "CLEW_STORAGE_URL": (
        "Where files and tables are kept: ``file://…``, or an object store, such as ``s3://…``.",
        "``storage`` in the folder",
    ),
    "CLEW_ONLINE_URL": ("Where online features are kept: ``lmdb://…`` or ``redis://…``.", "``online`` in the folder"),
    "CLEW_DURABILITY": (
        "``process``: what returned survives the end of the process. ``full``: a power cut too, at some milliseconds a commit.",
        "``process``",
    ),
    "CLEW_BUILD_LIMIT": (
        "How long a build that a trigger asked for may take, as ``90m`` or ``12h``; then it is stopped and has failed.",
        "``24h``",
    ),
    "CLEW_TRACEBACK": (
        "``full``: an error of Clew shows every frame that it went through. ``short``: a script's own lines only, and the message.",
        "``short``",
    ),
    "CLEW_ALERT_WEBHOOK": ("An address that is sent every alert, as signed JSON.", "alerts are shown and not sent"),
    "CLEW_ALERT_SECRET": ("The secret that signs what the webhook is sent; needed with one.", "none"),
}
"""Every environment variable that is read: what it says, and what holds where it is left out. The reference is written from it."""

TABLE_KEYS: dict[str, tuple[str, str]] = {
    "project": ("The project's name.", "``default``"),
    "files": (
        "The definition files that commands load, relative to this file's folder.",
        "the only Python file beside it that declares assets",
    ),
    "environments": (
        "By name: a folder as text, or a table with ``home`` (a folder) or ``url`` (a server). ``local`` is used without ``CLEW_ENV``.",
        "the folder ``.clew``",
    ),
}
"""Every key of ``[tool.clew]``, likewise."""


@dataclass(frozen=True)
class Settings:
    """Where Clew keeps things and whom it talks to. Secrets stand in ``token`` and in URLs: never log this object whole."""

    home: Path
    root: Path
    project: str
    database_url: str
    storage_url: str
    online_url: str
    url: str | None = None
    token: str | None = None
    durability: Literal["process", "full"] = "process"
    build_limit: timedelta = timedelta(days=1)
    files: tuple[str, ...] = ()
    """The user's definition files, relative to ``root``, that a command loads when none is named."""
    alert_webhook: str | None = None
    alert_secret: str | None = None
    """Signs what the webhook is sent, so that its receiver knows who sent it."""

    def __repr__(self) -> str:
        return f"Settings(home={str(self.home)!r}, project={self.project!r}, url={self.url!r})"

    def found_above(self, folder: Path) -> str:
        """Where a folder's project was found, in words, when its root lies above the folder; empty when the folder is the root itself."""
        if folder == self.root or not folder.is_relative_to(self.root):
            return ""
        way = "../" * len(folder.relative_to(self.root).parts)
        return f"the project {self.project!r} of {way} ({self.url or self.home})"

    def at(self, home: Path) -> "Settings":
        """The same settings over another folder, with the embedded database and stores in it."""
        database_url, storage_url, online_url = _embedded(home)
        return replace(self, home=home, database_url=database_url, storage_url=storage_url, online_url=online_url)


def _embedded(home: Path) -> tuple[str, str, str]:
    """The URLs of database, storage and online store inside the folder."""
    return f"sqlite:///{home / 'clew.db'}", f"file://{home / 'storage'}", f"lmdb://{home / 'online'}"


def _find_root(start: Path) -> tuple[Path, dict[str, Any]]:
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file():
            try:
                table = tomllib.loads(file.read_text("utf-8")).get("tool", {}).get("clew")
            except tomllib.TOMLDecodeError as error:
                raise Invalid(f"{file} is not valid TOML: {error}") from error
            if table is not None:
                return folder, table
    return start, {}


def load_settings(start: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings for a folder: the environment first, then ``[tool.clew]``, then the embedded defaults.

    Raises ``Invalid`` for a value that can't be used; nothing is created on disk.
    """
    environ = os.environ if environ is None else environ
    root, table = _find_root((start or Path.cwd()).resolve())
    environment = _environment(table, environ.get("CLEW_ENV"))
    home = Path(environ.get("CLEW_HOME") or root / environment.get("home", ".clew")).expanduser().resolve()
    durability = environ.get("CLEW_DURABILITY", "process")
    if durability not in ("process", "full"):
        raise Invalid(f"CLEW_DURABILITY is {durability!r}; it can be 'process' or 'full'")
    database_url, storage_url, online_url = _embedded(home)
    files = table.get("files", ())
    return Settings(
        home=home,
        root=root,
        project=check_slug(environ.get("CLEW_PROJECT") or table.get("project", "default"), "project"),
        database_url=environ.get("CLEW_DATABASE_URL") or database_url,
        storage_url=environ.get("CLEW_STORAGE_URL") or storage_url,
        online_url=environ.get("CLEW_ONLINE_URL") or online_url,
        url=environ.get("CLEW_URL") or environment.get("url"),
        token=environ.get("CLEW_TOKEN"),
        durability="full" if durability == "full" else "process",
        build_limit=_build_limit(environ.get("CLEW_BUILD_LIMIT", "24h")),
        files=(files,) if isinstance(files, str) else tuple(files),
        **_alerting(environ),
    )


def full_tracebacks() -> bool:
    """Whether errors keep the frames of Clew itself. Asked when one is raised, which may be before any settings could be loaded."""
    return os.environ.get("CLEW_TRACEBACK", "short") == "full"


def _build_limit(text: str) -> timedelta:
    limit = parse_duration(text)
    if limit <= timedelta(0):
        raise Invalid(f"CLEW_BUILD_LIMIT is {text!r}; a build needs some time, such as 12h")
    return limit


def _alerting(environ: Mapping[str, str]) -> dict[str, str]:
    """Where alerts are sent. Nothing is sent unsigned."""
    webhook, secret = environ.get("CLEW_ALERT_WEBHOOK"), environ.get("CLEW_ALERT_SECRET")
    if not webhook:
        return {}
    if not webhook.startswith(("http://", "https://")):
        raise Invalid("CLEW_ALERT_WEBHOOK is no address; one begins with https://")
    if not secret:
        raise Invalid("CLEW_ALERT_WEBHOOK needs CLEW_ALERT_SECRET, which signs what it is sent; any long random text will do")
    return {"alert_webhook": webhook, "alert_secret": secret}


def _environment(table: Mapping[str, Any], name: str | None) -> dict[str, Any]:
    """``[tool.clew.environments]``: a folder as text, or a table with ``url`` or ``home``."""
    environments = table.get("environments", {})
    if name is None:
        entry = environments.get("local", {})
    elif name not in environments:
        raise Invalid(f"CLEW_ENV names {name!r}, which [tool.clew.environments] does not have; it has {sorted(environments)}")
    else:
        entry = environments[name]
    return {"home": entry} if isinstance(entry, str) else dict(entry)
