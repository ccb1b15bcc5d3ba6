"""Entities, aggregates, windows and ``@clew.features``: what is known of a thing at the time of a request."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from clew.bounds import Bounds
from clew.definitions import Aggregate, FeaturesDefinition, ViewUse, WindowsDefinition, check_durations, dtype_name
from clew.errors import Invalid
from clew.identifiers import check_slug
from clew.sdk import declarations
from clew.sdk.assets import Asset, FunctionAsset
from clew.sdk.border import errors_end_here
from clew.sdk.datasets import Dataset

if TYPE_CHECKING:
    import polars as pl

    from clew.sdk.versions import Version

__all__ = ["Entity", "Features", "Windows", "count", "entity", "features", "maximum", "mean", "minimum", "total", "windows"]

P = ParamSpec("P")
R = TypeVar("R")
Missing = Literal["hold"] | float | None


@dataclass(frozen=True)
class Entity:
    """The thing that features are about; its name is the column that holds its key."""

    name: str


def entity(name: str) -> Entity:
    """An entity, for example ``clew.entity("carrier")``."""
    return Entity(check_slug(name, "entity"))


def mean(column: str, *, bounds: Bounds | None = None) -> Aggregate:
    """The mean of a column over the window; null where the window is empty. A Boolean counts as 0 and 1."""
    return Aggregate("mean", column, bounds)


def total(column: str, *, bounds: Bounds | None = None) -> Aggregate:
    """The sum over the window, ``clew.sum``; 0 where it is empty."""
    return Aggregate("sum", column, bounds)


def count(*, bounds: Bounds | None = None) -> Aggregate:
    """How many rows lie in the window."""
    return Aggregate("count", bounds=bounds)


def minimum(column: str, *, bounds: Bounds | None = None) -> Aggregate:
    """The least value in the window, ``clew.min``; null where it is empty."""
    return Aggregate("min", column, bounds)


def maximum(column: str, *, bounds: Bounds | None = None) -> Aggregate:
    """The greatest value in the window, ``clew.max``; null where it is empty."""
    return Aggregate("max", column, bounds)


def _entities(of: Entity | Sequence[Entity] | None) -> tuple[str, ...]:
    return () if of is None else (of.name,) if isinstance(of, Entity) else tuple(one.name for one in of)


@errors_end_here
class _View(Asset):
    """What both sorts of view can do."""

    def by(self, column: str | Mapping[str, str], *, prefix: str = "") -> ViewUse:
        """This view looked up by another column of the spine: ``weather.by("dest", prefix="dest_")``."""
        entities = self.definition.entity  # type: ignore[union-attr]  # both definitions of a view have it
        if isinstance(column, str):
            if len(entities) != 1:
                raise Invalid(f"{self.name} has {len(entities)} entities; name a column for each: .by({{'entity': 'column'}})")
            return ViewUse(self.name, {entities[0]: column}, prefix)
        return ViewUse(self.name, dict(column), prefix)

    def revert(self, number: int) -> "Version":
        """Make an earlier version the newest again, under a new number: its definition, its data and its online rows together."""
        from clew.backend import current
        from clew.feature_store.service import revert_view
        from clew.sdk.versions import Version

        return Version(current().call(revert_view, self.name, number).version)


class Windows(_View):
    """A view of windows over a dataset. See ``clew.windows``."""

    definition: WindowsDefinition


class Features(FunctionAsset[P, R], _View):
    """A view made by a function. See ``clew.features``."""

    definition: FeaturesDefinition


AnyView = Windows | Features[..., Any]


def windows(
    name: str,
    dataset: Dataset[..., Any],
    *,
    entity: Entity | Sequence[Entity],
    over: str | Sequence[str],
    missing: Missing | Aggregate = None,
    **aggregates: Aggregate,
) -> Windows:
    """Aggregates of a dataset's rows per entity in the window ``(t - w, t]``, exact to the request's time ``t``, offline and online.

    Columns are named by aggregate and window: ``late=clew.mean("late")`` over ``"6h"`` is ``late_6h``. The ``bounds`` of an aggregate,
    such as ``(0, 1)`` or ``(0, None)``, are hard limits of each of its windows: a build with a value outside fails, and a request is refused.
    """
    if isinstance(missing, Aggregate):  # so annotated because pyright holds `**aggregates` of a caller against every keyword
        raise Invalid(f"windows {name!r} can't name an aggregate 'missing': that says what an empty window answers; choose another name")
    spans = (over,) if isinstance(over, str) else tuple(over)
    if not spans or not aggregates:
        raise Invalid(f"windows {name!r} need at least one span and one aggregate, such as over=['6h'], flights=clew.count()")
    check_durations(*spans)
    return Windows(WindowsDefinition(name, dataset.name, _entities(entity), spans, dict(aggregates), missing))


def features(
    *inputs: Dataset[..., Any] | AnyView,
    entity: Entity | Sequence[Entity] | None = None,
    time: str | None = None,
    ttl: str | None = None,
    missing: Missing = None,
    request: "Mapping[str, pl.DataType | type[pl.DataType]] | None" = None,
    bounds: Mapping[str, Bounds] | None = None,
) -> Callable[[Callable[P, R]], Features[P, R]]:
    """Declare a feature view; its function gets the inputs in order, or the request's fields.

    ``time`` is the output column that says as of when a row holds, ``ttl`` for how long, and ``missing`` what is answered past that:
    ``"hold"`` the last value, a number, or null. ``bounds`` are hard limits of features, both included, ``None`` for an open side:
    ``{"temp": (-60, 140)}``. A build with a value outside of them fails, and a request is refused.
    """
    check_durations(ttl)

    def decorate(function: Callable[P, R]) -> Features[P, R]:
        declarations.ordinary_function(function, "@clew.features")
        if not inputs and not request:
            raise Invalid(f"{function.__name__} is made of nothing: name a dataset in @clew.features(…), or the request's fields")
        if inputs and not request and (entity is None or time is None):
            raise Invalid(f"{function.__name__} needs entity= and time=, so that its rows can be found as of a request")
        fields = {name: dtype_name(dtype) for name, dtype in (request or {}).items()}
        names = tuple(one.name for one in inputs)
        reference = declarations.function_ref(function)
        limits = {} if bounds is None else bounds
        definition = FeaturesDefinition(function.__name__, names, _entities(entity), time, ttl, missing, fields, reference, limits)
        return Features(function, definition)

    return decorate
