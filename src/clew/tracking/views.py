"""A run as it is stored: what ``clew.get_run`` gives."""

from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clew.backend import Backend
from clew.errors import NotFound
from clew.tracking.schema import Artifact, RunDetails
from clew.tracking.service import get_run, metric_points, run_log

if TYPE_CHECKING:
    import polars as pl

__all__ = ["RunView"]


class RunView:
    """A run to read. Its fields are as they were when it was fetched; ``history`` and ``output`` read anew."""

    def __init__(self, backend: Backend, details: RunDetails) -> None:
        self._backend = backend
        self.details = details

    def __repr__(self) -> str:
        return f"<run {self.id} {self.name}, {self.status}>"

    @property
    def id(self) -> str:
        """Its id, ``run_01…``, by which it is found."""
        return self.details.run.id

    @property
    def name(self) -> str:
        """The two words that go with the id."""
        return self.details.run.name

    @property
    def title(self) -> str | None:
        """What the script called it."""
        return self.details.run.title

    @property
    def status(self) -> str:
        """``running``, or how it ended: ``finished``, ``failed``, ``pruned``, ``stopped`` or ``lost``."""
        return self.details.run.status

    @property
    def error(self) -> str | None:
        """The traceback of a failed run, or why it was lost."""
        return self.details.error

    @property
    def params(self) -> dict[str, Any]:
        """The parameters by name."""
        return self.details.run.params

    @property
    def tags(self) -> dict[str, str]:
        """The tags by name."""
        return self.details.run.tags

    @property
    def metrics(self) -> dict[str, float | None]:
        """The last value of each metric; ``None`` where it was not a finite number."""
        return {name: summary.last for name, summary in self.details.metrics.items() if not name.startswith("system/")}

    @property
    def facts(self) -> dict[str, Any]:
        """What it was made in: ``environment``, ``hardware``, ``git``, ``source``, ``command``, ``seeds``."""
        return self.details.facts

    @property
    def artifacts(self) -> dict[str, Artifact]:
        """Its files by name, each with size and digest; ``artifact`` gets one."""
        return {artifact.name: artifact for artifact in self.details.artifacts}

    @property
    def children(self) -> "list[RunView]":
        """The runs inside of this one, in the order in which they began."""
        return [RunView(self._backend, self._backend.call(get_run, child)) for child in self.details.children]

    def history(self, metric: str) -> "pl.DataFrame":
        """All points of a metric by step: columns ``step``, ``value``, ``time`` (UTC). Raises ``NotFound`` naming the metrics there are."""
        import polars as pl

        from clew.tracking.series import decode_points, join

        points = join([decode_points(chunk) for chunk in self._backend.call(metric_points, self.id, metric)]).by_step()
        times = pl.Series("time", points.times).cast(pl.Datetime("us", str(UTC)))
        return pl.DataFrame([pl.Series("step", points.steps), pl.Series("value", points.values), times])

    def artifact(self, name: str) -> Path:
        """A local file with the artifact's content; to read, not to change."""
        found = self.artifacts.get(name)
        if found is None:
            raise NotFound(f"the run {self.id} has no artifact {name!r}; it has {', '.join(self.artifacts) or 'none'}")
        return self._backend.download(found.digest)

    def output(self) -> str:
        """All that it printed, standard output and error in the order in which they came."""
        parts, after = [], 0
        while True:
            log = self._backend.call(run_log, self.id, after)
            parts += [piece.text for piece in log.pieces]
            if not log.pieces:
                return "".join(parts)
            after = log.next_after

    def environment(self) -> str:
        """The packages that were installed, ``name==version`` a line. Raises ``NotFound`` when the run ended before they were noted."""
        digest = self.facts.get("environment")
        if digest is None:
            raise NotFound(f"the run {self.id} ended before its environment was noted")
        return self._backend.download(str(digest)).read_text()
