"""Instants and durations."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.clock import format_duration, from_micros, next_cron, parse_duration, to_micros
from clew.errors import Invalid


@given(st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-5)), timezone(timedelta(minutes=345))])))
def test_an_instant_survives_as_microseconds(instant: datetime) -> None:
    assert from_micros(to_micros(instant)) == instant


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(Invalid, match="no zone"):
        to_micros(datetime(2013, 1, 1))  # noqa: DTZ001 - the point of the test


@given(st.integers(1, 10_000_000))
def test_a_duration_is_read_back(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1.5h", "0s", "1 d 2 h", "1y"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="no duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["36501d", "999999999999999d", "9" * 5_000 + "ms"])
def test_a_duration_beyond_a_hundred_years_is_refused_with_what_was_written(text: str) -> None:
    with pytest.raises(Invalid, match=rf"^'{text[:24]}…?' is longer than a duration may be: 36500d, a hundred years$"):
        parse_duration(text)
    assert parse_duration("36500d") == parse_duration("0036500d") == timedelta(days=36_500)


@pytest.mark.parametrize(
    ("after", "following"),
    [
        (datetime(2013, 3, 1, 8, 59, tzinfo=UTC), datetime(2013, 3, 1, 9, tzinfo=UTC)),  # 4 o'clock in New York's winter
        (datetime(2013, 3, 1, 9, tzinfo=UTC), datetime(2013, 4, 1, 8, tzinfo=UTC)),  # and in its summer
        (datetime(2013, 12, 31, 23, tzinfo=UTC), datetime(2014, 1, 1, 9, tzinfo=UTC)),
    ],
)
def test_a_cron_time_is_one_of_its_zone(after: datetime, following: datetime) -> None:
    assert next_cron("0 4 1 * *", "America/New_York", after) == following


@pytest.mark.parametrize("expression", ["", "61 * * * *", "0 0 31 2 *", "0 4 1 *", "0 0 4 1 * *", "daily", "0 4 1 * * * * *"])
def test_what_is_no_cron_time_is_refused(expression: str) -> None:
    with pytest.raises(Invalid, match="cron time"):
        next_cron(expression, "UTC", datetime(2013, 1, 1, tzinfo=UTC))
