"""How a column's type survives Delta Lake, which knows fewer types than Polars.

Delta has no unsigned integers, no categories, no time of day, and keeps an instant without the zone that it was written in: 9 o'clock
in New York comes back as 13 or 14 o'clock UTC. So a table holds each column in the nearest type that Delta has, the type that the
column really is stands in the field's metadata (any other reader can see it there), and reading gives it back.
"""

from typing import TYPE_CHECKING

from clew.definitions import dtype_name, parse_dtype
from clew.errors import Invalid

if TYPE_CHECKING:
    import arro3.core as arro3
    import polars as pl

__all__ = ["DTYPE_KEY", "restore", "store", "to_arrow"]

DTYPE_KEY = "clew.dtype"
"""The key in a Delta field's metadata under which the Polars type stands; absent where Delta's own type says it all."""


def store(frame: "pl.DataFrame") -> "tuple[pl.DataFrame, dict[str, str]]":
    """The frame in types that Delta has, and the real type of each column that changed. Raises ``Invalid`` for one that can't be kept."""
    import polars as pl

    kept, real = [], {}
    for column in frame.iter_columns():
        stored = _store(column)
        kept.append(stored)
        if column.dtype != stored.dtype:
            real[column.name] = "String" if isinstance(column.dtype, pl.Enum) else dtype_name(column.dtype)
    return pl.DataFrame(kept), real


def _store(column: "pl.Series") -> "pl.Series":
    import polars as pl

    dtype = column.dtype
    if isinstance(dtype, pl.Datetime):
        whole = column.dt.cast_time_unit("us")
        if dtype.time_unit == "ns" and (whole.dt.cast_time_unit("ns") != column).any():
            raise Invalid(f"{column.name!r} holds times finer than a microsecond; round them with .dt.round('1us')")
        return whole if dtype.time_zone is None else whole.dt.convert_time_zone("UTC")
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    if dtype.is_unsigned_integer():
        wider = pl.Int16 if dtype == pl.UInt8 else pl.Int32 if dtype == pl.UInt16 else pl.Int64
        if column.len() and (column.max() or 0) > 2**63 - 1:  # type: ignore[operator]  # the maximum of integers is one
            raise Invalid(f"{column.name!r} holds numbers of 2**63 and more, which a Delta table can't keep; cast the column to pl.String")
        return column.cast(wider)
    if dtype == pl.Time:
        return column.cast(pl.Int64)
    if dtype == pl.Null:
        raise Invalid(f"{column.name!r} has no value and no type; cast it to the type that its values will have")
    if dtype in (pl.Duration, pl.Object, pl.Int128):
        raise Invalid(f"{column.name!r} is {dtype}, which a Delta table can't keep; cast it, a duration for example to seconds")
    return column


def to_arrow(frame: "pl.DataFrame") -> "arro3.Table":
    """The frame as an Arrow table in one batch, with the real types in the fields' metadata."""
    import arro3.core as arro3

    stored, real = store(frame)
    # One batch: the writer may spread several over files, and rows written together are to be read together, in order.
    table = arro3.Table.from_arrow(stored.rechunk())
    schema = table.schema
    fields = [schema.field(index) for index in range(len(schema))]
    noted = [field.with_metadata({DTYPE_KEY: real[field.name]}) if field.name in real else field for field in fields]
    return table.with_schema(arro3.Schema(noted))


def restore(rows: "pl.LazyFrame", real: "dict[str, str]") -> "pl.LazyFrame":
    """The rows with each column named in ``real`` in that type again."""
    import polars as pl

    def column(name: str, dtype: pl.DataType) -> pl.Expr:
        expression = pl.col(name)
        if isinstance(dtype, pl.Datetime):
            expression = expression.dt.cast_time_unit(dtype.time_unit)
            return expression if dtype.time_zone is None else expression.dt.convert_time_zone(dtype.time_zone)
        return expression.cast(dtype)

    return rows.with_columns(column(name, parse_dtype(text)) for name, text in real.items()) if real else rows
