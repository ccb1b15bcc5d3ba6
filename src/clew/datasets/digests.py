"""Digests of rows, and of sets of rows, that don't depend on the order of rows, the machine, or the version of Polars.

A row is hashed with SHA-256 over the text of its values. A set of rows is the sum of its rows' digests modulo 2**256 (Bellare and
Micciancio 1997, *AdHash*): the sum of old and new rows is the old sum plus that of the new ones, so a version that adds a file to a
large dataset hashes the file only, and the same rows ingested in other pieces have the same digest. It names content; it does not
stand against somebody who searches for collisions, who would need write access to the store anyway.
"""

import hashlib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import polars as pl

__all__ = ["EMPTY", "add", "content_digest", "row_digests", "sum_of"]

EMPTY = "0" * 64
"""The sum of no rows."""

_NULL = "~"
_SEPARATOR = "|"
_MODULUS = 1 << 256


def row_digests(frame: "pl.DataFrame") -> list[bytes]:
    """The 32-byte digest of each row, over its columns by name, so their order doesn't count.

    Values are equal when Polars calls them equal: every NaN is one value, and so are 0.0 and -0.0. The unit of a time doesn't count.
    """
    import polars as pl

    if not frame.width:
        return []
    texts = frame.select(
        pl.concat_str([_text(frame[name]) for name in sorted(frame.columns)], separator=_SEPARATOR, ignore_nulls=False)
    ).to_series()
    return [hashlib.sha256(text.encode()).digest() for text in texts]


def _text(column: "pl.Series") -> "pl.Series":
    """One text a value, none of which is the beginning of another: text carries its length, and no number holds a separator."""
    import polars as pl

    dtype = column.dtype
    if isinstance(dtype, pl.Datetime):
        text = column.dt.cast_time_unit("us").to_physical().cast(pl.String)
    elif dtype in (pl.Date, pl.Time, pl.Boolean) or dtype.is_integer():
        text = column.to_physical().cast(pl.String) if dtype != pl.Boolean else column.cast(pl.Int8).cast(pl.String)
    elif dtype.is_float():
        # Bits, not decimals: how a float is printed is Polars' business and has changed before. Adding zero makes -0.0 be 0.0 (in
        # numpy: Polars leaves the addition out).
        values = column.cast(pl.Float64)
        bits = pl.Series((values.fill_null(0.0).to_numpy() + 0.0).view("int64")).cast(pl.String)
        text = pl.select(pl.when(values.is_nan()).then(pl.lit("nan")).when(values.is_not_null()).then(bits)).to_series()
    elif dtype in (pl.String, pl.Categorical, pl.Enum):
        plain = column.cast(pl.String)
        text = plain.str.len_bytes().cast(pl.String) + ":" + plain
    else:
        encoded = [None if value is None else msgspec.json.encode(value).decode() for value in column.to_list()]
        plain = pl.Series(encoded, dtype=pl.String)
        text = plain.str.len_bytes().cast(pl.String) + ":" + plain
    return text.fill_null(_NULL)


def sum_of(digests: list[bytes]) -> str:
    """The sum of rows' digests, as 64 hexadecimal digits."""
    import numpy as np

    if not digests:
        return EMPTY
    words = np.frombuffer(b"".join(digests), dtype=">u4").reshape(-1, 8)
    # 2**32 rows of 32-bit words fit in 64 bits; the carries are settled in Python's integers.
    totals = [int(total) for total in words.sum(axis=0, dtype=np.uint64)]
    return f"{sum(total << 32 * (7 - place) for place, total in enumerate(totals)) % _MODULUS:064x}"


def add(one: str, other: str) -> str:
    """The sum of two disjoint sets of rows."""
    return f"{(int(one, 16) + int(other, 16)) % _MODULUS:064x}"


def content_digest(columns: list[tuple[str, str]], rows: int, row_sum: str) -> str:
    """The digest of a version: its columns' names and types (in any order), how many rows it has, and their sum."""
    document = msgspec.json.encode([sorted(columns), rows, row_sum])
    return "sha256:" + hashlib.sha256(document).hexdigest()
