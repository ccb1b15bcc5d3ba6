"""Conformal p-values: their exact distribution under exchangeability, and ties."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from clew.errors import Invalid
from clew.monitoring.conformal import p_value, sequential_p_values, sequential_ranks

SCORES = st.lists(st.integers(0, 5), min_size=1, max_size=20)


@given(SCORES, st.integers(0, 5))
def test_a_p_value_is_the_share_at_least_as_strange(others: list[int], score: int) -> None:
    # scipy counts the other way round: the share at most as strange, in per cent.
    assert p_value(score, others) == pytest.approx(1 - stats.percentileofscore([*others, score], score, kind="strict") / 100)


def test_over_all_orders_the_ranks_are_uniform_and_independent() -> None:
    found = [tuple(sequential_ranks(order, 2)[0].tolist()) for order in itertools.permutations([0.3, 0.1, 0.9, 0.5, 0.7])]
    assert {pair: found.count(pair) for pair in set(found)} == {
        triple: math.factorial(5) // (3 * 4 * 5) for triple in itertools.product(range(1, 4), range(1, 5), range(1, 6))
    }


@given(st.lists(st.integers(0, 3), min_size=2, max_size=6), st.floats(0, 1))
def test_with_ties_p_values_are_too_large_and_never_too_small(scores: list[int], level: float) -> None:
    # Over all orders of the scores, which is what exchangeability means.
    small = [sequential_p_values(order, len(scores) - 1)[0] <= level for order in itertools.permutations(scores)]
    assert np.mean(small) <= level + 1e-12


@given(SCORES, st.data())
def test_a_later_score_changes_no_earlier_rank(scores: list[int], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(scores)))
    ranks, among = sequential_ranks(scores, first)
    again = sequential_ranks([*scores, 9], first)[0]
    assert again[:-1].tolist() == ranks.tolist() and again[-1] == 1
    assert among.tolist() == list(range(first + 1, len(scores) + 1))


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(Invalid, match="finite"):
        p_value(math.nan, [1.0])
    with pytest.raises(Invalid, match="finite"):
        sequential_ranks([1.0, math.inf], 1)
    with pytest.raises(Invalid, match="index from 0 to 2"):
        sequential_ranks([1.0, 2.0], 3)
