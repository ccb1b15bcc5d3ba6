"""Ray: one task is one whole step. Scheduling of steps, caching and state stay Clew's own."""

import contextlib
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, wait
from typing import Any, TypeVar

from clew.errors import BuildFailed, MissingDependency
from clew.pipelines.executors import PINNED_THREADS

__all__ = ["RayExecutor"]

T = TypeVar("T")
R = TypeVar("R")

_STOP_SECONDS = 2.0


class RayExecutor:
    """On the cluster that ``RAY_ADDRESS`` names, else on one local node that it starts and stops itself."""

    def __init__(self, workers: int) -> None:
        try:
            import ray
        except ModuleNotFoundError as error:
            raise MissingDependency("the Ray executor needs Ray: pip install 'clew-ml[ray]'") from error
        self._ray: Any = ray  # Any: Ray's own module, untyped here
        self.workers = workers
        self._running: dict[Any, Future[Any]] = {}  # by Ray's reference
        self._started = not ray.is_initialized()
        if self._started:
            ray.init(
                num_cpus=workers,
                include_dashboard=False,
                log_to_driver=False,
                configure_logging=False,
                runtime_env={"env_vars": PINNED_THREADS},
            )

    def submit(self, function: Callable[[T], R], argument: T) -> "Future[R]":
        reference = self._ray.remote(function).options(max_retries=0, num_cpus=1).remote(argument)
        future: Future[R] = Future()
        self._running[reference] = future
        threading.Thread(target=self._await, args=(reference, future), daemon=True).start()
        return future

    def _await(self, reference: Any, future: "Future[R]") -> None:
        with contextlib.suppress(InvalidStateError):  # it was stopped, and nobody waits for it any more
            self._settle(reference, future)

    def _settle(self, reference: Any, future: "Future[R]") -> None:
        try:
            future.set_result(self._ray.get(reference))
        except self._ray.exceptions.RayTaskError as error:
            future.set_exception(getattr(error, "cause", None) or error)
        except self._ray.exceptions.TaskCancelledError:
            future.set_exception(_stopped())
        except self._ray.exceptions.RayError as error:
            how = next(iter(str(error).splitlines()), type(error).__name__)
            lost = BuildFailed(f"a Ray worker died while the step ran: {how}")
            lost.__cause__ = error
            future.set_exception(lost)
        finally:
            self._running.pop(reference, None)

    def stop(self) -> None:
        running = dict(self._running)
        for reference in running:
            self._ray.cancel(reference, force=True)
        wait(running.values(), _STOP_SECONDS)
        for future in running.values():
            with contextlib.suppress(InvalidStateError):  # Ray has answered for it meanwhile
                future.set_exception(_stopped())
        self.close()

    def close(self) -> None:
        if self._started and self._ray.is_initialized():
            self._ray.shutdown()


def _stopped() -> BuildFailed:
    return BuildFailed("the step was stopped")
