"""Every setting, read once from the environment and ``[tool.clew]`` of the nearest ``pyproject.toml``."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from clew.errors import Invalid
from clew.identifiers import check_slug

__all__ = ["Settings", "load_settings"]


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
    files: tuple[str, ...] = ()
    """The user's definition files, relative to ``root``, that a command loads when none is named."""

    def __repr__(self) -> str:
        return f"Settings(home={str(self.home)!r}, project={self.project!r}, url={self.url!r})"

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
        files=(files,) if isinstance(files, str) else tuple(files),
    )


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
