"""Tracking for scripts: ``with clew.run() as run: run.log(loss=0.3, step=1)``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clew import backend as backends
from clew.backend import Backend
from clew.errors import Invalid
from clew.sdk.border import errors_end_here
from clew.tracking import recording
from clew.tracking import service as tracking
from clew.tracking.run import Number, current_run
from clew.tracking.run import Run as RecordedRun
from clew.tracking.shipping import SyncReport, ship_dead
from clew.tracking.views import RunView

if TYPE_CHECKING:
    from clew.catalog.schema import AssetVersion

__all__ = ["Run", "RunView", "current_run", "get_run", "log", "run", "sync"]


@errors_end_here
class Run(RecordedRun):
    """A run that a script began."""

    @property
    def url(self) -> str | None:
        """The run's page on the server that the script works against; ``None`` for a folder."""
        backend = backends.current()
        return f"{backend.settings.url.rstrip('/')}/projects/{backend.project}/runs/{self.id}" if backend.settings.url else None

    def register(self, name: str, model: Any, example: Any) -> "AssetVersion":  # Any: a model of any framework, rows of any kind
        """Make the model a version of ``name``, verified on the example's rows, with this run as its origin."""
        from clew.registry.registering import register

        self.flush()
        view = get_run(self.id)
        metrics = {metric: value for metric, value in view.metrics.items() if value is not None}
        source = view.facts.get("source", {}).get("digest")
        return register(backends.current(), name, model, example, run_id=self.id, parameters=view.params, metrics=metrics, source=source)


def run(
    title: str | None = None,
    *,
    params: Mapping[str, Any] | None = None,
    experiment: str | None = None,
    tags: Mapping[str, str] | None = None,
    parent: "RecordedRun | str | None" = None,
    seed: int | None = None,
    capture: bool = True,
) -> Run:
    """A new run, to be used in a ``with`` statement. Inside another run's block it is that run's child.

    A given ``seed`` seeds the global generators when the block begins. ``capture=False`` leaves standard output alone.
    """
    started = recording.begin(
        backends.current(),
        title=title, params=dict(params or {}), experiment=experiment, tags=dict(tags or {}), parent=parent, seed=seed, capture=capture,
        kind=Run,
    )  # fmt: skip
    assert isinstance(started, Run)
    return started


def log(values: Mapping[str, Number] | None = None, /, *, step: int | None = None, **named: Number) -> None:
    """``run.log`` of the current run. Raises ``Invalid`` where there is none, and ``Pruned`` in a trial that is cut short."""
    found = current_run()
    if found is None:
        raise Invalid("clew.log() was called outside of a run; wrap the code in `with clew.run():`, or in `with clew.testing.Run():`")
    found.log(values, step=step, **named)


def get_run(run_id: str) -> RunView:
    """A stored run, with everything that this process has logged into it and what a process that died has left."""
    backend = backends.current()
    recording.flush(run_id)
    sync(backend)
    return RunView(backend, backend.call(tracking.get_run, run_id))


def sync(backend: Backend | None = None) -> SyncReport:
    """Ship what dead processes left in the journals of this folder."""
    return ship_dead(backend or backends.current())
