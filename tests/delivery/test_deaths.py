"""``kill -9`` of each process in the middle of a build and of a rollout: the restart goes on, nothing is done twice, no answer is lost."""

import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from small_loans import OPENED, Loans, served

from clew.delivery import service as delivery
from clew.errors import Conflict
from clew.serving import service as serving
from clew.serving.answers import latest_answers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

DUE = datetime(2026, 4, 2, 4, tzinfo=UTC)


WaitFor = Callable[[Callable[[], object]], None]


def gone(*pids: int) -> bool:
    """Whether processes have ended; one whose parent has died may wait to be reaped."""
    return not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids)


def fitting(project: Loans, count: int) -> tuple[int, int]:
    """The fit with this number, once it runs, and the worker that it runs for."""
    project.wait_for_fits(count, seconds=90)
    return pids_of(max(project.witness.glob("fit-*"), key=lambda path: int(path.name.split("-")[2])))


def pids_of(fit: Path) -> tuple[int, int]:
    """A fit's process and its worker's, by what the fit wrote down."""
    return int(fit.name.split("-")[1]), int(fit.read_text().split("\n")[0])


def test_a_build_goes_on_after_its_worker_was_killed_and_after_its_server_was_stopped_and_killed(
    prepared: Path, tmp_path: Path, wait_for: WaitFor
) -> None:
    with served(prepared, tmp_path) as project:
        project.bring(DUE)
        hold = project.witness / "hold"
        hold.touch()
        assert project.backend.call(delivery.advance_clock, DUE).waiting

        fit, worker = fitting(project, 1)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: gone(fit))  # what it had started went with it

        fit, worker = fitting(project, 2)
        (job,) = project.jobs
        assert (job.state, job.attempt) == ("running", 2)
        project.server.stop()
        wait_for(lambda: gone(worker, fit))
        project.server.start()

        fit, worker = fitting(project, 3)
        (job,) = project.jobs
        assert (job.attempt, job.token) == (2, 3), "a server that was stopped in order costs no attempt"
        project.server.kill()
        wait_for(lambda: gone(worker, fit))
        project.server.start()

        fitting(project, 4)
        (job,) = project.jobs
        assert (job.attempt, job.token) == (3, 4)
        with pytest.raises(Conflict, match="another attempt took it"):  # a worker that was suspended all the while
            project.backend.call(delivery.conclude_build, job.id, 2, 2, "no worse", "late word")
        hold.unlink()
        project.clock.advance(DUE + timedelta(hours=1))
        (job,) = project.jobs
        assert (job.state, job.result and job.result["version"]) == ("done", "risk@4")
        assert [one.split(" ")[0] for one in project.versions] == ["risk@1", "risk@2", "risk@3", "risk@4"], "one candidate and its refit"
        assert [kind for kind, *_ in project.told("trigger.fired", "build.done", "build.failed", "rollout.started")] == [
            "trigger.fired", "rollout.started", "build.done",
        ]  # fmt: skip


def test_a_build_that_hangs_is_stopped_at_its_limit_and_time_goes_on(prepared: Path, tmp_path: Path) -> None:
    with served(prepared, tmp_path, CLEW_BUILD_LIMIT="60s") as project:
        project.bring(DUE)
        (project.witness / "hold").touch()
        project.clock.advance(DUE + timedelta(hours=1))
        fits = list(project.witness.glob("fit-*"))
        assert fits and all(gone(*pids_of(fit)) for fit in fits)
        (job,) = project.jobs
        assert (job.state, job.attempt) == ("failed", 1), "what hung once would hang again"
        assert job.error is not None
        assert job.error.startswith("the build was stopped after 0:01:00, which is CLEW_BUILD_LIMIT")
        assert len(project.versions) == 2, "the first version and its refit, and nothing half registered"


def test_a_rollout_goes_on_and_no_answer_is_lost_when_the_server_and_the_serving_process_are_killed(
    prepared: Path, tmp_path: Path, wait_for: WaitFor
) -> None:
    with served(prepared, tmp_path) as project:
        asked: list[dict[str, Any]] = []

        def ask(count: int) -> list[str]:
            rows = [
                {
                    "loan": f"n{len(asked) + place}",
                    "at": (OPENED + timedelta(minutes=len(asked) + place)).isoformat(),
                    "size": place / 10,
                    "term": 0.0,
                }
                for place in range(count)
            ]
            asked.extend(rows)
            return [one["model"] for one in project.ask(*rows)]

        def candidate() -> str:
            found = project.backend.call(serving.endpoint_status, "risk")
            return "" if found.route.candidate is None else f"{found.route.candidate.ref} {found.route.candidate.share}"

        project.backend.call(delivery.roll_out_ungated, "risk", "risk@1", "a test")
        project.clock.advance(OPENED + timedelta(hours=2))
        wait_for(lambda: project.backend.call(serving.endpoint_status, "risk").flipped)
        assert set(ask(20)) == {"risk@2"}
        project.server.kill()
        assert set(ask(20)) == {"risk@2"}, "endpoints outlive the server"
        project.server.start()
        project.clock.advance(OPENED + timedelta(days=1))
        assert (project.rollout.step, candidate()) == (1, "risk@1 0.5")

        before = ask(40)
        assert set(before) == {"risk@1", "risk@2"}
        note = json.loads((project.server.home / "serving.json").read_text())
        os.kill(note["pid"], signal.SIGKILL)
        wait_for(lambda: _answers(project))
        del asked[-40:]
        assert ask(40) == before, "each key stays where it was"
        project.server.kill()
        project.server.start()
        project.clock.advance(OPENED + timedelta(days=3))
        assert (project.rollout.state, project.rollout.history[-1].reason.split(";")[0]) == ("promoted", "every step is over")
        assert set(ask(10)) == {"risk@1"}
        kept = [one for page in _pages(project) for one in page]
        assert len(kept) == 20 + 20 + 40 + 40 + 10


def _answers(project: Loans) -> bool:
    import httpx

    try:
        return httpx.get(f"{project.server.serving_url}/healthz", timeout=2).is_success
    except httpx.TransportError:
        return False


def _pages(project: Loans) -> Any:
    cursor = None
    while True:
        page = project.backend.call(latest_answers, "risk", cursor=cursor)
        yield page.items
        cursor = page.next_cursor
        if cursor is None:
            return
