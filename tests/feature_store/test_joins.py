"""Point-in-time joins against brute force."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from clew.feature_store.joins import NEVER, SortedPairs, as_of

times = st.integers(-5, 15)
codes = st.integers(-1, 3)


def ints(values: object) -> np.ndarray:
    return np.array(values, dtype=np.int64).reshape(-1)


def newest_known(events: list[tuple[int, int, int]], code: int, time: int) -> int:
    """What ``as_of`` says in its docstring, word by word."""
    best = -1
    for index, (of, happened, known) in enumerate(events):
        if code >= 0 and of == code and happened <= time and known <= time and (best < 0 or (happened, known) >= events[best][1:]):
            best = index
    return best


@given(st.lists(st.tuples(codes, times, times)), st.lists(st.tuples(codes, times)))
def test_the_join_gives_the_newest_event_as_known_at_each_request(
    events: list[tuple[int, int, int]], requests: list[tuple[int, int]]
) -> None:
    found = as_of(
        ints([code for code, _ in requests]),
        ints([time for _, time in requests]),
        ints([code for code, _, _ in events]),
        ints([time for _, time, _ in events]),
        ints([known for _, _, known in events]),
    )
    assert found.tolist() == [newest_known(events, code, time) for code, time in requests]


def test_an_event_without_a_known_time_is_never_seen() -> None:
    assert as_of(ints([0]), ints([10**15]), ints([0, 0]), ints([1, 5]), ints([1, NEVER])).tolist() == [0]


def test_an_older_event_that_becomes_known_later_does_not_hide_a_newer_one() -> None:
    assert as_of(ints([0]), ints([9]), ints([0, 0]), ints([5, 3]), ints([5, 8])).tolist() == [0]


@given(st.lists(st.tuples(st.integers(0, 3), times)), st.lists(st.tuples(st.integers(0, 3), times)), st.booleans())
def test_bisection_counts_the_pairs_before(pairs: list[tuple[int, int]], asked: list[tuple[int, int]], far: bool) -> None:
    stretch = 10**18 if far else 1  # so far apart that code and time no longer fit one integer, and ranks stand in
    pairs = [(code, time // 6 * stretch) for code, time in pairs]
    asked = [(code, time // 6 * stretch) for code, time in asked]
    ordered = SortedPairs(ints([code for code, _ in pairs]), ints([time for _, time in pairs]))
    positions = ordered.first_at_or_after(ints([code for code, _ in asked]), ints([time for _, time in asked]))
    assert positions.tolist() == [sum(pair < one for pair in pairs) for one in asked]
