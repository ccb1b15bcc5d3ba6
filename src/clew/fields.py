"""A definition field by field, each as a file writes it, and the fields in which two definitions differ."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

import msgspec

from clew.bounds import Bounds, number_in_words
from clew.definitions import (
    Aggregate,
    AnyDefinition,
    Condition,
    GuardDefinition,
    ParameterDefinition,
    RolloutStep,
    SearchDefinition,
    Space,
    TrainingSetDefinition,
    ViewUse,
    from_document,
)
from clew.errors import Invalid

__all__ = ["FieldChange", "Written", "changed_documents", "changed_fields", "written_fields"]

Written = str | list[str]
"""A value as a file writes it, text without its quotes; of a field that holds several, each."""

_LONG = 80


@dataclass(frozen=True)
class FieldChange:
    """A field that is declared otherwise than it was, both as a file writes them; ``None`` where it was, or is, left out."""

    field: str
    old: Written | None
    new: Written | None

    def __str__(self) -> str:
        old, new = self.old, self.new
        if isinstance(old, list) and isinstance(new, list) and len(_shown(old)) + len(_shown(new)) > _LONG:
            old, new = _without_common(old, new)
        return f"{self.field} {_shown(old)} → {_shown(new)}"


def changed_fields(before: Mapping[str, Written], after: Mapping[str, Written]) -> list[FieldChange]:
    """The fields that differ: those of ``after`` in its order, then those that only ``before`` has.

    >>> print(*changed_fields({"ttl": "3h", "entity": ["origin"]}, {"ttl": "6h", "entity": ["origin"], "missing": "hold"}), sep=", ")
    ttl 3h → 6h, missing None → hold
    """
    names = [*after, *sorted(before.keys() - after.keys())]
    return [FieldChange(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)]


def changed_documents(before: dict[str, Any], after: dict[str, Any]) -> list[FieldChange]:
    """The fields in which the definitions differ that two documents stand for; none where this Clew can't read one, which a newer wrote."""
    try:
        return changed_fields(written_fields(from_document(before)), written_fields(from_document(after)))
    except (Invalid, msgspec.ValidationError):
        return []


def written_fields(definition: AnyDefinition) -> dict[str, Written]:
    """What was declared, so that no two declarations read the same; without the name, and the function, whose code counts by itself.

    What is declared by name has a field for each, such as ``bounds.temp``. Hyperparameters and aggregates stand under their own names,
    as in the file.

    >>> from clew.definitions import WindowsDefinition
    >>> written_fields(WindowsDefinition("w", "flights", ("carrier",), ("6h",), {"late": Aggregate("mean", "late", (0, 1))}))
    {'dataset': 'flights', 'entity': ['carrier'], 'over': ['6h'], 'late': 'mean("late", bounds=(0, 1))'}
    """
    taken = definition.__dataclass_fields__
    values = {name: getattr(definition, name) for name in taken if name not in ("name", "function")}
    if isinstance(definition, TrainingSetDefinition):
        values["label"] = f"{values.pop('label_dataset')}[{_literal(values.pop('label_column'))}]"
    return {field: written for name, value in values.items() for field, written in _fields(name, value, taken)}


def _fields(name: str, value: Any, taken: Container[str]) -> Iterator[tuple[str, Written]]:  # Any: what a definition's fields hold
    """The fields that one field of a definition is written as."""
    match value:
        case None:
            return
        case SearchDefinition():
            yield "tune.trials", str(value.trials)
            yield f"tune.{value.direction}", value.metric
        case GuardDefinition():
            for part in value.__dataclass_fields__:
                yield from _fields(f"{name}.{part}", getattr(value, part), taken)
        case ParameterDefinition():
            yield name, _literal(value.default)
            yield from _fields(f"{name}.space", value.space, taken)
        case Mapping():
            for key, one in value.items():
                plain = name in ("aggregates", "parameters") and key not in taken
                yield from _fields(key if plain else f"{name}.{key}", _bounds(one) if name == "bounds" else one, taken)
        case tuple():
            yield name, [_written(one) for one in value]
        case _:
            yield name, _written(value)


def _written(value: Any) -> str:  # Any: likewise
    match value:
        case float():
            return number_in_words(value)
        case Aggregate():
            column = [] if value.column is None else [_literal(value.column)]
            bounds = [] if value.bounds is None else [f"bounds={_bounds(value.bounds)}"]
            return f"{value.function}({', '.join([*column, *bounds])})"
        case Space():
            sides = [_literal(one) for one in value.choices] or [_side(value.low), _side(value.high)]
            return f"{value.kind}({', '.join(sides)})"
        case RolloutStep():
            share = [] if value.kind == "shadow" else [number_in_words(value.share)]
            return f"{value.kind}({', '.join([*share, _literal(value.duration)])})"
        case Condition():
            zone = "" if value.zone == "UTC" else f", zone={_literal(value.zone)}"
            return f"{value.monitor}.worse" if value.kind == "worse" else f"cron({_literal(value.cron)}{zone})"
        case ViewUse():
            return _used(value)
    return str(value)


def _used(use: ViewUse) -> str:
    """A view looked up by its own entities is written by its name alone; where those change, the view is another one."""
    columns = list(use.by.values())
    prefix = f", prefix={_literal(use.prefix)}" if use.prefix else ""
    if not prefix and all(entity == column for entity, column in use.by.items()):
        return use.view
    by = (
        _literal(columns[0])
        if len(columns) == 1
        else "{" + ", ".join(f"{_literal(one)}: {_literal(to)}" for one, to in use.by.items()) + "}"
    )
    return f"{use.view}.by({by}{prefix})"


def _literal(value: str | int | float | bool | None) -> str:
    return msgspec.json.encode(value).decode() if isinstance(value, str) else repr(value)


def _bounds(bounds: Bounds) -> str:
    return f"({_side(bounds[0])}, {_side(bounds[1])})"


def _side(side: float | None) -> str:
    return "None" if side is None else number_in_words(side)


def _shown(written: Written | None) -> str:
    return f"[{', '.join(written)}]" if isinstance(written, list) else str(written)


def _without_common(old: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """Two long lists, with ``…`` for what both have: one that is added to twenty is seen."""
    shorter: tuple[list[str], list[str]] = [], []
    for same, *spans in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        for kept, whole, (first, last) in zip(shorter, (old, new), (spans[:2], spans[2:]), strict=True):
            kept += ["…"] if same == "equal" else whole[first:last]
    return shorter
