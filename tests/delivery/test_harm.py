"""Harm on matured labels: a version that is truly worse is rolled back by itself, an equal one is not, and only whole days count."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import numpy as np
import pytest
from answers import ZONE, a_day, write
from declaring import STEPS, declare
from hypothesis import example, given
from season import SERVED, Season

from clew.catalog import service as catalog
from clew.clock import parse_duration
from clew.definitions import EndpointDefinition, GuardDefinition
from clew.delivery import service as delivery
from clew.delivery.harm import judge_harm, next_maturity
from clew.delivery.schema import Rollout
from clew.errors import Conflict
from clew.feature_store.service import push_rows
from clew.feature_store.training_data import block_numbers
from clew.serving import service as serving
from clew.serving.pairs import Pair, matured_pairs

GUARD = GuardDefinition(harm=0.02)
WITHIN = timedelta(hours=6)


@pytest.fixture
def tried(season: Season) -> Season:
    """late@3 in shadow beside late@2 from the first of April in New York on."""
    season.register("another try", strength=0.5)
    declare(season.backend, EndpointDefinition("late", "late", STEPS, GUARD))
    season.backend.call(delivery.roll_out_ungated, "late", "late@3", "a test")
    return season


def advance(season: Season, to: datetime) -> Rollout:
    assert season.backend.call(delivery.advance_clock, to).waiting == ()
    return season.backend.call(delivery.list_rollouts).items[0]


def live(season: Season, days: int, candidate: str) -> Rollout:
    """So many days go by, each with its answers."""
    for day in range(days):
        start = SERVED + timedelta(days=day)
        write(season, *a_day(season, start, candidate=candidate))
        rollout = advance(season, start + timedelta(days=1))
        if not rollout.open:
            break
    return rollout


# ── in a rollout ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_version_that_is_truly_worse_is_rolled_back_by_the_guard_with_its_figures_and_marked(tried: Season) -> None:
    ended = live(tried, 9, "the contrary")
    last = ended.history[-1]
    assert (ended.state, last.by) == ("rolled back", "guard")
    assert ended.harm is not None and ended.harm.mean is not None and ended.harm.low is not None
    assert ended.harm.word == "worse" and ended.harm.low > 0.02 and ended.harm.capital >= 1 / ended.harm.alpha
    assert last.reason == (
        f"worse: its log loss is higher by {ended.harm.mean:.3f} nats, where 0.02 may be ({ended.harm.blocks} days, {ended.harm.rows} rows)"
    )
    whole = [len(a_day(tried, SERVED + timedelta(days=day), candidate="the same")) for day in range(ended.harm.blocks)]
    assert [day.rows for day in ended.harm.daily] == whole and ended.harm.rows == sum(whole)
    assert last.at == SERVED + timedelta(days=ended.harm.blocks) + WITHIN, "as soon as the day has matured"
    marked = tried.backend.call(catalog.get_version, "late", 3)
    assert (marked.state, marked.state_reason) == ("rejected", f"rolled back from late: {last.reason}")
    route = tried.backend.call(serving.endpoint_status, "late").route
    assert (str(route.ref), route.candidate) == ("late@2", None)


def test_an_equal_version_is_promoted_and_the_words_say_how_much_was_seen(tried: Season) -> None:
    promoted = live(tried, 10, "a little else")
    assert promoted.state == "promoted"
    assert promoted.harm is not None and promoted.harm.word != "worse" and promoted.harm.blocks == 8
    assert promoted.history[-1].reason == f"every step is over; harm: {promoted.harm.word}, 8 days, {promoted.harm.rows} rows"
    assert promoted.harm.rows == sum(len(a_day(tried, SERVED + timedelta(days=day), candidate="the same")) for day in range(8))
    assert tried.backend.call(catalog.get_version, "late", 3).state == "ready"


def test_a_day_counts_when_its_last_label_can_no_longer_come(tried: Season) -> None:
    write(tried, *a_day(tried, SERVED, candidate="the same"))
    end = SERVED + timedelta(days=1) + WITHIN
    before = advance(tried, end - timedelta(microseconds=1))
    assert before.harm is None or (before.harm.rows, before.harm.word) == (0, "not enough data yet")
    after = advance(tried, end)
    assert after.harm is not None
    assert (after.harm.rows, after.harm.blocks, after.harm.until) == (32, 1, SERVED + timedelta(days=1))


def test_what_is_paused_is_watched_all_the_same(tried: Season) -> None:
    tried.backend.call(delivery.pause_rollout, advance(tried, SERVED).id, "a holiday")
    assert live(tried, 9, "the contrary").state == "rolled back"


def test_looking_again_or_by_other_strides_finds_the_same(tried: Season) -> None:
    for day in range(3):
        write(tried, *a_day(tried, SERVED + timedelta(days=day), candidate="a little else"))
    at = SERVED + timedelta(days=2) + WITHIN
    by_hours = [advance(tried, SERVED + timedelta(hours=hour)) for hour in range(1, 55)][-1]
    assert by_hours.harm is not None
    context = replace(tried.backend.context("test"), now=at)
    with context.reading() as inside:
        route = serving.whole_route(inside, "late", 2)
        pairs = matured_pairs(inside, route.document, 3, 2, at - WITHIN)
    assert judge_harm(pairs, GUARD, block="1d", zone=ZONE, until=at - WITHIN) == by_hours.harm


# ── labels ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def landed(season: Season, departs: datetime, flight: int, after: timedelta, *, late: bool) -> None:
    row = {"departs": departs, "flight": flight, "carrier": "UA", "landed": departs + after, "delay": 30.0 if late else 0.0, "late": late}
    season.backend.call(push_rows, "landings", [row])


def pairs_of(season: Season, until: datetime) -> list[tuple[int, float]]:
    with season.backend.context("test").reading() as inside:
        found = matured_pairs(inside, serving.whole_route(inside, "late", 2).document, 3, 2, until)
    minutes = [(pair.event_time - SERVED) // timedelta(minutes=1) for pair in found]
    return list(zip(minutes, (pair.label for pair in found), strict=True))


def test_labels_that_come_late_never_twice_or_before_their_prediction(tried: Season) -> None:
    """Flights of minutes 1 to 7, in their order."""
    at = {minute: (SERVED + timedelta(minutes=minute)).astimezone(ZoneInfo(ZONE)) for minute in range(1, 8)}

    def flight(minute: int) -> int:
        return 100_000 + minute

    landed(tried, at[1], flight(1), timedelta(hours=1), late=True)  # known before it was asked for
    write(tried, *((at[minute], flight(minute), 0.4, 0.6) for minute in range(1, 7)), (at[7], flight(7), 0.4, None))
    landed(tried, at[2], flight(2), timedelta(hours=6), late=False)  # at the last moment
    landed(tried, at[3], flight(3), timedelta(hours=6, microseconds=1), late=True)  # too late: such a row counts as unlabelled
    landed(tried, at[4], flight(4), timedelta(hours=1), late=True)
    landed(tried, at[4], flight(4), timedelta(hours=1), late=True)  # the same again
    landed(tried, at[5], flight(5), timedelta(hours=1), late=True)
    with pytest.raises(Conflict):
        landed(tried, at[5], flight(5), timedelta(hours=2), late=False)  # what was said first stays
    # flight 6 never lands, and of flight 7 the candidate said nothing
    landed(tried, at[7], flight(7), timedelta(hours=1), late=True)
    assert pairs_of(tried, SERVED + timedelta(days=1)) == [(1, 1.0), (2, 0.0), (4, 1.0), (5, 1.0)]
    assert pairs_of(tried, SERVED + timedelta(minutes=2)) == [(1, 1.0), (2, 0.0)], "what is younger has not matured"


def test_of_two_answers_for_one_key_the_newest_counts(tried: Season) -> None:
    at = (SERVED + timedelta(minutes=1)).astimezone(ZoneInfo(ZONE))
    write(tried, (at, 100_001, 0.4, 0.1), (at, 100_001, 0.4, 0.9))
    # The same instant said in another zone is the same key.
    write(tried, (at.astimezone(UTC), 100_001, 0.4, 0.8))
    landed(tried, at, 100_001, timedelta(hours=1), late=True)
    with tried.backend.context("test").reading() as inside:
        found = matured_pairs(inside, serving.whole_route(inside, "late", 2).document, 3, 2, SERVED + timedelta(days=1))
    assert [pair.candidate for pair in found] == [0.8]


# ── the judgement alone ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def pairs(start: datetime, every: timedelta, count: int, gain: float = 0.0) -> list[Pair]:
    rng = np.random.default_rng(0)
    labels = rng.random(count) < 0.5
    return [Pair(start + place * every, 0.5, 0.5 + gain * (1 if label else -1), float(label)) for place, label in enumerate(labels)]


@pytest.mark.parametrize(("gain", "word"), [(-0.4, "worse"), (0.3, "safe")])
def test_the_word_follows_from_the_interval(gain: float, word: str) -> None:
    harm = judge_harm(
        pairs(SERVED, timedelta(minutes=10), 6 * 24 * 6, gain), GUARD, block="1d", zone=ZONE, until=SERVED + timedelta(days=6)
    )
    assert (harm.word, harm.blocks, harm.rows, harm.unit) == (word, 6, 864, "days")


def test_without_pairs_there_is_not_enough_data_yet() -> None:
    harm = judge_harm([], GUARD, block="1d", zone=ZONE, until=SERVED)
    assert (harm.word, harm.rows, harm.mean, harm.low, harm.daily) == ("not enough data yet", 0, None, None, [])


def test_one_bad_day_does_not_decide() -> None:
    a_bad_day = pairs(SERVED, timedelta(minutes=1), 24 * 60, -0.45)
    assert judge_harm(a_bad_day, GUARD, block="1d", zone=ZONE, until=SERVED + timedelta(days=1)).word != "worse"


def test_the_hour_that_autumn_repeats_is_judged_once_and_in_order() -> None:
    fall = datetime(2013, 11, 3, 4, tzinfo=UTC)  # midnight; at 6 o'clock UTC it is 1 o'clock again
    harm = judge_harm(pairs(fall, timedelta(minutes=5), 12 * 8), GUARD, block="30m", zone=ZONE, until=fall + timedelta(hours=8))
    assert harm.rows == 12 * 8


@given(
    after=st.integers(0, 365 * 24 * 60).map(lambda minutes: datetime(2013, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)),
    within=st.sampled_from(["1h", "6h", "1d", "3d"]),
    block=st.sampled_from(["1h", "6h", "1d", "1w"]),
    zone=st.sampled_from(["UTC", ZONE, "Asia/Kolkata", "Pacific/Auckland"]),
)
@example(datetime(2013, 3, 10, 7, tzinfo=UTC), "1h", "1d", ZONE)
@example(datetime(2013, 11, 3, 6, 30, tzinfo=UTC), "1h", "1h", ZONE)
def test_the_next_maturity_is_the_end_of_the_block_that_is_maturing(after: datetime, within: str, block: str, zone: str) -> None:
    import polars as pl

    span = parse_duration(within)
    end = next_maturity(after, within=span, block=block, zone=zone) - span
    assert end + span > after
    times = [after - span, end - timedelta(microseconds=1), end]
    inside, last, following = block_numbers(pl.Series(times, dtype=pl.Datetime("us", "UTC")), block, zone).tolist()
    assert inside <= last < following or zone != "UTC"


@pytest.mark.parametrize(
    ("zone", "again"),
    [("Europe/Berlin", datetime(2025, 10, 26, 1, tzinfo=UTC)), ("America/New_York", datetime(2025, 11, 2, 6, tzinfo=UTC))],
)
@pytest.mark.parametrize("minutes", [0, 10, 29, 30, 45])
def test_half_an_hour_of_the_hour_that_comes_twice_matures_when_the_hour_is_over(zone: str, again: datetime, minutes: int) -> None:
    matures = next_maturity(again + timedelta(minutes=minutes), within=timedelta(0), block="30m", zone=zone)
    assert matures == again + timedelta(hours=1), "a block that would come twice is one"
