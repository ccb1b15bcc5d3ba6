"""The measurements of a gate's report, each pure: slices, calibration, missing inputs, invariances and latency."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clew.errors import Invalid, Refused
from clew.pipelines.comparison import Candidate
from clew.pipelines.multiplicity import holm

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from clew.feature_store.training_data import TrainingData
    from clew.pipelines.intervals import Interval

__all__ = [
    "CalibrationBin",
    "Invariance",
    "Slice",
    "calibration",
    "invariances",
    "latency",
    "score_with_fallback",
    "score_without",
    "slices",
]

_MINIMUM_ROWS = 200
_MINIMUM_BLOCKS = 5
_MAX_SLICES = 12
_BINS = 10
_SINGLE_ROWS = 200
_LEVEL = 0.95
_SAME = 1e-5
"""Two scores of the same row are the same within this: a batch sums its trees in another order than a row alone."""


@dataclass(frozen=True)
class Slice:
    """The rows with one value of a column. Every flag is after Holm's correction over all slices.

    ``differs``: its log loss is not that of the other rows. ``miscalibrated``: what came is not what was predicted.
    ``worse``: the champion was better on it by more than the tolerance (``gain`` is the champion's log loss minus this version's).
    """

    column: str
    value: str
    rows: int
    blocks: int
    log_loss: float
    low: float
    high: float
    positives: float
    predicted: float
    differs: bool
    miscalibrated: bool
    gain: "Interval | None"
    worse: bool


@dataclass(frozen=True)
class CalibrationBin:
    """Rows of one tenth of the scores: what was predicted, what came with its interval over blocks."""

    predicted: float
    observed: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class Invariance:
    """Something that must not change a score: the largest change that it made."""

    name: str
    largest_change: float
    holds: bool


def slices(
    data: "TrainingData",
    columns: Sequence[str],
    losses: "npt.NDArray[np.float64]",
    scores: "npt.NDArray[np.float64]",
    gains: "npt.NDArray[np.float64] | None" = None,
    *,
    tolerance: float = 0.0,
) -> list[Slice]:
    """The largest slices of each column that have enough rows and blocks to say something."""
    from clew.pipelines.intervals import blocked_difference, blocked_mean, tail_probability

    masks = _masks(data, columns)
    blocks, residuals = data.blocks(), data.y - scores
    means = [blocked_mean(losses[mask], blocks[mask]) for _, _, mask in masks]
    contrasts = [blocked_difference(losses, mask, blocks) for _, _, mask in masks]
    biases = [blocked_mean(residuals[mask], blocks[mask]) for _, _, mask in masks]
    compared = [None if gains is None else blocked_mean(gains[mask], blocks[mask]) for _, _, mask in masks]
    differs = holm([tail_probability(one) for one in contrasts], 1 - _LEVEL)
    miscalibrated = holm([tail_probability(one) for one in biases], 1 - _LEVEL)
    worse = holm([1.0 if one is None else tail_probability(one, -tolerance, below=True) for one in compared], 1 - _LEVEL)
    return [
        Slice(
            column, value, mean.rows, mean.blocks, mean.estimate, mean.low, mean.high,
            float(data.y[mask].mean()), float(scores[mask].mean()), differs[index], miscalibrated[index], compared[index], worse[index],
        )
        for index, ((column, value, mask), mean) in enumerate(zip(masks, means, strict=True))
    ]  # fmt: skip


def _masks(data: "TrainingData", columns: Sequence[str]) -> "list[tuple[str, str, npt.NDArray[np.bool_]]]":
    import numpy as np

    frame, blocks, found = data.frame(), data.blocks(), []
    for column in columns:
        if column not in frame.columns:
            raise Invalid(f"there is no column {column!r} to slice by; there are {', '.join(frame.columns)}")
        values = frame[column].drop_nulls().value_counts(sort=True).head(_MAX_SLICES)
        for value, rows in values.iter_rows():
            mask = (frame[column] == value).fill_null(value=False).to_numpy()
            if _MINIMUM_ROWS <= rows < len(mask) and len(np.unique(blocks[mask])) >= _MINIMUM_BLOCKS:
                found.append((column, str(value), mask))
    return found


def calibration(labels: "npt.NDArray[Any]", scores: "npt.NDArray[np.float64]", blocks: "npt.NDArray[np.int64]") -> list[CalibrationBin]:
    """Tenths of the scores; fewer where scores repeat."""
    import numpy as np

    from clew.pipelines.intervals import blocked_mean

    edges = np.unique(np.quantile(scores, np.linspace(0, 1, _BINS + 1)[1:-1]))
    tenth = np.searchsorted(edges, scores, "right")
    bins = []
    for number in range(len(edges) + 1):
        mask = tenth == number
        if len(np.unique(blocks[mask])) > 1:
            observed = blocked_mean(labels[mask], blocks[mask])
            bins.append(CalibrationBin(float(scores[mask].mean()), observed.estimate, observed.low, observed.high, int(mask.sum())))
    return bins


def score_without(candidate: Candidate, data: "TrainingData", columns: Sequence[str]) -> "npt.NDArray[np.float64] | None":
    """The scores when some features are missing in every row; ``None`` where the model then has no answer."""
    import numpy as np

    matrix = np.array(data.X.select(candidate.features).to_numpy(), dtype=np.float32)
    matrix[:, [candidate.features.index(column) for column in columns]] = np.nan
    return _answers(candidate, matrix)


def score_with_fallback(
    candidate: Candidate, data: "TrainingData", columns: Sequence[str], by: Sequence[str], missing: str | float
) -> "npt.NDArray[np.float64] | None":
    """The scores when a view is out for a whole block at a time and its declared fallback answers.

    A number stands in every row. ``"hold"`` is what the view last said of the row's entity before the block began; null where it had
    said nothing yet.
    """
    import numpy as np

    matrix = np.array(data.X.select(candidate.features).to_numpy(), dtype=np.float32)
    positions = [candidate.features.index(column) for column in columns]
    matrix[:, positions] = _held(data, columns, by) if missing == "hold" else np.float32(missing)
    return _answers(candidate, matrix)


def _answers(candidate: Candidate, matrix: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float64] | None":
    try:
        return candidate.score_matrix(matrix)
    except Refused:  # a linear model says NaN for a row with a missing value: that is what the report is for
        return None


def _held(data: "TrainingData", columns: Sequence[str], by: Sequence[str]) -> "npt.NDArray[np.float32]":
    import polars as pl

    present = [name for name in by if name in data.frame().columns]
    names = (pl.Series("_block", data.blocks()), pl.Series("_time", data.time), pl.int_range(pl.len()).alias("_row"))
    rows = data.frame().select(*present, *columns, *names).sort("_time")
    last = [pl.col(name).drop_nulls().last() for name in columns]
    ends = rows.group_by(*present, "_block", maintain_order=True).agg(last).sort("_block")
    known = ends.with_columns((pl.col("_block") + 1).alias("_from")).drop("_block")
    asked = rows.select(*present, "_block", "_row").sort("_block")
    joined = asked.join_asof(known, left_on="_block", right_on="_from", by=present or None, check_sortedness=not present)
    return joined.sort("_row").select(columns).to_numpy()


def invariances(
    candidate: Candidate, data: "TrainingData", scores: "npt.NDArray[np.float64]", immaterial: Sequence[str]
) -> list[Invariance]:
    """A row's score must not depend on the rows beside it or on their order, nor on features that are declared immaterial."""
    import numpy as np

    matrix = data.X.select(candidate.features).to_numpy()
    generator = np.random.default_rng(0)
    order = generator.permutation(len(matrix))
    few = np.linspace(0, len(matrix) - 1, min(_SINGLE_ROWS, len(matrix))).astype(np.int64)
    alone = np.concatenate([candidate.score_matrix(matrix[row : row + 1]) for row in few])
    found = [
        _invariance("the order of rows", candidate.score_matrix(matrix[order]), scores[order]),
        _invariance("the rows beside it", alone, scores[few]),
    ]
    for column in immaterial:
        if column in candidate.features:
            shuffled = np.array(matrix)
            position = candidate.features.index(column)
            shuffled[:, position] = shuffled[order, position]
            found.append(_invariance(column, candidate.score_matrix(shuffled), scores))
    return found


def _invariance(name: str, changed: "npt.NDArray[np.float64]", scores: "npt.NDArray[np.float64]") -> Invariance:
    largest = float(abs(changed - scores).max(initial=0.0))
    return Invariance(name, largest, largest <= _SAME)


def latency(candidate: Candidate, data: "TrainingData") -> dict[str, float]:
    """Microseconds for one row by itself: the median and the 95th percentile of some rows."""
    import numpy as np

    matrix = data.X.select(candidate.features).head(_SINGLE_ROWS).to_numpy().astype(np.float32)
    took = []
    for row in range(len(matrix)):
        began = time.perf_counter_ns()
        candidate.score_matrix(matrix[row : row + 1])
        took.append((time.perf_counter_ns() - began) / 1_000)
    return {"p50": float(np.median(took)), "p95": float(np.quantile(took, 0.95)), "rows": float(len(took))}
