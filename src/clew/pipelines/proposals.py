"""A changed recipe that is tried without changing what is declared."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, get_type_hints

import msgspec

from clew.catalog.schema import ASSET_KINDS
from clew.definitions import AnyDefinition, ModelDefinition, check_durations, kind_of
from clew.errors import Invalid

if TYPE_CHECKING:
    from clew.sdk.assets import Declared

__all__ = ["changed", "with_change"]

_FIXED = ("name", "function", "type")
_DURATIONS = ("last", "holdout", "ttl", "label_within", "block")


def changed(declared: "Iterable[Declared]", changes: Mapping[str, Any]) -> "list[Declared]":
    """The declared things, those that a change names as copies of themselves with other definitions; the originals stay as they are.

    A change is ``asset.field``, or ``model.hyperparameter``, with its new value. Raises ``Invalid`` naming what there is to change.
    """
    listed = list(declared)
    places = {one.name: place for place, one in enumerate(listed) if kind_of(one.definition) in ASSET_KINDS}
    for named, value in changes.items():
        name, _, field = named.partition(".")
        if name not in places or not field:
            raise Invalid(f"{named!r} names nothing that is built; write asset.field, with one of {', '.join(sorted(places))}")
        original = listed[places[name]]
        copy: Declared = object.__new__(type(original))  # an asset copies and pickles as its name, which is the original
        made = with_change(original.definition, field, value)
        if isinstance(made, ModelDefinition) and field in made.parameters:
            _check_taken(original, field, made.parameters[field].default)
        copy.__dict__ = {**original.__dict__, "definition": made}
        listed[places[name]] = copy
    return listed


def with_change(definition: AnyDefinition, field: str, value: Any) -> AnyDefinition:
    """The definition with another value of a field, or another default of a hyperparameter. Text is read as JSON where it is JSON.

    >>> from clew.definitions import TrainingSetDefinition
    >>> training = TrainingSetDefinition("training", "rows", "labels", "late", "1d", ())
    >>> with_change(training, "last", "30d").last
    '30d'
    """
    document: dict[str, Any] = msgspec.to_builtins(definition)
    *path, last = field.split(".")
    if isinstance(definition, ModelDefinition) and field in definition.parameters:
        path, last = ["parameters", field], "default"
    inside: Any = document
    for step in path:
        inside = inside.get(step) if isinstance(inside, dict) else None
    if not isinstance(inside, dict) or last not in inside or field in _FIXED:
        raise Invalid(f"{definition.name} has no {field!r} to change; it has {', '.join(_fields(definition))}")
    inside[last] = _read(value)
    if last in _DURATIONS:
        check_durations(inside[last])
    try:
        made: AnyDefinition = msgspec.convert(document, type(definition))
    except msgspec.ValidationError as error:
        raise Invalid(f"{definition.name}.{field} can't be {value!r}: {error}") from error
    return made


def _check_taken(model: "Declared", parameter: str, value: Any) -> None:
    """Raise ``Invalid`` for a value that the parameter's annotation can't take: the fit would fail by it, after everything before it."""
    assert model.function is not None  # parameters are those of a function
    try:
        hint = get_type_hints(model.function).get(parameter, Any)
        msgspec.convert(value, hint)
    except msgspec.ValidationError as error:
        takes = hint.__name__ if isinstance(hint, type) else str(hint)
        quoted = "; text that reads as a number is written in double quotes" if takes == "str" else ""
        raise Invalid(f"{model.name}.{parameter} can't be {value!r}: it takes {takes}{quoted}") from error
    except (NameError, TypeError):  # an annotation that stands under TYPE_CHECKING only, or whose values are not told apart here
        return


def _read(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value


def _fields(definition: AnyDefinition) -> list[str]:
    own = [name for name in definition.__dataclass_fields__ if name not in _FIXED]
    return [*(definition.parameters if isinstance(definition, ModelDefinition) else ()), *own]
