"""Counts by the minute, kept until somebody took them."""

from datetime import UTC, datetime

from clew.serving.statistics import Statistics, exposition

MINUTE = 60_000_000


def test_requests_are_counted_by_the_minute_with_their_percentiles() -> None:
    statistics = Statistics()
    for latency in range(1, 101):
        statistics.count("late", 5 * MINUTE + latency, 2, latency * 10, error=latency > 98)
    statistics.count("late", 6 * MINUTE, 1, 7)
    fifth, sixth = statistics.take()["late"]
    assert (fifth.minute, fifth.requests, fifth.rows, fifth.errors) == (datetime(1970, 1, 1, 0, 5, tzinfo=UTC), 100, 200, 2)
    assert (fifth.p50_us, fifth.p95_us) == (510, 960)
    assert (sixth.requests, sixth.p50_us) == (1, 7)


def test_requests_are_counted_by_the_fields_that_nobody_takes_however_many_names_clients_make_up() -> None:
    statistics = Statistics()
    statistics.count("late", 5 * MINUTE, 1, 10)
    statistics.count("late", 5 * MINUTE, 1, 10, ignored=["hr", "seat"])
    statistics.count("late", 5 * MINUTE, 1, 10, ignored=["hr"])
    statistics.count("late", 6 * MINUTE, 1, 10, ignored=["x" * 1_000_000, *(f"field {number}" for number in range(1_000))])
    statistics.count("late", 6 * MINUTE, 1, 10, ignored=["hr", "field 0"])
    fifth, sixth = statistics.take()["late"]
    assert fifth.ignored == {"hr": 2, "seat": 1}
    assert (len(sixth.ignored), sixth.ignored["x" * 64], sixth.ignored["field 0"]) == (20, 1, 2)
    assert 'clew_serving_ignored_total{endpoint="late"} 4\n' in exposition(statistics.totals)


def test_what_was_taken_and_not_delivered_comes_again_and_newer_counts_win() -> None:
    statistics = Statistics()
    statistics.count("late", 5 * MINUTE, 1, 10)
    taken = statistics.take()
    statistics.count("late", 5 * MINUTE + 1, 1, 10)
    statistics.give_back(taken)
    (minute,) = statistics.take()["late"]
    assert minute.requests == 2
    statistics.count("late", 6 * MINUTE, 1, 10)
    assert [one.requests for one in statistics.take()["late"]] == [1]


def test_a_day_of_undelivered_minutes_is_kept_and_no_more() -> None:
    statistics = Statistics()
    for minute in range(3_000):
        statistics.count("late", minute * MINUTE, 1, 10)
        if minute % 1_000 == 999:
            statistics.give_back(statistics.take())
    kept = statistics.take()["late"]
    assert len(kept) == 24 * 60
    assert kept[-1].minute == datetime(1970, 1, 3, 1, 59, tzinfo=UTC)
