"""From what a user's function returned to rows that a dataset can hold: zoned times, whole keys, one row a key, the stored types."""

from typing import TYPE_CHECKING

from clew.datasets.columns import Column
from clew.datasets.expectations import Violation, refuse, violation
from clew.definitions import DatasetDefinition, dtype_name, parse_dtype
from clew.errors import Conflict, Invalid, Refused

if TYPE_CHECKING:
    import polars as pl

__all__ = ["conform", "prepare", "split_known"]


def prepare(frame: "pl.DataFrame", definition: DatasetDefinition, source: str = "") -> "pl.DataFrame":
    """The rows with every time in a zone. Raises ``Refused`` naming column, rows and rule for what the declaration rules out."""
    import polars as pl

    name = definition.name
    required = tuple(dict.fromkeys([*definition.key, *(column for column in (definition.time, definition.known) if column)]))
    absent = [column for column in required if column not in frame.columns]
    refuse(
        name,
        source,
        [Violation(column, f"is declared, and missing; there are {', '.join(frame.columns)}", frame.height) for column in absent],
    )
    if not frame.height:
        raise Refused(f"there are no rows{f' in {source}' if source else ''} for {name}; nothing is stored", dataset=name, source=source)
    refuse(name, source, [item for column in frame.iter_columns() if (item := _unkept(column))])
    frame = _zoned(frame, definition, source)
    problems = [
        Violation(column, f"must be a time with a zone (pl.Datetime), and is {frame[column].dtype}", frame.height)
        for column in (definition.time, definition.known)
        if column and not isinstance(frame[column].dtype, pl.Datetime)
    ]
    problems += [item for column in required if (item := violation(frame, column, "must have a value", frame[column].is_null()))]
    refuse(name, source, problems)
    refuse(name, source, _repeated(frame, definition.key))
    return frame


def _unkept(column: "pl.Series") -> Violation | None:
    import polars as pl

    if column.dtype == pl.Null:
        return None  # a later file may lack every value of a column; what type it has, the versions before say
    try:
        parse_dtype(dtype_name(column.dtype))
    except Invalid:
        rule = f"is {column.dtype}, and a dataset holds numbers, text, booleans, bytes, dates and times; cast it, or split it into columns"
        return Violation(column.name, rule, column.len())
    return None


def _zoned(frame: "pl.DataFrame", definition: DatasetDefinition, source: str) -> "pl.DataFrame":
    import polars as pl

    naive = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime) and dtype.time_zone is None]
    if not naive:
        return frame
    if definition.zone is None:
        rule = "its times have no zone; give them one (.dt.replace_time_zone), or declare it: @clew.dataset(…, zone='Europe/Berlin')"
        refuse(definition.name, source, [Violation(column, rule, frame.height) for column in naive])
    try:
        aware = frame.with_columns(pl.col(naive).dt.replace_time_zone(definition.zone, ambiguous="null", non_existent="null"))
    except pl.exceptions.PolarsError as error:
        raise Invalid(f"the zone {definition.zone!r} of {definition.name} is not known: {error}") from error
    problems = []
    for column in naive:
        lost = aware[column].is_null() & frame[column].is_not_null()
        problems.append(
            violation(frame, column, f"happens never or twice in {definition.zone}, where clocks change; give its offset", lost)
        )
    refuse(definition.name, source, [item for item in problems if item is not None])
    return aware


def _repeated(frame: "pl.DataFrame", key: tuple[str, ...]) -> list[Violation]:
    import polars as pl

    repeated = frame.select(pl.struct(key)).to_series().is_duplicated()
    if not repeated.any():
        return []
    rows = repeated.arg_true()
    same = frame.select(key)[rows.head(5).to_list()]
    values = tuple(", ".join(str(value) for value in row) for row in same.iter_rows())
    rule = "the key must name one row, and names several"
    return [Violation(", ".join(key), rule, len(rows), tuple(row + 1 for row in rows.head(5).to_list()), values)]


def conform(frame: "pl.DataFrame", columns: tuple[Column, ...], dataset: str, source: str = "") -> "pl.DataFrame":
    """The rows in the columns, order and types of the versions before. A cast that would change a value is refused."""
    import polars as pl

    extra = [column for column in frame.columns if column not in {item.name for item in columns}]
    problems = [
        Violation(name, "is new: the versions before don't have it; `clew ingest --replace` starts anew with it", frame.height)
        for name in extra
    ]
    problems += [Violation(item.name, "must be there, and is missing", frame.height) for item in columns if item.name not in frame.columns]
    refuse(dataset, source, problems)
    cast = []
    for item in columns:
        column, wanted = frame[item.name], parse_dtype(item.dtype)
        changed, same = _cast(column, wanted)
        if broken := violation(frame, item.name, f"must be {wanted}, as in the versions before, and is {column.dtype}", ~same):
            problems.append(broken)
        cast.append(changed)
    refuse(dataset, source, problems)
    return pl.DataFrame(cast)


def _cast(column: "pl.Series", wanted: "pl.DataType") -> "tuple[pl.Series, pl.Series]":
    """The column in the wanted type, and which values are the same in it."""
    import polars as pl

    if column.dtype == wanted or column.dtype == pl.Null:
        return column.cast(wanted), pl.repeat(value=True, n=column.len(), eager=True)
    if isinstance(wanted, pl.Datetime) and isinstance(column.dtype, pl.Datetime):
        changed = column.dt.cast_time_unit(wanted.time_unit).dt.convert_time_zone(wanted.time_zone or "UTC")
        back = changed.dt.cast_time_unit(column.dtype.time_unit).dt.convert_time_zone(column.dtype.time_zone or "UTC")
    else:
        changed = column.cast(wanted, strict=False)
        back = changed.cast(column.dtype, strict=False)
    # Numbers don't become text, nor text numbers: a file whose codes all look like numbers has lost their leading zeros.
    kin = column.dtype.is_numeric() == wanted.is_numeric()
    return changed, back.eq_missing(column) & kin


def split_known(frame: "pl.DataFrame", stored: "pl.LazyFrame", key: tuple[str, ...], dataset: str, source: str = "") -> "pl.DataFrame":
    """The rows that are not stored yet. Raises ``Conflict`` naming the rows whose key is stored with other values."""
    import polars as pl

    others = [column for column in frame.columns if column not in key]
    numbered = frame.with_row_index("_row")
    there = stored.join(numbered.lazy().select(key), on=key, how="semi").collect(engine="streaming")
    joined = numbered.join(there.with_columns(_there=pl.lit(value=True)), on=key, how="left", suffix="_stored", maintain_order="left")
    known = joined["_there"].is_not_null()
    if not known.any():
        return frame
    differs = [(pl.col(column).ne_missing(pl.col(f"{column}_stored"))).alias(column) for column in others]
    changed = joined.filter(known).select("_row", *key, *differs)
    clashing = changed.filter(pl.any_horizontal(others)) if others else changed.clear()
    if clashing.height:
        named = [
            {
                "row": row["_row"] + 1,
                "key": {column: str(row[column]) for column in key},
                "columns": [column for column in others if row[column]],
            }
            for row in clashing.head(5).iter_rows(named=True)
        ]
        listed = "; ".join(
            f"row {item['row']:,} ({', '.join(item['key'].values())}) differs in {', '.join(item['columns'])}" for item in named
        )
        more = f" and {clashing.height - len(named):,} more" if clashing.height > len(named) else ""
        raise Conflict(
            f"{clashing.height:,} of {frame.height:,} rows{f' of {source}' if source else ''} have a key that {dataset} holds with other "
            f"values: {listed}{more}; nothing of them is stored. A row, once known, stays: correct the file, or start anew with "
            "`clew ingest --replace`",
            dataset=dataset, source=source, rows=named, count=clashing.height,
        )  # fmt: skip
    return frame.filter(~known)
