"""Answers beside what came of them."""

from typing import TYPE_CHECKING

import msgspec

from clew.clock import parse_duration
from clew.feature_store.schema import TrainingSetDetails
from clew.operations import Context
from clew.serving import truths

if TYPE_CHECKING:
    import polars as pl

__all__ = ["with_labels"]


def with_labels(context: Context, training: TrainingSetDetails, answered: "pl.DataFrame") -> "pl.DataFrame":
    """Of several answers for one key the newest, each with ``label``: null where none came, or none in time."""
    import polars as pl

    asked = [msgspec.json.decode(row) for row in answered["row"]]
    keys = [msgspec.json.encode([row[column] for column in training.key]).decode() for row in asked]
    newest = answered.with_columns(_key=pl.Series(keys, dtype=pl.String), _place=pl.int_range(pl.len()))
    newest = newest.sort("at").unique("_key", keep="last").sort("_place")
    wanted = [asked[place] for place in newest["_place"]]
    labels = truths.labels_of(context, training.label_dataset.name, training.label, training.key, wanted)
    within = parse_duration(training.label_within)
    values = [truths.in_time(found, event_time, within) for found, event_time in zip(labels, newest["event_time"], strict=True)]
    return newest.with_columns(label=pl.Series(values, dtype=pl.Float64))
