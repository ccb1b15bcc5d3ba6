"""The user's definition files, imported for a command: named on the command line, in ``[tool.clew] files``, or the only one there is."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from clew.errors import ClewError, Invalid, NotFound
from clew.sdk import declarations
from clew.sdk.assets import Declared
from clew.sdk.border import named, place_of
from clew.settings import Settings

__all__ = ["find_declared", "load_files"]


def load_files(settings: Settings, named: Sequence[Path] = ()) -> list[Path]:
    """Import the files, which registers what they declare; their paths.

    Raises ``Invalid`` with the type and the message of what one raises; an error of Clew's as it is. Both have the user's ``file``,
    ``line`` and ``source`` line, the innermost that is his, among their details.
    """
    files = [path.resolve() for path in named] or [settings.root / name for name in settings.files] or _only_one(settings.root)
    for file in files:
        if not file.is_file():
            raise NotFound(f"there is no file {file}; name the file with your definitions, or list it under [tool.clew] files")
        _import(file)
    return files


def find_declared(settings: Settings, kind: str, name: str, named: Sequence[Path] = ()) -> Declared:
    """What a file declares under a name. Raises ``NotFound`` with the names that there are."""
    if declarations.declared(kind, name) is None:
        load_files(settings, named)
    found = declarations.declared(kind, name)
    if found is None:
        known = sorted(asset.name for asset in declarations.all_declared() if declarations.declared(kind, asset.name) is asset)
        raise NotFound(f"no {kind.replace('_', ' ')} {name!r} is declared in your files; they declare {', '.join(known) or 'none'}")
    return found


def _only_one(root: Path) -> list[Path]:
    """The Python file of the folder that uses Clew, when there is one only: a first script needs no configuration."""
    using = [path for path in sorted(root.glob("*.py")) if "@clew." in path.read_text("utf-8", errors="replace")]
    if len(using) == 1:
        return using
    which = (
        f"{len(using)} files here declare assets: {', '.join(path.name for path in using)}"
        if using
        else f"no file in {root} declares assets"
    )
    raise Invalid(f'{which}; list those that you mean in pyproject.toml: [tool.clew] files = ["flights.py"]')


def _import(file: Path) -> None:
    """Import by the plain module name, as a script beside the file would, so that workers and pickles find it under the same one."""
    loaded = sys.modules.get(file.stem)
    if loaded is not None and getattr(loaded, "__file__", None) == str(file):
        return
    if str(file.parent) not in sys.path:
        sys.path.insert(0, str(file.parent))
    specification = importlib.util.spec_from_file_location(file.stem, file)
    if specification is None or specification.loader is None:
        raise Invalid(f"{file} is no Python file that can be imported")
    module = importlib.util.module_from_spec(specification)
    sys.modules[file.stem] = module
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        sys.modules.pop(file.stem, None)
        if isinstance(error, ClewError):
            error.details.update(place_of(error))
            raise
        raise Invalid(f"{named(file)} can't be imported: {_told(error)}", **place_of(error)) from error


def _told(error: Exception) -> str:
    """The last line of a traceback; of a file that is no Python without its place, which is told beside it."""
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
