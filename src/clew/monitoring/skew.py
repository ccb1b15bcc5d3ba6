"""Served features against recomputed ones, cell by cell. Pure: arrays in, values out."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from clew.monitoring.schema import FeatureSkew

__all__ = ["TOLERANCE", "compare", "differences"]

TOLERANCE = 1e-6
"""float32 holds seven digits; online and offline may round the last one differently, and nothing more."""

Matrix = npt.NDArray[np.float32]


def differences(served: Matrix, recomputed: Matrix) -> npt.NDArray[np.float64]:
    """``(n_rows, n_features)``: absolute differences relative to the larger value, or to 1; infinite where one side only is missing.

    >>> differences(np.float32([[1, np.nan]]), np.float32([[2, np.nan]])).tolist()
    [[0.5, 0.0]]
    """
    one, other = served.astype(np.float64), recomputed.astype(np.float64)
    absent, missing = np.isnan(one), np.isnan(other)
    with np.errstate(invalid="ignore"):
        distance = np.abs(one - other) / np.maximum(1.0, np.maximum(np.abs(one), np.abs(other)))
    distance[one == other] = 0.0  # equal infinities among them
    distance[absent & missing] = 0.0
    distance[absent ^ missing] = np.inf
    return distance


def compare(
    served: Matrix, recomputed: Matrix, features: Sequence[tuple[str, str]], identifiers: Sequence[str], *, tolerance: float = TOLERANCE
) -> list[FeatureSkew]:
    """For each feature (name, view) what differs; the example is the row that differs most, by its prediction id."""
    if not len(served):
        return [FeatureSkew(name, view, 0, 0, 0.0) for name, view in features]
    distance = differences(served, recomputed)
    found = []
    for column, (name, view) in enumerate(features):
        one = distance[:, column]
        worst = int(one.argmax())
        differing = int((one > tolerance).sum())
        largest = float(one[worst]) if np.isfinite(one[worst]) else None
        shown = (identifiers[worst], _value(served[worst, column]), _value(recomputed[worst, column])) if differing else (None, None, None)
        found.append(FeatureSkew(name, view, len(one), differing, largest, *shown))
    return found


def _value(value: np.float32) -> float | None:
    return None if np.isnan(value) else float(value)
