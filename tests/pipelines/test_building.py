"""Builds: from rows to a gated, refitted model; cached, never stale, and it says why."""

import importlib
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.cli import app
from clew.datasets.service import append_rows
from clew.errors import BuildFailed, Invalid, NotFound, Refused
from clew.feature_store.service import revert_view
from clew.pipelines.building import NoProgress
from clew.registry.service import model_version
from clew.sdk import declarations, verbs
from clew.sdk.ingest import ingest_file, ingest_frame
from clew.tracking import service as tracking
from clew.tracking.views import RunView

START = datetime(2026, 1, 1, tzinfo=UTC)

HELPERS = """
def slope(values):
    return values * 1.0
"""

RECIPE = """
from typing import Annotated

import clew
import helpers
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

thing = clew.entity("thing")


@clew.dataset(key="id", time="at")
def asked(file: str) -> pl.LazyFrame:
    return pl.scan_parquet(file)


@clew.dataset(key="id", time="done")
def outcomes(file: str) -> pl.LazyFrame:
    return pl.scan_parquet(file)


past = clew.windows("past", outcomes, entity=thing, over="3d", bad=clew.mean("bad"), seen=clew.count())


@clew.features(request={"size": pl.Float64})
def request(request: pl.LazyFrame) -> pl.LazyFrame:
    return request.select(size=helpers.slope(pl.col("size")))


rows = clew.training_set("rows", asked, label=outcomes["bad"], label_within="1d", holdout="20d", features=[past, request])


@clew.model(rows, tune=clew.search(trials=3, maximize="auc"), refit=True)
def risk(
    data: clew.TrainingData, strength: Annotated[float, clew.log_uniform(0.01, 0.3)] = 0.1, *, seed: int = 3
) -> HistGradientBoostingClassifier:
    train, valid = data.split(valid=0.3)
    fitted = HistGradientBoostingClassifier(learning_rate=strength, max_iter=10, random_state=seed).fit(train.X, train.y)
    print("fitted with", strength)
    clew.log(auc=roc_auc_score(valid.y, fitted.predict_proba(valid.X)[:, 1]))
    return fitted


@clew.gate(risk, on=rows.holdout)
def enough(challenger: clew.Candidate, champion: clew.Candidate | None, recent: clew.TrainingData) -> clew.Verdict:
    if champion is None:
        return clew.passed("the first version")
    return clew.compare(challenger, champion, on=recent, metric=roc_auc_score).no_worse_by(0.01)
"""

SECOND_GATE = """

@clew.gate(risk, on=rows.holdout)
def second(challenger: clew.Candidate, champion: clew.Candidate | None, recent: clew.TrainingData) -> clew.Verdict:
    return clew.failed("by hand")
"""


def rows(days: int, first: int = 0) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Requests of some days with their outcomes, two hours later; two outcomes in three follow the request's size."""
    rng = np.random.default_rng(first)
    per_day = 30
    count = days * per_day
    at = [START + timedelta(days=first + row // per_day, minutes=20 * (row % per_day)) for row in range(count)]
    size = rng.normal(size=count)
    base = pl.DataFrame(
        {"id": [f"r{first}-{row}" for row in range(count)], "thing": rng.choice(["a", "b", "c"], count), "at": at, "size": size}
    )
    bad = rng.random(count) < 1 / (1 + np.exp(-2 * size))
    outcomes = base.select("id", "thing", done=pl.col("at") + timedelta(hours=2)).with_columns(bad=pl.Series(bad))
    return base, outcomes


class Project:
    """A folder with the recipe above, whose files can be changed and loaded again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("helpers.py", HELPERS)
        self.write("recipe.py", RECIPE)

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))
        self.load()

    def load(self) -> None:
        declarations.forget()
        for name in ("recipe", "helpers"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        importlib.import_module("recipe")


@pytest.fixture
def project(local_backend: LocalBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = Project(tmp_path)
    made.load()
    yield made
    for name in ("recipe", "helpers"):
        sys.modules.pop(name, None)


def ingest(backend: LocalBackend, days: int, first: int = 0) -> None:
    for name, frame in zip(("asked", "outcomes"), rows(days, first), strict=True):
        declared = declarations.declared("dataset", name)
        assert declared is not None
        ingest_frame(backend, declared.definition, frame)  # type: ignore[arg-type]


def build(name: str = "risk") -> str:
    return str(verbs.build(name, executor="in_process").ref)


class Said(NoProgress):
    """What a build told, by step."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}

    def finished(self, step: str, outcome: str) -> None:
        self.outcomes[step] = outcome


def said(name: str = "risk") -> dict[str, str]:
    progress = Said()
    verbs.build(name, executor="in_process", progress=progress)
    return progress.outcomes


def states(name: str = "risk") -> dict[str, str]:
    return {step.name: step.state for step in verbs.plan(name).steps}


def runs_of(backend: LocalBackend) -> list[str]:
    return sorted(str(run.title) for run in backend.call(tracking.list_runs, limit=50).items)


def test_a_build_makes_a_gated_and_refitted_champion(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    assert build() == "risk@2"
    refit = local_backend.call(model_version, "risk", 2)
    assert str(refit.details.refit_of) == "risk@1"
    assert refit.version.aliases == ("champion",)
    verdict = local_backend.call(catalog.list_verdicts, "risk", 1).items[0]
    assert verdict.passed and verdict.gate == "enough" and "20 days" in verdict.reason
    names = {str(node.ref) for node in local_backend.call(catalog.lineage, "risk", 2).nodes}
    assert {"risk@1", "rows@1", "past@1", "request@1", "asked@1", "outcomes@1"} <= names


def test_trials_are_runs_of_one_study_and_only_the_winner_is_a_version(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    build()
    runs = local_backend.call(tracking.list_runs, limit=50).items
    assert sorted(run.title for run in runs if run.title) == ["refit", "study of risk", "trial 1", "trial 2", "trial 3"]
    assert len(local_backend.call(catalog.list_versions, "risk").items) == 2


def test_a_study_shows_the_best_value_so_far_and_counts_its_trials_from_one(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    project.change("recipe.py", "@clew.model", "CALLS = []\n\n\n@clew.model")
    logged = "    CALLS.append(1)\n    clew.log(auc=[0.6, 0.8, 0.7, 0.5][len(CALLS) - 1])\n"
    project.change("recipe.py", "    clew.log(auc=roc_auc_score(valid.y, fitted.predict_proba(valid.X)[:, 1]))\n", logged)
    assert said()["risk trials"] == "best auc 0.8000 in trial 2"
    runs = {run.title: run for run in local_backend.call(tracking.list_runs, limit=50).items}
    assert runs["trial 2"].metrics["auc"] == 0.8
    study = runs["study of risk"]
    assert study.metrics == {"auc": 0.8}, "the last trial's own value is not the study's"
    curve = RunView(local_backend, local_backend.call(tracking.get_run, study.id)).history("auc")
    assert curve.select("step", "value").rows() == [(1, 0.6), (2, 0.8), (3, 0.8)]
    assert local_backend.call(tracking.get_run, runs["trial 2"].id).run.tags["trial"] == "2"


def test_what_a_refit_measures_on_its_own_rows_is_no_metric_of_the_model(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    build()
    ingest(local_backend, 5, first=60)
    build()
    runs = {run.title: run for run in local_backend.call(tracking.list_runs, limit=50).items}
    for title in ("refit", "training"):
        assert set(runs[title].metrics) == {"in_sample/auc"}
        assert local_backend.call(tracking.get_run, runs[title].id).facts["training"]["refit"]
    assert set(runs["trial 1"].metrics) == {"auc"}
    assert local_backend.call(model_version, "risk", 2).details.metrics == {}
    assert set(local_backend.call(model_version, "risk", 1).details.metrics) == {"auc"}


def test_a_step_that_comes_out_the_same_says_the_same_rows(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    build("rows")
    ingest(local_backend, 5, first=60)
    assert said("rows")["rows"] == "rows@2: input: asked changed"
    project.change("helpers.py", "values * 1.0", "1.0 * values")
    outcomes = said("rows")
    assert outcomes["request"].startswith("request@2: code: ")
    assert outcomes["rows"] == "the same rows as rows@2 (input: request changed)"


def test_a_second_build_does_nothing(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    assert build() == build()
    assert set(states().values()) == {"source", "cached"}
    assert "nothing differs" in verbs.why("risk")


def test_a_changed_helper_rebuilds_exactly_what_it_touches_and_says_so(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    build()
    project.change("helpers.py", "values * 1.0", "values * 2.0")
    assert states() == {
        "asked": "source", "outcomes": "source", "past": "cached", "request": "stale", "rows": "stale", "risk": "stale", "enough": "stale",
    }  # fmt: skip
    assert verbs.why("risk") == "request is stale: code: helpers.slope changed"


def test_a_dataset_whose_code_changed_is_named_and_a_build_does_not_read_it_anew(project: Project, local_backend: LocalBackend) -> None:
    project.change("recipe.py", "    return pl.scan_parquet(file)", "    return helpers.tidy(pl.scan_parquet(file))")
    project.change("helpers.py", "def slope", "def tidy(rows):\n    return rows.filter(pl.col('id') != '')\n\n\ndef slope")
    project.change("helpers.py", "\ndef tidy", "\nimport polars as pl\n\n\ndef tidy")
    for name, frame in zip(("asked", "outcomes"), rows(60), strict=True):
        frame.write_parquet(project.root / f"{name}.parquet")
        clew_dataset(name).ingest(project.root / f"{name}.parquet")
    build()
    assert verbs.why("risk").startswith("risk: nothing differs")
    project.change("helpers.py", "!= ''", "!= '-'")
    first, *notes = verbs.why("risk").splitlines()
    assert first == "risk: nothing differs from risk@2"
    assert notes == [
        f"{name}: its code changed since its newest file was read (code: helpers.tidy changed), and no build reads a file; "
        f"`clew ingest {name} --replace <file>` reads it anew"
        for name in ("asked", "outcomes")
    ]
    assert {"stale", "new"}.isdisjoint(states().values())
    assert "asked     source  data: the first rows, 1,800 rows from asked.parquet; its code changed since" in str(verbs.plan("risk"))
    row = {"id": "late one", "thing": "a", "done": START + timedelta(days=61), "bad": True}
    local_backend.context("test").run_write(lambda inside: append_rows(inside, "outcomes", [row]))
    build("past")
    assert "code: helpers.tidy changed" in verbs.why("past"), "a cut of appended rows has read no file"
    ingest_file(local_backend, clew_dataset("outcomes"), project.root / "outcomes.parquet", replace=True)
    assert "outcomes: its code" not in verbs.why("risk")


def printed(*arguments: str) -> list[tuple[str, ...]]:
    """A command's table below its head, cells parted by two spaces and more."""
    result = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "400"})
    assert result.exit_code == 0, result.output
    return [tuple(re.split(r"  +", line.strip())) for line in result.stdout.splitlines()[1:]]


def test_apply_plan_and_why_tell_every_field_that_is_declared_otherwise(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    build("rows")
    project.change("recipe.py", 'over="3d"', 'over=["3d", "5d"]')
    project.change("recipe.py", "seen=clew.count()", "seen=clew.count(bounds=(0, None))")
    project.change("recipe.py", 'holdout="20d"', 'holdout="21d", zone="Europe/Berlin"')
    past = ("over [3d] → [3d, 5d]", "seen count() → count(bounds=(0, None))")
    training = ("holdout 20d → 21d", "zone UTC → Europe/Berlin")
    assert printed("plan", "rows")[2:] == [
        ("feature view", "past", "stale", f"definition: {past[0]}; {past[1]}"),
        ("feature view", "request", "cached", "nothing differs from request@1"),
        ("training set", "rows", "stale", "past is built before it"),
        *((told,) for told in training),
    ]
    assert verbs.why("rows") == f"past is stale: definition: {past[0]}; {past[1]}"
    assert printed("apply", "--dry-run") == printed("apply")
    project.change("recipe.py", "seen=clew.count(bounds=(0, None))", "seen=clew.count()")
    assert [row for row in printed("apply", "--dry-run") if len(row) == 1] == [("seen count(bounds=(0, None)) → count()",)]
    assert verbs.why("rows") == f"past is stale: definition: {past[0]}"


def test_a_field_is_told_beside_code_that_changed_and_of_a_dataset_whose_rows_stay(project: Project, local_backend: LocalBackend) -> None:
    asked, outcomes = rows(60)
    for name, frame in (("asked", asked), ("outcomes", outcomes)):
        frame.write_parquet(project.root / f"{name}.parquet")
    verbs.apply()
    for name in ("asked", "outcomes"):
        clew_dataset(name).ingest(project.root / f"{name}.parquet")
    build()
    project.change("helpers.py", "values * 1.0", "values * 2.0")
    project.change("recipe.py", 'request={"size": pl.Float64}', 'request={"size": pl.Float32}, bounds={"size": (-9, 9)}')
    project.change("recipe.py", '@clew.dataset(key="id", time="done")', '@clew.dataset(key="id", time="done", zone="UTC")')
    assert verbs.why("risk").splitlines() == [
        "request is stale: code: helpers.slope changed",
        "  request.size Float64 → Float32",
        "  bounds.size None → (-9, 9)",
        "outcomes: zone None → UTC",
    ]
    assert ("outcomes", "zone None → UTC") in [(step.name, told) for step in verbs.plan("risk").steps for told in step.lines]
    changed = {change.name: change.words for change in verbs.apply(dry_run=True).changes if change.change == "changed"}
    assert changed == {
        "request": ["request.size Float64 → Float32", "bounds.size None → (-9, 9)", "its code changed"],
        "outcomes": ["zone None → UTC"],
    }


def clew_dataset(name: str) -> Any:  # Any: a dataset whose function takes a file
    return declarations.declared("dataset", name)


def test_after_a_revert_the_file_still_leads(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 30)
    build("past")
    project.change("recipe.py", 'over="3d"', 'over="5d"')
    assert build("past") == "past@2"
    assert local_backend.call(revert_view, name="past", number=1).version.number == 3
    ingest(local_backend, 5, first=30)
    assert build("past") == "past@4"
    assert (
        local_backend.call(catalog.resolve, "past@4").definition_digest == local_backend.call(catalog.resolve, "past@2").definition_digest
    )
    assert local_backend.call(revert_view, name="past", number=3).version.number == 5
    project.change("recipe.py", 'over="5d"', 'over="3d"')
    assert build("past") == "past@6", "changed back in the file, the definition stays, over the newest rows"
    assert (
        local_backend.call(catalog.resolve, "past@6").definition_digest == local_backend.call(catalog.resolve, "past@1").definition_digest
    )


def test_a_comment_rebuilds_nothing(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    build()
    project.change("recipe.py", "    print(", "    # says it\n    print(")
    assert "stale" not in states().values()


def test_a_refresh_on_newer_rows_is_not_tuned_again_and_waits_for_unseen_days(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    build()
    ingest(local_backend, 5, first=60)
    assert verbs.why("risk").startswith("past is stale: input: outcomes changed")
    assert said()["risk trials"] == "not tuned again, for its recipe is the same: it keeps the parameters of risk@2"
    assert build() == "risk@3"
    kept = next(run for run in local_backend.call(tracking.list_runs, limit=50).items if run.title == "training")
    assert local_backend.call(tracking.get_run, kept.id).facts["training"]["parameters_of"] == "risk@2"
    verdict = local_backend.call(catalog.list_verdicts, "risk", 3).items[0]
    assert (verdict.passed, verdict.word) == (False, "not enough data yet")
    assert local_backend.call(catalog.resolve, "risk@champion").number == 2
    assert local_backend.call(catalog.get_version, "risk", 3).state == "rejected"
    studies = [run for run in local_backend.call(tracking.list_runs, limit=50).items if (run.title or "").startswith("study")]
    assert len(studies) == 1


def test_rows_that_were_appended_are_in_the_next_build(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 30)
    assert build("past") == "past@1"
    row = {"id": "late one", "thing": "a", "done": START + timedelta(days=31), "bad": True}
    local_backend.context("test").run_write(lambda inside: append_rows(inside, "outcomes", [row]))
    assert build("past") == "past@2"
    newest = local_backend.call(catalog.resolve, "outcomes")
    assert (newest.number, newest.details["rows"]) == (2, 30 * 30 + 1)


def test_rows_that_wait_in_a_tail_are_in_the_plan(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    build()
    late = [{"id": f"late {number}", "thing": "a", "done": START + timedelta(days=61), "bad": True} for number in range(12)]
    local_backend.context("test").run_write(lambda inside: append_rows(inside, "outcomes", late))
    assert verbs.why("risk") == "outcomes is stale: 12 rows wait in outcomes' tail"
    steps = {step.name: (step.state, step.reason) for step in verbs.plan("risk").steps}
    assert steps["asked"][0] == "source" and steps["request"][0] == "cached"
    assert steps["past"] == ("stale", "outcomes grows before it")
    assert steps["risk"] == ("stale", "rows is built before it")
    build()
    assert set(states().values()) == {"source", "cached"}


def test_a_changed_gate_judges_again_and_trains_nothing(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    assert build() == "risk@2"
    fits = runs_of(local_backend)
    project.change("recipe.py", 'clew.passed("the first version")', 'clew.failed("never the first")')
    assert verbs.why("risk") == "enough is stale: code: recipe.enough changed"
    assert states()["risk"] == "cached"
    assert build() == "risk@1", "the version that was stopped"
    assert local_backend.call(catalog.get_version, "risk", 1).state_reason.startswith("enough: failed: never the first")
    assert local_backend.call(catalog.resolve, "risk@champion").number == 2, "what is in use is not taken away by a build"
    project.change("recipe.py", 'clew.failed("never the first")', 'clew.passed("the first version")')
    assert verbs.why("risk").startswith("enough is stale"), "the newest verdict is not this gate's, though an older one is"
    assert build() == "risk@2"
    assert local_backend.call(catalog.get_version, "risk", 1).state == "ready"
    assert [verdict.passed for verdict in local_backend.call(catalog.list_verdicts, "risk", 1).items] == [True, False, True]
    assert runs_of(local_backend) == fits, "nothing was trained"
    assert build() == "risk@2" and len(local_backend.call(catalog.list_verdicts, "risk", 1).items) == 3


def test_a_gate_that_was_mended_lets_the_same_version_be_refitted(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    project.change("recipe.py", 'clew.passed("the first version")', 'clew.failed("never the first")')
    assert build() == "risk@1"
    project.change("recipe.py", 'clew.failed("never the first")', 'clew.passed("the first version")')
    assert build() == "risk@2"
    assert local_backend.call(catalog.resolve, "risk@champion").number == 2
    assert runs_of(local_backend) == ["refit", "study of risk", "trial 1", "trial 2", "trial 3"]


def test_a_gate_is_asked_again_when_a_file_that_it_read_has_changed(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    project.write("limit.txt", "0.5")
    lines = 'limit = float(pathlib.Path("limit.txt").read_text())\n    return clew.passed("good enough") if limit < 0.9 else clew.failed("not good enough")'
    project.change("recipe.py", "    if champion is None:\n        return", f"    {lines}\n    if champion is None:\n        return")
    project.change("recipe.py", '"limit.txt"', repr(str(project.root / "limit.txt")))
    project.change("recipe.py", "import clew\n", "import pathlib\n\nimport clew\n")
    assert build() == "risk@2"
    project.write("limit.txt", "0.95")
    assert verbs.why("risk") == "enough is stale: trace: the file limit.txt changed"
    assert build() == "risk@1"


def test_a_gate_that_is_new_judges_what_is_there(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    build()
    fits = runs_of(local_backend)
    project.write("recipe.py", (project.root / "recipe.py").read_text() + SECOND_GATE)
    project.load()
    assert verbs.why("risk") == "second is new: it has not judged risk@1 yet"
    assert build() == "risk@1"
    assert {one.gate: one.passed for one in local_backend.call(catalog.list_verdicts, "risk", 1).items} == {"enough": True, "second": False}
    project.change("recipe.py", 'clew.passed("the first version")', 'clew.passed("the very first version")')
    assert build() == "risk@1", "one gate's new word does not undo another's"
    assert local_backend.call(catalog.get_version, "risk", 1).state == "rejected"
    assert runs_of(local_backend) == fits


def test_a_gate_that_raises_fails_the_build_with_its_place(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    project.change("recipe.py", "    if champion is None:", "    1 / 0\n    if champion is None:")
    with pytest.raises(BuildFailed, match=r"the gate 'enough' failed: ZeroDivisionError: division by zero \(recipe.py:"):
        build()
    project.change("recipe.py", "    1 / 0\n", "")
    assert build() == "risk@2"
    assert runs_of(local_backend) == ["refit", "study of risk", "trial 1", "trial 2", "trial 3"], "what was trained is kept"


def test_a_changed_gate_compares_with_the_champion_before(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    build()
    ingest(local_backend, 40, first=60)
    assert build() == "risk@4"
    project.change("recipe.py", "no_worse_by(0.01)", "no_worse_by(0.02)")
    assert build() == "risk@4", "not held against itself, which has seen all rows"
    words = [verdict.word for verdict in local_backend.call(catalog.list_verdicts, "risk", 3).items]
    assert len(words) == 2 and words[0] == words[1]


def test_a_function_may_ask_for_its_run_and_draws_the_same_numbers_each_time(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    project.change("recipe.py", "0.1, *, seed: int = 3", "0.1, *, run: clew.Run, seed: int = 3")
    project.change("recipe.py", "    print(", "    import numpy\n    run.log(drawn=numpy.random.random())\n    print(")
    build()
    drawn = [
        run.metrics[name]
        for run in local_backend.call(tracking.list_runs, limit=50).items
        for name in ("drawn", "in_sample/drawn")
        if name in run.metrics
    ]
    assert len(drawn) == 4, "three trials and the refit"
    assert len(set(drawn)) == 1


def test_each_trial_keeps_its_code_rows_and_seed(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    build()
    run = next(run for run in local_backend.call(tracking.list_runs, limit=50).items if run.title == "trial 3")
    kept = local_backend.call(tracking.get_run, run.id)
    assert kept.seed == 3 and "strength" in run.params
    assert kept.facts["training"]["training_set"] == "rows@1"
    assert kept.facts["source"]["digest"] == local_backend.call(model_version, "risk", 1).details.source
    assert kept.facts["environment"].startswith("sha256:")


def test_a_trial_that_lags_is_cut_short_and_the_others_go_on(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    project.change("recipe.py", "trials=3", "trials=6")
    project.change("recipe.py", "@clew.model", "CALLS = []\n\n\n@clew.model")
    curve = "    CALLS.append(1)\n    for step in range(4):\n        clew.log(auc=0.9 if len(CALLS) <= 4 else 0.1, step=step)\n"
    project.change("recipe.py", "    print(", curve + "    print(")
    assert build() == "risk@2"
    runs = local_backend.call(tracking.list_runs, limit=50).items
    assert {run.title for run in runs if run.status == "pruned"} == {"trial 5", "trial 6"}, "the first batch has nothing to be measured by"


def test_a_function_that_raises_fails_the_build_with_its_place(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    project.change("recipe.py", "    print(", "    raise ZeroDivisionError('by hand')\n    print(")
    with pytest.raises(BuildFailed, match=r"every trial of risk failed.*ZeroDivisionError: by hand \(recipe.py:"):
        build()
    assert states()["rows"] == "cached", "what was built before it stays"


def test_a_metric_that_is_never_logged_is_named(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    project.change("recipe.py", "clew.log(auc=", "clew.log(area=")
    with pytest.raises(BuildFailed, match="never logged 'auc'"):
        build()


def test_nothing_to_build_from_says_what_to_do(project: Project) -> None:
    with pytest.raises(Invalid, match="clew ingest asked"):
        build()
    assert verbs.plan("risk").steps[0].state == "waits"


def test_an_unknown_asset_names_those_that_there_are(project: Project) -> None:
    with pytest.raises(NotFound, match="asked, outcomes, past, request, risk, rows"):
        verbs.plan("late")


def test_labels_that_have_not_matured_are_no_rows(project: Project, local_backend: LocalBackend) -> None:
    asked, outcomes = rows(2)
    later = outcomes.with_columns(pl.col("done") + timedelta(days=10))
    for name, frame in (("asked", asked), ("outcomes", later)):
        declared = declarations.declared("dataset", name)
        assert declared is not None
        ingest_frame(local_backend, declared.definition, frame)  # type: ignore[arg-type]
    with pytest.raises(Refused, match="no row whose label has matured"):
        build("rows")


def test_processes_build_the_same(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    version = verbs.build("risk", executor="processes", workers=2, progress=NoProgress())
    assert str(version.ref) == "risk@2"
    run = next(run for run in local_backend.call(tracking.list_runs, limit=50).items if run.title == "trial 2")
    output = local_backend.call(tracking.run_log, run.id)
    assert "fitted with" in str(output)


def test_a_refresh_that_comes_out_as_the_champion_is_held_against_it_and_never_called_the_first(
    project: Project, local_backend: LocalBackend
) -> None:
    """One holdout later the rows before it are those that the last refit saw: the refresh is the champion itself."""
    ingest(local_backend, 60)
    assert build() == "risk@2"
    ingest(local_backend, 20, first=60)
    build()
    verdicts = [
        verdict
        for version in local_backend.call(catalog.list_versions, "risk").items
        for verdict in local_backend.call(catalog.list_verdicts, "risk", version.number).items
    ]
    assert [verdict.word for verdict in verdicts].count("passed") == 1
    assert {verdict.word for verdict in verdicts} == {"passed", "no worse"}
    assert {version.state for version in local_backend.call(catalog.list_versions, "risk").items} == {"ready"}


def test_a_version_that_has_served_is_not_marked_by_a_later_word(project: Project, local_backend: LocalBackend) -> None:
    ingest(local_backend, 60)
    build()
    project.change("recipe.py", "no_worse_by(0.01)", "better()")
    project.change("recipe.py", 'return clew.passed("the first version")', 'return clew.failed("not enough data yet")')
    build()
    assert local_backend.call(catalog.get_version, "risk", 2).state == "ready"
    assert local_backend.call(catalog.resolve, "risk@champion").number == 2
