"""Windows, offline and online, against brute force and against each other."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clew.feature_store.recent import RecentEvents
from clew.feature_store.windows import EventColumn, Events, WindowFunction, sliding

AGGREGATES: list[tuple[WindowFunction, str | None]] = [
    ("count", None), ("sum", "whole"), ("mean", "whole"), ("sum", "real"), ("mean", "real"),
    ("min", "real"), ("max", "real"), ("max", "whole"),
]  # fmt: skip
COLUMNS = {"whole": 0, "real": 1}

wholes, reals = st.none() | st.integers(-(10**9), 10**9), st.none() | st.floats(-1e9, 1e9, width=32)
event = st.tuples(st.integers(-1, 2), st.integers(0, 20), st.integers(0, 25), wholes, reals)
Event = tuple[int, int, int, int | None, float | None]


def columns_of(events: list[Event]) -> Events:
    def column(position: int, dtype: type) -> EventColumn:
        values = [one[position] for one in events]
        present = np.array([value is not None for value in values], bool)
        return EventColumn(np.array([value or 0 for value in values], dtype).reshape(-1), present)

    def ints(position: int) -> np.ndarray:
        return np.array([one[position] for one in events], np.int64).reshape(-1)

    return Events(ints(0), ints(1), ints(2), {"whole": column(3, np.int64), "real": column(4, np.float64)})


def brute(events: list[Event], code: int, time: int, width: int, function: str, column: str | None) -> float | int | None:
    inside = [one for one in events if code >= 0 and one[0] == code and time - width < one[1] <= time and one[2] <= time]
    if column is None:
        return len(inside)
    values = [one[3 if column == "whole" else 4] for one in inside]
    present = [Fraction(value) for value in values if value is not None]
    if function == "sum":
        return int(sum(present)) if column == "whole" else float(sum(present))
    if not present:
        return None
    return float(sum(present) / len(present) if function == "mean" else min(present) if function == "min" else max(present))


def same(found: float | int | None, expected: float | int | None) -> bool:
    if expected is None:
        return found is None or math.isnan(found)
    if isinstance(expected, int):
        return found == expected
    return found is not None and math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-12)


@settings(max_examples=150, deadline=None)
@given(st.lists(event, max_size=25), st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 30)), max_size=12), st.integers(1, 12))
def test_a_window_holds_exactly_what_was_known_in_it(events: list[Event], requests: list[tuple[int, int]], width: int) -> None:
    codes, times = (np.array([one[position] for one in requests], np.int64).reshape(-1) for position in (0, 1))
    offline = sliding(codes, times, columns_of(events), width, AGGREGATES)
    for row, (code, time) in enumerate(requests):
        for (function, column), found in zip(AGGREGATES, offline, strict=True):
            assert same(found[row].item(), brute(events, code, time, width, function, column)), (function, column)


@settings(max_examples=150, deadline=None)
@given(st.lists(event, max_size=25), st.lists(st.integers(0, 30), max_size=12), st.integers(1, 12))
def test_online_windows_agree_with_brute_force_whatever_the_order_of_arrival(events: list[Event], times: list[int], width: int) -> None:
    recent = RecentEvents((True, False))
    ours = [one for one in events if one[0] == 0]
    for _, happened, known, whole, real in ours:
        recent.add(happened, known, (whole, real))
    for time in times:
        found = recent.window(time, width, [(function, COLUMNS.get(column or "", 0)) for function, column in AGGREGATES])
        for (function, column), value in zip(AGGREGATES, found, strict=True):
            assert same(value, brute(ours, 0, time, width, function, column)), (function, column)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 25)), max_size=20, unique=True), st.integers(0, 30), st.integers(0, 20))
def test_the_last_value_is_the_newest_as_known(events: list[tuple[int, int]], time: int, forget: int) -> None:
    recent = RecentEvents((False,))
    events = [(happened, max(happened, known)) for happened, known in events]
    for number, (happened, known) in enumerate(events):
        recent.add(happened, known, (float(number),))
    recent.forget_before(forget)
    visible = [(happened, known, number) for number, (happened, known) in enumerate(events) if forget <= happened and known <= time]
    found = recent.last(time)
    assert (found is None) == (not visible)
    if found is not None:
        assert found[0] == max(visible)[0]
        assert (found[0], max(known for happened, known, _ in visible if happened == found[0])) == events[int(found[1][0] or 0)]


def test_a_window_does_not_feel_what_lies_outside_it() -> None:
    """Prefix sums of floats would answer 0.0 here: 1e16 swallows a tenth."""
    values = np.array([1e16, 0.1, -1e16, 0.1])
    events = Events(np.zeros(4, np.int64), np.arange(4), np.arange(4), {"x": EventColumn(values, np.ones(4, bool))})
    offline = sliding(np.zeros(2, np.int64), np.array([1, 3]), events, 1, [("sum", "x")])[0]
    assert offline == pytest.approx([0.1, 0.1], rel=1e-12)


def test_forgetting_keeps_the_windows_that_remain() -> None:
    recent = RecentEvents((True,))
    for time in range(100):
        recent.add(time, time, (time,))
    recent.forget_before(50)
    assert recent.window(99, 10, [("count", 0), ("sum", 0)]) == [10, sum(range(90, 100))]
    assert recent.first_time == 50
