"""What the prediction log keeps of an answer, as a compact frame and as a row of a table."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Other", "Record", "decode_record", "encode_record", "from_row", "to_frame"]


class Other(msgspec.Struct, frozen=True, array_like=True):
    """What the version that did not answer said of the same row, or why it said nothing. Fields as in ``Record``."""

    number: int
    features: bytes
    views: dict[str, int]
    missing: list[str]
    probability: float | None
    latency_us: int
    error: str | None = None


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One answer, or one error. New fields go to the end and have a default, so that old frames stay readable.

    ``features`` are the model's inputs as little-endian float32 in the order of its signature; ``views`` the version of each view that
    gave them, and ``missing`` those that had nothing for this row. ``row`` is what was asked, instants as ISO 8601.
    """

    at: int
    """Wall time in microseconds."""
    event_time: int
    """The request's event time in microseconds; 0 for a request that named none."""
    endpoint: str
    epoch: int
    model: str
    number: int
    row: dict[str, Any]
    features: bytes
    views: dict[str, int]
    missing: list[str]
    probability: float | None
    latency_us: int
    error: str | None = None
    other: Other | None = None
    """While a candidate is tried: the score of the one that did not answer. One frame holds both, so that no pair is ever torn."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Record)


def encode_record(record: Record) -> bytes:
    return _encoder.encode(record)


def decode_record(payload: bytes) -> Record:
    return _decoder.decode(payload)


def to_frame(answers: Iterable[tuple[str, int, int, Record]]) -> "pl.DataFrame":
    """(prediction id, segment, offset, record) as the table of predictions keeps them."""
    import numpy as np
    import polars as pl

    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "prediction_id": pl.String, "segment": pl.String, "offset": pl.Int64, "at": pl.Int64, "event_time": pl.Int64, "endpoint": pl.String,
        "epoch": pl.Int64, "model": pl.String, "number": pl.Int64, "row": pl.String, "features": pl.List(pl.Float32), "views": pl.String,
        "missing": pl.List(pl.String), "probability": pl.Float64, "latency_us": pl.Int64, "error": pl.String, "other_number": pl.Int64,
        "other_features": pl.List(pl.Float32), "other_views": pl.String, "other_missing": pl.List(pl.String),
        "other_probability": pl.Float64, "other_latency_us": pl.Int64, "other_error": pl.String,
    }  # fmt: skip
    rows = [
        (
            prediction_id, f"{segment:016x}", offset, record.at, record.event_time, record.endpoint, record.epoch, record.model,
            record.number, _text(record.row), np.frombuffer(record.features, "<f4").tolist(), _text(record.views), record.missing,
            record.probability, record.latency_us, record.error, *_other(record.other),
        )
        for prediction_id, segment, offset, record in answers
    ]  # fmt: skip
    instant = pl.Datetime("us", "UTC")
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(pl.col("at").cast(instant), pl.col("event_time").cast(instant))


def _other(other: Other | None) -> tuple[Any, ...]:
    import numpy as np

    if other is None:
        return (None,) * 7
    features = np.frombuffer(other.features, "<f4").tolist()
    return other.number, features, _text(other.views), other.missing, other.probability, other.latency_us, other.error


def _text(document: dict[str, Any]) -> str:
    return msgspec.json.encode(document).decode()


def from_row(row: dict[str, Any]) -> Record:
    """The record behind one row of the table of predictions."""
    import numpy as np

    from clew.clock import to_micros

    return Record(
        at=to_micros(row["at"]),
        event_time=to_micros(row["event_time"]),
        endpoint=row["endpoint"],
        epoch=row["epoch"],
        model=row["model"],
        number=row["number"],
        row=msgspec.json.decode(row["row"]),
        features=np.asarray(row["features"], "<f4").tobytes(),
        views=msgspec.json.decode(row["views"]),
        missing=row["missing"],
        probability=row["probability"],
        latency_us=row["latency_us"],
        error=row["error"],
        other=None if row["other_number"] is None else Other(
            row["other_number"], np.asarray(row["other_features"], "<f4").tobytes(), msgspec.json.decode(row["other_views"]),
            row["other_missing"], row["other_probability"], row["other_latency_us"], row["other_error"],
        ),
    )  # fmt: skip
