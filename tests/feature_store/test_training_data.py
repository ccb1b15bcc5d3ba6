"""Training data: columns apart, splits in time, blocks by the local clock."""

import pickle
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from clew.errors import Invalid
from clew.feature_store.training_data import TrainingData

START = datetime(2013, 3, 1, tzinfo=UTC)


def rows(count: int = 240) -> pl.DataFrame:
    times = pl.Series("departs", [START + timedelta(hours=hour) for hour in range(count)]).dt.convert_time_zone("America/New_York")
    return pl.DataFrame({
        "departs": times, "flight": range(count), "dest": ["BOS"] * count, "late": [hour % 3 == 0 for hour in range(count)],
        "x": [hour if hour % 7 else None for hour in range(count)], "flag": [hour % 2 == 0 for hour in range(count)],
    })  # fmt: skip


def data(count: int = 240) -> TrainingData:
    return TrainingData(
        rows(count), label="late", time="departs", key=["departs", "flight"], entities=["dest"], block="1d", zone="America/New_York"
    )


def test_features_are_float32_and_neither_key_nor_label_is_among_them() -> None:
    one = data()
    assert one.X.schema == {"x": pl.Float32, "flag": pl.Float32}
    assert one.X["x"].null_count() == 35
    assert one.y.dtype == np.int64
    assert one.keys.columns == ["departs", "flight"]
    assert one.entities.columns == ["dest"]
    assert one.time.dtype == pl.Datetime("us", "America/New_York")


def test_a_split_is_later_in_time_and_tears_no_block() -> None:
    train, valid = data().split(valid=0.2, by="departs")
    assert len(train) + len(valid) == 240
    assert train.time.max() < valid.time.min()  # type: ignore[operator]
    assert not set(train.blocks()) & set(valid.blocks())
    assert 24 <= len(valid) <= 48


def test_rows_of_one_day_split_at_a_time() -> None:
    train, valid = data(20).split(valid=0.25)
    assert (len(train), len(valid)) == (15, 5)


def test_rows_of_one_instant_cannot_be_split() -> None:
    with pytest.raises(Invalid, match="can't be split"):
        data().filter([0, 0, 0]).split()


def test_blocks_follow_the_local_clock_through_a_short_day() -> None:
    one = data()
    local = one.time.dt.date()
    assert len(np.unique(one.blocks())) == local.n_unique()
    assert pl.Series(one.blocks()).n_unique() == pl.DataFrame({"day": local, "block": one.blocks()}).n_unique()


def test_between_takes_the_start_and_leaves_the_end() -> None:
    assert len(data().between(START + timedelta(hours=1), START + timedelta(hours=3))) == 2
    assert len(data().between()) == 240


def test_it_pickles_for_worker_processes() -> None:
    assert pickle.loads(pickle.dumps(data())).frame().equals(data().frame())


def test_text_is_no_feature_and_a_naive_time_no_event_time() -> None:
    with pytest.raises(Invalid, match="'dest' is String"):
        TrainingData(rows(), label="late", time="departs")
    with pytest.raises(Invalid, match="needs a zone"):
        TrainingData(rows().with_columns(pl.col("departs").dt.replace_time_zone(None)), label="late", time="departs")
    with pytest.raises(Invalid, match="no column 'nope'"):
        TrainingData(rows(), label="nope")
