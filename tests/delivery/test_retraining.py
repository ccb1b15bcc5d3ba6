"""A model that retrains by itself, end to end: a trigger, a job, a worker, the gate, a rollout; and event time that waits for each."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from small_loans import Loans, served

from clew.access.service import get_project
from clew.backend import HttpBackend
from clew.catalog import service as catalog
from clew.delivery import service as delivery

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DUE = datetime(2026, 4, 2, 4, tzinfo=UTC)


def a_month(project: Loans) -> list[Any]:
    """From the first version to the promotion of the second; every decision on the way."""
    project.bring(DUE)
    project.clock.advance(DUE + timedelta(days=4))
    return project.told(
        "trigger.fired", "trigger.skipped", "build.done", "build.failed", "gate.passed", "rollout.started", "rollout.ended", "route.changed"
    )


def test_what_a_schedule_asks_for_is_built_gated_rolled_out_and_promoted(prepared: Path, tmp_path: Path) -> None:
    with served(prepared, tmp_path / "first", PGPASSWORD="secret", CLEW_ALERT_SECRET="secret") as project:
        # The files change after the definitions were applied: a build is made of what was applied.
        (project.root / "loans.py").write_text("raise RuntimeError('not what was applied')")
        decided = a_month(project)
        assert [(kind, body.get("state")) for kind, _, body in decided if kind.startswith(("trigger", "build", "rollout"))] == [
            ("trigger.fired", None), ("rollout.started", None), ("build.done", "ready"), ("rollout.ended", "promoted"),
        ]  # fmt: skip
        (job,) = project.jobs
        assert (job.state, job.due_at, job.attempt, job.result and job.result["version"]) == ("done", DUE, 1, "risk@4")
        assert [(event.at - DUE).days for event in project.rollout.history] == [0, 1, 3], "two steps, each with its whole time"
        assert project.answers_with == "risk@4"
        assert project.backend.call(get_project).event_time == DUE + timedelta(days=4)

        fits = project.fits()
        assert len(fits) == 2, "the candidate and its refit"
        for _, file, *names in fits:
            assert not Path(file).is_relative_to(project.root), "from the snapshot, wherever the server lives"
            assert not [
                name
                for name in names
                if name.startswith("PG") or (name.startswith("CLEW_") and name not in ("CLEW_HOME", "CLEW_PROJECT", "CLEW_URL"))
            ]
        model = project.backend.call(catalog.get_version, "risk", 4)
        assert model.details["source"] == project.backend.call(catalog.get_definition, "model", "risk").source
        assert "new rows" in project.versions[2] or "changed" in project.versions[2] or "rows" in project.versions[2], project.versions[2]
    with served(prepared, tmp_path / "again") as project:
        assert a_month(project) == decided, "the same replay decides the same"


def waits(backend: HttpBackend, to: datetime) -> tuple[str, ...]:
    return backend.call(delivery.advance_clock, to).waiting


def test_event_time_stands_still_while_a_build_runs_and_a_trigger_that_fires_then_is_skipped(prepared: Path, tmp_path: Path) -> None:
    with served(prepared, tmp_path) as project:
        project.bring(DUE)
        (project.witness / "hold").touch()
        assert any("build of risk" in one for one in waits(project.backend, DUE + timedelta(days=40)))
        project.wait_for_fits(1)
        for _ in range(3):
            assert waits(project.backend, DUE + timedelta(days=40)) == ("build of risk (running)",)
        assert project.backend.call(get_project).event_time == DUE
        with pytest.raises(Exception, match=r"the build job_\w+ is running"):
            project.backend.call(delivery.fire_trigger, "monthly")
        (project.witness / "hold").unlink()
        project.clock.advance(DUE + timedelta(days=1, hours=1))
        assert project.rollout.step == 1
