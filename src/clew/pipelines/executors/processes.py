"""Processes of this machine, spawned, so that no lock or thread of the driver is copied into them."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, TypeVar

from clew.errors import BuildFailed
from clew.pipelines.executors import PINNED_THREADS

__all__ = ["ProcessExecutor"]

T = TypeVar("T")
R = TypeVar("R")

_DEATH_SECONDS = 5.0
_STOP_SECONDS = 5.0
_ONE_PRESS_SECONDS = 0.5
"""A terminal sends Ctrl-C to the driver and its workers at once; what a worker says of it may come before the driver's own."""

# Of a worker: a task is at work, and it was interrupted, after which it takes no other.
_working = _interrupted = False


class ProcessExecutor:
    """As many workers as asked for, started with the first task and kept between tasks."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._spawn = _Spawn()

    def submit(self, function: Callable[[T], R], argument: T) -> "Future[R]":
        try:
            started = self._submit(function, argument)
        except BrokenProcessPool:  # a worker died since; the pool can't be mended, only replaced
            self._drop()
            started = self._submit(function, argument)
        future: Future[R] = Future()
        started.add_done_callback(lambda done: self._settle(done, future))
        return future

    def _submit(self, function: Callable[[T], R], argument: T) -> "Future[R]":
        if self._pool is None:
            self._spawn = _Spawn()
            self._pool = ProcessPoolExecutor(self.workers, mp_context=self._spawn, initializer=_listen)
        with _pinned(), _undisturbed():  # workers are spawned by submit, and inherit the environment and the signals of that moment
            return self._pool.submit(_run, function, argument)

    def _settle(self, done: "Future[R]", future: "Future[R]") -> None:
        if done.cancelled():
            future.cancel()
            return
        error = done.exception()
        if isinstance(error, BrokenProcessPool):
            lost = self._spawn.death()
            lost.__cause__ = error
            future.set_exception(lost)
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(done.result())

    def _drop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    def stop(self) -> None:
        self._drop()
        self._spawn.interrupt()


class _Spawn(SpawnContext):
    """Spawns workers and remembers them: the pool says that one died, and neither which nor how."""

    def __init__(self) -> None:
        super().__init__()
        self._workers: list[SpawnProcess] = []

    def Process(self, *args: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802 - what the pool calls; Any: its arguments
        worker = SpawnProcess(*args, **options)
        self._workers.append(worker)
        return worker

    def interrupt(self) -> None:
        """Interrupt the workers, and kill those that are still there after some seconds, or at once when the person asks again."""
        began = time.monotonic()
        for worker in self._alive():
            os.kill(worker.pid or 0, signal.SIGINT)
        while self._alive() and time.monotonic() - began < _STOP_SECONDS:
            try:
                time.sleep(0.02)
            except KeyboardInterrupt:
                if time.monotonic() - began > _ONE_PRESS_SECONDS:
                    break
        for worker in self._alive():
            worker.kill()
            worker.join(_DEATH_SECONDS)

    def _alive(self) -> list[SpawnProcess]:
        return [worker for worker in self._workers if worker.pid is not None and worker.is_alive()]

    def death(self) -> BuildFailed:
        """How the worker died. Called before the pool ends the others, which are still alive then."""
        end = time.monotonic() + _DEATH_SECONDS
        while time.monotonic() < end:  # the pool hears of a death when pipes close, a moment before the system can tell how it came
            for worker in self._workers:
                if worker.exitcode:
                    how = f"{worker.pid} {_how(worker.exitcode)}"
                    return BuildFailed(f"a worker process died while the step ran: {how}; its run holds what it had logged", pid=worker.pid)
            time.sleep(0.01)
        return BuildFailed("a worker process died while the step ran; its run holds what it had logged")


def _how(exitcode: int) -> str:
    if exitcode > 0:
        return f"ended itself with status {exitcode}"
    name = next((one.name for one in signal.Signals if one == -exitcode), f"signal {-exitcode}")
    return f"was killed by {name}" + (", as the system does when memory runs out" if name == "SIGKILL" else "")


@contextmanager
def _pinned() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in PINNED_THREADS}
    os.environ.update({name: value for name, value in PINNED_THREADS.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Workers that are spawned inherit that SIGINT waits, until ``_listen`` lets it through: it would end their imports with a traceback."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _listen() -> None:
    """A worker begins: an interrupt ends its task, and says nothing where there is none."""
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _interrupt(*_: object) -> None:
    global _interrupted
    first, _interrupted = not _interrupted, True
    if first and _working:  # a second one must not disturb the run that is being closed
        raise KeyboardInterrupt


def _run(function: Callable[[T], R], argument: T) -> R:
    global _working  # noqa: PLW0603 - likewise
    if _interrupted:
        raise KeyboardInterrupt
    _working = True
    try:
        return function(argument)
    finally:
        _working = False
