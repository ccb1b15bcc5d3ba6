"""A company's own scoring service, with Clew in front of it: a version sets out behind it, takes over by the ordinary steps, and it comes back."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from existing_system import ANSWER, ExistingSystem, existing_system
from small_loans import Loans, loans, served

from clew.catalog import service as catalog
from clew.registry.schema import ExternalSystem
from clew.registry.service import model_version
from clew.serving import service as serving
from clew.serving.answers import export_answers
from clew.serving.explaining import explain

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DUE = datetime(2026, 4, 2, 4, tzinfo=UTC)
DAY = timedelta(days=1)


def of_day(start: datetime) -> list[dict[str, Any]]:
    """What is asked on a day, with a field that no training set names."""
    asked, _ = loans(300)
    return [
        {**row, "at": row["at"].isoformat(), "branch": "north"} for row in asked.iter_rows(named=True) if start <= row["at"] < start + DAY
    ]  # fmt: skip


def a_day(project: Loans, start: datetime) -> list[dict[str, Any]]:
    """Every loan of the day is asked about, its outcome comes, and the day goes by."""
    given = project.ask(*of_day(start))
    project.bring(start + DAY, start)
    project.clock.advance(start + DAY)
    return given


def test_a_version_takes_over_from_an_existing_system_and_it_comes_back(prepared: Path, tmp_path: Path) -> None:
    with existing_system() as system, served(prepared, tmp_path) as project:
        registered = ["register", "risk", system.url, "--training", "rows", "--answer", ANSWER, "--timeout", "5s"]
        assert "risk@3 is the existing system at" in project.clew(*registered)
        assert "risk@3 is the existing system at" in project.clew(*registered), "the same again is the same version"
        project.clew("deploy", "risk@3", "--ungated", "--now", "--reason", "what the company has")
        assert project.answers_with == "risk@3"
        asked = of_day(DUE)[:3]
        given = project.ask(*asked)
        assert [one["probability"] for one in given] == [ExistingSystem.score(row) for row in asked]
        assert sorted(system.asked[-3:], key=lambda row: str(row["loan"])) == sorted(asked, key=lambda row: str(row["loan"]))

        # A build is judged by its own figures, for the champion can't be asked about the past, and sets out behind it.
        project.bring(DUE)
        project.clock.advance(DUE + timedelta(hours=1))
        built = project.rollout
        verdict = project.backend.call(catalog.list_verdicts, "risk", 4).items[0]
        assert (
            verdict.passed
            and f"the champion risk@3 is the existing system at 127.0.0.1:{system.port}, which can't be asked" in verdict.reason
        )
        assert (built.reference, built.champion, built.step, built.state) == ("risk@5", 3, 0, "running")

        # In shadow it answers nobody, and each row is scored by both.
        rows = of_day(DUE + timedelta(hours=1))
        shadowed = project.ask(*rows[:10])
        assert {one["model"] for one in shadowed} == {"risk@3"}
        system.kill()
        failed = httpx.post(f"{project.server.serving_url}/endpoints/risk/predict", json={"rows": rows[:1]}, timeout=20)
        assert failed.status_code == 502 and "the existing system at" in failed.json()["error"]["message"]
        system.come_back()
        assert {one["model"] for one in project.ask(*rows[:10])} == {"risk@3"}
        start = DUE + timedelta(hours=20)
        project.bring(start, DUE + timedelta(hours=1))
        project.clock.advance(start)
        assert project.rollout.state == "running", "what the existing system did is not held against it"

        # As a canary it answers its share, and at the end all.
        a_day(project, start)
        assert project.rollout.step == 1
        models = [one["model"] for day in (1, 2) for one in a_day(project, start + day * DAY)]
        assert 0.25 < models.count("risk@5") / len(models) < 0.75 and set(models) == {"risk@3", "risk@5"}
        assert project.rollout.state == "promoted" and project.answers_with == "risk@5"
        harm = project.rollout.harm
        assert harm is not None and harm.rows > 0, "pairs with the existing system's scores"

        assert "risk@3" in project.clew("rollback", "risk", "--reason", "we liked it better")
        assert [one["model"] for one in project.ask(*asked)] == ["risk@3"] * 3
        words = str(project.backend.call(explain, given[0]["prediction_id"]))
        assert f"risk@3, the existing system at {system.url}" in words and "in truth" in words
        blob = project.backend.call(export_answers, "risk")
        logged = pl.read_parquet(project.backend.download(blob.digest))
        assert logged.filter(pl.col("error").is_not_null())["error"].to_list() == [f"external_failed: {failed.json()['error']['message']}"]


def test_the_file_that_declares_a_model_registers_it_too(prepared: Path, tmp_path: Path) -> None:
    with served(prepared, tmp_path) as project:
        script = (
            'import loans\nprint(loans.risk.register_external("https://scorer/score", answer="p", timeout="500ms", token_env="RISK_TOKEN"))'
        )
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=project.root, env=project.environ, capture_output=True, text=True, timeout=170
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout == "<model risk@3>\n"
        details = project.backend.call(model_version, "risk", 3).details
        assert details.external == ExternalSystem("https://scorer/score", "p", 500, "RISK_TOKEN")
        assert details.training_set is not None and details.training_set.name == "rows", "the model's own, unless another is named"
        assert project.backend.call(serving.endpoint_status, "risk").route.document.number == 2
