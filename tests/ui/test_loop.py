"""The page over a loop that has gone round: what is tried, watched, alarmed and retrained, and what a person does about it."""

import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from loop import tell_the_loop
from playwright.sync_api import Browser, Page, expect

from clew.backend import LocalBackend
from clew.settings import load_settings
from clew.storage.events import emit
from clew.testing.server import LiveServer, live_server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder: Path = tmp_path_factory.mktemp("loop")
    backend = LocalBackend(replace(load_settings(folder, {"CLEW_PROJECT": "test"}), url=None)).prepare()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # small models, quickly fitted
        tell_the_loop(backend)
    backend.dispose()
    with live_server(folder) as running:
        yield running


def test_an_endpoint_shows_what_it_tries_where_it_stands_and_whether_it_is_safe(page: Page) -> None:
    page.goto("endpoints/late")
    expect(page.get_by_role("heading", level=1)).to_contain_text("late answers with late@2, trying late@4")
    rollout = page.get_by_label("The rollout", exact=True)
    expect(rollout.get_by_role("progressbar")).to_have_attribute("aria-valuenow", re.compile("6[0-9]"))
    expect(rollout.locator("[aria-current=step]")).to_contain_text("Canary 10 %, 7 days")
    expect(rollout.locator("[aria-current=step]")).to_contain_text(re.compile(r"3 days, \d+ answers scored by both"))
    expect(page.get_by_role("img", name=re.compile("Difference in log loss by day.*95 %.*against .0.020"))).to_be_visible()
    expect(page.get_by_text("at 200 it is rolled back")).to_be_visible()
    hurt = page.get_by_role("region", name="Does it hurt anyone?").or_(page.locator("section", has_text="Does it hurt anyone?"))
    expect(hurt.get_by_role("row").filter(has_text="late@4").first).to_contain_text("161")


def test_a_rollout_that_was_rolled_back_says_by_whom_and_why(page: Page) -> None:
    page.goto("endpoints/late")
    page.get_by_role("row").filter(has_text="rolled back").get_by_role("link", name="rollout").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("late@3 was rolled back from late")
    expect(page.get_by_role("row").filter(has_text="guard")).to_contain_text(re.compile(r"worse: its log loss is higher by 0\.\d+ nats"))
    expect(page.get_by_text("Was late@3 safe?")).to_be_visible()


def test_a_rollout_is_paused_resumed_and_ended_for_a_reason(page: Page) -> None:
    page.goto("endpoints/late")
    question = page.get_by_role("dialog")
    page.get_by_role("button", name="Pause…").click()
    expect(question).to_contain_text("The guard goes on watching")
    question.get_by_label("Reason").fill("a storm is coming")
    question.get_by_role("button", name="Pause", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("has paused trying late@4")
    expect(page.get_by_role("button", name="Resume…")).to_be_focused()  # the button that asked is gone
    expect(page.get_by_role("row").filter(has_text="a storm is coming")).to_contain_text("paused")
    page.get_by_role("button", name="Resume…").click()
    question.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(", trying late@4")


def test_no_page_of_the_loop_is_wider_than_a_telephone(browser: Browser, server: LiveServer) -> None:
    context = browser.new_context(base_url=f"{server.url}/projects/{server.project}/", viewport={"width": 390, "height": 844})
    page = context.new_page()
    for path in PAGES:
        page.goto(path)
        expect(page.locator("main")).not_to_be_empty()
        page.wait_for_timeout(600)  # what was read is drawn
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, path
    context.close()


PAGES = [
    "",
    "endpoints/late",
    "monitors",
    "monitors/quality",
    "alerts?resolved=true",
    "alerts/1",
    "triggers",
    "events",
    "assets/landings/2?tab=profile",
]


def test_a_monitor_says_a_word_for_each_thing_that_it_watches_with_its_evidence(page: Page) -> None:
    page.goto("monitors")
    page.get_by_role("row").filter(has_text="late").get_by_role("link", name="quality").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("station_weather")
    expect(page.get_by_text("in windows of 28d; each kind alarms falsely in 5 % of runs of 3 looks")).to_be_visible()
    performance = page.locator("#performance")
    expect(performance.get_by_role("img", name=re.compile("AUC by window: 0.8"))).to_be_visible()
    expect(performance.get_by_role("row").filter(has_text="not enough data yet")).to_contain_text("unseen rows")
    drift = page.locator("#drift")
    expect(drift.get_by_role("row").filter(has_text="predictions")).to_contain_text("what it answers")
    expect(drift.get_by_role("img", name=re.compile("Evidence that wind changed, . weeks: .* of 280"))).to_be_visible()
    expect(drift.get_by_role("img", name="Histogram of wind, 64 bins, over that of late@2")).to_be_visible()
    expect(drift.get_by_role("columnheader", name="4 weeks to 2 Jun 2013, line: late@2")).to_be_visible()
    expect(drift.get_by_role("row").filter(has_text="windy")).to_contain_text("0 → 44 % missing")
    missing = page.locator("#missing").get_by_role("row").filter(has_text="station_weather")
    expect(missing.first).to_contain_text("16 days old; at most 2 hours")
    expect(page.locator("#skew").get_by_role("row").filter(has_text="delay_7d")).to_contain_text("41")


def test_an_alert_says_what_to_do_and_is_acknowledged_silenced_and_resolved_with_a_reason(page: Page) -> None:
    page.goto("alerts")
    page.get_by_role("link", name="missing of station_weather").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("station_weather of quality: missing")
    expect(page.get_by_text("Find out why its source has gone silent")).to_be_visible()
    expect(page.get_by_role("row", selected=True)).to_contain_text("missing")
    question = page.get_by_role("dialog")
    page.get_by_role("button", name="Acknowledge…").click()
    question.get_by_label("Reason").fill("the station is asked")
    question.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("acknowledged")
    expect(page.get_by_text("the station is asked")).to_be_visible()
    page.get_by_role("button", name="Silence…").click()
    question.get_by_label("for one day").check()
    question.get_by_role("button", name="Silence").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("silenced until 7 Jun 12:00 EDT")
    page.get_by_role("button", name="Resolve…").click()
    question.get_by_role("button", name="Resolve").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("resolved")
    expect(page.get_by_role("button", name="Silence…")).to_have_count(0)
    page.goto("alerts")
    expect(page.get_by_role("link", name="missing of station_weather")).to_have_count(0)
    page.get_by_role("link", name="with those that are resolved").click()
    expect(page.get_by_role("row").filter(has_text="missing of station_weather")).to_contain_text("resolved")


def test_a_trigger_says_what_it_builds_when_next_and_what_came_of_it_and_is_paused(page: Page) -> None:
    page.goto("triggers")
    trigger = page.locator("#late_retrain")
    expect(trigger).to_contain_text("builds late when quality says worse, or at 0 4 1 * * (America/New_York)")
    expect(trigger).to_contain_text("next 1 Jul 04:00 EDT")
    expect(trigger.get_by_role("row").filter(has_text="late@4")).to_contain_text("on its way behind late running")
    expect(trigger.get_by_role("row").filter(has_text="late@3")).to_contain_text("rolled back")
    expect(trigger.get_by_role("row").filter(has_text="MemoryError")).to_contain_text("failed")
    trigger.get_by_role("button", name="Pause…").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("until the labels are right")
    page.get_by_role("dialog").get_by_role("button", name="Pause", exact=True).click()
    expect(trigger).to_contain_text("Paused: until the labels are right")
    expect(trigger.get_by_role("button", name="Ask now…")).to_be_disabled()


def test_the_overview_says_what_wants_a_decision_and_what_happened(page: Page) -> None:
    page.goto("")
    expect(page.get_by_role("img", name="AUC over the whole time").locator("canvas")).to_be_visible()
    needed = page.get_by_role("listitem").filter(has_text="The trigger late_retrain of late is paused")
    expect(needed).to_contain_text("until the labels are right")
    happened = page.get_by_role("row")
    expect(happened.filter(has_text="rolled back").filter(has_text="late@3 behind late: worse")).to_contain_text("guard")
    expect(happened.filter(has_text="missing of station_weather: the newest row")).to_be_visible()
    needed.get_by_role("link", name="resume, or leave it").click()
    page.locator("#late_retrain").get_by_role("button", name="Resume…").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume").click()
    expect(page.locator("#late_retrain")).to_contain_text("next 1 Jul 04:00 EDT")


def test_a_dataset_version_shows_its_profile_and_how_far_columns_moved_since_another(page: Page) -> None:
    page.goto("assets/landings/2?tab=profile")
    expect(page.get_by_role("img", name=re.compile("Histogram of flight, 6[0-9] bins"))).to_be_visible()
    expect(page.get_by_label("Values of carrier")).to_contain_text("UA")
    page.get_by_role("link", name="@1", exact=True).click()
    expect(page).to_have_url(re.compile("against=1"))
    expect(page.get_by_role("columnheader", name="Distribution, line: @1")).to_be_visible()
    expect(page.get_by_text("How far did each column move since @1?")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="flight")).to_contain_text("0.521")


def test_a_model_that_retraining_does_not_improve_is_marked_on_its_page(page: Page, server: LiveServer) -> None:
    page.goto("assets/late")
    expect(page.get_by_role("heading", level=1)).to_contain_text("late has 4 versions")
    expect(page.get_by_role("note")).to_have_count(0)
    backend = LocalBackend(server.settings).prepare()
    body = {"trigger": "late_retrain", "reason": "3 retrainings in a row brought nothing, the last: late@4 rejected"}
    backend.context("test").run_write(lambda inside: emit(inside, "model.not_improved", "late", body))
    backend.dispose()
    expect(page.get_by_role("note")).to_contain_text("retraining doesn’t improve it 3 retrainings in a row brought nothing")
    page.get_by_role("note").get_by_role("link", name="Look at its triggers").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Triggers")
