"""A monitor looks at half a year: what it finds, when it may, and that asking again or later changes nothing."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from season import END, OUTAGE, QUALITY, SERVED, Season, stored
from sklearn.linear_model import LogisticRegression

from clew.catalog.schema import VersionRef
from clew.catalog.service import add_verdict
from clew.definitions import MonitorDefinition
from clew.errors import NotFound
from clew.monitoring import looking
from clew.monitoring.alerts import acknowledge_alert, list_alerts, resolve_alert, silence_alert
from clew.monitoring.schema import Alert, FeatureSkew, MonitorLook, SkewReport
from clew.monitoring.service import record_skew
from clew.serving import service
from clew.serving.answers import compact_predictions

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore:Skipping features without:UserWarning")

DAY = timedelta(days=1)
PERFORMANCE = MonitorDefinition("quality", "late", performance=("log_loss", "auc"), missing=False, looks=3)
DRIFT = MonitorDefinition("quality", "late", drift=True, missing=False)
MISSING = MonitorDefinition("quality", "late")


def looks(season: Season, *, at: datetime | None = None, name: str = "quality") -> list[MonitorLook]:
    if at is not None:
        season.now(at)
    return season.backend.call(looking.look, name).items


def alerts(season: Season, *, resolved: bool = False) -> list[Alert]:
    return season.backend.call(list_alerts, resolved=resolved).items


def told(found: list[MonitorLook]) -> list[Any]:
    """What a look says, without its number and the wall clock."""
    return sorted(stored([(one.kind, one.start, one.end, one.source, one.word, one.summary, one.figures) for one in found]), key=str)


def certain_and_wrong(matrix: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(matrix)) % 2, 0.95, 0.05)


# ── the same looks ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_asked_daily_weekly_or_once_the_looks_are_the_same(season_on_each: Season) -> None:
    season = season_on_each
    season.serve(SERVED, END)
    every_five_days, once = (MonitorDefinition(**(vars(QUALITY) | {"name": name})) for name in ("often", "once"))
    season.declare(every_five_days, once)
    often = []
    for day in range(5, 66, 5):
        often += looks(season, at=SERVED + day * DAY, name="often")
        assert looks(season, name="often") == []
    at_once = looks(season, name="once")
    assert told(often) == told(at_once)
    assert {one.kind for one in often} == {"performance", "drift", "missing"}
    kept = season.backend.call(looking.monitor_looks, "often", limit=500).items
    assert sorted(kept, key=lambda one: one.id) == often
    page = season.backend.call(looking.monitor_looks, "often", kind="drift", limit=4)
    assert page.next_cursor is not None
    rest = season.backend.call(looking.monitor_looks, "often", kind="drift", limit=4, cursor=page.next_cursor)
    assert [one.end for one in page.items + rest.items] == [SERVED + 7 * week * DAY for week in range(9, 1, -1)]


def test_compaction_changes_no_look(season: Season) -> None:
    season.serve(SERVED, SERVED + 30 * DAY)
    season.declare(QUALITY, MonitorDefinition(**(vars(QUALITY) | {"name": "after"})))
    before = looks(season, at=SERVED + 30 * DAY)
    season.backend.call(compact_predictions)
    assert told(looks(season, name="after")) == told(before)


# ── performance ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_window_is_looked_at_when_its_labels_have_matured_and_not_before(season: Season) -> None:
    season.serve(SERVED, SERVED + 29 * DAY)
    season.declare(PERFORMANCE)
    end = SERVED + 28 * DAY
    assert looks(season, at=end + timedelta(hours=5, minutes=59)) == []
    (found,) = looks(season, at=end + timedelta(hours=6))
    assert (found.start, found.end, found.source) == (SERVED, end, "late@2")


def test_four_weeks_against_four_are_not_enough_data_for_the_rate_and_say_so(season: Season) -> None:
    season.serve(SERVED, SERVED + 29 * DAY)
    season.declare(PERFORMANCE)
    (found,) = looks(season, at=SERVED + 29 * DAY)
    assert found.word == "not enough data yet"
    assert found.summary.endswith(
        "4 weeks of unseen rows and 4 weeks of the window are too few for that rate: 5 weeks of unseen rows would do, and as the version "
        "ages there are up to 16 weeks"
    )
    assert "(95 %:" in found.summary and "28 days, " in found.summary and found.figures["unit"] == "days"
    assert alerts(season) == []


def test_a_healthy_window_after_it_is_safe_with_threshold_unit_and_rate(season: Season) -> None:
    season.serve(SERVED, SERVED + 57 * DAY)
    season.declare(PERFORMANCE)
    found = looks(season, at=SERVED + 57 * DAY)[-1]
    assert found.word == "safe" and "worse from" in found.summary and "5 % in a run of 3 looks" in found.summary
    loss = found.figures["metrics"]["log_loss"]
    assert loss["threshold"] > loss["reference"] and loss["level"] == pytest.approx(0.05 / 3 / 2)
    assert (found.figures["reference_weeks"], found.figures["window_weeks"]) == (8, 4)


def test_a_model_that_got_worse_is_found_and_a_promotion_resolves_the_alert(season: Season) -> None:
    season.serve(SERVED, SERVED + 28 * DAY)
    season.serve(SERVED + 28 * DAY, SERVED + 56 * DAY, scores=certain_and_wrong)
    season.declare(PERFORMANCE)
    assert looks(season, at=SERVED + 57 * DAY)[-1].word == "worse"
    (alert,) = alerts(season)
    assert (alert.kind, alert.subject, alert.word, alert.opened_at) == ("performance", "", "worse", SERVED + 56 * DAY)
    season.register("a newer one", refit_of=VersionRef("late", 1), strength=0.5)
    season.backend.call(service.deploy_ungated, "late", "late@3", "a test")
    assert looks(season) == []
    assert alerts(season) == []
    (resolved,) = alerts(season, resolved=True)
    assert resolved.resolved_at == SERVED + 57 * DAY and resolved.by is None and "late@3 answers since then" in resolved.reason


def test_a_worse_window_is_no_reference_for_the_next(season: Season) -> None:
    season.serve(SERVED, SERVED + 28 * DAY)
    season.serve(SERVED + 28 * DAY, END, scores=certain_and_wrong)
    season.declare(PERFORMANCE)
    found = looks(season, at=END + DAY)
    assert [one.word for one in found] == ["not enough data yet", "worse", "worse"]
    assert [one.figures["reference_weeks"] for one in found] == [4, 8, 8]
    assert len(alerts(season)) == 1 and alerts(season)[0].last_seen_at == SERVED + 84 * DAY


def test_a_window_of_three_rows_is_not_enough_data(season: Season) -> None:
    rows = season.asked(SERVED, SERVED + DAY)
    season.serve(SERVED, rows["departs"][3])
    season.declare(MonitorDefinition("quality", "late", performance=("auc",), drift=True, looks=3))
    found = looks(season, at=SERVED + 30 * DAY)
    judged = [one for one in found if one.kind in ("performance", "drift")]
    assert {one.word for one in judged} == {"not enough data yet"}
    assert next(one for one in judged if one.kind == "performance").figures["rows"] == 3


def test_while_a_candidate_answers_some_the_champion_is_judged_by_all(season: Season) -> None:
    season.register("tried", refit_of=VersionRef("late", 1), strength=0.5)
    season.serve(SERVED, SERVED + 14 * DAY)
    season.serve(SERVED + 14 * DAY, SERVED + 28 * DAY, number=3, other=2)
    season.declare(PERFORMANCE)
    found = {one.kind: one for one in looks(season, at=SERVED + 29 * DAY)}
    assert found["performance"].figures["days"] == 28
    regret = found["regret"]
    assert regret.figures["blocks"] == 14 and "rows that both scored" in regret.summary


# ── paired regret ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("low", "passed", "word"), [(0.002, False, "worse"), (-0.001, False, "safe"), (-0.001, True, "safe"), (0.002, True, "better")]
)
def test_what_a_gate_says_of_a_fresh_model_is_the_champions_regret(season: Season, low: float, passed: bool, word: str) -> None:
    """One that has passed is on its way: nobody has to be told, and nothing to be trained."""
    _judged(season, low, passed=passed)
    season.declare(PERFORMANCE)
    (found,) = looks(season)
    assert (found.kind, found.word, found.source, found.end) == ("regret", word, "late@3", SERVED + 3 * DAY)
    assert "28 days, 800 rows" in found.summary
    assert [one.kind for one in alerts(season)] == (["regret"] if word == "worse" else [])
    assert looks(season) == []


def test_a_changed_recipe_is_no_fresh_model(season: Season) -> None:
    _judged(season, 0.002, recipe="another")
    season.declare(PERFORMANCE)
    assert looks(season) == []


def _judged(season: Season, low: float, recipe: str = "recipe", *, passed: bool = False) -> None:
    season.now(SERVED + 3 * DAY)
    season.register("fresh", recipe=recipe)
    gain = {"estimate": 0.004, "low": low, "high": 0.01, "level": 0.95, "blocks": 28, "rows": 800}
    figures = {"report": {"gain": gain}}

    def write(context: Any) -> None:
        add_verdict(context, gate="no_worse", model="late", number=3, passed=passed, word="no worse", reason="", figures=figures)

    replace(season.backend.context("test"), now=SERVED + 3 * DAY).run_write(write)


# ── missing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_weather_that_ends_at_18_is_missing_by_midnight(season: Season) -> None:
    start = OUTAGE - 2 * DAY
    season.serve(start, OUTAGE + 2 * DAY)
    season.declare(MISSING)
    found = looks(season, at=OUTAGE + timedelta(hours=6))
    assert {one.word for one in found if one.end <= OUTAGE} == {"safe"}
    assert (found[-1].end, found[-1].word) == (OUTAGE + timedelta(hours=6), "missing")
    (alert,) = alerts(season)
    assert (alert.subject, alert.word, alert.opened_at) == ("station_weather", "missing", OUTAGE + timedelta(hours=6))
    assert "its ttl is 2h" in alert.summary


def test_a_view_that_answers_nothing_is_missing_though_its_dataset_is_fresh(season: Season) -> None:
    """As when it is looked up by a key that requests name wrongly."""
    season.serve(SERVED, SERVED + 2 * DAY)
    season.frame = season.frame.with_columns(station=season.frame["station"].str.to_lowercase())
    for _ in range(8):  # enough rows in a quarter of a day to tell at the rate of a run
        season.serve(SERVED + 2 * DAY, SERVED + 4 * DAY)
    season.declare(MISSING)
    found = looks(season, at=SERVED + 4 * DAY)
    assert {one.word for one in found if one.end <= SERVED + 2 * DAY} == {"safe"}
    gone = [one for one in found if one.start is not None and one.start >= SERVED + 2 * DAY]
    assert {one.word for one in gone} == {"missing"}
    subject = next(one for one in gone[-1].figures["subjects"] if one["subject"] == "station_weather")
    assert not subject["stale"] and subject["missing"] == subject["rows"] and subject["p_value"] < gone[-1].figures["level"]


def test_nobody_asking_is_nothing_missing(season: Season) -> None:
    season.declare(MISSING)
    found = looks(season, at=SERVED + 7 * DAY)
    assert len(found) == 28 and {one.word for one in found} == {"safe"}  # fresh, and no row to be without
    assert alerts(season) == []


def test_data_that_comes_back_resolves_its_alert(season: Season) -> None:
    from season import WEATHER, weather

    from clew.sdk.ingest import ingest_frame

    season.declare(MISSING)
    looks(season, at=OUTAGE + DAY)
    assert len(alerts(season)) == 1
    ingest_frame(season.backend, WEATHER, weather(OUTAGE + 3 * DAY), source="late")
    looks(season, at=OUTAGE + 2 * DAY)
    assert alerts(season) == []
    (alert,) = alerts(season, resolved=True)
    assert alert.resolved_at == OUTAGE + DAY + timedelta(hours=6)


# ── drift ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_quiet_season_has_no_drift(season: Season) -> None:
    season.serve(SERVED, SERVED + 49 * DAY)
    season.declare(DRIFT)
    found = looks(season, at=SERVED + 50 * DAY)
    assert [one.word for one in found] == ["safe"] * 7
    assert found[-1].figures["threshold"] == pytest.approx(14 / 0.05)  # all features, and the predictions


def test_distances_that_change_are_found_and_ranked_by_what_they_do_to_the_score(season: Season) -> None:
    season.serve(SERVED, SERVED + 77 * DAY, scale=1.6)
    season.declare(DRIFT)
    found = looks(season, at=SERVED + 78 * DAY)
    assert found[-1].word == "changed"
    features = found[-1].figures["features"]
    changed = [one["feature"] for one in features if one["word"] == "changed"]
    assert features[0]["feature"] in ("distance", "predictions") and set(changed) <= {"distance", "predictions"} and "distance" in changed
    distance = next(one for one in features if one["feature"] == "distance")
    assert distance["view"] == "calendar" and distance["impact"] > 0.1
    alert = next(one for one in alerts(season) if one.subject == "distance")
    assert alert.word == "changed" and "moves the mean score by" in alert.summary


def test_a_drift_that_a_person_has_resolved_does_not_come_back_each_week(season: Season) -> None:
    season.serve(SERVED, SERVED + 77 * DAY, scale=1.6)
    season.declare(DRIFT)
    looks(season, at=SERVED + 70 * DAY)
    for one in alerts(season):
        season.backend.call(resolve_alert, one.id, reason="summer flights are longer")
    assert looks(season, at=SERVED + 77 * DAY)[-1].word == "changed"
    assert alerts(season) == []


# ── skew ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_newest_skew_report_opens_and_resolves(season: Season) -> None:
    season.declare(MonitorDefinition("quality", "late", skew=True, missing=False))
    bad = SkewReport("late", SERVED, SERVED + DAY, 30, 60, 30, 0.4, 1e-6, [
        FeatureSkew("distance", "calendar@1", 30, 30, 0.4), FeatureSkew("hour", "calendar@1", 30, 0, 0.0),
    ])  # fmt: skip
    good = SkewReport("late", SERVED, SERVED + DAY, 30, 60, 0, 0.0, 1e-6, [FeatureSkew("distance", "calendar@1", 30, 0, 0.0)])
    season.backend.call(record_skew, "late", bad)
    (found,) = looks(season, at=SERVED + DAY)
    assert (found.kind, found.word) == ("skew", "changed")
    (alert,) = alerts(season)
    assert alert.subject == "calendar" and "distance in 30 of 30 rows" in alert.summary
    season.backend.call(record_skew, "late", good)
    assert [one.word for one in looks(season)] == ["safe"]
    assert alerts(season) == [] and looks(season) == []


# ── without a reference ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_monitor_of_an_endpoint_that_serves_nothing_yet_has_nothing_to_look_at(season: Season) -> None:
    season.declare(MonitorDefinition("quality", "later", performance=("auc",), drift=True, skew=True))
    assert looks(season, at=SERVED + 60 * DAY) == []


def test_a_version_without_a_training_set_is_not_enough_data_and_says_why(season: Season) -> None:
    from clew.registry.registering import register

    model = LogisticRegression().fit([[0.0], [1.0]], [0, 1])
    register(season.backend, "plain", model, np.array([[0.0], [1.0]], dtype=np.float32), run_id=None)
    season.backend.call(service.deploy_ungated, "plain", "plain@1", "a test")
    season.declare(MonitorDefinition("quality", "plain", performance=("auc",), drift=True))
    found = looks(season, at=SERVED + 30 * DAY)
    assert {one.kind for one in found} == {"performance", "drift"}
    assert all(one.word == "not enough data yet" and "without a training set" in one.summary for one in found)


def test_a_monitor_that_is_not_declared_is_not_found_and_names_those_that_are(season: Season) -> None:
    season.declare(QUALITY)
    with pytest.raises(NotFound, match="no monitor is named 'qualty'; there are quality"):
        looks(season, name="qualty")


def test_monitors_are_listed_with_their_newest_word_of_each_kind(season: Season) -> None:
    season.declare(QUALITY)
    looks(season, at=OUTAGE + DAY)
    (found,) = season.backend.call(looking.list_monitors).items
    assert found.watches == ("performance", "regret", "drift", "missing", "skew") and found.alerts == 1
    assert {one.kind: one.word for one in found.looks}["missing"] == "missing"


# ── answering alerts ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_acknowledged_alert_stays_and_a_silenced_one_opens_again_when_its_time_is_over(season: Season) -> None:
    season.declare(MISSING)
    looks(season, at=OUTAGE + DAY)
    (alert,) = alerts(season)
    seen = season.backend.call(acknowledge_alert, alert.id, reason="asked the provider")
    assert (seen.state, seen.by, seen.reason) == ("acknowledged", "local", "asked the provider")
    looks(season, at=OUTAGE + 2 * DAY)
    (still,) = alerts(season)
    assert still.state == "acknowledged" and still.last_seen_at > alert.last_seen_at
    silenced = season.backend.call(silence_alert, alert.id, "2d")
    assert silenced.silenced_until == OUTAGE + 4 * DAY
    looks(season, at=OUTAGE + 3 * DAY)
    assert alerts(season)[0].state == "silenced"
    looks(season, at=OUTAGE + 4 * DAY + timedelta(hours=7))
    assert alerts(season)[0].state == "open" and len(alerts(season, resolved=True)) == 1


def test_resolved_by_hand_what_is_still_missing_opens_an_alert_of_its_own(season: Season) -> None:
    season.declare(MISSING)
    looks(season, at=OUTAGE + DAY)
    season.backend.call(resolve_alert, alerts(season)[0].id)
    assert alerts(season) == []
    looks(season, at=OUTAGE + 2 * DAY)
    assert len(alerts(season)) == 1 and len(alerts(season, resolved=True)) == 2


def test_jobs_that_look_at_once_make_each_look_once(season_on_each: Season) -> None:
    season = season_on_each
    season.serve(OUTAGE - 3 * DAY, OUTAGE + DAY)
    season.declare(QUALITY)
    season.now(OUTAGE + DAY)
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: season.backend.call(looking.look, "quality").items, range(4)))
    kept = season.backend.call(looking.monitor_looks, "quality", limit=500).items
    assert len({(one.kind, one.end, one.source) for one in kept}) == len(kept) == sum(map(len, made))
    assert len(alerts(season)) == 1
