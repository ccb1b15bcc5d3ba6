"""Processes of this machine, spawned, so that no lock or thread of the driver is copied into them."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TypeVar

from clew.errors import BuildFailed
from clew.pipelines.executors import PINNED_THREADS

__all__ = ["ProcessExecutor"]

T = TypeVar("T")
R = TypeVar("R")


class ProcessExecutor:
    """As many workers as asked for, started with the first task and kept between tasks."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

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
            self._pool = ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"))
        with _pinned():  # workers are spawned by submit, and inherit the environment of that moment
            return self._pool.submit(function, argument)

    def _settle(self, done: "Future[R]", future: "Future[R]") -> None:
        error = done.exception()
        if isinstance(error, BrokenProcessPool):
            lost = BuildFailed(
                "a worker process died while the step ran (killed, out of memory, or a crash in a C extension); its run holds its output"
            )
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
