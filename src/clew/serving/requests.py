"""What a prediction request may say, and errors that name the row and the field."""

import math
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from clew.definitions import parse_dtype
from clew.errors import Invalid, TooLarge
from clew.serving.schema import RequestField

__all__ = ["MAX_BODY_BYTES", "MAX_ROWS", "Asked", "RequestReader", "as_json", "decode_json"]

MAX_BODY_BYTES = 16 << 20
MAX_ROWS = 10_000
_DEEPEST = 32
"""Levels of lists and objects in a field that is kept as it came: whatever reads the log later must be able to hold them."""
_LOGGED_INTEGERS = range(-(1 << 63), 1 << 64)
_INTEGER_BITS = {"Int8": 8, "Int16": 16, "Int32": 32, "Int64": 64}

Value = Any  # Any: a field's value in the type that its dtype says
Converter = Callable[[Any], Value]


class _Wrong(Exception):
    """Why a value can't be what its field wants; becomes an ``Invalid`` that also says where."""


def decode_json(body: bytes) -> Any:
    """The document in a request's body. Raises ``Invalid`` with the place of the mistake."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        hint = "; NaN and Infinity are not JSON, write null for a value that is missing" if _names_no_number(body) else ""
        raise Invalid(f"the body is not valid JSON: {error}{hint}") from error
    except RecursionError as error:
        raise Invalid("the body is nested too deeply; a request is an object with a list of flat rows") from error


def _names_no_number(body: bytes) -> bool:
    return b"NaN" in body or b"Infinity" in body


def as_json(row: dict[str, Value]) -> dict[str, Any]:
    """The row as it is kept and sent on: instants as text with their offset."""
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}


class Asked(NamedTuple):
    """A request's rows in the types of the fields, and the names of what they hold beside and nobody takes, in order."""

    rows: list[dict[str, Value]]
    ignored: list[str]


class RequestReader:
    """Reads rows for one route. Each field that the route knows must be named. Others are left out, and named as ``ignored``; or kept as
    they came with ``others``: an existing system takes what it has always taken, and a training set need not name it."""

    def __init__(self, fields: Sequence[RequestField], *, others: bool = False) -> None:
        self.fields = tuple(fields)
        self._others = others
        self._names = frozenset(field.name for field in fields)
        self._fields = tuple((field.name, field.required, _converter(field.dtype)) for field in fields)

    def read(self, body: bytes) -> Asked:
        """What ``{"rows": [{…}, …]}`` asks. Raises ``Invalid`` naming row and field, ``TooLarge``."""
        document = decode_json(body)
        if not isinstance(document, dict) or not isinstance(document.get("rows"), list):
            raise Invalid('the body must be an object with a list of rows: {"rows": [{…}]}')
        return self.convert(document["rows"])

    def convert(self, rows: list[Any]) -> Asked:
        if not rows:
            raise Invalid("there is no row to answer; send at least one in 'rows'")
        if len(rows) > MAX_ROWS:
            raise TooLarge(f"{len(rows)} rows are more than the {MAX_ROWS} that one request may ask about; split them", limit=MAX_ROWS)
        return Asked([self._convert(number, row) for number, row in enumerate(rows)], [] if self._others else self._ignored(rows))

    def _ignored(self, rows: list[dict[str, Any]]) -> list[str]:
        more = [row.keys() for row in rows if len(row) > len(self._names)]  # each row has all of the route's
        return sorted(set().union(*more) - self._names)

    def _convert(self, number: int, row: Any) -> dict[str, Value]:
        if not isinstance(row, dict):
            raise Invalid(f"row {number}: a row is an object with fields, not {_named(row)}", row=number)
        converted: dict[str, Value] = self._with_others(number, row) if self._others else {}
        for name, required, convert in self._fields:
            try:
                value = row[name]
            except KeyError:
                raise Invalid(
                    f"row {number}: {name!r} is missing; a row names {', '.join(f.name for f in self.fields)}", row=number, field=name
                ) from None
            if value is None:
                if required:
                    raise Invalid(f"row {number}: {name!r} is null, and the key and the event time can't be", row=number, field=name)
                converted[name] = None
                continue
            try:
                converted[name] = convert(value)
            except _Wrong as error:
                raise Invalid(f"row {number}: {name!r} {error}", row=number, field=name) from None
        return converted

    def _with_others(self, number: int, row: dict[str, Value]) -> dict[str, Value]:
        """The row as it came, in its order. Raises ``Invalid`` for a field beside those of the route that can't be logged."""
        for name, value in row.items():
            if name in self._names:
                continue
            try:
                _check_kept(value)
            except _Wrong as error:
                raise Invalid(f"row {number}: {name!r:.60} {error}", row=number, field=name) from None
        return dict(row)


def _check_kept(value: Value, deep: int = 0) -> None:
    if isinstance(value, int) and value not in _LOGGED_INTEGERS:
        raise _Wrong(f"holds {value!r:.30}, and a whole number lies from -2^63 to 2^64 - 1; write a larger one as text")
    if not isinstance(value, list | dict):
        return
    if deep == _DEEPEST:
        raise _Wrong(f"is nested deeper than {_DEEPEST} levels")
    for one in value.values() if isinstance(value, dict) else value:
        _check_kept(one, deep + 1)


def _named(value: Any) -> str:
    kinds = {
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "true or false",
        int: "a whole number",
        float: "a number",
        type(None): "null",
    }
    return kinds.get(type(value), type(value).__name__)


def _converter(dtype: str) -> Converter:
    kind = parse_dtype(dtype)
    name = type(kind).__name__
    if name == "Datetime":
        return _instant(getattr(kind, "time_zone", None))
    if name in ("Float32", "Float64"):
        return _number
    if name == "Boolean":
        return _boolean
    if name == "Date":
        return _date
    if "Int" in name:
        bits = _INTEGER_BITS.get(name)
        return _integer(*((-(1 << bits - 1), (1 << bits - 1) - 1) if bits else (0, (1 << int(name.removeprefix("UInt"))) - 1)))
    return _text


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong(f"must be a number, not {_named(value)} ({value!r:.60})")
    try:
        number = float(value)
    except OverflowError:
        raise _Wrong(f"is {value!r:.30}, more than a number holds; write null for a value that is missing") from None
    if not math.isfinite(number):
        raise _Wrong(f"is {value!r}; write null for a value that is missing")
    return number


def _integer(low: int, high: int) -> Converter:
    def convert(value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise _Wrong(f"must be a whole number, not {_named(value)} ({value!r:.60})")
        if not low <= value <= high:
            raise _Wrong(f"is {value}, outside {low} to {high}")
        return value

    return convert


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _Wrong(f"must be true or false, not {_named(value)} ({value!r:.60})")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong(f"must be text, not {_named(value)} ({value!r:.60})")
    return value


def _date(value: Any) -> date:
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise _Wrong(f"must be a date such as 2013-04-01, not {value!r:.60}") from None


def _instant(zone: str | None) -> Converter:
    info = ZoneInfo(zone or "UTC")

    def convert(value: Any) -> datetime:
        try:
            instant = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise _Wrong(f"must be a time such as 2013-04-01T08:00:00-04:00, not {value!r:.60}") from None
        if instant.tzinfo is None:
            raise _Wrong(f"has no zone ({value}); write its offset, such as {value}+00:00")
        try:
            return instant.astimezone(info)
        except OverflowError:
            raise _Wrong(f"is {value}, which lies outside the years 1 to 9999 in {info.key}") from None

    return convert
