"""The performance alert: the shuffles are those of scipy, a run alarms as often as it says, and too few blocks say so."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from clew.errors import Invalid
from clew.monitoring.performance_alert import (
    can_judge,
    complete_windows,
    fewest_reference,
    look_at_auc,
    look_at_mean,
    most_reference,
    too_few,
    would_do,
)


def test_the_p_value_is_that_of_scipys_permutation_test() -> None:
    rng = np.random.default_rng(0)
    reference, window = rng.normal(0.4, 0.05, 20), rng.normal(0.43, 0.05, 10)
    found = look_at_mean(np.r_[reference, window], np.arange(30), np.arange(30) >= 20, looks=1)
    exact = stats.permutation_test(
        (window, reference), lambda one, other: one.mean() - other.mean(), alternative="greater", n_resamples=9_999, rng=1
    )
    assert found.p_value == pytest.approx(exact.pvalue, abs=0.02)
    assert (found.reference, found.window) == pytest.approx((reference.mean(), window.mean()))


def test_a_block_counts_once_however_many_rows_it_has() -> None:
    values = np.random.default_rng(1).normal(size=24)
    once = look_at_mean(values, np.arange(24), np.arange(24) >= 18, looks=4)
    often = look_at_mean(np.repeat(values, 40), np.repeat(np.arange(24), 40), np.repeat(np.arange(24) >= 18, 40), looks=4)
    assert (once.p_value, once.word) == (often.p_value, often.word)
    assert (once.rows, often.rows, often.reference_blocks, often.window_blocks) == (6, 240, 18, 6)


def test_a_run_of_looks_alarms_by_chance_no_more_often_than_stated() -> None:
    rng, alarms = np.random.default_rng(2), 0
    for _ in range(100):
        weeks = rng.gamma(4, 0.1, 12 + 4 * 6)  # the looks share one reference, and losses are skewed
        alarms += any(
            look_at_mean(np.r_[weeks[:12], weeks[window.start : window.stop]], np.arange(16), np.arange(16) >= 12, looks=6, rate=0.1).word
            == "worse"
            for window in complete_windows(12, 36, 4)
        )
    assert alarms / 100 <= 0.1


def test_the_figure_alarms_when_it_passes_the_threshold() -> None:
    rng = np.random.default_rng(3)
    said = set()
    for shift in np.linspace(0, 0.12, 25):
        weeks = rng.normal(0.4, 0.05, 16) + shift * (np.arange(16) >= 12)
        found = look_at_mean(weeks, np.arange(16), np.arange(16) >= 12, looks=9)
        assert found.threshold is not None
        assert (found.word == "worse") == (found.window > found.threshold + 1e-12)
        said.add(found.word)
    assert said == {"worse", "not worse"}


@given(st.integers(0, 1_000))
def test_auc_is_that_of_scikit_learn_on_both_sides(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blocks = np.repeat(np.arange(10), 12)
    labels, scores, recent = rng.random(120) < 0.4, rng.integers(0, 6, 120).astype(float), blocks >= 7
    if len(set(labels[recent])) < 2 or len(set(labels[~recent])) < 2:
        return
    found = look_at_auc(labels, scores, blocks, recent, looks=2)
    assert found.window == pytest.approx(roc_auc_score(labels[recent], scores[recent]))
    assert found.reference == pytest.approx(roc_auc_score(labels[~recent], scores[~recent]))


def test_a_model_that_lost_its_ranking_is_worse_and_one_that_kept_it_is_not() -> None:
    rng = np.random.default_rng(4)
    blocks = np.repeat(np.arange(16), 300)
    labels = rng.random(len(blocks)) < 0.25
    good = labels + rng.normal(0, 1, len(blocks))
    lost = np.where(blocks >= 12, rng.normal(0, 1, len(blocks)), good)
    assert look_at_auc(labels, good, blocks, blocks >= 12, looks=9).word == "not worse"
    assert look_at_auc(labels, lost, blocks, blocks >= 12, looks=9).word == "worse"


def test_a_better_window_is_no_alarm() -> None:
    losses = np.r_[np.full(12, 0.5), np.full(4, 0.1)] + np.random.default_rng(5).normal(0, 0.01, 16)
    assert look_at_mean(losses, np.arange(16), np.arange(16) >= 12, looks=9).word == "not worse"


def test_four_weeks_against_four_cannot_hold_five_per_cent_a_year_and_say_so() -> None:
    # There are 70 ways to choose them, and a look among nine may alarm in one of 180.
    losses = np.r_[np.full(4, 0.1), np.full(4, 0.9)]
    found = look_at_mean(losses, np.arange(8), np.arange(8) >= 4, looks=9)
    assert (found.word, found.threshold) == ("not enough data yet", None)


@pytest.mark.parametrize(
    ("window", "looks", "rate", "fewest"), [(2, 12, 0.05, 21), (2, 24, 0.05, 30), (4, 12, 0.05, 7), (4, 24, 0.05, 8), (1, 1, 0.1, 9)]
)
def test_the_fewest_weeks_that_can_be_judged_are_those_from_which_a_look_has_a_word(
    window: int, looks: int, rate: float, fewest: int
) -> None:
    assert fewest_reference(window, looks=looks, rate=rate) == fewest
    for reference in (fewest - 1, fewest):
        weeks = np.arange(reference + window)
        found = look_at_mean(weeks, weeks, weeks >= reference, looks=looks, rate=rate)
        assert (found.word != "not enough data yet") == can_judge(reference, window, looks=looks, rate=rate) == (reference == fewest)


@given(st.integers(0, 6), st.integers(1, 5), st.integers(1, 40), st.integers(1, 2))
def test_each_length_that_would_do_does_and_one_less_does_not(held: int, window: int, looks: int, metrics: int) -> None:
    def does(held: int, window: int, looks: int) -> bool:
        return can_judge(most_reference(held, window), window, looks=looks * metrics, rate=0.05)

    if does(held, window, looks):
        return
    told = would_do(held, window, looks=looks, rate=0.05, metrics=metrics)
    read = re.fullmatch(r"a holdout of (\d+) weeks?(?:,| or) a window of (\d+) weeks?(?: or (\d+) looks? a run)? would do", told)
    assert read is not None, told
    longer, wider, fewer = (int(number or 0) for number in read.groups())
    assert does(longer, window, looks) and not does(longer - 1, window, looks)
    assert does(held, wider, looks) and not does(held, wider - 1, looks)
    assert (not fewer or does(held, window, fewer)) and not does(held, window, fewer + 1)


def test_weeks_that_are_too_few_say_whether_more_of_them_come_and_what_would_do_if_not() -> None:
    few = "3 weeks of unseen rows and 2 weeks of the window are too few for that rate"
    assert too_few(3, 2, 3, looks=12, rate=0.05, metrics=2) == (
        f"{few}, and so are the 9 weeks that there can be as the version ages: a holdout of 24 weeks, a window of 4 weeks or 1 look a run would do"
    )
    assert (
        too_few(3, 2, 3, looks=1, rate=0.05) == f"{few}: 5 weeks of unseen rows would do, and as the version ages there are up to 9 weeks"
    )
    assert too_few(9, 2, 3, looks=2, rate=0.05) == ""
    assert "10 days of unseen rows and 20 days of the window" in too_few(1, 2, 1, looks=12, rate=0.05, unit=10)


def test_windows_without_one_of_the_classes_have_not_enough() -> None:
    blocks = np.repeat(np.arange(16), 5)
    found = look_at_auc(np.where(blocks < 12, np.arange(80) % 2, 0), np.arange(80.0), blocks, blocks >= 12, looks=1)
    assert found.word == "not enough data yet"


@given(st.integers(0, 50), st.integers(0, 60), st.integers(1, 10))
def test_windows_are_disjoint_complete_and_in_order(since: int, length: int, size: int) -> None:
    found = complete_windows(since, since + length, size)
    assert [block for window in found for block in window] == list(range(since, since + length // size * size))
    assert all(len(window) == size for window in found)


def test_what_is_no_look_is_refused() -> None:
    with pytest.raises(Invalid, match="whole blocks"):
        look_at_mean([1.0, 2.0, 3.0], np.array([0, 1, 1]), np.array([False, False, True]), looks=1)
    with pytest.raises(Invalid, match="blocks in the window"):
        look_at_mean([1.0, 2.0], np.array([0, 1]), np.array([False, False]), looks=1)
    with pytest.raises(Invalid, match="at least one look"):
        look_at_mean([1.0, 2.0], np.array([0, 1]), np.array([False, True]), looks=0)
    with pytest.raises(Invalid, match="at least one block"):
        complete_windows(0, 10, 0)
    with pytest.raises(Invalid, match="one value, block and side"):
        look_at_mean([1.0], np.array([0, 1]), np.array([False, True]), looks=1)
