"""The page against a running server: what a person sees, clicks and types."""

import json
import re

import httpx
import pytest
from playwright.sync_api import Page, expect

from clew.catalog.schema import DefinitionDraft
from clew.catalog.service import apply_definitions
from clew.definitions import FunctionRef, ModelDefinition, definition_digest, to_document
from clew.tracking import recording

pytestmark = pytest.mark.browser


def test_the_overview_says_how_serving_is_and_what_needs_a_person(page: Page, story) -> None:
    page.goto("")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Serving well")
    loop = page.get_by_label("The loop")
    expect(loop).to_contain_text("landings@2")
    expect(loop).to_contain_text("no worse")
    expect(page.get_by_role("listitem").filter(has_text=f"The run {story.failed} failed.")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="late is routed to late@1")).to_be_visible()


def test_runs_are_filtered_sorted_and_selected_in_the_address(page: Page, story) -> None:
    page.goto("runs")
    table = page.get_by_role("grid", name="Runs")
    expect(table).to_contain_text(story.runs[0])
    box = page.get_by_label("Filter of runs")
    box.fill("params.learning_rate < 0.06 and metrics.loss exists")
    box.press("Enter")
    expect(table).to_contain_text(story.runs[0])
    expect(table).not_to_contain_text(story.runs[5])
    page.get_by_role("button", name="loss", exact=True).click()
    expect(page).to_have_url(re.compile("order=-metrics.loss"))
    page.get_by_label(f"select {story.runs[0]}").check()
    page.get_by_label(f"select {story.runs[1]}").check()
    expect(page.get_by_label("loss by step").locator("canvas")).to_be_visible()
    address = page.url
    page.goto("")
    page.goto(address)
    expect(page.get_by_label(f"select {story.runs[1]}")).to_be_checked()
    expect(page.get_by_label("valid/auc by step")).to_be_visible()


def test_a_filter_that_makes_no_sense_says_why_and_keeps_the_rows(page: Page, story) -> None:
    page.goto("runs")
    expect(page.get_by_text(story.runs[0])).to_be_visible()
    page.get_by_label("Filter of runs").fill("metrics.loss >")
    page.get_by_label("Filter of runs").press("Enter")
    expect(page.get_by_role("alert")).not_to_be_empty()
    expect(page.get_by_text(story.runs[0])).to_be_visible()


def test_only_what_differs_hides_what_is_the_same_in_all(page: Page, story) -> None:
    page.goto('runs?filter=title ~ "trial"')
    expect(page.get_by_role("columnheader", name="solver")).to_be_visible()
    page.get_by_role("button", name="Only what differs").click()
    expect(page.get_by_role("columnheader", name="solver")).to_have_count(0)
    expect(page.get_by_role("columnheader", name="learning_rate")).to_be_visible()


def test_a_run_shows_its_curves_parameters_and_why_it_failed(page: Page, story) -> None:
    page.goto("runs")
    page.get_by_role("link", name=story.failed).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("failed after")
    expect(page.get_by_text("the loss is not finite")).to_be_visible()
    page.go_back()
    page.get_by_role("link", name=story.runs[2]).click()
    expect(page.get_by_label("loss by step").locator("canvas")).to_be_visible()
    expect(page.get_by_text("max_leaf_nodes")).to_be_visible()


def test_runs_are_grouped_and_the_groups_fold_and_unfold_with_the_keyboard(page: Page, story) -> None:
    page.goto("runs")
    page.get_by_role("button", name="Group", exact=True).click()
    page.get_by_role("menuitemradio", name="Study").click()
    grid = page.get_by_role("grid", name="Runs")
    expect(grid.get_by_role("row").filter(has_text=f"study {story.study}")).to_contain_text("0.7100 … 0.7400")
    expect(grid).to_contain_text(story.trials[1])
    grid.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    expect(grid).not_to_contain_text(story.trials[1])
    expect(page).to_have_url(re.compile("folded="))
    page.keyboard.press("ArrowRight")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.get_by_label(re.compile("^select")).and_(page.locator(":checked"))).to_have_count(1)


def test_a_metric_is_shown_and_ordered_by_its_lowest_value(page: Page, story) -> None:
    page.goto('runs?filter=title ~ "trial"&columns=["minimum.loss","metrics.loss"]')
    expect(page.get_by_role("columnheader", name="lowest loss")).to_be_visible()
    page.get_by_role("button", name="lowest loss").click()
    expect(page).to_have_url(re.compile("order=-minimum.loss"))
    expect(page.get_by_role("grid", name="Runs").get_by_role("row").nth(1)).to_contain_text(story.runs[0])


def test_a_view_is_saved_for_everyone_and_opened_again(page: Page, browser, server, story) -> None:
    page.goto('runs?filter=title ~ "trial"&order=-metrics.loss&group=params.solver')
    page.get_by_role("button", name="Views").click()
    page.get_by_role("menuitem", name="Save as a view…").click()
    page.get_by_label("Name").fill("Worst trials")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").filter(has_text="The view Worst-trials is saved")).to_be_visible()
    elsewhere = browser.new_context().new_page()
    elsewhere.goto(f"{server.url}/projects/{server.project}/runs")
    elsewhere.get_by_role("button", name="Views").click()
    elsewhere.get_by_role("menuitem", name="Worst-trials").click()
    expect(elsewhere).to_have_url(re.compile("view=Worst-trials"))
    expect(elsewhere.get_by_label("Filter of runs")).to_have_value('title ~ "trial"')
    expect(elsewhere.get_by_role("button", name="Grouped by solver")).to_be_visible()
    elsewhere.get_by_role("button", name="Only what differs").click()
    elsewhere.get_by_role("button", name="Worst-trials (changed)").click()
    elsewhere.get_by_role("menuitem", name="Delete Worst-trials…").click()
    elsewhere.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(elsewhere.get_by_role("button", name="Views")).to_be_visible()
    elsewhere.context.close()


def test_runs_with_one_value_are_compared_by_it(page: Page, story) -> None:
    page.goto('runs?filter=experiment = "study"')
    page.get_by_label(f"select {story.trials[0]}").check()
    page.get_by_label(f"select {story.trials[1]}").check()
    expect(page.get_by_role("img", name=re.compile(rf"auc: .*{story.trials[0]} 0.7100.*all from 0.7100 to 0.7400"))).to_be_visible()


def test_a_run_with_one_value_shows_where_it_stands_in_its_study(page: Page, story) -> None:
    page.goto("runs")
    page.get_by_role("link", name=story.trials[2], exact=True).click()
    expect(page.get_by_text("among the 3 runs of its study")).to_be_visible()
    expect(page.get_by_text("2nd best of 3")).to_be_visible()
    expect(page.get_by_role("main").get_by_role("link", name=story.trials[1])).to_be_visible()
    expect(page.get_by_role("img", name=f"auc: {story.trials[2]} 0.7300; all from 0.7100 to 0.7400")).to_be_visible()


def test_a_model_version_shows_the_gates_verdict_with_its_interval(page: Page, story) -> None:
    page.goto("assets/late/champion")
    expect(page.get_by_role("heading", level=1)).to_contain_text("late@1")
    expect(page.get_by_role("img", name=re.compile("challenger − champion: .0.003, 95 % −0.002 to .0.008"))).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="carrier AA")).to_contain_text("differs")
    page.get_by_role("link", name="Card", exact=True).click()
    expect(page.get_by_text("written from what is recorded")).to_be_visible()
    page.get_by_role("link", name="Lineage").click()
    expect(page.get_by_test_id("lineage").get_by_text("late@1")).to_be_visible()


def test_a_dataset_version_shows_columns_rows_and_what_changed(page: Page, story) -> None:
    page.goto("assets/landings/2")
    expect(page.get_by_role("row").filter(has_text="carrier")).to_contain_text("one of AA, B6")
    page.get_by_role("link", name=re.compile("^Rows")).click()
    expect(page.get_by_text("The first 100 of 1,600 rows")).to_be_visible()
    page.get_by_role("link", name="Changes").click()
    expect(page.get_by_text("What does @2 have that @1 has not?")).to_be_visible()
    expect(page.get_by_text("700", exact=True)).to_be_visible()


def test_an_answer_is_walked_back_to_model_run_and_code(page: Page, story) -> None:
    page.goto("endpoints/late")
    expect(page.get_by_role("heading", level=1)).to_contain_text("answers with late@1")
    page.get_by_test_id("answers").get_by_role("link", name="explain").first.click()
    walk = page.get_by_test_id("walk")
    expect(walk).to_contain_text("late@1")
    expect(walk).to_contain_text("no worse")
    walk.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Run", exact=True)).get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("finished")


def test_an_answer_appears_while_the_page_is_open(page: Page, server, story) -> None:
    page.goto("endpoints/late")
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    asked = httpx.post(f"{server.serving_url}/endpoints/late/predict", json={"rows": [{"hour": 3.0, "distance": 4321.0}]}, timeout=10)
    assert asked.is_success
    page.reload()
    expect(page.get_by_text("4321").first).to_be_visible()


def test_the_palette_finds_by_name_and_goes_there(page: Page, story) -> None:
    page.goto("")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="").last.fill("landin")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("landings has 2 versions")
    page.keyboard.press("g")
    page.keyboard.press("r")
    expect(page).to_have_url(re.compile("/runs$"))


def test_what_is_not_there_is_said_in_words(page: Page, story) -> None:
    page.goto("assets/late/99")
    expect(page.get_by_role("alert")).to_contain_text("there is no late@99")


@pytest.mark.parametrize("path", ["", "runs", "assets/late/1", "assets/landings/2", "endpoints/late", "events"])
def test_no_page_is_wider_than_a_telephone(page: Page, story, path: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(path)
    expect(page.locator("main")).not_to_be_empty()
    page.wait_for_timeout(500)  # what was read is drawn
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_the_switch_of_colours_is_kept(page: Page, story) -> None:
    page.goto("")
    page.get_by_role("button", name=re.compile("Colours: system")).click()
    page.get_by_role("button", name=re.compile("Colours: light")).click()
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 19, 17)"


def test_a_project_without_anything_shows_the_commands_that_fill_it(page: Page, empty_server) -> None:
    base = f"{empty_server.url}/projects/{empty_server.project}"
    for path, command in (
        ("", "clew apply"),
        ("/runs", "clew.run("),
        ("/data", "clew ingest <dataset> <file>"),
        ("/features", "clew apply"),
        ("/training-sets", "clew build <model>"),
        ("/models", "clew build <model>"),
        ("/endpoints", "clew deploy <model>@champion"),
    ):
        page.goto(base + path)
        expect(page.get_by_text(command).first).to_be_visible()


def test_a_name_and_a_project_that_are_not_there_are_said_so(page: Page, server, story) -> None:
    page.goto("assets/nope")
    expect(page.get_by_text("Nothing here is named nope")).to_be_visible()
    page.goto(f"{server.url}/projects/elsewhere/runs")
    expect(page.get_by_text("There is no project elsewhere")).to_be_visible()
    expect(page.get_by_text("server away")).to_have_count(0)


def test_each_page_has_a_title_of_its_own(page: Page, server, story) -> None:
    page.goto("endpoints/late")
    expect(page).to_have_title(f"late · Endpoints · {server.project} · Clew")
    page.goto("runs")
    page.get_by_role("link", name=story.runs[0]).first.click()
    expect(page).to_have_title(f"{story.runs[0]} · Runs · {server.project} · Clew")


def test_what_was_refused_is_no_failure_of_the_endpoint(page: Page, server, story) -> None:
    refused = httpx.post(f"{server.serving_url}/endpoints/late/predict", json={"rows": [{"hour": "noon"}]}, timeout=10)
    assert refused.status_code == 400
    page.goto("endpoints/late")
    expect(page.get_by_text(re.compile(r"no failed request of \d+ in the last hour; 1 refused"))).to_be_visible()


def test_the_page_has_a_command_that_asks_the_endpoint(page: Page, server, story) -> None:
    page.goto("endpoints/late")
    expect(page.get_by_text(f"curl {server.serving_url}/endpoints/late/predict -H 'content-type: application/json' -d")).to_be_visible()


def test_a_runs_code_opens_at_the_function_that_made_the_model(page: Page, server, story) -> None:
    backend = server.backend()
    much = [f"x{number} = {number}" for number in range(300)]
    lines = ["import clew", *much, "@clew.model(training)", "def late(training):", "    return 1", *much]
    source = "\n".join(lines).encode()
    files = [{"path": path, "digest": backend.upload(text).digest, "size_bytes": len(text)} for path, text in
             (("airport.py", source), ("a_script.py", b"import airport"))]  # fmt: skip
    manifest = backend.upload(json.dumps({"files": files}).encode())
    definition = ModelDefinition("late", "training", {}, None, None, False, FunctionRef("airport", "late", "airport.py"))
    draft = DefinitionDraft("model", "late", definition_digest(definition), to_document(definition))
    backend.call(apply_definitions, [draft], source=manifest.digest)
    run = recording.begin(backend, title="late trial 1", experiment="late", source=manifest.digest, capture=False)
    run.finish()
    page.goto(f"runs/{run.id}?tab=code")
    expect(page.locator("mark")).to_contain_text("def late(training):")
    expect(page.locator("mark")).to_be_in_viewport()
    page.get_by_role("link", name="a_script.py").click()
    expect(page.get_by_text("import airport")).to_be_visible()
    expect(page.locator("mark")).to_have_count(0)
