"""The graph of declared assets: what is made of what, in which order."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from clew.definitions import (
    AnyDefinition,
    DatasetDefinition,
    FeaturesDefinition,
    GateDefinition,
    ModelDefinition,
    TrainingSetDefinition,
    WindowsDefinition,
    kind_of,
)
from clew.errors import Invalid, NotFound

if TYPE_CHECKING:
    from clew.sdk.assets import Asset, Declared

__all__ = ["Graph", "inputs_of"]

_ASSETS = ("dataset", "feature_view", "training_set", "model")
"""The kinds that have versions. Told by the definition: a lower slice does not know the classes of a user's file."""


def inputs_of(definition: AnyDefinition) -> tuple[str, ...]:
    """The names of the assets that an asset is made of, in order, each once."""
    if isinstance(definition, WindowsDefinition):
        return (definition.dataset,)
    if isinstance(definition, FeaturesDefinition):
        return tuple(dict.fromkeys(definition.inputs))
    if isinstance(definition, TrainingSetDefinition):
        names = (definition.spine, definition.label_dataset, *(use.view for use in definition.features))
        return tuple(dict.fromkeys(names))
    if isinstance(definition, ModelDefinition):
        return (definition.training_set,)
    return ()


@dataclass(frozen=True)
class Graph:
    """The declared assets by name, and the gates of each model."""

    assets: "dict[str, Asset]"
    gates: "dict[str, list[Declared]]"

    @classmethod
    def of(cls, declared: "Iterable[Declared]") -> "Graph":
        """The graph of what was declared. Raises ``Invalid`` for an input that nobody declares, or a circle."""
        listed = list(declared)
        assets = {one.name: cast("Asset", one) for one in listed if kind_of(one.definition) in _ASSETS}
        gates: dict[str, list[Declared]] = {}
        for one in listed:
            if isinstance(one.definition, GateDefinition):
                gates.setdefault(one.definition.model, []).append(one)
        graph = cls(assets, gates)
        for name in assets:
            graph.upstream(name)
        return graph

    def upstream(self, target: str) -> "list[Asset]":
        """Everything that the target is made of and the target itself, inputs first."""
        if target not in self.assets:
            raise NotFound(f"no asset {target!r} is declared in your files; they declare {', '.join(sorted(self.assets)) or 'none'}")
        done: dict[str, Asset] = {}
        self._collect(target, (), done)
        return list(done.values())

    def _collect(self, name: str, path: tuple[str, ...], done: "dict[str, Asset]") -> None:
        if name in path:
            circle = " → ".join((*path[path.index(name) :], name))
            raise Invalid(f"the graph runs in a circle: {circle}; an asset can't be made of itself")
        if name in done:
            return
        if name not in self.assets:
            raise Invalid(f"{path[-1]} is made of {name!r}, which none of your files declares; import the file that does")
        for one in inputs_of(self.assets[name].definition):
            self._collect(one, (*path, name), done)
        done[name] = self.assets[name]

    def is_source(self, name: str) -> bool:
        """Whether an asset comes from outside: datasets grow by ingests, not by builds."""
        return isinstance(self.assets[name].definition, DatasetDefinition)
