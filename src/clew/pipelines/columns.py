"""The columns that declarations name, held against those that the datasets have: a wrong name is said before anything is built."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from clew.catalog.schema import AssetVersion
from clew.datasets.schema import DatasetDetails
from clew.definitions import AnyDefinition, DatasetDefinition, FeaturesDefinition, TrainingSetDefinition, WindowsDefinition
from clew.errors import Invalid
from clew.identifiers import names_near

if TYPE_CHECKING:
    from clew.sdk.assets import Declared

__all__ = ["UnknownColumn", "in_words", "refuse_unknown", "unknown_columns"]

Newest = Callable[[str], AssetVersion | None]
"""The newest version of an asset, ``None`` where it has none."""


@dataclass(frozen=True)
class UnknownColumn:
    """A declaration names a column that a dataset's newest version does not have. ``near`` says which it has instead, in words."""

    asset: str
    role: str
    column: str
    version: str
    near: str

    def __str__(self) -> str:
        return f"{self.asset}: {self.role} is {self.column!r}, which {self.version} does not have; {self.near}"


def unknown_columns(asked: "Iterable[Declared]", assets: "Mapping[str, Declared]", newest: Newest) -> list[UnknownColumn]:
    """Every wrong name in some declarations, in their order. ``assets`` are all that are declared, by name.

    A dataset without a version says nothing, and neither does what a function makes: that is known when it has run.
    """
    known: dict[str, AssetVersion | None] = {}

    def look_up(name: str) -> AssetVersion | None:
        if name not in known:
            declared = assets.get(name)
            known[name] = newest(name) if declared is not None and isinstance(declared.definition, DatasetDefinition) else None
        return known[name]

    found = []
    for one in asked:
        for dataset, role, column in _named(one.definition, assets, look_up):
            version = look_up(dataset)
            if version is None:
                continue
            names = [known_column.name for known_column in _details(version).columns]
            if column not in names:
                found.append(UnknownColumn(one.name, role, column, str(version.ref), names_near(column, names)))
    return found


def refuse_unknown(found: list[UnknownColumn]) -> None:
    """Raise ``Invalid`` with each of them on a line, if there is any."""
    if found:
        raise Invalid(in_words(found), columns=[vars(one) for one in found])


def in_words(found: list[UnknownColumn]) -> str:
    """What is wrong, and what to do: it is the name, or the rows were read before the dataset's function made such a column."""
    what = "a column is named that is not there" if len(found) == 1 else f"{len(found)} columns are named that are not there"
    dataset = found[0].version.partition("@")[0]
    mend = f"mend the name; or, if the function of {dataset} makes it by now, `clew ingest {dataset} --replace <file>` reads a file anew"
    return "\n".join([what, *(f"  {one}" for one in found), f"  {mend}"])


def _details(version: AssetVersion) -> DatasetDetails:
    return msgspec.convert(version.details, DatasetDetails)


def _named(definition: AnyDefinition, assets: "Mapping[str, Declared]", look_up: Newest) -> Iterator[tuple[str, str, str]]:
    """The columns that a declaration names: of which dataset, what it is to be, and the name."""
    if isinstance(definition, DatasetDefinition):
        yield from _of_dataset(definition)
    elif isinstance(definition, WindowsDefinition):
        for name in definition.entity:
            yield definition.dataset, "the entity", name
        for name, aggregate in definition.aggregates.items():
            if aggregate.column is not None:
                yield definition.dataset, f"the column of {name}=clew.{aggregate.function}(…)", aggregate.column
    elif isinstance(definition, TrainingSetDefinition):
        yield from _of_training_set(definition, assets, look_up)


def _of_dataset(definition: DatasetDefinition) -> Iterator[tuple[str, str, str]]:
    for name in definition.key:
        yield definition.name, "the key", name
    for role, one in (("the time", definition.time), ("the known time", definition.known)):
        if one is not None:
            yield definition.name, role, one
    for name in definition.bounds:
        yield definition.name, "a column with bounds", name


def _of_training_set(
    definition: TrainingSetDefinition, assets: "Mapping[str, Declared]", look_up: Newest
) -> Iterator[tuple[str, str, str]]:
    """The label; and on the spine its key, what its views are looked up by, and the request's fields, which the spine stands for."""
    spine = definition.spine
    yield definition.label_dataset, "the label", definition.label_column
    labels = look_up(definition.label_dataset)
    for name in () if labels is None else _details(labels).key:
        yield spine, f"the key of the label's dataset {definition.label_dataset}", name
    for use in definition.features:
        declared = assets.get(use.view)
        view = None if declared is None else declared.definition
        if isinstance(view, FeaturesDefinition) and view.request:
            for name in view.request:
                yield spine, f"a field of the request for {use.view}", name
            for stored in view.inputs:
                for name in _entities(assets, stored):
                    yield spine, f"the entity of {stored}, which {use.view} takes,", name
        else:
            for name in _entities(assets, use.view):
                by = use.by.get(name, name)
                yield spine, f"the entity of {use.view}" if by == name else f"the column that {use.view} is looked up by", by


def _entities(assets: "Mapping[str, Declared]", view: str) -> tuple[str, ...]:
    definition = assets[view].definition if view in assets else None
    return definition.entity if isinstance(definition, WindowsDefinition | FeaturesDefinition) else ()
