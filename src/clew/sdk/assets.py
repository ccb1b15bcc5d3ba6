"""What all declared things share: a definition, a name and a file; assets also have versions and verbs."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from clew.definitions import AnyDefinition
from clew.sdk import declarations
from clew.sdk.border import errors_end_here

if TYPE_CHECKING:
    from clew.pipelines.schema import Plan
    from clew.sdk.versions import Version

__all__ = ["Asset", "Declared", "FunctionAsset"]

P = ParamSpec("P")
R = TypeVar("R")


class Declared:
    """Something that a user's file declares. ``function`` is ``None`` where no code stands behind it."""

    definition: AnyDefinition
    file: str
    function: Callable[..., Any] | None = None

    def __init__(self, definition: AnyDefinition) -> None:
        self.definition = definition
        self.file = declarations.caller_file() if self.function is None else self.function.__code__.co_filename
        declarations.declare(self)

    @property
    def name(self) -> str:
        """Its name in the project: that of the function, or the one that was given."""
        return self.definition.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


@errors_end_here
class Asset(Declared):
    """A declared thing that has versions. The verbs touch storage; everything before them does not."""

    def build(self, **options: Any) -> "Version":  # Any: the keyword arguments of ``clew.build``, documented there
        """Build what is stale upstream, then this asset; the newest version. The options are those of ``clew.build``."""
        from clew.sdk import verbs
        from clew.sdk.versions import Version

        return Version(verbs.build(self, **options))

    def plan(self) -> "Plan":
        """What ``build`` would do and why, without doing it."""
        from clew.sdk import verbs

        return verbs.plan(self)

    def why(self) -> str:
        """The first thing that differs from the last build, in words."""
        from clew.sdk import verbs

        return verbs.why(self)

    def at(self, which: int | str) -> "Version":
        """A version by number or alias. Raises ``NotFound`` with what there is."""
        from clew.sdk.versions import get

        return get(f"{self.name}@{which}")


class FunctionAsset(Asset, Generic[P, R]):
    """An asset made by the user's function. Calling it runs that function and nothing else."""

    function: Callable[P, R]

    def __init__(self, function: Callable[P, R], definition: AnyDefinition) -> None:
        self.function = function
        super().__init__(definition)
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __reduce__(self) -> Any:
        return _by_name, (self.function.__module__, self.function.__qualname__)


def _by_name(module: str, qualname: str) -> Any:
    import importlib

    return functools.reduce(getattr, qualname.split("."), importlib.import_module(module))
