"""Building an asset: everything stale upstream of it, in order, each step cached under its key."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from clew.backend import Backend
from clew.catalog import service as catalog
from clew.catalog.schema import ApplyResult, AssetVersion, DefinitionDraft, VersionRef
from clew.datasets.service import cut_tail
from clew.definitions import FeaturesDefinition, ModelDefinition, TrainingSetDefinition, WindowsDefinition, kind_of, to_document
from clew.errors import BuildFailed, Invalid
from clew.pipelines import service
from clew.pipelines.executors import Executor
from clew.pipelines.graph import Graph, inputs_of
from clew.pipelines.planning import Planner
from clew.pipelines.schema import StepKey
from clew.pipelines.tracing import own_folders, tracing
from clew.tracking.shipping import ship_dead

if TYPE_CHECKING:
    from clew.sdk.assets import Asset, Declared
    from clew.tracking.source import SourceSnapshot

__all__ = ["Builder", "Made", "NoProgress", "Progress"]


class Progress(Protocol):
    """What a build tells while it runs; called from the thread that builds."""

    def started(self, step: str, total: int | None = None) -> None:
        """A step begins, of ``total`` parts where that is known."""
        ...

    def advanced(self, step: str, message: str = "") -> None:
        """One part of a step is done."""
        ...

    def finished(self, step: str, outcome: str) -> None:
        """A step is done; the outcome is a line for people."""
        ...


class NoProgress:
    """Tells nobody."""

    def started(self, step: str, total: int | None = None) -> None:
        """Silent."""

    def advanced(self, step: str, message: str = "") -> None:
        """Silent."""

    def finished(self, step: str, outcome: str) -> None:
        """Silent."""


@dataclass(frozen=True)
class Made:
    """A step's result: the version, what was read on the way, and the run that it was made in."""

    version: AssetVersion
    trace: dict[str, str]
    run_id: str | None = None


class Builder:
    """Builds assets of one graph on one backend. Not thread-safe; two builders of one asset settle on one version."""

    def __init__(self, backend: Backend, graph: Graph, *, executor: Callable[[], Executor], progress: Progress | None = None) -> None:
        self.backend = backend
        self.graph = graph
        self.planner = Planner(backend, graph)
        self.progress: Progress = progress or NoProgress()
        self._open_executor = executor
        self._executor: Executor | None = None
        self._source: SourceSnapshot | None = None

    def apply(self, declared: "Sequence[Declared]", *, prune: bool = False, dry_run: bool = False) -> ApplyResult:
        """Make what is declared the project's definitions, each with the source snapshot that holds its code."""
        drafts = [
            DefinitionDraft(
                kind_of(one.definition), one.name, self.planner.digest(one), to_document(one.definition), self.planner.code(one).digest
            )
            for one in declared
        ]
        source = None if dry_run else self.source().digest
        return self.backend.call(catalog.apply_definitions, drafts, source=source, prune=prune, dry_run=dry_run)

    def source(self) -> "SourceSnapshot":
        """The project's source as it is now, taken once for the builder's life."""
        from clew.tracking.source import snapshot

        if self._source is None:
            self._source = snapshot(self.backend, self.backend.settings.root)
        return self._source

    def use_source(self, source: "SourceSnapshot") -> None:
        """Build from a snapshot that was taken before and unpacked here, instead of taking one."""
        self._source = source

    def executor(self) -> Executor:
        """Where this build's fits run; opened by the first that needs it, and closed when the build ends."""
        if self._executor is None:
            self._executor = self._open_executor()
        return self._executor

    def close_executor(self, error: BaseException | None = None) -> None:
        """Let the workers go: when what runs is done, or at once where the build's end is an interrupt."""
        executor, self._executor = self._executor, None
        if executor is None:
            return
        if not isinstance(error, KeyboardInterrupt):
            executor.close()
            return
        executor.stop()
        ship_dead(self.backend)  # the runs of workers that had to be killed

    def build(self, target: str) -> AssetVersion:
        """The target's version, with everything stale upstream built before it.

        Raises ``Invalid`` before anything is built where a declaration names a column that is not there, and ``BuildFailed`` when a
        step fails; what was built before it stays, and is cached for the next try. So it does when the build is interrupted.
        """
        versions: dict[str, AssetVersion] = {}
        try:
            for asset in self.planner.upstream(target):
                versions[asset.name] = self._step(asset, versions)
        except KeyboardInterrupt as interrupt:
            self.close_executor(interrupt)
            raise KeyboardInterrupt(
                f"the build of {target} was stopped; what it had built stays, trials that had finished too, and the next one goes on from there"
            ) from None
        finally:
            self.close_executor()
        return versions[target]

    def _step(self, asset: "Asset", versions: Mapping[str, AssetVersion]) -> AssetVersion:
        latest = self.planner.latest(asset.name)
        if self.graph.is_source(asset.name):
            return self._newest_rows(asset.name, latest)
        inputs = {name: versions[name] for name in inputs_of(asset.definition)}
        key = self.planner.key(asset, inputs)
        made = self._cached_or_made(asset, inputs, key, "the first version" if latest is None else None)
        if not isinstance(asset.definition, ModelDefinition):
            return made
        from clew.pipelines.models import ModelBuild

        return ModelBuild(self, asset, asset.definition, inputs[asset.definition.training_set], key).settle(made)

    def _cached_or_made(self, asset: "Asset", inputs: Mapping[str, AssetVersion], key: StepKey, why: str | None) -> AssetVersion:
        record = self.planner.cached(asset, key)
        if record is not None:
            self.progress.finished(asset.name, f"cached: {asset.name}@{record.number}")
            return self.backend.call(catalog.get_version, asset.name, record.number)
        why = why or self.planner.difference(asset, key)
        self.progress.started(asset.name)
        began = time.monotonic()
        before = self.planner.latest(asset.name)
        made = self._make(asset, inputs, key, why)
        self.record(made, key, time.monotonic() - began)
        new = before is None or made.version.number > before.number
        same = "the same model" if isinstance(asset.definition, ModelDefinition) else "the same rows"
        self.progress.finished(asset.name, f"{made.version.ref}: {made.version.why}" if new else f"{same} as {made.version.ref} ({why})")
        return made.version

    def record(self, made: Made, key: StepKey, seconds: float) -> None:
        """Keep under which key a step's version was made, so that the next build finds it."""
        version = made.version
        self.backend.call(service.record_build, version.name, version.number, key, made.trace, seconds, made.run_id)

    def _newest_rows(self, name: str, latest: AssetVersion | None) -> AssetVersion:
        """A dataset's version with every row that has come: those appended since the last cut are cut first."""
        if latest is None:
            raise Invalid(f"{name} has no rows yet, so nothing can be built from it; `clew ingest {name} <file>` brings some")
        return self.backend.call(cut_tail, name).version

    def _make(self, asset: "Asset", inputs: Mapping[str, AssetVersion], key: StepKey, why: str) -> Made:
        definition = asset.definition
        if isinstance(definition, ModelDefinition):
            from clew.pipelines.models import ModelBuild

            return ModelBuild(self, asset, definition, inputs[definition.training_set], key).train(why)
        settings = self.backend.settings
        refs = {name: VersionRef(version.name, version.number) for name, version in inputs.items()}
        try:
            with tracing(settings.root, own_folders(settings)) as trace:
                version = self._make_table(asset, refs, why)
        except BuildFailed as error:
            raise BuildFailed(f"{asset.name}: {error.message}", asset=asset.name, **error.details) from error
        return Made(version, trace.to_dict())

    def _make_table(self, asset: "Asset", refs: Mapping[str, VersionRef], why: str) -> AssetVersion:
        from clew.feature_store import training, views

        definition, digest = asset.definition, self.planner.digest(asset)
        if isinstance(definition, WindowsDefinition | FeaturesDefinition):
            return views.build_view(self.backend, definition, digest, inputs=refs, function=asset.function, why=why)
        assert isinstance(definition, TrainingSetDefinition)  # the other kinds are sources and models
        functions = {use.view: one.function for use in definition.features if (one := self.graph.assets[use.view]).function is not None}
        return training.assemble(self.backend, definition, digest, inputs=refs, functions=functions, why=why)
