"""Rows that come one by one or in small batches: read, checked and made canonical in plain Python, some ten microseconds a row.

A Polars frame for a single row would cost a hundred times as much, and streams append single rows.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec

from clew.bounds import Bounds
from clew.clock import from_micros, to_micros
from clew.datasets.columns import Column
from clew.datasets.expectations import Expectations, bounds_rule, break_of
from clew.definitions import parse_dtype
from clew.errors import Invalid, Refused

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ReadRow", "RowReader", "to_frame"]

_EPOCH_DAY = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class ReadRow:
    """One row: ``values`` in the dataset's types, ``stored`` as JSON keeps it (times as microseconds), and the digests of key and row."""

    values: dict[str, Any]
    stored: dict[str, Any]
    key_digest: str
    row_digest: str


class RowReader:
    """Reads rows of one dataset. ``zone`` is the declared zone of naive times, where there is one."""

    def __init__(
        self,
        dataset: str,
        columns: Sequence[Column],
        key: Sequence[str],
        required: Sequence[str],
        zone: str | None,
        expectations: Expectations | None,
        bounds: Mapping[str, Bounds] | None = None,
    ) -> None:
        self._dataset = dataset
        self._columns = {column.name: _reader(column, zone) for column in columns}
        self._names = frozenset(self._columns)
        self._key = tuple(key)
        self._required = frozenset(required) | frozenset(key)
        rules = expectations.columns if expectations else {}
        self._rules = {name: rules[name] for name in self._columns if name in rules}
        self._bounds = [(name, *_closed(bounds[name]), bounds[name]) for name in self._columns if name in bounds] if bounds else []

    def read(self, row: Mapping[str, Any], place: int) -> ReadRow:
        """Raises ``Invalid`` for a field that can't be read and ``Refused`` for a broken rule, naming row (from 1) and field."""
        if row.keys() != self._names:
            self._refuse_columns(row, place)
        values: dict[str, Any] = {}
        stored: dict[str, Any] = {}
        for name, reader in self._columns.items():
            value = row[name]
            if value is None:
                if name in self._required:
                    raise Invalid(f"row {place} of {self._dataset}: {name!r} must have a value", row=place, field=name)
                values[name] = stored[name] = None
                continue
            try:
                values[name], stored[name] = reader(value)
            except (TypeError, ValueError, OverflowError, Invalid) as error:
                raise Invalid(f"row {place} of {self._dataset}: {name!r} is {value!r}, and {error}", row=place, field=name) from error
        for name, low, high, bounds in self._bounds:
            value = values[name]
            if value is not None and not low <= value <= high:  # never NaN: what is not finite has been refused
                raise self._refused(place, name, value, bounds_rule(bounds))
        for name, rules in self._rules.items():
            broken = break_of(values[name], rules)
            if broken is not None:
                raise self._refused(place, name, values[name], broken)
        return ReadRow(values, stored, _digest([stored[name] for name in self._key]), _digest(sorted(stored.items())))

    def _refused(self, place: int, name: str, value: Any, rule: str) -> Refused:
        message = f"row {place} of {self._dataset}: {name!r} is {value!r}, and {rule}; no row is stored"
        return Refused(message, dataset=self._dataset, row=place, field=name, rule=rule)

    def restore(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """The typed values of a row that was read before."""
        return {name: None if value is None else self._columns[name](value)[0] for name, value in stored.items() if name in self._columns}

    def _refuse_columns(self, row: Mapping[str, Any], place: int) -> None:
        missing, unknown = sorted(self._names - row.keys()), sorted(row.keys() - self._names)
        if missing:
            raise Invalid(
                f"row {place} of {self._dataset} lacks {', '.join(missing)}; give null where there is no value", row=place, field=missing[0]
            )
        known = ", ".join(self._columns)
        raise Invalid(
            f"row {place} of {self._dataset} has {', '.join(unknown)}, which the dataset has not; it has {known}",
            row=place,
            field=unknown[0],
        )


def _closed(bounds: Bounds) -> tuple[float, float]:
    low, high = bounds
    return -math.inf if low is None else low, math.inf if high is None else high


def _digest(document: Any) -> str:  # Any: plain JSON values
    return hashlib.sha256(msgspec.json.encode(document)).hexdigest()


Reader = Callable[[Any], tuple[Any, Any]]
"""From a value as JSON or Python has it to the typed one and the stored one. Reads what it has stored, too."""


def _reader(column: Column, declared_zone: str | None) -> Reader:
    import polars as pl

    dtype = parse_dtype(column.dtype)
    if isinstance(dtype, pl.Datetime):
        return _time_reader(ZoneInfo(dtype.time_zone or "UTC"), None if declared_zone is None else ZoneInfo(declared_zone))
    if dtype.is_integer():
        return _integer_reader(dtype)
    if dtype.is_float():
        return _float32 if dtype == pl.Float32 else _float
    plain: dict[type[pl.DataType], Reader] = {pl.Boolean: _boolean, pl.String: _string, pl.Categorical: _string, pl.Date: _date}
    return plain.get(type(dtype), _unreadable)


def _time_reader(zone: ZoneInfo, declared: ZoneInfo | None) -> Reader:
    def read(value: Any) -> tuple[Any, Any]:
        if isinstance(value, int) and not isinstance(value, bool):
            instant = from_micros(value)
        elif isinstance(value, str | datetime):
            instant = datetime.fromisoformat(value) if isinstance(value, str) else value
            if instant.tzinfo is None and declared is not None:
                instant = instant.replace(tzinfo=declared)
        else:
            raise TypeError("must be a time, such as 2013-04-01T09:00:00-04:00")
        return instant.astimezone(zone), to_micros(instant)

    return read


def _integer_reader(dtype: "pl.DataType") -> Reader:
    # A number that the column can't hold would be null in the next version, and stop every reader of the tail before that.
    bits = int(str(dtype).removeprefix("U").removeprefix("Int"))
    least, most = (0, 2**bits - 1) if dtype.is_unsigned_integer() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)

    def read(value: Any) -> tuple[Any, Any]:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise TypeError("must be a whole number")
        if not least <= value <= most:
            raise ValueError(f"must be from {least} to {most}")
        return int(value), int(value)

    return read


def _float(value: Any) -> tuple[Any, Any]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("must be a number")
    if not math.isfinite(value):
        raise ValueError("must be finite; give null where there is no value")
    return float(value) + 0.0, float(value) + 0.0


def _float32(value: Any) -> tuple[Any, Any]:
    import numpy as np

    with np.errstate(over="ignore"):
        narrow = float(np.float32(_float(value)[0]))
    if not math.isfinite(narrow):
        raise ValueError("must be a number that 32 bits can hold, up to 3.4e38")
    return narrow, narrow


def _boolean(value: Any) -> tuple[Any, Any]:
    if not isinstance(value, bool):
        raise TypeError("must be true or false")
    return value, value


def _string(value: Any) -> tuple[Any, Any]:
    if not isinstance(value, str):
        raise TypeError("must be text")
    return value, value


def _date(value: Any) -> tuple[Any, Any]:
    if isinstance(value, int) and not isinstance(value, bool):
        return date.fromordinal(value + _EPOCH_DAY), value
    if isinstance(value, datetime) or not isinstance(value, str | date):
        raise TypeError("must be a date, such as 2013-04-01")
    day = date.fromisoformat(value) if isinstance(value, str) else value
    return day, day.toordinal() - _EPOCH_DAY


def _unreadable(value: Any) -> tuple[Any, Any]:
    raise TypeError("a column of this type can't be appended to; ingest a file")


def to_frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> "pl.DataFrame":
    """Stored rows as a frame in the dataset's types."""
    import polars as pl

    series = []
    for column in columns:
        dtype = parse_dtype(column.dtype)
        values = [row.get(column.name) for row in rows]
        if isinstance(dtype, pl.Datetime):
            # Microseconds of UTC inside, whatever the zone: casts say so at once, where each `dt` is a query of its own.
            instants = pl.Series(column.name, values, dtype=pl.Int64).cast(pl.Datetime("us", dtype.time_zone))
            series.append(instants if dtype.time_unit == "us" else instants.cast(dtype))
        elif dtype == pl.Date:
            series.append(pl.Series(column.name, values, dtype=pl.Int32).cast(pl.Date))
        else:
            series.append(pl.Series(column.name, values, dtype=dtype, strict=False))
    return pl.DataFrame(series)
