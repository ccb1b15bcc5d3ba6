"""What a version's columns hold: types, missing values, ranges. Shown on its page, compared by a diff."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clew.definitions import dtype_name

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Column", "Scalar", "columns_of", "plain", "time_range"]

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Column:
    """One column. ``minimum`` and ``maximum`` of a time are text with its offset; ``distinct`` counts values that are not null."""

    name: str
    dtype: str
    zone: str | None
    nulls: int
    minimum: Scalar
    maximum: Scalar
    distinct: int | None


def columns_of(rows: "pl.LazyFrame") -> tuple[Column, ...]:
    """The columns of the rows, in one pass over them."""
    import polars as pl
    import polars.selectors as cs

    schema = rows.collect_schema()
    ordered = cs.numeric() | cs.temporal() | cs.string() | cs.boolean()
    countable = ordered | cs.categorical()
    sortable = set(cs.expand_selector(schema, ordered))
    counted = set(cs.expand_selector(schema, countable))
    wanted = [pl.col(name).null_count().alias(f"nulls:{name}") for name in schema]
    # NaN is a missing number here: a maximum of NaN would say nothing.
    for name in sortable:
        column = pl.col(name).fill_nan(None) if schema[name].is_float() else pl.col(name)
        wanted += [column.min().alias(f"minimum:{name}"), column.max().alias(f"maximum:{name}")]
    wanted += [pl.col(name).drop_nulls().n_unique().alias(f"distinct:{name}") for name in counted]
    found = rows.select(wanted).collect(engine="streaming").row(0, named=True)
    return tuple(
        Column(
            name=name,
            dtype=dtype_name(dtype),
            zone=dtype.time_zone if isinstance(dtype, pl.Datetime) else None,
            nulls=found[f"nulls:{name}"],
            minimum=plain(found.get(f"minimum:{name}")),
            maximum=plain(found.get(f"maximum:{name}")),
            distinct=found.get(f"distinct:{name}"),
        )
        for name, dtype in schema.items()
    )


def plain(value: Any) -> Scalar:  # Any: one value of any Polars column
    """A value as JSON can hold it: times as ISO text with their offset, bytes and nested values as text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def time_range(rows: "pl.LazyFrame", time: str | None) -> tuple[datetime | None, datetime | None]:
    """The first and last event time."""
    import polars as pl

    if time is None:
        return None, None
    first, last = rows.select(pl.col(time).min().alias("first"), pl.col(time).max().alias("last")).collect().row(0)
    return first, last
