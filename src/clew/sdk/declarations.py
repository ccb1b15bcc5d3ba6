"""Which assets the files that were imported declare. Importing registers; nothing else happens before a verb is called."""

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clew.definitions import FunctionRef, kind_of
from clew.errors import Conflict, Invalid
from clew.identifiers import check_slug

if TYPE_CHECKING:
    from clew.sdk.assets import Declared

__all__ = ["all_declared", "caller_file", "declare", "declared", "forget", "function_ref", "ordinary_function"]

_DECLARED: dict[tuple[str, str], "Declared"] = {}
_CLASHES: dict[tuple[str, str], tuple[str, str]] = {}


def declare(asset: "Declared") -> None:
    """Register an asset. The same file again (a reload, a re-run cell) replaces it; two files with one name clash at the first verb."""
    check_slug(asset.name)
    key = (kind_of(asset.definition), asset.name)
    before = _DECLARED.get(key)
    if before is not None and before.file != asset.file and os.path.exists(before.file):
        _CLASHES[key] = (before.file, asset.file)
    else:
        _CLASHES.pop(key, None)
    _DECLARED[key] = asset


def declared(kind: str, name: str) -> "Declared | None":
    return _DECLARED.get((kind, name))


def all_declared() -> list["Declared"]:
    """Every declared asset, gate and endpoint, in the order of declaration. Raises ``Conflict`` naming both files of a clash."""
    for (kind, name), (first, second) in _CLASHES.items():
        raise Conflict(
            f"two files declare the {kind.replace('_', ' ')} {name!r}: {first} and {second}; rename one, or import it from the other"
        )
    return list(_DECLARED.values())


def forget() -> None:
    """Forget everything that was declared; for tests that load several files."""
    _DECLARED.clear()
    _CLASHES.clear()


def caller_file() -> str:
    """The file of the nearest frame outside this package: the user's file that called a declaring function."""
    package = str(Path(__file__).parents[1]) + os.sep
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_filename.startswith(package):
        frame = frame.f_back
    return "<interactive>" if frame is None else frame.f_code.co_filename


def function_ref(function: Callable[..., Any]) -> FunctionRef:
    return FunctionRef(function.__module__, function.__qualname__, getattr(function.__code__, "co_filename", "<interactive>"))


def ordinary_function(function: Callable[..., Any], decorator: str) -> None:
    """Raise ``Invalid`` for what a decorator can't take."""
    if inspect.iscoroutinefunction(function):
        raise Invalid(
            f"{function.__qualname__} is an async function; {decorator} takes an ordinary `def`, as builds run it in a process of its own"
        )
    if not inspect.isfunction(function):
        raise Invalid(f"{decorator} decorates a function, not {function!r}")
