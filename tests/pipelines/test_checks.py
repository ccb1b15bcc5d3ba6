"""The measurements of a gate's report, each by itself."""

import numpy as np
import pytest

from clew.pipelines.checks import calibration


def test_a_calibrated_model_lies_on_the_line_and_a_boastful_one_does_not() -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.05, 0.6, 20_000)
    labels, blocks = (rng.random(20_000) < truth).astype(int), np.arange(20_000) // 700
    honest = calibration(labels, truth, blocks)
    assert sum(one.low <= one.predicted <= one.high for one in honest) >= 8
    boastful = calibration(labels, np.clip(truth * 1.5, 0, 1), blocks)
    assert sum(one.predicted > one.high for one in boastful) >= 8
    assert sum(one.rows for one in honest) == 20_000


def test_repeated_scores_make_fewer_bins() -> None:
    scores = np.repeat([0.2, 0.8], 500)
    bins = calibration((scores > 0.5).astype(int), scores, np.arange(1_000) % 10)
    assert [(one.predicted, one.observed) for one in bins] == [pytest.approx((0.2, 0)), pytest.approx((0.8, 1))]
