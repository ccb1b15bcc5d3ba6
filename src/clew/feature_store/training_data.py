"""The rows that a model is trained and judged on: features, label, key, time and block, kept apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from clew.clock import parse_duration, to_micros
from clew.errors import Invalid, MissingDependency

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import polars as pl

__all__ = ["Split", "TrainingData", "block_numbers", "block_of", "block_start"]

_DAY_MICROS = 86_400_000_000


class TrainingData:
    """Labelled rows in the order of the training set.

    ``X`` holds the features, float32 by name, null where there is none; ``y`` the label as a NumPy array (Booleans as 0 and 1);
    ``keys`` and ``entities`` what names the rows; ``time`` their event times. It pickles, and is not to be changed.

    Parameters
    ----------
    frame
        The rows with features, label, key and time.
    label, time
        Columns of the frame; ``time`` must have a zone.
    key, entities
        Columns that are no features; the time, where it is not named among them, is none either.
    features
        The features, in order; every other column where it is left out.
    block, zone
        The unit of independence, a whole number of days or a part of one, in a zone.
    refit
        Whether these rows are for the last training, after the gate: see ``split``.

    Examples
    --------
    >>> import polars as pl
    >>> times = pl.datetime_range(pl.datetime(2013, 1, 1), pl.datetime(2013, 1, 4), "1d", time_zone="UTC", eager=True)
    >>> data = TrainingData(pl.DataFrame({"at": times, "x": [1, 2, 3, 4], "late": [True, False, False, True]}), label="late", time="at")
    >>> data.y.tolist(), data.X.columns
    ([1, 0, 0, 1], ['x'])
    >>> [len(part) for part in data.split(valid=0.25)]
    [3, 1]
    """

    def __init__(
        self,
        frame: "pl.DataFrame",
        *,
        label: str,
        time: str | None = None,
        key: Sequence[str] = (),
        entities: Sequence[str] = (),
        features: Sequence[str] | None = None,
        block: str = "1d",
        zone: str = "UTC",
        refit: bool = False,
    ) -> None:
        named = [label, *([time] if time else []), *key, *entities, *(features or ())]
        absent = [name for name in named if name not in frame.columns]
        if absent:
            raise Invalid(f"the frame has no column {absent[0]!r}; it has {', '.join(frame.columns)}")
        self.label_name, self.time_name, self.block, self.zone = label, time, block, zone
        self._refit = refit
        apart = {label, time, *key, *entities}
        self._names = tuple(name for name in frame.columns if name not in apart) if features is None else tuple(features)
        self._key = tuple(dict.fromkeys(key)) or ((time,) if time else ())
        self._entities = tuple(name for name in dict.fromkeys(entities) if name not in self._key)
        if time is not None and getattr(frame.schema[time], "time_zone", None) is None:
            raise Invalid(f"{time!r} is {frame.schema[time]}; the event time needs a zone: .dt.replace_time_zone('UTC')")
        self._frame = frame.with_columns(_float32(frame, name) for name in self._names)

    @property
    def X(self) -> "pl.DataFrame":  # noqa: N802 - the field's name for it
        """The features, float32 by name, null where there is none."""
        return self._frame.select(self._names)

    @property
    def y(self) -> "npt.NDArray[Any]":  # Any: whatever type the label has
        """The label ``(n,)``, Booleans as 0 and 1."""
        import polars as pl

        label = self._frame[self.label_name]
        return (label.cast(pl.Int64) if label.dtype == pl.Boolean else label).to_numpy()

    @property
    def keys(self) -> "pl.DataFrame":
        """The columns that name the rows."""
        return self._frame.select(self._key)

    @property
    def entities(self) -> "pl.DataFrame":
        """The columns by which features were looked up and that are no part of the key."""
        return self._frame.select(self._entities)

    @property
    def time(self) -> "pl.Series":
        """The event times. Raises ``Invalid`` for rows that have none."""
        if self.time_name is None:
            raise Invalid("these rows have no event time; name one: clew.TrainingData(frame, label=…, time=…)")
        return self._frame[self.time_name]

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features, in the order of ``X``."""
        return self._names

    def __len__(self) -> int:
        return self._frame.height

    def __repr__(self) -> str:
        return f"<TrainingData {len(self):,} rows, {len(self._names)} features, label {self.label_name!r}>"

    def frame(self) -> "pl.DataFrame":
        """All columns side by side."""
        return self._frame

    def filter(self, rows: "pl.Series | npt.NDArray[np.bool_] | Sequence[int]") -> "TrainingData":
        """The rows where a mask is true, or those at some positions, in that order."""
        import numpy as np

        chosen = np.asarray(rows)
        return self._with(self._frame.filter(chosen) if chosen.dtype == np.bool_ else self._frame[chosen])

    def between(self, start: datetime | None = None, stop: datetime | None = None) -> "TrainingData":
        """The rows from ``start`` up to, not including, ``stop``."""
        import polars as pl

        # Compared as numbers: Polars refuses to compare instants of two zones.
        time = pl.col(self.time.name).dt.epoch("us")
        wanted = [time >= to_micros(start)] if start else []
        wanted += [time < to_micros(stop)] if stop else []
        return self._with(self._frame.filter(*wanted) if wanted else self._frame)

    def split(self, *, valid: float = 0.2, by: str | None = None) -> "Split":
        """(train, valid): the share ``valid`` of the rows that come last by a column, the event time where none is named.

        By time, a block is never torn in two: the validation begins with a block, nearest to the share from below.

        In a refit ``train`` is every row, those of ``valid`` among them: what the validation was for has been decided, and figures on
        it then say nothing.
        """
        import numpy as np

        if not 0 < valid < 1:
            raise Invalid(f"split(valid={valid}): a share lies between 0 and 1, such as 0.2")
        by = by or self.time.name
        if by not in self._frame.columns:
            raise Invalid(f"split(by={by!r}): there is no such column; there are {', '.join(self._frame.columns)}")
        order = self.blocks() if by == self.time_name else self._frame[by].rank("dense").to_numpy()
        later = order > np.quantile(order, 1 - valid, method="lower")
        if by == self.time_name and not (later.any() and not later.all()):  # a single block, or so few that a cut between them is no cut
            order = self.time.to_physical().to_numpy()
            later = order > np.quantile(order, 1 - valid, method="lower")
        if not later.any() or later.all():
            raise Invalid(f"{len(self):,} rows with {len(np.unique(order)):,} values of {by!r} can't be split")
        return Split(self if self._refit else self.filter(~later), self.filter(later))

    def blocks(self) -> "npt.NDArray[np.int64]":
        """The number of each row's block, counted from 1970 in the zone: days, for ``block="1d"``."""
        return block_numbers(self.time, self.block, self.zone)

    def to_pandas(self) -> "pd.DataFrame":
        """All columns as a pandas frame."""
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise MissingDependency("to_pandas() needs pandas: pip install pandas") from error
        return pd.DataFrame({name: self._frame[name].to_numpy() for name in self._frame.columns})

    def _with(self, frame: "pl.DataFrame") -> "TrainingData":
        return TrainingData(
            frame, label=self.label_name, time=self.time_name, key=self._key, entities=self._entities, features=self._names,
            block=self.block, zone=self.zone,
        )  # fmt: skip


@dataclass(frozen=True)
class Split:
    """Unpacks as ``train, valid``."""

    train: TrainingData
    valid: TrainingData

    def __iter__(self) -> Any:  # Any: an iterator over the two parts
        return iter((self.train, self.valid))


def _float32(frame: "pl.DataFrame", name: str) -> "pl.Series":
    import polars as pl

    column = frame[name]
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        raise Invalid(
            f"the feature {name!r} is {column.dtype}, and features are numbers: code it as one (a rate, a rank, one column a value), "
            "or name it in key= or entities= if it is none"
        )
    return column.cast(pl.Float32)


def block_numbers(times: "pl.Series", block: str, zone: str) -> "npt.NDArray[np.int64]":
    """The number of each instant's block, by the local clock of a zone, so that a day of 23 hours is a day."""
    length = parse_duration(block)
    local = times.dt.convert_time_zone(zone).dt.replace_time_zone(None).dt.cast_time_unit("us").to_physical()
    return (local // (length.days * _DAY_MICROS + length.seconds * 1_000_000 + length.microseconds)).to_numpy()


def block_of(at: datetime, block: str, zone: str) -> int:
    """The number of the block that an instant lies in, as ``block_numbers`` counts."""
    import polars as pl

    return int(block_numbers(pl.Series([at], dtype=pl.Datetime("us", "UTC")), block, zone)[0])


def block_start(number: int, block: str, zone: str) -> datetime:
    """The instant at which a block begins by the local clock, in UTC; where clocks jump over it, an hour later.

    >>> block_start(block_of(datetime(2013, 4, 1, 12, tzinfo=UTC), "1d", "America/New_York"), "1d", "America/New_York").isoformat()
    '2013-04-01T04:00:00+00:00'
    """
    local = datetime(1970, 1, 1) + number * parse_duration(block)  # noqa: DTZ001 - local on purpose; the zone comes next
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)  # a time that does not exist is read by the offset before the jump
