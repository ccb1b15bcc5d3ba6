"""What looks find, from arrays: words, thresholds, causes; and how often a healthy run is called anything else."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import log_loss, roc_auc_score

from clew.monitoring.due import Span, local_day
from clew.monitoring.findings import Counts, Impact, Labelled, MissingRate, Stale, drift, missing, performance, performance_word

START = datetime(2013, 4, 1, tzinfo=UTC)
DAY = timedelta(days=1)
SPAN = Span(START, START + 28 * DAY, 100)
QUARTER = Span(START, START + timedelta(hours=6), 100)

NO_ROWS = Labelled(np.empty(0), np.empty(0), np.empty(0, np.int64))


def labelled(first_day: int, days: int, *, seed: int = 0, harder: float = 0.0, per_day: int = 60) -> Labelled:
    rng = np.random.default_rng(seed)
    number = np.repeat(np.arange(first_day, first_day + days), per_day)
    x = rng.normal(size=len(number))
    truth = rng.random(len(number)) < 1 / (1 + np.exp(-1.5 * x * (1 - harder)))
    return Labelled(truth.astype(float), 1 / (1 + np.exp(-1.5 * x)), number)


# ── performance ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_harder_rows_are_worse_and_the_cause_tells_it_as_the_look_does() -> None:
    found = performance(
        SPAN, labelled(100, 28, harder=1.0), labelled(0, 84, seed=1), metrics=("log_loss", "auc"), unit=7, rate=0.05, looks=12
    )
    assert found.word == "worse" and found.quiet == ()
    assert [(one.subject, one.word, one.summary) for one in found.causes] == [("", "worse", found.summary)]
    assert found.figures["metrics"]["log_loss"]["interval"]["blocks"] == 28


def test_a_healthy_run_of_twelve_windows_is_called_worse_seldom() -> None:
    alarms = 0
    for run in range(40):
        held = labelled(0, 84, seed=1_000 + run, per_day=15)
        words = [
            performance(
                SPAN, labelled(100, 28, seed=100 * run + look, per_day=15), held, metrics=("log_loss",), unit=7, rate=0.05, looks=12
            ).word
            for look in range(12)
        ]
        alarms += "worse" in words
    assert alarms <= 6  # 2 are promised; 6 leave room for the luck of forty


def test_without_unseen_rows_the_window_is_measured_and_not_judged() -> None:
    found = performance(SPAN, labelled(100, 28), NO_ROWS, metrics=("auc",), unit=7, rate=0.05, looks=3)
    assert found.word == "not enough data yet"
    assert found.figures["metrics"]["auc"]["interval"] is not None and found.figures["metrics"]["auc"]["threshold"] is None
    assert found.figures["reference_weeks"] == 0


def test_a_window_of_one_class_has_no_auc_and_no_word() -> None:
    one_class = labelled(100, 28)
    one_class = Labelled(np.zeros(len(one_class)), one_class.scores, one_class.days)
    found = performance(SPAN, one_class, labelled(0, 84), metrics=("auc",), unit=7, rate=0.05, looks=3)
    assert found.word == "not enough data yet" and "one class" in found.summary
    assert "too few" not in found.summary  # it isn't weeks that are lacking


def test_labels_that_are_amounts_are_not_judged_as_classes() -> None:
    amounts = labelled(100, 28)
    amounts = Labelled(amounts.labels * 17.5, amounts.scores, amounts.days)
    found = performance(SPAN, amounts, labelled(0, 84), metrics=("auc",), unit=7, rate=0.05, looks=3)
    assert found.word == "not enough data yet" and "0 or 1, not 17.5" in found.summary


@pytest.mark.parametrize("days", [0, 1, 13])
def test_fewer_than_fourteen_days_with_labels_are_not_enough(days: int) -> None:
    window = labelled(100, days) if days else replace(NO_ROWS, unlabelled=9)
    found = performance(SPAN, window, labelled(0, 84), metrics=("auc",), unit=7, rate=0.05, looks=3)
    assert (found.word, found.figures["days"]) == ("not enough data yet", days)


def test_each_day_of_the_window_keeps_its_figures_by_its_local_clock_even_where_days_are_too_few_to_judge() -> None:
    window = labelled(local_day(START, "America/New_York"), 3)
    found = performance(SPAN, window, NO_ROWS, metrics=("auc",), unit=7, rate=0.05, looks=3, zone="America/New_York")
    assert found.word == "not enough data yet"
    days = found.figures["by_day"]
    assert [one["starts"] for one in days] == [datetime(2013, 3, 31, 4, tzinfo=UTC) + day * DAY for day in range(3)]
    for one, number in zip(days, np.unique(window.days), strict=True):
        labels, scores = window.labels[window.days == number], window.scores[window.days == number]
        assert one["rows"] == 60
        assert one["auc"] == pytest.approx(roc_auc_score(labels, scores))
        assert one["log_loss"] == pytest.approx(log_loss(labels, scores))


@given(st.lists(st.sampled_from(["worse", "safe", "not enough data yet"]), min_size=1))
def test_the_worst_metric_has_the_word(words: list[str]) -> None:
    rank = ["not enough data yet", "safe", "worse"]
    assert performance_word(words) == max(words, key=rank.index)


# ── drift ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def weeks(count: int, *, tilt: float = 0.0, rows: int = 2_000, seed: int = 0) -> np.ndarray:
    shares = np.exp(np.linspace(-1, 1, 20) * tilt)
    return np.random.default_rng(seed).multinomial(rows, shares / shares.sum(), size=count)


def look(columns: dict[str, Counts], impacts: dict[str, Impact] | None = None):  # type: ignore[no-untyped-def]
    count = len(next(iter(columns.values())).weeks)
    starts = [START + 7 * week * DAY for week in range(count)]
    return drift(Span(starts[-1], starts[-1] + 7 * DAY, 0), starts, columns, impacts or {}, rate=0.05)


def test_what_moves_the_score_more_is_named_first() -> None:
    still, moved = Counts(weeks(12), weeks(10, seed=1)), Counts(weeks(12, seed=2), weeks(10, tilt=0.5, seed=3))
    flat, steep = Impact(np.full(20, 0.3)), Impact(np.linspace(0, 1, 20))
    found = look({"calm": still, "matters": moved, "idle": moved}, {"calm": steep, "matters": steep, "idle": flat})
    assert found.figures["features"][0]["feature"] == "matters"
    words = {one["feature"]: one["word"] for one in found.figures["features"]}
    assert words == {"calm": "safe", "matters": "changed", "idle": "changed"}
    assert found.word == "changed" and found.quiet == ("calm",)
    told = {one["feature"]: one for one in found.figures["features"]}
    assert told["idle"]["impact"] == pytest.approx(0, abs=1e-12)
    before, after = (shares.sum(axis=0) / shares.sum() for shares in (moved.reference, moved.weeks[-4:]))
    assert told["matters"]["impact"] == pytest.approx(float(((after - before) * np.linspace(0, 1, 20)).sum()))


def test_the_threshold_is_that_of_all_columns_even_those_that_cannot_be_judged() -> None:
    found = look({"judged": Counts(weeks(12), weeks(2, seed=1)), "short": Counts(weeks(5), weeks(2, seed=1))})
    assert found.figures["threshold"] == pytest.approx(2 / 0.05)
    assert [one["feature"] for one in found.figures["features"]] == ["judged"]


def test_without_six_weeks_of_reference_nothing_can_be_said() -> None:
    assert look({"short": Counts(weeks(5), weeks(2))}).word == "not enough data yet"


def test_a_constant_column_never_changes_and_a_missing_one_has_no_evidence() -> None:
    constant = np.tile([500, 0], (12, 1))
    found = look({"constant": Counts(constant, constant[:8]), "missing": Counts(constant, np.zeros((8, 2), dtype=int))})
    words = {one["feature"]: one["word"] for one in found.figures["features"]}
    assert words == {"constant": "safe", "missing": "not enough data yet"} and found.word == "safe"


def test_a_category_that_is_new_changes_what_was_constant() -> None:
    constant, new = np.tile([500, 0], (12, 1)), np.tile([300, 200], (8, 1))
    assert look({"site": Counts(constant, new)}).word == "changed"


def test_small_weeks_wait_for_the_next_and_a_change_keeps_the_date_of_the_week_that_showed_it() -> None:
    run = weeks(9, tilt=0.5, seed=4)
    thin = np.concatenate([np.zeros((1, 20), dtype=int), weeks(1, rows=50, seed=5), run])
    found = look({"x": Counts(weeks(12), thin)})
    (told,) = found.figures["features"]
    assert told["weeks"] == 9  # the fifty rows are judged with the first whole week
    assert told["word"] == "changed" and told["since"] >= START + 21 * DAY


@given(st.integers(0, 12), st.integers(0, 3_000))
def test_a_look_is_plain_numbers_whatever_the_weeks_hold(count: int, rows: int) -> None:
    import msgspec

    found = look({"x": Counts(weeks(7), weeks(count + 1, rows=rows))}, {"x": Impact(np.full(20, math.nan))})
    assert msgspec.json.decode(msgspec.json.encode(found.figures))["weeks"] == count + 1


# ── missing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def at_a_quarter(rows: int, gone: int, expected: float | None = 0.02, **options: object):  # type: ignore[no-untyped-def]
    return missing(QUARTER, [MissingRate("weather", rows, gone, expected)], [], rate=0.05, windows=1_344, **options)  # type: ignore[arg-type]


@given(st.integers(1, 400), st.data())
def test_a_rate_is_missing_exactly_when_the_binomial_says_so_at_the_level_of_a_run(rows: int, data: st.DataObject) -> None:
    gone = data.draw(st.integers(0, rows))
    found = at_a_quarter(rows, gone)
    p_value = stats.binomtest(gone, rows, 0.02, alternative="greater").pvalue
    if 0.02**rows > 0.05 / 1_344:
        assert found.word == "not enough data yet"
    else:
        assert found.word == ("missing" if p_value <= 0.05 / 1_344 else "safe")


def test_no_rows_or_no_reference_are_not_enough_data() -> None:
    assert at_a_quarter(0, 0).word == "not enough data yet"
    assert at_a_quarter(50, 50, None).word == "not enough data yet"


def test_all_missing_is_missing() -> None:
    found = at_a_quarter(12, 12)
    assert found.word == "missing" and "nothing known for 12 of 12 rows, where up to 2.0 % may be expected" in found.summary


@pytest.mark.parametrize(("age", "word"), [(2.9, "safe"), (3.1, "missing")])
def test_age_is_held_against_its_limit(age: float, word: str) -> None:
    newest = QUARTER.end - timedelta(hours=age)
    found = missing(QUARTER, [], [Stale("weather", newest, 3 * 3_600, "its ttl is 3h")], rate=0.05, windows=1_344)
    assert found.word == word
    assert [one.subject for one in found.causes] == (["weather"] if word == "missing" else [])


def test_a_dataset_without_any_row_is_missing() -> None:
    found = missing(QUARTER, [], [Stale("weather", None, 3 * 3_600, "its ttl is 3h")], rate=0.05, windows=1_344)
    assert found.word == "missing" and "there is no row at all" in found.summary
