"""Decisions against scores, pure: as many yes for both, by blocks, and where nothing can be said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.errors import Invalid
from clew.monitoring.decisions import judge_decisions, judge_scores, labels_follow

DAYS = np.repeat(np.arange(28), 40)


def world(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """The true chance of each row, and what came."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(1, 3, len(DAYS))
    return chance, rng.random(len(DAYS)) < chance


def test_who_knows_the_chances_decides_better_than_who_guesses() -> None:
    chance, labels = world()
    guessed = np.random.default_rng(1).random(len(DAYS)) < 0.3
    found = judge_decisions(labels, guessed, chance, DAYS)
    assert (found.word, found.blocks, found.rows) == ("better", 28, len(DAYS))
    assert found.theirs is not None and found.ours is not None and found.theirs > found.ours + 0.05
    turned = judge_decisions(labels, chance >= np.sort(chance)[-len(DAYS) // 4], 1 - chance, DAYS)
    assert turned.word == "worse"


def test_the_same_decisions_are_no_worse() -> None:
    chance, labels = world()
    found = judge_decisions(labels, chance > 0.4, chance, DAYS)
    assert (found.word, found.difference and found.difference.estimate) == ("no worse", 0.0)


@given(st.integers(1, 1_119), st.integers(0, 5))
def test_both_say_yes_as_often(times: int, seed: int) -> None:
    chance, labels = world(seed)
    decided = np.zeros(len(DAYS), np.bool_)
    decided[:times] = True
    found = judge_decisions(labels, decided, chance, DAYS)
    assert found.threshold is not None
    assert (chance >= found.threshold).sum() == times


def test_a_threshold_that_is_given_is_kept_to() -> None:
    chance, labels = world()
    found = judge_decisions(labels, chance > 0.4, chance, DAYS, threshold=0.5)
    assert (found.threshold, found.ours) == (0.5, float(((chance >= 0.5) != labels).mean()))


def test_scores_of_another_system_are_held_against_by_log_loss() -> None:
    chance, labels = world()
    better = judge_scores(labels, np.full(len(DAYS), labels.mean()), chance, DAYS)
    assert (better.word, better.measure, better.threshold) == ("better", "log loss", None)
    assert judge_scores(labels, chance, 1 - chance, DAYS).word == "worse"


@pytest.mark.parametrize("blocks", [0, 1, 13])
def test_few_days_say_nothing(blocks: int) -> None:
    chance, labels = world()
    some = blocks > DAYS
    found = judge_decisions(labels[some], np.arange(some.sum()) % 2 == 0, chance[some], DAYS[some])
    assert (found.word, found.blocks) == ("not enough data yet", blocks)


def test_who_says_the_same_of_all_tells_nothing_apart() -> None:
    chance, labels = world()
    assert judge_decisions(labels, np.ones(len(DAYS), np.bool_), chance, DAYS).word == "not enough data yet"
    assert judge_decisions(labels, np.zeros(len(DAYS), np.bool_), chance, DAYS).word == "not enough data yet"


def test_an_interval_that_says_neither_is_not_enough() -> None:
    rng = np.random.default_rng(3)
    labels, decided = rng.random(len(DAYS)) < 0.5, rng.random(len(DAYS)) < 0.5
    assert judge_decisions(labels, decided, rng.random(len(DAYS)), DAYS, margin=1e-6).word == "not enough data yet"


def test_a_margin_is_above_zero() -> None:
    chance, labels = world()
    with pytest.raises(Invalid, match="above zero"):
        judge_scores(labels, chance, chance, DAYS, margin=0)


def test_equal_deciders_are_told_apart_about_as_seldom_as_the_interval_says() -> None:
    """Two that know the chances equally badly: *better* or *worse* by chance in about 5 % together."""
    wrong = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        chance, labels = world(seed)
        one, other = (chance + rng.normal(0, 0.3, len(DAYS)) for _ in range(2))
        wrong += judge_decisions(labels, one >= np.sort(one)[-300], other, DAYS).word in ("better", "worse")
    assert wrong / 300 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)


def test_labels_that_come_by_decision_are_noticed() -> None:
    assert labels_follow(100, 97, 100, 3)
    assert labels_follow(100, 3, 100, 97)
    assert not labels_follow(100, 97, 100, 90)
    assert not labels_follow(0, 0, 100, 90)
