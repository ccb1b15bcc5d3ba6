"""Training in a worker: the user's function on rows handed over as a file, under a run of its own."""

import pickle
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from clew.definitions import FunctionRef
from clew.errors import BuildFailed, ClewError, Pruned
from clew.settings import Settings
from clew.tracking import recording
from clew.tracking.run import Run
from clew.tracking.source import SourceSnapshot
from clew.tuning.pruning import MedianRule
from clew.tuning.study import Value

if TYPE_CHECKING:
    from clew.feature_store.training_data import TrainingData

__all__ = ["Fit", "Fitted", "RowsFile", "fit", "load_fitted", "place", "write_rows"]


IN_SAMPLE = "in_sample/"
"""What the metrics of a refit begin with: it trains on the rows that its function would validate on, so its figures say little."""


@dataclass(frozen=True)
class RowsFile:
    """Training rows as an Arrow file, memory-mapped by each worker, with what tells their columns apart."""

    path: Path
    label: str
    time: str | None
    key: tuple[str, ...]
    entities: tuple[str, ...]
    features: tuple[str, ...]
    block: str
    zone: str


@dataclass(frozen=True)
class Fit:
    """One fit to do. ``refit`` trains on every row: a split inside the function then gives all of them as its first part.

    What a refit logs is of rows that it trained on. It is kept as ``in_sample/auc``, so that it is never taken for a figure of the model.
    """

    settings: Settings
    function: FunctionRef
    model: str
    rows: RowsFile
    parameters: Mapping[str, Value]
    seed: int | None
    title: str
    result: Path
    source: SourceSnapshot
    parent: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)
    refit: bool = False
    rule: MedianRule | None = None


@dataclass(frozen=True)
class Fitted:
    """What came of a fit: ``result`` holds the fitted model, unless the trial was cut short or failed; ``curve`` is the
    metric of its rule, by step."""

    run_id: str
    status: str
    metrics: dict[str, float]
    trace: dict[str, str]
    result: Path
    error: str | None = None
    curve: Mapping[int, float] = field(default_factory=dict)


def write_rows(data: "TrainingData", path: Path) -> RowsFile:
    """Hand training rows over as a file."""
    data.frame().write_ipc(path, compression="uncompressed")
    return RowsFile(
        path, data.label_name, data.time_name, tuple(data.keys.columns), tuple(data.entities.columns), data.features, data.block, data.zone
    )


def _read_rows(rows: RowsFile, *, refit: bool) -> "TrainingData":
    import polars as pl

    from clew.feature_store.training_data import TrainingData

    frame = pl.scan_ipc(rows.path).collect()
    return TrainingData(
        frame,
        label=rows.label,
        time=rows.time,
        key=rows.key,
        entities=rows.entities,
        features=rows.features,
        block=rows.block,
        zone=rows.zone,
        refit=refit,
    )


def fit(task: Fit) -> Fitted:
    """Run the model's function. A failure is told in the answer, so that the other trials of a study go on."""
    from clew import backend as backends
    from clew.feature_store.functions import load_function
    from clew.pipelines.tracing import own_folders, tracing

    settings = task.settings
    if backends.active() is None:
        backends.use(backends.connect(settings=settings))
    function = load_function(task.function)
    wants_run = _run_parameter(function)
    data = _read_rows(task.rows, refit=task.refit)
    seeds = {} if task.seed is None else {"seed": task.seed}
    status, error, trace = "finished", None, {}
    recorded = recording.begin(
        backends.current(),
        title=task.title,
        params=dict(task.parameters),
        experiment=task.model,
        tags=dict(task.tags),
        parent=task.parent,
        seed=task.seed,
        source=task.source.digest,
        kind=wants_run[1] if wants_run else Run,
    )
    if task.refit:
        recorded.prefix = IN_SAMPLE
    watch = _Watch(task.rule)
    recorded.observer = watch
    try:
        with recorded, tracing(settings.root, (*own_folders(settings), task.rows.path.parent)) as seen:
            _note(recorded, task, data)
            runs = {wants_run[0]: recorded} if wants_run else {}
            fitted = function(data, **dict(task.parameters), **seeds, **runs)
            if fitted is None:
                raise BuildFailed(f"{task.model} returned nothing; its function returns the fitted model", model=task.model)
            _keep(fitted, task.result)
        trace = seen.to_dict()
    except Pruned:
        status = "pruned"
    except ClewError as failure:
        status, error = "failed", failure.message
    except Exception as failure:  # the user's code; its run holds the traceback, the build goes on or says so
        status, error = "failed", f"{type(failure).__name__}: {failure} ({place(failure)})"
    return Fitted(recorded.id, status, watch.logged, trace, task.result, error, watch.curve)


class _Watch:
    """Sees what a run logs: the last values, the curve of the study's metric, and when that curve is to be cut short."""

    def __init__(self, rule: MedianRule | None) -> None:
        self.rule = rule
        self.logged: dict[str, float] = {}
        self.curve: dict[int, float] = {}

    def __call__(self, values: Mapping[str, float], step: int) -> None:
        self.logged.update(values)
        if self.rule is None or self.rule.metric not in values:
            return
        self.curve[step] = values[self.rule.metric]
        if self.rule.cuts(self.curve, step):
            raise Pruned(
                f"{self.rule.metric} {self.curve[step]:.4g} at step {step} lags behind the median of {len(self.rule.curves)} trials"
            )


def _note(run: Run, task: Fit, data: "TrainingData") -> None:
    """What the run was made of. The driver took the snapshot of the source once; each of its trials has it whole."""
    source = asdict(task.source)
    run.facts({"git": source.pop("git"), "environment": source.pop("environment"), "source": source})
    run.facts({"training": {"rows": len(data), "features": list(data.features), "refit": task.refit, **task.facts}})


def _run_parameter(function: Callable[..., Any]) -> tuple[str, type[Run]] | None:
    """The parameter that is annotated ``clew.Run``, by name, and the class that it names."""
    try:
        hints = get_type_hints(function)
    except NameError:  # an annotation that stands under TYPE_CHECKING only, which can't be Clew's run
        return None
    return next(
        ((name, hint) for name, hint in hints.items() if name != "return" and isinstance(hint, type) and issubclass(hint, Run)), None
    )


def _keep(fitted: object, result: Path) -> None:
    part = result.with_suffix(".part")
    with part.open("wb") as file:
        pickle.dump(fitted, file, protocol=5)
    part.replace(result)


def load_fitted(fitted: Fitted) -> object:
    """The fitted model. Unpickles what this build's own worker wrote in the build's own folder: never anything that was uploaded."""
    with fitted.result.open("rb") as file:
        return pickle.load(file)  # noqa: S301 - see above


def place(error: BaseException) -> str:
    """Where a user's code raised, as ``file:line``."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "no frame"
