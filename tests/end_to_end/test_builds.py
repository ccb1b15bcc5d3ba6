"""A whole project as its user runs it: the same file on a folder and on a server, on SQLite and on PostgreSQL."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from clew.backend import Backend, connect
from clew.catalog import service as catalog
from clew.settings import load_settings
from clew.testing.server import live_server
from clew.tracking import service as tracking
from clew.tracking.views import RunView

pytestmark = pytest.mark.timeout(600)

SMALL = Path(__file__).parent / "small_project"
START = datetime(2026, 1, 1, tzinfo=UTC)


def write_project(root: Path, days: int = 60) -> Path:
    """The small project with files of loans and their outcomes, two hours later; the outcome follows the loan's size, mostly."""
    shutil.copytree(SMALL, root, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    rng, count = np.random.default_rng(0), (days + 1) * 30
    loans = pl.DataFrame({
        "loan": [f"l{row}" for row in range(count)], "customer": rng.choice(["a", "b", "c"], count),
        "at": [START + timedelta(days=row // 30, minutes=20 * (row % 30)) for row in range(count)], "size": rng.normal(size=count),
    })  # fmt: skip
    bad = pl.Series("bad", rng.random(count) < 1 / (1 + np.exp(-2 * loans["size"].to_numpy())))
    outcomes = loans.select("loan", "customer", done=pl.col("at") + timedelta(hours=2)).with_columns(bad)
    loans[: days * 30].write_parquet(root / "asked.parquet")
    outcomes[: days * 30].write_parquet(root / "outcomes.parquet")
    loans[days * 30 :][:12].write_parquet(root / "newest.parquet")
    return root


def outside() -> dict[str, str]:
    """The environment of somebody who has no settings of Clew's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")}


def run(root: Path, environ: Mapping[str, str], *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    """A program in the project's folder, as a shell there would start it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")}
    done = subprocess.run([sys.executable, *command], cwd=root, env=clean | dict(environ), capture_output=True, text=True, timeout=500)
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def clew(root: Path, environ: Mapping[str, str], *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
    return run(root, environ, "-m", "clew.cli", *arguments, check=check)


@contextmanager
def connected(root: Path, environ: Mapping[str, str]) -> Iterator[Backend]:
    backend = connect(settings=load_settings(root, environ))
    try:
        yield backend
    finally:
        backend.dispose()  # type: ignore[attr-defined]  # both backends have it


def written(backend: Backend) -> dict[str, Any]:
    """Everything in the project that must not depend on where it lies."""
    versions = [
        (str(one.ref), one.definition_digest, one.content_digest, one.why, one.state, one.aliases)
        for asset in backend.call(catalog.list_assets).items
        for one in backend.call(catalog.list_versions, asset.name).items
    ]
    verdicts = [(one.gate, one.passed, one.word, one.reason) for one in backend.call(catalog.list_verdicts, "risk", 1).items]
    runs = [
        (one.title, one.status, one.params, {name: value for name, value in one.metrics.items() if "/" not in name})
        for one in backend.call(tracking.list_runs, limit=50).items
    ]
    return {"versions": sorted(versions), "verdicts": verdicts, "runs": sorted(runs, key=str)}


@contextmanager
def serving(root: Path, environ: Mapping[str, str]) -> Iterator[None]:
    """``clew serve`` on the folder, beside the script."""
    command = [sys.executable, "-m", "clew.cli", "serve", "risk", "--port", "0"]
    with (root / "serve.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=root, env=outside() | dict(environ), stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def folder(root: Path, **environ: str) -> Iterator[dict[str, str]]:
    with serving(root, environ):
        yield environ


@contextmanager
def server(root: Path, **environ: str) -> Iterator[dict[str, str]]:
    place = root.parent / "server"
    place.mkdir()
    with live_server(place, project="loans", environ=environ) as found:
        yield {"CLEW_URL": found.url}


def told_by_the_script(root: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    return json.loads(run(root, environ, "loans.py").stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def on_a_folder(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the script tells and leaves on the folder ``.clew`` with SQLite: what every other place must agree with."""
    root = write_project(tmp_path_factory.mktemp("folder") / "loans")
    with folder(root) as environ:
        told = told_by_the_script(root, environ)
    with connected(root, environ) as backend:
        return {"told": told, **written(backend)}


def test_a_script_builds_deploys_predicts_appends_and_tracks(on_a_folder: dict[str, Any]) -> None:
    told = on_a_folder["told"]
    assert told["built"] == ["risk@2", "risk@2"], "the second build did nothing"
    assert told["why"] == "risk: nothing differs from risk@2"
    assert told["then"] == "outcomes is stale: 12 rows wait in outcomes' tail"
    assert {model for _, model, _, _ in told["answers"]} == {"risk@2"}
    before, after = ([value for value, *_ in part] for part in (told["answers"][:12], told["answers"][12:]))
    assert before != after, "appended rows are in the windows of the next request"
    assert told["run"][0] == "finished" and told["run"][2] == [[step, 1 / (1 + step)] for step in range(50)]
    assert [ref for ref, *_ in on_a_folder["versions"] if ref.startswith("risk")] == ["risk@1", "risk@2"]
    assert [passed for _, passed, *_ in on_a_folder["verdicts"]] == [True]
    assert [title for title, *_ in on_a_folder["runs"]] == [
        "a script of its own", "refit", "study of risk", "trial 1", "trial 2", "trial 3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("place", "database"),
    [
        pytest.param(folder, "postgresql", marks=pytest.mark.postgres),
        (server, "sqlite"),
        pytest.param(server, "postgresql", marks=pytest.mark.postgres),
    ],
)
def test_the_same_file_gives_the_same_versions_metrics_and_answers(
    on_a_folder: dict[str, Any], tmp_path: Path, request: pytest.FixtureRequest, place: Any, database: str
) -> None:
    root = write_project(tmp_path / "loans")
    elsewhere = {} if database == "sqlite" else {"CLEW_DATABASE_URL": request.getfixturevalue("postgres_database")}
    with place(root, **elsewhere) as environ:
        told = told_by_the_script(root, environ)
        with connected(root, environ) as backend:
            found = written(backend)
    assert told == on_a_folder["told"]
    assert found == {part: on_a_folder[part] for part in found}


def ingested(root: Path) -> Path:
    for name in ("asked", "outcomes"):
        clew(root, {}, "ingest", name, f"{name}.parquet")
    return root


@pytest.mark.ray
def test_a_build_on_ray_has_the_same_winner(on_a_folder: dict[str, Any], tmp_path: Path) -> None:
    root = ingested(write_project(tmp_path / "loans"))
    assert "risk@2 is ready" in clew(root, {}, "build", "risk", "--executor", "ray", "--workers", "2").stdout
    assert "nothing differs from risk@2" in clew(root, {}, "why", "risk").stdout
    with connected(root, {}) as backend:
        found = written(backend)
    expected = {part: on_a_folder[part] for part in found}
    expected["runs"] = [run for run in expected["runs"] if run[0] != "a script of its own"]
    assert found == expected


ENDLESS = """
import os
import time
from pathlib import Path

import clew

HERE = Path(__file__).parent


def scaled(size):
    return size * 1.0


def logged(strength, auc):
    if strength == 0.1 or not (HERE / "endless").exists():
        return
    (HERE / "worker.pid").write_text(str(os.getpid()))
    with (HERE / "acknowledged").open("a") as acknowledged:
        for step in range(10_000_000):
            clew.log(progress=step, step=step)
            acknowledged.write(f"{step}\\n")
            acknowledged.flush()
            time.sleep(0.001)
"""
"""The first trial, which has the defaults, ends; the one after it logs until it is killed, and writes down what it was told is kept."""


def kill_in_the_second_trial(root: Path, *options: str) -> "tuple[subprocess.CompletedProcess[str], int]":
    """A build whose worker is killed in mid-log: how it ended, and how many points of ``progress`` were acknowledged."""
    (root / "endless").touch()
    command, environ = [sys.executable, "-m", "clew.cli", "build", "risk", *options], dict(outside())
    with subprocess.Popen(command, cwd=root, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as build:
        acknowledged = root / "acknowledged"
        end = time.monotonic() + 120
        while not (acknowledged.exists() and acknowledged.read_text().count("\n") > 100):
            assert build.poll() is None and time.monotonic() < end, build.communicate()
            time.sleep(0.05)
        os.kill(int((root / "worker.pid").read_text()), signal.SIGKILL)
        out, err = build.communicate(timeout=60)
    (root / "endless").unlink()
    return subprocess.CompletedProcess(command, build.returncode, out, err), acknowledged.read_text().count("\n")


def test_a_build_whose_worker_is_killed_says_so_and_the_next_goes_on(on_a_folder: dict[str, Any], tmp_path: Path) -> None:
    root = ingested(write_project(tmp_path / "loans"))
    (root / "helpers.py").write_text(ENDLESS)
    done, acknowledged = kill_in_the_second_trial(root, "--workers", "1")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "risk: trial 2 did not end: a worker process died while the step ran" in done.stderr and "was killed by SIGKILL" in done.stderr
    with connected(root, {}) as backend:
        assert not [one for one in written(backend)["versions"] if one[0].startswith("risk")], "no version is half there"
        before = {run.title: run for run in backend.call(tracking.list_runs, limit=50).items}
        assert {title: run.status for title, run in before.items()} == {"study of risk": "failed", "trial 1": "finished", "trial 2": "lost"}
        kept = RunView(backend, backend.call(tracking.get_run, before["trial 2"].id)).history("progress")
        assert kept["step"].to_list() == list(range(kept.height)) and kept.height >= acknowledged
        assert not list((root / ".clew" / "journals").glob("*.journal")), "what the dead left was shipped"
    assert "risk@2 is ready" in clew(root, {}, "build", "risk").stdout
    with connected(root, {}) as backend:
        titles = [run.title for run in backend.call(tracking.list_runs, limit=50).items]
        assert titles.count("trial 1") == 1, "the trial that had ended is not run again"
        assert titles.count("trial 2") == 2 and titles.count("trial 3") == 1
        models = {ref: content for ref, _, content, *_ in written(backend)["versions"] if ref.startswith("risk")}
    assert models == {ref: content for ref, _, content, *_ in on_a_folder["versions"] if ref.startswith("risk")}
    assert not (root / ".clew" / "unfinished" / "loans" / "risk").exists()
