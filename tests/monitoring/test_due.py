"""Windows by the local clock: disjoint, without a gap, the same whenever they are asked for; and every one ends when a look is due."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.definitions import MonitorDefinition
from clew.monitoring.due import first_whole_day, local_day, midnight, next_look, quarters, spans, window_days

ZONES = st.sampled_from(["UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Pacific/Apia", "America/Havana"])
TIMES = st.integers(0, 5_000 * 1_440).map(lambda minutes: datetime(2011, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes))
WATCHED = MonitorDefinition("quality", "late")


@given(TIMES, ZONES, st.integers(1, 30))
def test_windows_follow_each_other_without_a_gap(since: datetime, zone: str, days: int) -> None:
    found = spans(first_whole_day(since, zone), days, since + timedelta(days=100), zone)
    assert all(one.end == after.start for one, after in pairwise(found))
    assert not found or since <= found[0].start < since + timedelta(days=2)
    assert len(found) in (100 // days, 100 // days - 1)


@given(TIMES, ZONES, st.integers(0, 60), st.integers(0, 60))
def test_asked_earlier_there_are_the_first_of_the_same_windows(since: datetime, zone: str, early: int, late: int) -> None:
    first = first_whole_day(since, zone)
    early, late = sorted((early, late))
    all_of_them = spans(first, 7, since + timedelta(days=late), zone)
    assert spans(first, 7, since + timedelta(days=early), zone) == all_of_them[: len(spans(first, 7, since + timedelta(days=early), zone))]
    of_days = quarters(since, since + timedelta(days=late), zone)
    assert [one for one in of_days if one.end <= since + timedelta(days=early)] == quarters(since, since + timedelta(days=early), zone)


@given(TIMES, ZONES)
def test_every_window_ends_when_a_look_is_due(since: datetime, zone: str) -> None:
    until = since + timedelta(days=9)
    due, at = set(), since
    while (at := next_look(WATCHED, at, zone)) <= until:
        due.add(at)
    ends = {one.end for one in (*quarters(since, until, zone), *spans(first_whole_day(since, zone), 7, until, zone))}
    assert ends <= due


@given(TIMES, ZONES)
def test_the_next_look_is_later_and_within_a_day(now: datetime, zone: str) -> None:
    at = next_look(MonitorDefinition("quality", "late", missing=False), now, zone)
    assert now < at <= now + timedelta(hours=49)  # one zone has left out a whole day
    assert midnight(local_day(at, zone), zone) == at


def test_days_of_23_and_25_hours_have_four_quarters() -> None:
    spring = quarters(datetime(2013, 3, 10, 5, tzinfo=UTC), datetime(2013, 3, 11, 4, tzinfo=UTC), "America/New_York")
    autumn = quarters(datetime(2013, 11, 3, 4, tzinfo=UTC), datetime(2013, 11, 4, 5, tzinfo=UTC), "America/New_York")
    assert [(one.end - one.start) / timedelta(hours=1) for one in spring] == [5, 6, 6, 6]
    assert [(one.end - one.start) / timedelta(hours=1) for one in autumn] == [7, 6, 6, 6]


def test_where_blocks_are_shorter_than_a_day_each_end_of_one_is_a_time_to_look() -> None:
    quiet = MonitorDefinition("quality", "late", missing=False)
    assert next_look(quiet, datetime(2013, 7, 1, 4, 30, tzinfo=UTC), "America/New_York", "1h") == datetime(2013, 7, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(("window", "block", "days"), [("28d", "1d", 28), ("30d", "1d", 28), ("3d", "1d", 7), ("30d", "10d", 30)])
def test_a_window_of_performance_is_whole_weeks_or_blocks(window: str, block: str, days: int) -> None:
    assert window_days(window, block) == days
