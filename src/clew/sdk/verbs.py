"""Verbs: what is declared is applied, planned, built and explained. The first one connects, and nothing before it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from clew import console
from clew.backend import current
from clew.catalog.schema import ApplyResult, AssetVersion
from clew.definitions import EndpointDefinition
from clew.errors import Invalid
from clew.sdk import declarations
from clew.sdk.assets import Asset

if TYPE_CHECKING:
    import polars as pl

    from clew.pipelines.building import Builder, Progress
    from clew.pipelines.schema import Plan
    from clew.sdk.training import TrainingSet

__all__ = ["apply", "build", "builder", "plan", "preview", "propose", "say_overdue", "why"]


def builder(
    *,
    executor: str = "processes",
    workers: int | None = None,
    progress: "Progress | None" = None,
    changes: "Mapping[str, Any] | None" = None,
) -> "Builder":
    """A builder over everything that was declared, on the current backend; with ``changes`` as it would be with them."""
    from clew.pipelines.building import Builder
    from clew.pipelines.executors import open_executor
    from clew.pipelines.graph import Graph
    from clew.pipelines.proposals import changed

    declared = declarations.all_declared()
    graph = Graph.of(changed(declared, changes) if changes else declared)
    return Builder(current(), graph, executor=lambda: open_executor(executor, workers), progress=progress)


def apply(*, prune: bool = False, dry_run: bool = False) -> ApplyResult:
    """Make what the imported files declare the project's definitions; what would be removed is listed, and goes with ``prune`` only.

    A column that is named and that the newest rows don't have is said on stderr, and refused by ``plan`` and ``build`` only: rows that
    have it may be on their way. So is, with what would do, that a monitor can never judge performance by the lengths that are declared.
    """
    from clew.monitoring.promises import never_judging
    from clew.pipelines.columns import in_words

    declared, made = declarations.all_declared(), builder()
    if wrong := made.planner.unknown_columns(declared):
        console.note(in_words(wrong))
    for told in never_judging(one.definition for one in declared):
        console.note(told)
    return made.apply(declared, prune=prune, dry_run=dry_run)


def build(
    asset: Asset | str, *, executor: str = "processes", workers: int | None = None, progress: "Progress | None" = None
) -> AssetVersion:
    """Build everything stale upstream of an asset, then the asset; its version. What nothing has changed for is not built again.

    ``executor`` is ``processes`` (of this machine), ``in_process`` (one after the other, for a debugger) or ``ray``. Raises
    ``Invalid`` before anything is built where a declaration names a column that its dataset does not have, and ``BuildFailed`` when a
    step of the user's fails.
    """
    made = builder(executor=executor, workers=workers, progress=progress)
    made.apply(declarations.all_declared())
    return made.build(_name(asset))


def propose(
    model: Asset | str,
    changes: "Mapping[str, Any]",
    *,
    roll_out: bool = True,
    executor: str = "processes",
    workers: int | None = None,
    progress: "Progress | None" = None,
) -> AssetVersion:
    """Build a candidate by a changed recipe without changing the definitions; the version, ready or rejected with the gate's reason.

    ``changes`` are fields of declarations, ``{"late_training.last": "30d"}``, or hyperparameters, ``{"late.max_leaf_nodes": 15}``. A
    changed recipe must be *better* than the champion where the gate asks for it. What passes sets out behind the model's endpoints.
    """
    made = builder(executor=executor, workers=workers, progress=progress, changes=changes).build(_name(model))
    if roll_out and made.state == "ready":
        from clew.delivery.service import roll_out as send

        reason = f"proposed: {', '.join(f'{name}={value}' for name, value in changes.items())}"
        for one in declarations.all_declared():
            if isinstance(one.definition, EndpointDefinition) and one.definition.model == made.name:
                current().call(send, one.name, str(made.ref), reason)
    return made


def plan(asset: Asset | str) -> "Plan":
    """What a build would do with each asset upstream, and why. Raises ``Invalid`` for a column that is named and not there."""
    return builder().planner.plan(_name(asset))


def why(asset: Asset | str) -> str:
    """The first thing that differs from the last build, in words; for an asset whose input changed, what changed there.

    Then, a line each, what else of it is declared otherwise, and what has changed of datasets since their rows were read, which no build
    mends.
    """
    made = plan(asset)
    datasets = [step for step in made.steps if step.kind == "dataset"]
    notes = [f"{step.name}: {told}" for step in datasets for told in [step.note, *step.unsaid] if told]
    return "\n".join([_first_reason(made), *notes])


def _first_reason(made: "Plan") -> str:
    for step in made.steps:
        if step.state in ("stale", "new", "waits"):
            beside = step.unsaid if step.kind != "dataset" else []  # a dataset's are told with those of the others
            return "\n  ".join([f"{step.name} is {'waiting' if step.state == 'waits' else step.state}: {step.reason}", *beside])
    target = next(step for step in made.steps if step.name == made.target and step.kind != "gate")
    return f"{target.name}: {target.reason}"


def preview(training_set: "TrainingSet", *, rows: int = 1_000) -> "pl.DataFrame":
    """The first rows of a training set, joined now and stored nowhere."""
    from clew.feature_store import training

    graph = builder().graph
    functions: dict[str, Any] = {name: one.function for name, one in graph.assets.items() if one.function is not None}
    return training.preview(current(), training_set.definition, rows=rows, functions=functions)


def say_overdue() -> None:
    """Say on stderr what was due by the wall clock and is not done, where there is such a thing."""
    from clew.delivery.service import list_overdue

    found = current().call(list_overdue).items
    if not found:
        return
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    what = f"{found[0].what} was due at {console.instant(found[0].at)}{more}"
    console.note(
        f"{what}, and nobody has done it; is `clew up` running? It looks, moves rollouts on and builds, and makes up for what it missed"
    )


def _name(asset: Asset | str) -> str:
    if isinstance(asset, str):
        return asset
    if isinstance(asset, Asset):
        return asset.name
    raise Invalid(f"{asset!r} is no asset; datasets, feature views, training sets and models are built")
