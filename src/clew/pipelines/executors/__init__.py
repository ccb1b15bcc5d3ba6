"""Where steps run: in this process, in processes of this machine, or on Ray. One port, one conformance suite in ``clew.testing.executors``."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

__all__ = ["PINNED_THREADS", "Executor", "awaited", "open_executor"]

T = TypeVar("T")
R = TypeVar("R")

_LISTEN_SECONDS = 0.2
PINNED_THREADS = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "POLARS_MAX_THREADS"), "1"
)
"""Set in workers before any import: two fits with a thread pool each take three times as long as two with one thread each."""


class Executor(Protocol):
    """Runs functions of a module on picklable arguments. One thread submits; results may be awaited by any.

    A function that raises gives its own exception. A worker that dies gives ``BuildFailed`` saying how, for its task and for those that
    were lost with it; later submissions work again. State does not leak from one task to the next through the executor.
    """

    workers: int

    def submit(self, function: Callable[[T], R], argument: T) -> "Future[R]":
        """Start ``function(argument)``; large things are handed over as paths, never inside the argument."""
        ...

    def close(self) -> None:
        """Wait for what runs, then release the workers. Idempotent."""
        ...

    def stop(self) -> None:
        """End what runs and release the workers, within seconds. Idempotent.

        A task is interrupted as by Ctrl-C, so that its run ends as *stopped*; one that does not listen loses its worker.
        """
        ...


def awaited(future: "Future[R]") -> R:
    """The future's result. It wakes up now and then: Polars takes SIGINT so that it does not wake a thread that waits for a lock, and
    Ctrl-C would be heard only when the task is done.
    """
    while True:
        try:
            return future.result(_LISTEN_SECONDS)
        except TimeoutError:
            if future.done():  # the task's own
                return future.result()


def open_executor(name: str, workers: int | None = None) -> Executor:
    """The executor of a name: ``in_process``, ``processes`` or ``ray``."""
    import os

    from clew import plugins

    made: Any = plugins.load("executor", name)
    executor: Executor = made(workers or max(1, os.cpu_count() or 1))
    return executor
