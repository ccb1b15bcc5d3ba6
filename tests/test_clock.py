"""Instants and durations."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.clock import format_duration, from_micros, parse_duration, to_micros
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
