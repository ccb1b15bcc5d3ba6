"""From frames to the arrays of the joins: entities as codes, instants as microseconds, events with their columns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from clew.errors import Invalid
from clew.feature_store.joins import NEVER, Ints
from clew.feature_store.windows import EventColumn

if TYPE_CHECKING:
    import polars as pl

__all__ = ["entity_codes", "event_column", "is_whole", "micros"]


def entity_codes(requests: "pl.DataFrame", events: "pl.DataFrame", by: Sequence[tuple[str, str]]) -> tuple[Ints, Ints]:
    """Codes of the entities of requests and events; ``by`` pairs their columns. A row with a null in one of them has the code -1.

    Raises ``Invalid`` where a request's column can't be an entity of the events, such as a number for a text.
    """
    import polars as pl

    names = [f"e{place}" for place in range(len(by))]
    theirs = events.select(pl.col(column).alias(name) for name, (_, column) in zip(names, by, strict=True))
    asked = requests.select(pl.col(column).alias(name) for name, (column, _) in zip(names, by, strict=True))
    for name, (column, of) in zip(names, by, strict=True):
        if asked.schema[name] != theirs.schema[name]:
            try:
                asked = asked.with_columns(pl.col(name).cast(theirs.schema[name]))
            except pl.exceptions.PolarsError as error:
                raise Invalid(
                    f"{column!r} is {asked.schema[name]}, and the entity {of!r} that it names is {theirs.schema[name]}"
                ) from error
    known = theirs.unique().drop_nulls().with_row_index("code")

    def codes(rows: "pl.DataFrame") -> Ints:
        found = rows.join(known, on=names, how="left", maintain_order="left")["code"]
        return found.cast(pl.Int64).fill_null(-1).to_numpy().astype(np.int64, copy=False)

    return codes(asked), codes(theirs)


def micros(frame: "pl.DataFrame", column: str) -> Ints:
    """The instants of a column; a null one never comes."""
    import polars as pl

    times = frame[column]
    if not isinstance(times.dtype, pl.Datetime):
        raise Invalid(f"{column!r} is {times.dtype}, and must be a time: pl.Datetime with a zone")
    return times.dt.epoch("us").fill_null(int(NEVER)).to_numpy().astype(np.int64, copy=False)


def is_whole(dtype: "pl.DataType") -> bool:
    """Whether values of a type are summed as whole numbers; a Boolean counts as 0 and 1."""
    import polars as pl

    return dtype == pl.Boolean or dtype.is_integer()


def event_column(column: "pl.Series") -> EventColumn:
    """The column's values. A number that is not finite is no value: it would make every later sum one that is not."""
    import polars as pl

    if is_whole(column.dtype):
        return EventColumn(column.cast(pl.Int64).fill_null(0).to_numpy().astype(np.int64, copy=False), column.is_not_null().to_numpy())
    if not column.dtype.is_numeric():
        raise Invalid(f"{column.name!r} is {column.dtype}, and only numbers and Booleans can be aggregated")
    values = column.cast(pl.Float64)
    present = values.is_not_null() & values.is_finite().fill_null(value=False)
    return EventColumn(np.where(present.to_numpy(), values.fill_null(0.0).to_numpy(), 0.0), present.to_numpy())
