"""The queue of jobs, on both databases: once for its time, for a lease, and only the newest attempt has a word."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from clew.backend import LocalBackend
from clew.clock import wall_now
from clew.errors import Conflict, NotFound
from clew.storage import jobs as queue
from clew.storage.holders import new_holder
from clew.storage.schema import Job, jobs

DUE = datetime(2013, 5, 1, 8, tzinfo=UTC)


def add(backend: LocalBackend, subject: str = "late", due: datetime = DUE) -> Job:
    context = backend.context(backend.project)
    return context.run_write(lambda inside: queue.enqueue(inside, "build", subject, due, {"cause": "schedule"}))


def claim(backend: LocalBackend, worker: str | None = None) -> Job | None:
    context = backend.context(backend.project)
    return context.run_write(lambda inside: queue.claim(inside, worker or new_holder(), ("build",)))


def change(backend: LocalBackend, job: Job, **values: object) -> None:
    context = backend.context(backend.project)
    context.run_write(lambda inside: inside.db.execute(sa.update(jobs).where(jobs.c.id == job.id).values(**values)))


def test_a_job_is_there_once_for_its_kind_subject_and_time(backend: LocalBackend) -> None:
    first = add(backend)
    assert add(backend).id == first.id
    assert add(backend, due=DUE + timedelta(days=1)).id != first.id
    assert add(backend, subject="early").id != first.id


def test_jobs_are_claimed_by_their_due_time_and_by_one_worker_each(backend: LocalBackend) -> None:
    later, first = add(backend, due=DUE + timedelta(days=1)), add(backend)
    claimed = [claim(backend), claim(backend), claim(backend)]
    assert [one and one.id for one in claimed] == [first.id, later.id, None]
    assert [one and (one.attempt, one.token, one.state) for one in claimed[:2]] == [(1, 1, "running")] * 2


def test_a_job_whose_lease_ran_out_is_taken_up_and_the_first_worker_has_no_word(backend: LocalBackend) -> None:
    add(backend)
    first = claim(backend)
    assert first is not None
    change(backend, first, lease_until=wall_now() - timedelta(seconds=1))
    second = claim(backend)
    assert second is not None
    assert (second.id, second.attempt, second.token) == (first.id, 2, 2)
    context = backend.context(backend.project)
    for late in (
        queue.renew,
        lambda inside, job: queue.finish(inside, job, {}),
        lambda inside, job: queue.fail(inside, job, "no", again=True),
    ):
        with pytest.raises(Conflict, match="another attempt took it"):
            context.run_write(lambda inside, late=late: late(inside, first))
    context.run_write(lambda inside: queue.finish(inside, second, {"version": "late@7"}))
    with context.reading() as inside:
        done = queue.find(inside, first.id)
        assert queue.open_jobs(inside) == []
    assert (done.state, done.result) == ("done", {"version": "late@7"})


def test_a_job_of_a_dead_worker_is_taken_up_at_once(backend: LocalBackend) -> None:
    add(backend)
    host = new_holder().split(" ")[0]
    assert claim(backend, f"{host} 999999999 1 holder_gone") is not None
    again = claim(backend)
    assert again is not None
    assert again.attempt == 2


def test_a_job_that_fails_again_and_again_ends_failed_with_its_last_reason(backend: LocalBackend) -> None:
    job = add(backend)
    context = backend.context(backend.project)
    for attempt in range(1, queue.MOST_ATTEMPTS + 1):
        claimed = claim(backend)
        assert claimed is not None
        assert claimed.attempt == attempt
        context.run_write(lambda inside, claimed=claimed: queue.fail(inside, claimed, f"died at {claimed.attempt}", again=True))
    assert claim(backend) is None
    with context.reading() as inside:
        ended = queue.find(inside, job.id)
    assert (ended.state, ended.error) == ("failed", "died at 3")
    assert ended.ended_at is not None


def test_a_job_of_another_project_is_not_found(backend: LocalBackend) -> None:
    job = add(backend)
    with backend.context("elsewhere").reading() as inside, pytest.raises(NotFound):
        queue.find(inside, job.id)
