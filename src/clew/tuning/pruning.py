"""Cutting a trial short whose curve lags behind those of its study.

The median rule of Golovin et al. (2017), *Google Vizier: A Service for Black-Box Optimization*, section 3.2.2.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["MedianRule"]

_LEAST_CURVES = 4
_LEAST_POINTS = 2


@dataclass(frozen=True)
class MedianRule:
    """``curves`` are step to value of the metric in trials that were finished before this one was asked: the same for any machine."""

    metric: str
    direction: Literal["maximize", "minimize"]
    curves: tuple[Mapping[int, float], ...]

    def cuts(self, curve: Mapping[int, float], step: int) -> bool:
        """Whether the best value up to ``step`` is worse than the median of the others' running means at that step.

        Only where at least four others went on beyond that step: a value that ends a trial saves nothing when it is refused.

        >>> rule = MedianRule("auc", "maximize", ({1: 0.7, 2: 0.8, 3: 0.8},) * 4)
        >>> rule.cuts({1: 0.5, 2: 0.6}, 2), rule.cuts({1: 0.5, 2: 0.9}, 2), rule.cuts({1: 0.5, 2: 0.6, 3: 0.6}, 3)
        (True, False, False)
        """
        others = [[value for at, value in other.items() if at <= step] for other in self.curves if max(other, default=step) > step]
        means = [statistics.fmean(values) for values in others if values]
        if len(means) < _LEAST_CURVES or len(curve) < _LEAST_POINTS:
            return False
        if self.direction == "maximize":
            return max(curve.values()) < statistics.median(means)
        return min(curve.values()) > statistics.median(means)
