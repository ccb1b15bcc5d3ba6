"""What a version is held against: the rows that it was trained on, and those that were held out from it."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from clew.clock import to_micros
from clew.datasets.bins import ORDERED, Bins
from clew.datasets.profile import Profile, profile
from clew.errors import NotFound
from clew.feature_store.schema import TrainingSetDetails, UsedView
from clew.feature_store.training_data import block_numbers
from clew.monitoring.due import QUARTERS_A_DAY
from clew.monitoring.findings import PREDICTIONS, Impact, Integers, Labelled
from clew.operations import Context
from clew.registry.runtime import load_onnx
from clew.registry.service import model_version
from clew.serving.schema import RouteDocument

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Reference", "frame_of", "null_rows", "of_first_answers", "reference_of", "worst_share"]

Matrix = npt.NDArray[np.float32]

_MOST_KEPT = 8
_LEAST_ROWS = 20
"""A span with fewer rows says nothing about how often a view has nothing."""


@dataclass(frozen=True)
class Reference:
    """Of one version. ``profile`` is of its features, and of ``predictions`` of held-out rows; ``weeks`` are histograms of the same columns,
    ``(weeks, cells)`` each, oldest first. ``null_rates`` is the most that is missing of each view in a quarter of a day (see ``worst_share``); ``positions`` are the view's columns."""

    profile: Profile
    weeks: dict[str, Integers]
    impacts: dict[str, Impact]
    held: Labelled
    null_rates: dict[str, float | None]
    positions: dict[str, list[int]]
    views: dict[str, str]


_kept: OrderedDict[tuple[str, str, str, int], Reference] = OrderedDict()
"""A version never changes, nor does what it is held against. Few are looked at, and each by many looks."""


def reference_of(context: Context, document: RouteDocument, training: TrainingSetDetails) -> Reference:
    """Computed when first asked for; ``context`` is outside of any transaction."""
    key = (context.database.name, context.project, document.model, document.number)
    found = _kept.get(key)
    if found is None:
        found = _kept[key] = _compute(context, document, training)
        while len(_kept) > _MOST_KEPT:
            _kept.popitem(last=False)
    return found


def of_first_answers(scores: npt.NDArray[np.float64]) -> Reference:
    """Of an existing system, of which nothing is known but its answers: the first of them make the bins, and no week was before it."""
    import polars as pl

    whole = profile(pl.DataFrame({PREDICTIONS: scores.astype(np.float32)}))
    bins = whole[PREDICTIONS].bins
    impact = _impact(_cells_of(bins, scores.astype(np.float32)), _cell_count(bins), scores)
    none = Labelled(np.empty(0), np.empty(0), np.empty(0, np.int64))
    return Reference(whole, {PREDICTIONS: np.zeros((0, _cell_count(bins)), np.int64)}, {PREDICTIONS: impact}, none, {}, {}, {})


def _compute(context: Context, document: RouteDocument, training: TrainingSetDetails) -> Reference:
    import polars as pl

    features = document.features
    rows = context.tables.scan(training.pin).select(*dict.fromkeys([training.time, training.label, *features])).collect()
    frame = rows.select(pl.col(features).cast(pl.Float32))
    matrix = _matrix(frame)
    days = block_numbers(rows[training.time], "1d", training.zone)
    whole = profile(frame)
    bins = {column.name: column.bins for column in whole.columns}
    cells = {name: _cells_of(bins[name], matrix[:, place]) for place, name in enumerate(features)}
    weeks = {name: _by_week(cells[name], _cell_count(bins[name]), days) for name in features}
    held, impacts = _held(context, document, training, rows, matrix, days), {}
    if len(held):
        unseen = _is_held(training, rows)
        impacts = {name: _impact(cells[name][unseen], _cell_count(bins[name]), held.scores) for name in features}
        scores = pl.DataFrame({PREDICTIONS: held.scores.astype(np.float32)})
        whole = replace(whole, columns=(*whole.columns, *profile(scores).columns))
        bins[PREDICTIONS] = whole[PREDICTIONS].bins
        found = _cells_of(bins[PREDICTIONS], held.scores.astype(np.float32))
        weeks[PREDICTIONS] = _by_week(found, _cell_count(bins[PREDICTIONS]), held.days)
        impacts[PREDICTIONS] = _impact(found, _cell_count(bins[PREDICTIONS]), held.scores)
    views = {name: use.view for use in training.views for name in use.columns}
    positions = {name: places for use in training.views if (places := _places(use, features)) for name in (f"{use.prefix}{use.view}",)}
    quarters = block_numbers(rows[training.time], f"{24 // QUARTERS_A_DAY}h", training.zone)
    rates = {name: worst_share(null_rows(matrix, places), quarters) for name, places in positions.items()}
    return Reference(whole, weeks, impacts, held, rates, positions, views)


def frame_of(matrix: Matrix, names: Sequence[str]) -> "pl.DataFrame":
    """The columns of a model's matrix, with nothing where a number is missing."""
    import polars as pl

    return pl.DataFrame({name: matrix[:, place] for place, name in enumerate(names)}, schema=dict.fromkeys(names, pl.Float32)).fill_nan(
        None
    )


def _matrix(frame: "pl.DataFrame") -> Matrix:
    return frame.fill_null(float("nan")).to_numpy().astype(np.float32, copy=False).reshape(frame.height, frame.width)


def _places(use: UsedView, features: tuple[str, ...]) -> list[int]:
    """Where a view's columns stand in the model's matrix. What is computed from the request can't be missing for lack of rows."""
    if use.details.kind == "request":
        return []
    return [features.index(name) for name in use.columns if name in features]


def _is_held(training: TrainingSetDetails, rows: "pl.DataFrame") -> npt.NDArray[np.bool_]:
    assert training.holdout_from is not None  # the caller has asked for held-out rows
    return np.asarray(rows[training.time].dt.epoch("us").to_numpy() >= to_micros(training.holdout_from), dtype=np.bool_)


def _held(
    context: Context, document: RouteDocument, training: TrainingSetDetails, rows: "pl.DataFrame", matrix: Matrix, days: Integers
) -> Labelled:
    """The held-out rows, scored by the version that the gate judged: a refit has trained on them."""
    nothing = Labelled(np.empty(0), np.empty(0), np.empty(0, np.int64))
    if training.holdout_from is None:
        return nothing
    with context.reading() as inside:
        version = model_version(inside, document.model, document.number)
        gated = version.details.refit_of
        judged = version if gated is None else model_version(inside, gated.name, gated.number)
    seen = judged.details.seen_until
    chosen = _is_held(training, rows)
    if not chosen.any() or (seen is not None and seen >= training.holdout_from):
        return nothing
    try:
        score = load_onnx(context.blobs.path(judged.details.onnx))
    except NotFound:  # its bytes were let go: the version's row and verdict stay
        return nothing
    labels = rows[training.label].cast(float).to_numpy()[chosen]
    scores = np.asarray(score(np.ascontiguousarray(matrix[chosen])), dtype=np.float64)
    return Labelled(labels, scores, days[chosen].astype(np.int64))


# ── cells ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _cell_count(bins: Bins) -> int:
    return len(bins.edges) + 1 if bins.kind in ORDERED else len(bins.values) + 1


def _cells_of(bins: Bins, values: Matrix) -> Integers:
    """The cell of each number ``(n,)``, -1 where it is missing; the last cell of a category is for values that it didn't know."""
    numbers = values.astype(np.float64)
    if bins.kind in ORDERED:
        found = np.searchsorted(np.asarray(bins.edges, dtype=np.float64), numbers, side="right").astype(np.int64)
    else:
        known = np.array([np.float32(value) for value in bins.values], dtype=np.float64)
        order = np.argsort(known)
        place = np.searchsorted(known[order], numbers).clip(0, max(len(known) - 1, 0))
        hit = known[order][place] == numbers if len(known) else np.zeros(len(numbers), dtype=bool)
        found = np.where(hit, order[place] if len(known) else 0, len(known)).astype(np.int64)
    return np.where(np.isnan(numbers), -1, found)


def null_rows(matrix: Matrix, places: list[int]) -> npt.NDArray[np.bool_]:
    """The rows for which a view had nothing at all."""
    return np.asarray(np.isnan(matrix[:, places]).all(axis=1), dtype=np.bool_)


def _by_week(cells: Integers, count: int, days: Integers) -> Integers:
    """Histograms of whole weeks counted back from the last day, ``(weeks, cells)``, oldest first."""
    if not len(days):
        return np.zeros((0, count), dtype=np.int64)
    last = int(days.max())
    weeks = (last - int(days.min()) + 1) // 7
    week = weeks - 1 - (last - days) // 7
    there = (cells >= 0) & (week >= 0)
    flat = np.bincount(week[there] * count + cells[there], minlength=weeks * count)
    return flat.reshape(weeks, count).astype(np.int64)


def _impact(cells: Integers, count: int, scores: npt.NDArray[np.float64]) -> Impact:
    there = cells >= 0
    rows = np.bincount(cells[there], minlength=count)
    sums = np.bincount(cells[there], weights=scores[there], minlength=count)
    return Impact(np.divide(sums, rows, out=np.full(count, np.nan), where=rows > 0))


def worst_share(nulls: npt.NDArray[np.bool_], quarters: Integers) -> float | None:
    """The largest share of nothing in a quarter of a day; in a day, or a week, where there are too few rows for that.

    Each has one row of either kind added: what was never seen is not impossible. ``None`` for too few rows altogether.
    """
    for length in (1, QUARTERS_A_DAY, 7 * QUARTERS_A_DAY):
        _, codes = np.unique(quarters // length, return_inverse=True)
        rows = np.bincount(codes)
        enough = rows >= _LEAST_ROWS
        if rows[enough].sum() * 2 >= len(nulls) > 0:
            gone = np.bincount(codes, weights=nulls)
            return float(((gone + 1) / (rows + 2))[enough].max())
    return None
