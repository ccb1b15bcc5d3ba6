"""A small project for the page to show, told once to a real server; and a browser to look at it."""

import math
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(Path(__file__).parent))  # pytest imports test files by path, and these helpers are imported by name

import clew
from clew import backend as backends
from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.definitions import DatasetDefinition
from clew.sdk.ingest import ingest_frame
from clew.server.pages import STATIC
from clew.serving.service import deploy
from clew.testing.server import LiveServer, live_server

_START = datetime(2013, 1, 1, tzinfo=UTC)
_CARRIERS = ("UA", "B6", "EV", "DL", "AA")


@dataclass(frozen=True)
class Story:
    """What was made, by the names that the page shows."""

    runs: list[str]
    failed: str
    model: str
    predictions: list[str]
    study: str
    trials: list[str]


def landings(rows: int, *, after: int = 0) -> pl.DataFrame:
    """Made-up landings, one every eleven minutes."""
    numbers = range(after, after + rows)
    landed = [_START + timedelta(minutes=11 * number) for number in numbers]
    delays = [round(30 * math.sin(number / 9) + number % 7, 1) for number in numbers]
    return pl.DataFrame(
        {"landed": landed, "flight": list(numbers), "carrier": [_CARRIERS[number % 5] for number in numbers], "delay": delays},
        schema_overrides={"landed": pl.Datetime("us", "UTC")},
    ).with_columns(late=pl.col("delay") > 15)


def tell(server: LiveServer, *, runs: int = 6, answers: int = 12) -> Story:
    """Make everything in the server's own folder, as a script beside it would, then ask the endpoint."""
    backend = LocalBackend(server.settings).prepare()
    backends.use(backend)
    definition = DatasetDefinition("landings", ("flight",), "landed", None, None, "UTC")
    ingest_frame(backend, definition, landings(900), source="2013-01.csv")
    ingest_frame(backend, definition, landings(700, after=900), source="2013-02.csv")
    made = [_a_run(number) for number in range(runs)]
    failed = _a_failure()
    study, trials = _a_study()
    version = _a_model()
    _judge(backend, version.number)
    backend.call(deploy, "late", f"late@{version.number}")
    backends.use(None)
    backend.dispose()
    return Story(made, failed, f"late@{version.number}", _ask(server, answers), study, trials)


def _a_run(number: int) -> str:
    rate = round(0.02 + 0.03 * number, 3)
    params = {"learning_rate": rate, "max_leaf_nodes": 8 + 5 * number, "solver": "lbfgs"}
    with clew.run(f"trial {number}", params=params, experiment="tuning", seed=7, capture=False) as run:
        for step in range(120):
            run.log({"loss": 0.45 + 0.25 * math.exp(-step * rate) + 0.004 * math.sin(step * (number + 3))}, step=step)
            run.log({"valid/auc": 0.79 - 0.12 * math.exp(-step * rate) - 0.004 * number}, step=step)
    return run.name


def _a_study() -> tuple[str, list[str]]:
    """Trials that log one value each, as trials of a tuned model do."""
    trials = []
    with clew.run("study of late", params={"metric": "auc", "direction": "maximize"}, experiment="study", capture=False) as study:
        for number, auc in enumerate((0.71, 0.74, 0.73)):
            with clew.run(f"try {number}", params={"depth": number}, experiment="study", capture=False) as trial:
                trial.log(auc=auc)
            trials.append(trial.name)
    return study.name, trials


def _a_failure() -> str:
    try:
        with clew.run("one that breaks", params={"learning_rate": 9.0}, experiment="tuning", capture=False) as run:
            run.log(loss=0.7, step=0)
            raise ValueError("learning_rate is 9.0; the loss is not finite")
    except ValueError:
        return run.name


def _a_model() -> Any:  # Any: the version as the registry gives it
    generator = np.random.default_rng(7)
    features = pl.DataFrame({"hour": generator.uniform(0, 24, 400), "distance": generator.uniform(100, 2500, 400)}).cast(pl.Float32)
    labels = (features["hour"].to_numpy() + generator.normal(0, 5, 400) > 14).astype(int)
    model = LogisticRegression().fit(features.to_numpy(), labels)
    with clew.run("the winner", experiment="tuning", capture=False) as run:
        run.log(auc=0.79)
        return run.register("late", model, example=features.head(50))


def _interval(estimate: float, reach: float) -> dict[str, Any]:
    return {"estimate": estimate, "low": estimate - reach, "high": estimate + reach, "level": 0.95, "blocks": 28, "rows": 25_358}


def _judge(backend: LocalBackend, number: int) -> None:
    slices = [
        {"column": "carrier", "value": carrier, "rows": 4000 - 500 * place, "log_loss": 0.45 + 0.03 * place, "low": 0.42 + 0.03 * place,
         "high": 0.48 + 0.03 * place, "positives": 0.2 + 0.02 * place, "predicted": 0.21 + 0.015 * place, "differs": place == 4}
        for place, carrier in enumerate(_CARRIERS)
    ]  # fmt: skip
    bins = [
        {
            "predicted": tenth / 14,
            "observed": tenth / 14 + 0.01 * math.sin(tenth),
            "low": tenth / 14 - 0.02,
            "high": tenth / 14 + 0.03,
            "rows": 2500,
        }
        for tenth in range(1, 10)
    ]
    missing = [
        {"view": view, "log_loss": 0.481, "log_loss_without": 0.481 + worse, "mean_score": 0.23, "mean_score_without": 0.23 + worse}
        for view, worse in (("origin_weather", 0.31), ("carrier_delays", 0.042), ("congestion", 0.003))
    ]
    report = {
        "auc": _interval(0.764, 0.014), "log_loss": _interval(0.481, 0.021), "unit": "days", "slices": slices, "calibration": bins,
        "missing_views": missing, "latency_us": {"p50": 310.0, "p95": 420.0},
    }  # fmt: skip
    figures = {
        "metric": "AUC", "difference": _interval(0.003, 0.005), "margin": 0.01, "challenger": 0.764, "champion": 0.761, "unit": "days",
        "report": report,
    }  # fmt: skip
    reason = "AUC +0.0030, 95 % −0.0020 to +0.0080 (28 days, 25,358 rows); lower bound −0.0020 against −0.01"
    context = backend.context(backend.project)
    with backend.database.write() as connection:
        inside = replace(context, connection=connection)
        catalog.add_verdict(
            inside, gate="no_worse", model="late", number=number, passed=True, word="no worse", reason=reason, figures=figures
        )


def _ask(server: LiveServer, answers: int) -> list[str]:
    ids: list[str] = []
    _wait(server)
    for number in range(answers):
        row = {"hour": float(number % 24), "distance": 200.0 + 90 * number}
        response = httpx.post(f"{server.serving_url}/endpoints/late/predict", json={"rows": [row]}, timeout=10)
        response.raise_for_status()
        ids += [one["prediction_id"] for one in response.json()["predictions"]]
    return ids


def _wait(server: LiveServer) -> None:
    for _ in range(150):
        try:
            row = {"hour": 1.0, "distance": 2.0}
            if httpx.post(f"{server.serving_url}/endpoints/late/predict", json={"rows": [row]}, timeout=5).is_success:
                return
        except httpx.TransportError:
            pass  # the serving process is still starting
        time.sleep(0.2)
    raise AssertionError(f"the endpoint never answered; see {server.log}")


_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def _chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium (CI has it)")
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # One module long and no longer: as long as Playwright is open, this thread has a running event loop, and other tests want their own.
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=_chromium(), args=_FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    if not (STATIC / "index.html").is_file():
        pytest.skip("the page is not built: make install, or npm run build in ui/")
    with live_server(tmp_path_factory.mktemp("page")) as running:
        yield running


@pytest.fixture(scope="module")
def story(server: LiveServer) -> Story:
    return tell(server)


@pytest.fixture
def page(browser: Browser, server: LiveServer) -> Iterator[Page]:
    """A page of the running server; it fails the test when the browser reported an error."""
    context = browser.new_context(base_url=f"{server.url}/projects/{server.project}/", viewport={"width": 1400, "height": 900})
    context.set_default_timeout(15_000)
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    yield opened
    context.close()
    assert not problems, problems


@pytest.fixture(scope="module")
def empty_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server over a folder in which nothing was done yet."""
    folder: Path = tmp_path_factory.mktemp("nothing")
    with live_server(folder) as running:
        yield running
