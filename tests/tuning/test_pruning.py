"""Trials are cut short where others show that they lag, and never at their last step."""

import pytest

from clew.tuning.pruning import MedianRule

CURVE = {1: 0.6, 2: 0.7, 3: 0.8}


@pytest.mark.parametrize(
    ("others", "curve", "step", "cut"),
    [
        (4, {1: 0.5, 2: 0.55}, 2, True),
        (4, {1: 0.5, 2: 0.66}, 2, False),  # better than the mean of 0.6 and 0.7
        (3, {1: 0.1, 2: 0.1}, 2, False),  # too few to tell
        (4, {1: 0.1}, 1, False),  # one point is no curve
        (4, {1: 0.1, 2: 0.1, 3: 0.1}, 3, False),  # nothing is left to save
    ],
)
def test_a_trial_is_cut_where_it_lags(others: int, curve: dict[int, float], step: int, cut: bool) -> None:
    assert MedianRule("auc", "maximize", (CURVE,) * others).cuts(curve, step) is cut


def test_a_loss_lags_when_it_is_higher() -> None:
    rule = MedianRule("loss", "minimize", ({1: 1.0, 2: 0.5, 3: 0.4},) * 4)
    assert rule.cuts({1: 1.2, 2: 0.9}, 2)
    assert not rule.cuts({1: 1.2, 2: 0.7}, 2)


def test_a_metric_that_is_logged_once_is_never_cut() -> None:
    assert not MedianRule("auc", "maximize", ({0: 0.8},) * 8).cuts({0: 0.1}, 0)
