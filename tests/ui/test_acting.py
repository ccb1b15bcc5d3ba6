"""The page acts: each change asks first, says what will happen, and what the server refuses is said in words."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from playwright.sync_api import Browser, Page, expect
from sklearn.linear_model import LogisticRegression

import clew
from clew import backend as backends
from clew.backend import LocalBackend
from clew.definitions import Aggregate, WindowsDefinition, definition_digest
from clew.feature_store.service import push_rows
from clew.feature_store.views import build_view
from clew.testing.server import LiveServer, live_server

pytestmark = pytest.mark.browser

TOKEN = "a-token-of-the-tests"


@pytest.fixture(scope="module")
def second(server: LiveServer, story) -> str:
    """A version that no gate has judged."""
    backend = LocalBackend(server.settings).prepare()
    backends.use(backend)
    generator = np.random.default_rng(8)
    features = pl.DataFrame({"hour": generator.uniform(0, 24, 200), "distance": generator.uniform(100, 2500, 200)}).cast(pl.Float32)
    model = LogisticRegression().fit(features.to_numpy(), (features["hour"].to_numpy() > 12).astype(int))
    with clew.run("a second try", capture=False) as run:
        version = run.register("late", model, example=features.head(50))
    backends.use(None)
    backend.dispose()
    return f"late@{version.number}"


def test_a_version_without_a_gates_word_is_deployed_for_a_reason_only_and_rolled_back(page: Page, second: str) -> None:
    page.goto("endpoints/late")
    expect(page.get_by_role("button", name="Roll back…")).to_be_disabled()
    page.get_by_role("button", name="Deploy another version…").click()
    question = page.get_by_role("dialog")
    expect(question.get_by_label(f"What its gate says of {second}")).to_contain_text("No gate has looked at")
    go = question.get_by_role("button", name=f"Deploy {second} ungated")
    expect(go).to_be_disabled()
    question.get_by_label("Deploy it all the same").check()
    expect(go).to_be_disabled()
    question.get_by_label("Reason").fill("to see both")
    go.click()
    expect(page.get_by_role("status").filter(has_text=f"late is routed to {second}, epoch 2.")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text(f"answers with {second}")
    expect(page.get_by_role("row").filter(has_text="to see both")).to_contain_text("ungated")
    page.get_by_role("button", name="Roll back…").click()
    expect(question).to_contain_text("All requests go to late@1 again")
    question.get_by_label("Reason").fill("enough seen")
    question.get_by_role("button", name="Roll back to late@1").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("answers with late@1")
    expect(page.get_by_role("row").filter(has_text="enough seen")).to_contain_text("rolled back")


def test_a_question_that_is_left_changes_nothing_and_gives_the_focus_back(page: Page, second: str) -> None:
    page.goto("endpoints/late")
    opener = page.get_by_role("button", name="Deploy another version…")
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(opener).to_be_focused()
    expect(page.get_by_role("heading", level=1)).to_contain_text("answers with late@1")


def test_what_was_appended_to_a_dataset_is_cut_into_a_version(page: Page, server: LiveServer, story) -> None:
    row = {"flight": 90_001, "landed": "2013-02-01T00:00:00+00:00", "carrier": "UA", "delay": 3.0, "late": False}
    server.backend().call(push_rows, "landings", [row])
    page.goto("assets/landings/2")
    expect(page.get_by_text("readable already, in no version yet")).to_be_visible()
    page.get_by_role("button", name="Cut…").click()
    page.get_by_role("dialog").get_by_role("button", name="Cut a version").click()
    expect(page.get_by_role("status").filter(has_text="landings@3 is the newest version, with 1 row more")).to_be_visible()


def test_an_earlier_version_of_a_view_is_made_the_newest_again(page: Page, server: LiveServer, story) -> None:
    backend = LocalBackend(server.settings).prepare()
    for over in (("1d",), ("2d",)):
        definition = WindowsDefinition("carrier_counts", "landings", ("carrier",), over, {"flown": Aggregate("count")})
        build_view(backend, definition, definition_digest(definition))
    backend.dispose()
    page.goto("assets/carrier_counts/2")
    expect(page.get_by_text("How is it made?")).to_be_visible()
    expect(page.get_by_role("button", name="Revert to this version…")).to_have_count(0)
    page.goto("assets/carrier_counts/1")
    page.get_by_role("button", name="Revert to this version…").click()
    expect(page.get_by_role("dialog")).to_contain_text("carrier_counts@3 will be made of it")
    page.get_by_role("dialog").get_by_role("button", name="Revert to @1").click()
    expect(page.get_by_role("status").filter(has_text="carrier_counts@3 is carrier_counts@1 again")).to_be_visible()


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    folder: Path = tmp_path_factory.mktemp("guarded")
    with live_server(folder, environ={"CLEW_TOKEN": TOKEN}) as running:
        yield running


def test_who_is_not_known_any_more_is_told_so_and_nothing_is_changed(browser: Browser, guarded: LiveServer) -> None:
    backend = guarded.backend()
    backends.use(backend)
    with clew.run("the only one", capture=False) as run:
        run.log(loss=0.5)
    backends.use(None)
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{guarded.url}/projects/{guarded.project}/runs?token={TOKEN}")
    expect(page.get_by_role("grid", name="Runs")).to_contain_text("the only one")
    context.clear_cookies()
    page.get_by_role("button", name="Views").click()
    page.get_by_role("menuitem", name="Save as a view…").click()
    page.get_by_label("Name").fill("mine")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    alert = page.get_by_role("dialog").get_by_role("alert")
    expect(alert).to_contain_text("The server does not know you.")
    expect(alert).to_contain_text(re.compile("wants its token"))
    context.close()
