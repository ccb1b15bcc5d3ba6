"""Filters, orders and pages of runs as SQL."""

import operator
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from clew.clock import wall_now
from clew.errors import Invalid
from clew.tracking.filters import And, Comparison, Exists, Expression, Field, Not, Or, Value, parse_field
from clew.tracking.schema import run_metrics, run_params, run_tags, runs

__all__ = ["LOST_AFTER", "condition", "duration_micros", "ordering", "past", "status_now"]

LOST_AFTER = timedelta(seconds=60)
"""A running run that has not been heard of for so long is shown as lost, until it is heard again."""

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_TEXTS = {name: runs.c[name] for name in ("id", "name", "title", "experiment", "parent", "actor")}
_INSTANTS = {"started": runs.c.started_at, "ended": runs.c.ended_at}
_METRICS = {"metrics": run_metrics.c.last, "minimum": run_metrics.c.minimum, "maximum": run_metrics.c.maximum}
_TABLES = {**dict.fromkeys(_METRICS, run_metrics), "params": run_params, "tags": run_tags}
_ORDERED = {**_METRICS, "params": run_params.c.number, "tags": run_tags.c.value}


def status_now() -> sa.ColumnElement[str]:
    silent = sa.and_(runs.c.status == "running", runs.c.heartbeat_at < wall_now() - LOST_AFTER)
    return sa.case((silent, "lost"), else_=runs.c.status)


def duration_micros() -> sa.ColumnElement[int]:
    """From start to end, or to the last sign of life."""
    end = sa.func.coalesce(sa.type_coerce(runs.c.ended_at, sa.BigInteger), sa.type_coerce(runs.c.heartbeat_at, sa.BigInteger))
    return end - sa.type_coerce(runs.c.started_at, sa.BigInteger)


def condition(expression: Expression) -> sa.ColumnElement[bool]:
    """The expression as a condition on ``runs``. What a run does not have fulfils no comparison, ``!=`` included."""
    match expression:
        case And(parts):
            return sa.and_(*(condition(part) for part in parts))
        case Or(parts):
            return sa.or_(*(condition(part) for part in parts))
        case Not(part):
            return sa.not_(sa.func.coalesce(condition(part), sa.false()))
        case Exists(field):
            return _exists(field)
        case Comparison(field, "in", values):
            return sa.or_(*(_compare(field, "=", value) for value in values))
        case Comparison(field, word, values):
            return _compare(field, word, values[0])
    raise AssertionError(expression)


def _exists(field: Field) -> sa.ColumnElement[bool]:
    if field.family == "run":
        return _column(field.name).is_not(None)
    return _of_run(field)


def _compare(field: Field, word: str, value: Value) -> sa.ColumnElement[bool]:
    if field.family in _METRICS:
        return _of_run(field, _numbers(_METRICS[field.family], word, value, field))
    if field.family == "tags":
        return _of_run(field, _texts(run_tags.c.value, word, str(value)))
    if field.family == "params":
        if isinstance(value, bool):
            return _of_run(field, _texts(run_params.c.text, word, "true" if value else "false"))
        if isinstance(value, str):
            return _of_run(field, _texts(run_params.c.text, word, value))
        return _of_run(field, _numbers(run_params.c.number, word, value, field))
    if field.name in _INSTANTS:
        return _numbers(_INSTANTS[field.name], word, _instant(value, field), field)
    if field.name == "duration":
        return _numbers(duration_micros(), word, _seconds(value) * 1_000_000, field)
    return _texts(_column(field.name), word, str(value))


def _of_run(field: Field, also: sa.ColumnElement[bool] | None = None) -> sa.ColumnElement[bool]:
    table = _TABLES[field.family]
    query = sa.select(sa.literal(1)).where(table.c.run_id == runs.c.id, table.c.name == field.name)
    return (query if also is None else query.where(also)).exists()


def _column(name: str) -> sa.ColumnElement[Any]:
    if name == "status":
        return status_now()
    if name == "duration":
        return duration_micros()
    return _INSTANTS[name] if name in _INSTANTS else _TEXTS[name]


def _numbers(column: sa.ColumnElement[Any], word: str, value: Any, field: Field) -> sa.ColumnElement[bool]:  # Any: number or instant
    if word == "~" or isinstance(value, str | bool):
        raise Invalid(f"{field} is a number; compare it with one: {field} > 0.5")
    return _OPERATORS[word](column, value)  # type: ignore[no-any-return]  # a column compared is a condition


def _texts(column: sa.ColumnElement[Any], word: str, value: str) -> sa.ColumnElement[bool]:
    if word == "~":
        return sa.func.lower(column).contains(value.lower(), autoescape=True)
    return _OPERATORS[word](column, value)  # type: ignore[no-any-return]


def _instant(value: Value, field: Field) -> datetime:
    try:
        instant = msgspec.convert(value if "T" in str(value) else f"{value}T00:00:00Z", datetime)
    except msgspec.ValidationError as error:
        raise Invalid(f"{field} is compared with a time, such as '2026-01-31' or '2026-01-31T08:00:00Z', not {value!r}") from error
    if instant.tzinfo is None:
        raise Invalid(f"the time {value!r} has no zone; end it with Z or +01:00")
    return instant


def _seconds(value: Value) -> float:
    if isinstance(value, str | bool):
        raise Invalid(f"duration is compared with a number of seconds, not {value!r}")
    return float(value)


def ordering(order: str) -> tuple[sa.ColumnElement[Any], bool]:
    """What runs are sorted by, and whether from high to low: ``-metrics.auc``. Raises ``Invalid``."""
    field = parse_field(order.removeprefix("-"))
    descending = order.startswith("-")
    if field.family == "run":
        column = _column(field.name)
        return (sa.type_coerce(column, sa.BigInteger) if field.name in _INSTANTS else column), descending
    table, column = _TABLES[field.family], _ORDERED[field.family]
    return sa.select(column).where(table.c.run_id == runs.c.id, table.c.name == field.name).scalar_subquery(), descending


def past(key: sa.ColumnElement[Any], descending: bool, position: dict[str, Any]) -> sa.ColumnElement[bool]:
    """Runs that come after a position (``value`` and ``id``) in the order; those without a value come last. Raises ``Invalid``."""
    value, identifier = position.get("value"), position.get("id")
    number = isinstance(key.type, sa.Integer | sa.Float)
    if isinstance(value, bool) or not isinstance(value, int | float | None if number else str | None) or not isinstance(identifier, str):
        raise Invalid("the cursor is not one that this list gave in this order; start again without one")
    tie = runs.c.id < identifier if descending else runs.c.id > identifier
    if value is None:
        return sa.and_(key.is_(None), tie)
    return sa.or_(key < value if descending else key > value, sa.and_(key == value, tie), key.is_(None))
