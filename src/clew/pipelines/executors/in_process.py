"""In this process, one after the other: for debugging, and for tests."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

__all__ = ["InProcessExecutor"]

T = TypeVar("T")
R = TypeVar("R")


class InProcessExecutor:
    """Runs a task when it is submitted, so that a debugger stops inside it."""

    def __init__(self, workers: int = 1) -> None:
        self.workers = 1

    def submit(self, function: Callable[[T], R], argument: T) -> "Future[R]":
        future: Future[R] = Future()
        try:
            future.set_result(function(argument))
        except Exception as error:  # a future carries whatever the task raised
            future.set_exception(error)
        return future

    def close(self) -> None:
        """Nothing is held."""

    def stop(self) -> None:
        """Nothing is held."""
