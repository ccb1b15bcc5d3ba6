"""What people read: times with their offset."""

import time
from datetime import UTC, datetime

import pytest

from clew import console


@pytest.mark.parametrize(
    ("zone", "shown"),
    [("UTC", "2013-04-01 12:00:00 UTC"), ("EST5", "2013-04-01 07:00:00 -05:00"), ("IST-5:30", "2013-04-01 17:30:00 +05:30")],
)
def test_a_time_is_shown_by_this_machines_clock_and_says_its_offset(zone: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", zone)
        time.tzset()
        found = console.instant(datetime(2013, 4, 1, 12, tzinfo=UTC))
    time.tzset()
    assert found == shown


def test_a_cell_in_brackets_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_rows([], ("change",), [("over [late] → [bold]",)], empty="")
    assert "over [late] → [bold]" in capsys.readouterr().out
