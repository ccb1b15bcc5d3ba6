"""What every executor must do. Subclass ``ExecutorConformance`` in a test and give it an ``executor`` fixture."""

import os
import signal
import threading
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from clew.errors import BuildFailed, Refused
from clew.pipelines.executors import Executor

__all__ = ["ExecutorConformance", "die", "double", "fail", "linger", "refuse", "threads"]


def double(number: int) -> int:
    """A task that answers."""
    return 2 * number


def refuse(reason: str) -> None:
    """A task that raises one of Clew's errors, with details."""
    raise Refused(reason, value=7)


def fail(reason: str) -> None:
    """A task that raises an error of Python's."""
    raise ZeroDivisionError(reason)


def die(signal_number: int) -> None:
    """A task whose process is killed under it."""
    os.kill(os.getpid(), signal_number)


def linger(begun: str) -> None:
    """A task that says by a file that it has begun, and goes on for longer than anybody waits."""
    Path(begun).touch()
    for _ in range(6_000):
        time.sleep(0.1)


def threads(name: str) -> str | None:
    """A task that tells an environment variable of its worker."""
    return os.environ.get(name)


class ExecutorConformance:
    """The port's contract as tests. ``in_this_process`` turns off what only a worker process can promise."""

    in_this_process = False

    def test_results_come_back_in_the_order_asked_for(self, executor: Executor) -> None:
        futures = [executor.submit(double, number) for number in range(6)]
        assert [future.result(120) for future in futures] == [0, 2, 4, 6, 8, 10]

    def test_an_error_of_clews_keeps_its_class_message_and_details(self, executor: Executor) -> None:
        with pytest.raises(Refused, match="too many nulls") as caught:
            executor.submit(refuse, "too many nulls").result(120)
        assert caught.value.details == {"value": 7}

    def test_a_users_error_keeps_its_class(self, executor: Executor) -> None:
        with pytest.raises(ZeroDivisionError, match="by hand"):
            executor.submit(fail, "by hand").result(120)

    def test_a_killed_worker_is_a_failed_build_and_the_next_task_runs(self, executor: Executor) -> None:
        if self.in_this_process:
            return  # a task that kills its process kills the driver: there is nothing to promise
        with pytest.raises(BuildFailed, match="died while the step ran"):
            executor.submit(die, int(signal.SIGKILL)).result(120)
        assert executor.submit(double, 21).result(120) == 42

    def test_workers_compute_with_one_thread_each(self, executor: Executor) -> None:
        if not self.in_this_process:
            assert executor.submit(threads, "OMP_NUM_THREADS").result(120) == "1"

    def test_what_runs_and_what_waits_is_ended_by_stop_and_the_next_task_runs(
        self, executor: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if self.in_this_process:
            return  # a task is over before anybody could stop it
        raised: list[threading.ExceptHookArgs] = []
        monkeypatch.setattr(threading, "excepthook", raised.append)
        futures = [executor.submit(linger, str(tmp_path / str(place))) for place in range(executor.workers + 3)]
        while not any(tmp_path.iterdir()) and not futures[0].done():
            time.sleep(0.05)
        executor.stop()
        executor.stop()
        for future in futures:
            with pytest.raises((KeyboardInterrupt, BuildFailed, CancelledError)):
                future.result(120)
        assert executor.submit(double, 21).result(120) == 42
        assert raised == []

    def test_closing_twice_is_closing_once(self, executor: Executor) -> None:
        executor.submit(double, 1).result(120)
        executor.close()
        executor.close()
