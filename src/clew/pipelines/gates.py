"""What every gate reports beside its verdict: figures with intervals, slices, calibration, latency, and each feature view missing.

Sources
-------
Holm (1979), *A simple sequentially rejective multiple test procedure*: slices are judged together.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clew.errors import Refused

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from clew.feature_store.training_data import TrainingData
    from clew.pipelines.comparison import Candidate

__all__ = ["CalibrationBin", "MissingView", "Slice", "check_unseen", "holm", "report"]

_MINIMUM_ROWS = 200
_MAX_SLICES = 12
_BINS = 10
_LATENCY_ROWS = 200
_LEVEL = 0.95


@dataclass(frozen=True)
class Slice:
    """Mean log loss of the rows with one value of a column, against all others; ``differs`` after Holm's correction."""

    column: str
    value: str
    rows: int
    log_loss: float
    low: float
    high: float
    positives: float
    predicted: float
    differs: bool


@dataclass(frozen=True)
class CalibrationBin:
    """Rows of one tenth of the scores: what was predicted, what came."""

    predicted: float
    observed: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class MissingView:
    """What the model says when one view brings nothing: log loss and mean score, with and without it."""

    view: str
    log_loss: float
    log_loss_without: float
    mean_score: float
    mean_score_without: float


def check_unseen(name: str, seen_until: datetime | None, rows: "TrainingData") -> None:
    """Raise ``Refused`` when the gate's rows touch the range that a version was trained or tuned on."""
    if seen_until is None:
        return
    first = rows.time.min()
    if isinstance(first, datetime) and first <= seen_until:
        raise Refused(
            f"the gate's rows begin at {first.isoformat()}, and {name} has seen rows up to {seen_until.isoformat()}: a model scores too well "
            "on rows that it was trained on. Use a holdout that begins later",
            model=name,
        )


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which hypotheses fall at family-wise error ``alpha`` (Holm 1979).

    >>> holm([0.001, 0.04, 0.03], 0.05)
    [True, False, False]
    """
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    rejected = [False] * len(p_values)
    for rank, index in enumerate(order):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected


def report(candidate: "Candidate", data: "TrainingData", views: Mapping[str, Sequence[str]], slices: Sequence[str] = ()) -> dict[str, Any]:
    """All figures of one version on the gate's rows, as a JSON document. ``views`` maps each view to its feature columns."""
    from clew.pipelines.comparison import clipped_log_loss
    from clew.pipelines.intervals import auc_interval, blocked_mean

    scores, labels, blocks = candidate.score(data), data.y, data.blocks()
    losses = clipped_log_loss(labels, scores)
    return {
        "auc": asdict(auc_interval(labels, scores, blocks)),
        "log_loss": asdict(blocked_mean(losses, blocks)),
        "unit": "days" if data.block == "1d" else f"blocks of {data.block}",
        "slices": [asdict(one) for one in _slices(data, slices, losses, scores)],
        "calibration": [asdict(one) for one in _calibration(labels, scores, blocks)],
        "missing_views": [asdict(one) for one in _missing_views(candidate, data, views, losses, scores)],
        "latency_us": _latency(candidate, data),
    }


def _slices(
    data: "TrainingData", columns: Sequence[str], losses: "npt.NDArray[np.float64]", scores: "npt.NDArray[np.float64]"
) -> list[Slice]:
    from scipy import stats

    from clew.pipelines.intervals import blocked_mean

    frame, blocks, found, p_values = data.frame(), data.blocks(), [], []
    overall = float(losses.mean())
    for column in columns:
        counts = frame[column].value_counts(sort=True).head(_MAX_SLICES)
        for value, rows in counts.iter_rows():
            mask = (frame[column] == value).fill_null(value=False).to_numpy()
            if rows < _MINIMUM_ROWS or len(set(blocks[mask])) < 2:
                continue
            # The slice's loss against the whole: each row's distance from the overall mean, so that days stay paired.
            interval = blocked_mean(losses[mask], blocks[mask], level=_LEVEL)
            error = (interval.high - interval.estimate) / float(stats.t.ppf((1 + _LEVEL) / 2, interval.blocks - 1))
            t = abs(interval.estimate - overall) / error if error > 0 else 0.0
            p_values.append(float(2 * stats.t.sf(t, interval.blocks - 1)))
            positives, predicted = float(data.y[mask].mean()), float(scores[mask].mean())
            found.append((column, str(value), int(rows), interval.estimate, interval.low, interval.high, positives, predicted))
    return [Slice(*fields, differs) for fields, differs in zip(found, holm(p_values, 1 - _LEVEL), strict=True)]


def _calibration(
    labels: "npt.NDArray[Any]", scores: "npt.NDArray[np.float64]", blocks: "npt.NDArray[np.int64]"
) -> list[CalibrationBin]:
    import numpy as np

    from clew.pipelines.intervals import blocked_mean

    edges = np.unique(np.quantile(scores, np.linspace(0, 1, _BINS + 1)[1:-1]))
    tenth = np.searchsorted(edges, scores, "right")
    bins = []
    for number in range(len(edges) + 1):
        mask = tenth == number
        if mask.any() and len(set(blocks[mask])) > 1:
            observed = blocked_mean(labels[mask], blocks[mask])
            bins.append(CalibrationBin(float(scores[mask].mean()), observed.estimate, observed.low, observed.high, int(mask.sum())))
    return bins


def _missing_views(
    candidate: "Candidate", data: "TrainingData", views: Mapping[str, Sequence[str]], losses: "npt.NDArray[np.float64]", scores: "npt.NDArray[np.float64]"
) -> list[MissingView]:
    import numpy as np

    from clew.pipelines.comparison import clipped_log_loss

    matrix = data.X.select(candidate.features).to_numpy()
    found = []
    for view, columns in views.items():
        blanked = np.array(matrix, dtype=np.float32)
        blanked[:, [candidate.features.index(column) for column in columns if column in candidate.features]] = np.nan
        without = candidate.score_matrix(blanked)
        loss = float(clipped_log_loss(data.y, without).mean())
        found.append(MissingView(view, float(losses.mean()), loss, float(scores.mean()), float(without.mean())))
    return found


def _latency(candidate: "Candidate", data: "TrainingData") -> dict[str, float]:
    """Microseconds for one row by itself: the median and the 95th percentile of some rows."""
    import numpy as np

    matrix = data.X.select(candidate.features).head(_LATENCY_ROWS).to_numpy().astype(np.float32)
    took = []
    for row in range(len(matrix)):
        began = time.perf_counter_ns()
        candidate.score_matrix(matrix[row : row + 1])
        took.append((time.perf_counter_ns() - began) / 1_000)
    return {"p50": float(np.median(took)), "p95": float(np.quantile(took, 0.95)), "rows": float(len(took))}
