"""The rows of a view that a function makes, checked and with their known times; the same when built and when pushed."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from clew.definitions import FeaturesDefinition, dtype_name
from clew.errors import Invalid, Refused
from clew.feature_store.functions import KNOWN, ViewFunction, apply, known_times

if TYPE_CHECKING:
    import polars as pl

__all__ = ["check_entities", "table_rows"]


def check_entities(view: str, entity: Sequence[str], types: Mapping[str, str]) -> None:
    for name in entity:
        if not (types[name] in ("String", "Boolean", "Categorical", "Date") or types[name].startswith(("Int", "UInt"))):
            raise Invalid(f"{view}: the entity {name!r} is {types[name]}; entities are named by text, whole numbers or days")


def table_rows(
    definition: FeaturesDefinition,
    function: ViewFunction,
    frames: "Sequence[pl.DataFrame]",
    keys: Sequence[tuple[tuple[str, ...], str | None]],
) -> "pl.DataFrame":
    """What the function makes, checked, with ``_known`` beside; ``keys`` are each input's key and known column."""

    made = apply(definition.name, function, frames)
    time = definition.time or ""
    for name in (*definition.entity, time):
        if name not in made.columns:
            raise Invalid(
                f"{definition.name} is declared with {name!r}, and its function does not give it; it gives {', '.join(made.columns)}"
            )
    check_entities(definition.name, definition.entity, {name: dtype_name(made.schema[name]) for name in definition.entity})
    if getattr(made.schema[time], "time_zone", None) is None:
        raise Invalid(f"{definition.name}: the time {time!r} is {made.schema[time]}; it must be a time with a zone")
    if made[time].null_count():
        raise Refused(f"{definition.name}: {made[time].null_count():,} rows have no {time!r}", view=definition.name)
    known = known_times(definition.name, made, time, [(frame, *of) for frame, of in zip(frames, keys, strict=True)])
    made = made.hstack([known])
    twice = made[[*definition.entity, time, KNOWN]].is_duplicated()
    if twice.any():
        row = made.filter(twice).select(*definition.entity, time).row(0)
        raise Refused(
            f"{definition.name} gives {twice.sum():,} rows that share entity and time, such as {', '.join(map(str, row))}; "
            "which of them holds could not be said: aggregate them",
            view=definition.name,
        )
    return made
