"""A run in memory: a model's function can be tested, or just called, and nothing is stored."""

import threading
from pathlib import Path
from typing import Any

from clew.errors import Invalid, NotFound
from clew.identifiers import new_id
from clew.sdk.runs import Run as RecordedRun
from clew.tracking.frames import Kind

__all__ = ["Run"]


class Run(RecordedRun):
    """``with clew.testing.Run() as run:`` is the current run, touches no folder and no network, and shows what was logged.

    Examples
    --------
    >>> with Run(seed=7) as run:
    ...     run.log(loss=0.5)
    ...     run.log(loss=0.25)
    >>> run.metrics["loss"], run.points["loss"]
    (0.25, [(0, 0.5), (1, 0.25)])
    """

    def __init__(self, *, seed: int | None = None) -> None:
        self.memory = _Memory()
        super().__init__(self.memory, seed=seed)

    @property
    def points(self) -> dict[str, list[tuple[int, float]]]:
        """Step and value of everything logged, by metric, in the order in which it was logged."""
        return self.memory.points

    @property
    def metrics(self) -> dict[str, float]:
        """The last value of each metric."""
        return {name: points[-1][1] for name, points in self.memory.points.items()}

    @property
    def logged_params(self) -> dict[str, Any]:
        """The parameters that were kept, by name."""
        return self.memory.documents[Kind.PARAMS]

    @property
    def logged_tags(self) -> dict[str, Any]:
        """The tags that were kept, by name."""
        return self.memory.documents[Kind.TAGS]

    @property
    def status(self) -> str:
        """``running``, or how the block ended."""
        return str(self.memory.end.get("status", "running"))

    def logged_artifact(self, name: str) -> bytes:
        """The content of an artifact that was kept. Raises ``NotFound`` naming those that there are."""
        if name not in self.memory.artifacts:
            raise NotFound(f"no artifact {name!r} was kept; there is {', '.join(self.memory.artifacts) or 'none'}")
        return self.memory.artifacts[name]


class _Memory:
    """A recorder that keeps everything in this process."""

    def __init__(self) -> None:
        self.run_id = new_id("run")
        self.points: dict[str, list[tuple[int, float]]] = {}
        self.documents: dict[Kind, dict[str, Any]] = {kind: {} for kind in Kind}
        self.artifacts: dict[str, bytes] = {}
        self.end: dict[str, Any] = {}
        self._lock = threading.Lock()

    def point(self, name: str, value: float, step: int | None) -> int:
        with self._lock:
            points = self.points.setdefault(name, [])
            taken = step if step is not None else points[-1][0] + 1 if points else 0
            try:
                points.append((taken, float(value)))
            except (TypeError, ValueError) as error:
                raise Invalid(f"the metric {name!r} got {value!r}; a metric is a number") from error
            return taken

    def document(self, kind: Kind, document: dict[str, Any]) -> None:
        self.documents[kind].update(document)

    def settle(self) -> None:
        """Nothing here outlives the process."""

    def artifact(self, name: str, source: bytes | Path) -> None:
        self.artifacts[name] = source if isinstance(source, bytes) else source.read_bytes()

    def flush(self, timeout_seconds: float) -> None:
        """Everything is where it stays."""

    def close(self, end: dict[str, Any]) -> None:
        self.end = end
