"""What a user declared, as inert documents: no function objects, no storage, nothing that runs.

A definition travels to the server, stands in the catalog under its digest, and is all that serving and a build need to know of an
asset besides its code, which a ``FunctionRef`` names inside the source snapshot.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from clew.bounds import Bounds, bounds_in_words, settled_bounds, within
from clew.clock import parse_duration
from clew.errors import Invalid

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "Aggregate", "AnyDefinition", "Condition", "DatasetDefinition", "EndpointDefinition", "FeaturesDefinition", "FunctionRef",
    "GateDefinition", "GuardDefinition", "ModelDefinition", "MonitorDefinition", "ParameterDefinition", "RolloutStep", "SearchDefinition",
    "Space", "TrainingSetDefinition", "TriggerDefinition", "ViewUse", "WindowsDefinition", "check_durations", "definition_digest",
    "document_digest", "dtype_name", "from_document", "kind_of", "parse_dtype", "to_document",
]  # fmt: skip

AggregateFunction = Literal["mean", "sum", "count", "min", "max"]


@dataclass(frozen=True)
class FunctionRef:
    """A function by address: its module, qualified name, and file relative to the project's root."""

    module: str
    qualname: str
    file: str


@dataclass(frozen=True)
class DatasetDefinition:
    name: str
    key: tuple[str, ...]
    time: str | None
    known: str | None
    function: FunctionRef | None
    zone: str | None = None
    """The zone that naive event times are declared to be in; without it they are refused."""
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    """Hard limits of columns: a row outside of them never gets in."""

    def __post_init__(self) -> None:
        times = {self.time: "the event time", self.known: "the time at which a row became known"}
        _settle_column_bounds(self, {name: what for name, what in times.items() if name is not None})


@dataclass(frozen=True)
class Aggregate:
    """What a window says of a column; ``count`` needs none. ``bounds`` are hard limits of the answer."""

    function: AggregateFunction
    column: str | None = None
    bounds: Bounds | None = None

    def __post_init__(self) -> None:
        if self.bounds is not None:
            of = "" if self.column is None else f"{self.column!r}, "
            object.__setattr__(self, "bounds", settled_bounds(self.bounds, f"clew.{self.function}({of}bounds={self.bounds!r})"))


@dataclass(frozen=True)
class WindowsDefinition:
    """Aggregates of a dataset's rows in ``(t - w, t]`` of each entity, as of the request's time ``t``."""

    name: str
    dataset: str
    entity: tuple[str, ...]
    over: tuple[str, ...]
    aggregates: dict[str, Aggregate]
    missing: Literal["hold"] | float | None = None

    def __post_init__(self) -> None:
        for name, one in self.aggregates.items():
            if one.bounds is not None and one.function not in ("count", "sum"):  # those two answer an empty window with 0
                _check_missing(self.name, name, self.missing, one.bounds)

    @property
    def columns(self) -> tuple[str, ...]:
        """Output columns, window by window: ``late_6h``, ``delay_6h``, … ``late_7d``."""
        return tuple(f"{name}_{window}" for window in self.over for name in self.aggregates)


@dataclass(frozen=True)
class FeaturesDefinition:
    """A feature view made by a function of datasets, of other views, or of the request's own fields."""

    name: str
    inputs: tuple[str, ...]
    entity: tuple[str, ...]
    time: str | None
    ttl: str | None
    missing: Literal["hold"] | float | None
    request: dict[str, str]
    function: FunctionRef
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    """Hard limits of the features that the function makes."""

    def __post_init__(self) -> None:
        apart = dict.fromkeys(self.entity, "an entity") | ({} if self.time is None else {self.time: "the time"})
        _settle_column_bounds(self, apart)
        for name, bounds in self.bounds.items():
            _check_missing(self.name, name, self.missing, bounds)


@dataclass(frozen=True)
class ViewUse:
    """A view as a training set uses it: ``by`` maps an entity's name to the spine's column; ``prefix`` goes before its columns."""

    view: str
    by: dict[str, str]
    prefix: str = ""


@dataclass(frozen=True)
class TrainingSetDefinition:
    name: str
    spine: str
    label_dataset: str
    label_column: str
    label_within: str
    features: tuple[ViewUse, ...]
    holdout: str | None = None
    block: str = "1d"
    zone: str = "UTC"
    last: str | None = None


@dataclass(frozen=True)
class Space:
    """Where a hyperparameter may lie: ``kind`` is ``uniform``, ``log_uniform``, ``integer`` or ``choice``."""

    kind: Literal["uniform", "log_uniform", "integer", "choice"]
    low: float | None = None
    high: float | None = None
    choices: tuple[str | int | float | bool, ...] = ()

    def __post_init__(self) -> None:
        if self.kind == "choice":
            if not self.choices:
                raise Invalid("clew.choice() needs at least one value")
        elif self.low is None or self.high is None or not self.low < self.high:
            raise Invalid(f"clew.{self.kind}({self.low}, {self.high}) is empty: the first bound must be below the second")
        elif self.kind == "log_uniform" and self.low <= 0:
            raise Invalid(f"clew.log_uniform({self.low}, {self.high}) reaches zero: both bounds must be above it")


@dataclass(frozen=True)
class ParameterDefinition:
    default: str | int | float | bool | None
    space: Space | None = None


@dataclass(frozen=True)
class SearchDefinition:
    """``trials`` asks of a study that maximises or minimises one logged metric."""

    trials: int
    metric: str
    direction: Literal["maximize", "minimize"]


@dataclass(frozen=True)
class ModelDefinition:
    name: str
    training_set: str
    parameters: dict[str, ParameterDefinition]
    seed: int | None
    search: SearchDefinition | None
    refit: bool
    function: FunctionRef


@dataclass(frozen=True)
class GateDefinition:
    """A test of a model's versions on the rows of a training set's holdout."""

    name: str
    model: str
    training_set: str
    function: FunctionRef


@dataclass(frozen=True)
class RolloutStep:
    """A candidate's stay beside the champion: in ``shadow`` it answers nobody, as a ``canary`` a ``share`` of the keys."""

    kind: Literal["shadow", "canary"]
    duration: str
    share: float = 0.0


@dataclass(frozen=True)
class GuardDefinition:
    """What ends a rollout by itself. ``None`` watches nothing.

    Serving watches, at once: the candidate's rate of ``errors``, the latency ``p95_ms`` that at most 5 % of its rows may pass, and the
    ``shift`` of its mean score against the champion's on the same rows. Delivery watches ``harm`` on matured labels: nats of log loss
    that the candidate may be worse by. ``alpha`` bounds the chance of each to end a rollout that keeps to its limit.
    """

    errors: float | None = None
    p95_ms: float | None = None
    harm: float | None = None
    shift: float | None = None
    alpha: float = 0.005


@dataclass(frozen=True)
class EndpointDefinition:
    """``rollout`` and ``guard`` say how a new version comes behind the endpoint; without steps it answers at once."""

    name: str
    model: str
    rollout: tuple[RolloutStep, ...] = ()
    guard: GuardDefinition | None = None


@dataclass(frozen=True)
class MonitorDefinition:
    """What is watched of an endpoint, or of a dataset's rows as they come.

    ``performance`` names metrics on matured labels; ``window`` is the span of one look, each disjoint from the last; ``rate`` the chance
    of a false alarm per run of ``looks`` looks. ``missing`` watches null rate and freshness of each view. A dataset has no performance.
    """

    name: str
    endpoint: str | None
    dataset: str | None = None
    performance: tuple[str, ...] = ()
    drift: bool = False
    skew: bool = False
    missing: bool = True
    window: str = "28d"
    rate: float = 0.05
    looks: int = 12


@dataclass(frozen=True)
class Condition:
    """When a trigger fires: a monitor says ``worse``, or a ``cron`` time has come, in a zone."""

    kind: Literal["worse", "cron"]
    monitor: str | None = None
    cron: str | None = None
    zone: str = "UTC"


@dataclass(frozen=True)
class TriggerDefinition:
    """Builds a model, and brings it to its endpoints, when any of the conditions holds."""

    name: str
    build: str
    conditions: tuple[Condition, ...]


AnyDefinition = (
    DatasetDefinition
    | WindowsDefinition
    | FeaturesDefinition
    | TrainingSetDefinition
    | ModelDefinition
    | GateDefinition
    | EndpointDefinition
    | MonitorDefinition
    | TriggerDefinition
)

_KINDS: dict[type, str] = {
    DatasetDefinition: "dataset",
    WindowsDefinition: "feature_view",
    FeaturesDefinition: "feature_view",
    TrainingSetDefinition: "training_set",
    ModelDefinition: "model",
    GateDefinition: "gate",
    EndpointDefinition: "endpoint",
    MonitorDefinition: "monitor",
    TriggerDefinition: "trigger",
}


def kind_of(definition: AnyDefinition) -> str:
    """The kind under which the catalog keeps a definition; both sorts of feature view are one kind."""
    return _KINDS[type(definition)]


def to_document(definition: AnyDefinition) -> dict[str, Any]:
    """The JSON document of a definition; ``type`` tells a view of windows from one of a function."""
    document: dict[str, Any] = msgspec.to_builtins(definition)
    return {"type": type(definition).__name__, **document}


def from_document(document: dict[str, Any]) -> AnyDefinition:
    """The definition that ``to_document`` wrote."""
    by_name = {kind.__name__: kind for kind in _KINDS}
    values = dict(document)
    kind = by_name.get(values.pop("type", ""))
    if kind is None:
        raise Invalid(f"{document.get('type')!r} is no kind of definition that this Clew knows; it may come from a newer one")
    definition: AnyDefinition = msgspec.convert(values, kind)
    return definition


def definition_digest(definition: AnyDefinition, code_digest: str = "") -> str:
    """One digest for what was declared and the code behind it; the file's place and the function's module don't count."""
    return document_digest(to_document(definition), code_digest)


def document_digest(document: Mapping[str, Any], code_digest: str) -> str:
    """The digest of the definition that a document stands for, of whatever Clew it is."""
    declared = {name: value for name, value in document.items() if name != "function"}
    return "sha256:" + hashlib.sha256(msgspec.json.encode([declared, code_digest], order="sorted")).hexdigest()


def _settle_column_bounds(definition: DatasetDefinition | FeaturesDefinition, apart: Mapping[str, str]) -> None:
    """Check the bounds of columns and put them into one form. ``apart`` says what those columns are that can't have any."""
    given: Any = definition.bounds  # Any: whatever the user wrote
    if not isinstance(given, Mapping):
        raise Invalid(f"{definition.name}: bounds={given!r} names no column; write bounds={{'column': {given!r}}}")
    for name in given:
        if name in apart:
            raise Invalid(f"{definition.name} bounds {name!r}, which is {apart[name]} and no number; only columns of numbers have bounds")
    settled = {name: settled_bounds(bounds, f"{definition.name}: bounds={{{name!r}: {bounds!r}}}") for name, bounds in given.items()}
    object.__setattr__(definition, "bounds", settled)


def _check_missing(view: str, column: str, missing: Literal["hold"] | float | None, bounds: Bounds) -> None:
    if isinstance(missing, int | float) and not within(missing, bounds):
        raise Invalid(
            f"{view} answers {missing!r} where there is no value, and {column!r} must be {bounds_in_words(bounds)}: "
            "every such row would be refused; choose another missing=, or other bounds"
        )


def check_durations(*durations: str | None) -> None:
    for duration in durations:
        if duration is not None:
            parse_duration(duration)


_DATETIME = re.compile(r"Datetime\(time_unit='(ms|us|ns)', time_zone=(?:None|'([^']+)')\)")
_PLAIN = ("Boolean Int8 Int16 Int32 Int64 UInt8 UInt16 UInt32 UInt64 Float32 Float64 String Date Time Binary Categorical").split()


def dtype_name(dtype: "pl.DataType | type[pl.DataType]") -> str:
    """The text that ``parse_dtype`` reads back."""
    return str(dtype)


def parse_dtype(name: str) -> "pl.DataType":
    """The Polars type that a name stands for.

    >>> parse_dtype("Datetime(time_unit='us', time_zone='UTC')")
    Datetime(time_unit='us', time_zone='UTC')
    """
    import polars as pl

    match = _DATETIME.fullmatch(name)
    if match:
        return pl.Datetime(match[1], match[2])  # type: ignore[arg-type]  # the pattern admits the three units only
    if name in _PLAIN:
        return getattr(pl, name)()  # type: ignore[no-any-return]
    raise Invalid(f"{name!r} can't be the type of a field; use a Polars type such as pl.Float64, pl.String or pl.Datetime('us', 'UTC')")
