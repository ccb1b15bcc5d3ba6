"""Tables of endpoints, routes and serving processes, and the frozen dataclasses that travel."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from clew.catalog.schema import AssetVersion, GateVerdict, VersionRef
from clew.definitions import GuardDefinition
from clew.feature_store.schema import UsedView
from clew.registry.schema import ExternalSystem
from clew.storage.database import Instant, Json, metadata

__all__ = [
    "Acknowledgement", "Answer", "AnsweredFeature", "Candidate", "Compaction", "Endpoint", "EndpointStatus", "Explanation", "Minute", "OtherAnswer", "RequestField",
    "Route", "RouteDocument", "ServedView", "ServingProcess", "Truth", "compacted_segments", "endpoints", "routes", "served_routes",
    "serving_minutes", "serving_processes",
]  # fmt: skip

_NAME = sa.String(128)

endpoints = sa.Table(
    "endpoints",
    metadata,
    sa.Column("project", _NAME, primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("model", _NAME, nullable=False),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
)
"""``epoch`` is the route that is in force."""

routes = sa.Table(
    "routes",
    metadata,
    sa.Column("project", _NAME, primary_key=True),
    sa.Column("endpoint", _NAME, primary_key=True),
    sa.Column("epoch", sa.Integer, primary_key=True),
    sa.Column("document", Json, nullable=False),
    sa.Column("candidate", Json, nullable=True),
    sa.Column("cause", sa.String(16), nullable=False),
    sa.Column("ungated", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("created_by", _NAME, nullable=False),
)

serving_processes = sa.Table(
    "serving_processes",
    metadata,
    sa.Column("project", _NAME, primary_key=True),
    sa.Column("process", sa.String(64), primary_key=True),
    sa.Column("url", sa.Text, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("seen_at", Instant, nullable=False),
)

served_routes = sa.Table(
    "served_routes",
    metadata,
    sa.Column("project", _NAME, primary_key=True),
    sa.Column("process", sa.String(64), primary_key=True),
    sa.Column("endpoint", _NAME, primary_key=True),
    sa.Column("epoch", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("at", Instant, nullable=False),
)
"""What each serving process last acknowledged of each endpoint: ``loaded``, ``serving`` or ``failed`` with the message."""

serving_minutes = sa.Table(
    "serving_minutes",
    metadata,
    sa.Column("project", _NAME, primary_key=True),
    sa.Column("endpoint", _NAME, primary_key=True),
    sa.Column("process", sa.String(64), primary_key=True),
    sa.Column("minute", Instant, primary_key=True),
    sa.Column("requests", sa.Integer, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("errors", sa.Integer, nullable=False),
    sa.Column("refused", sa.Integer, nullable=False),
    sa.Column("p50_us", sa.Integer, nullable=False),
    sa.Column("p95_us", sa.Integer, nullable=False),
    sa.Column("ignored", Json, nullable=False),
    sa.Index("ix_serving_minutes_minute", "project", "endpoint", "minute"),
)

compacted_segments = sa.Table(
    "compacted_segments",
    metadata,
    sa.Column("project", _NAME, primary_key=True),
    sa.Column("segment", sa.String(16), primary_key=True),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("table_version", sa.BigInteger, nullable=False),
    sa.Column("at", Instant, nullable=False),
)
"""Segments of the prediction log whose frames are rows of the table of predictions, as of a version of it."""

Cause = Literal["deploy", "rollback", "candidate", "closed"]
"""Why a route was made: a version took over, the one before came back, a candidate was let in or moved on, or a candidate was closed."""
State = Literal["loaded", "serving", "failed"]


@dataclass(frozen=True)
class RequestField:
    """A field that a request must name; ``dtype`` as in definitions. A key or the event time can't be null, others can."""

    name: str
    dtype: str
    required: bool = False


@dataclass(frozen=True)
class ServedView:
    """A feature view as a route pins it."""

    view: str
    number: int


@dataclass(frozen=True)
class RouteDocument:
    """Everything that a process needs to answer, and nothing that changes: a process serves from this document alone.

    ``onnx`` is the digest of the model's blob; ``features`` its inputs in order and ``output`` the name of what it answers; ``uses`` the views that give them, none for a model
    whose inputs stand in the request; ``sources`` says by view which source snapshot holds its function's code. Without ``takes_missing``
    the model answers no row that lacks a feature. An ``external`` system has no blob and no features: each row is sent to it.
    """

    endpoint: str
    model: str
    number: int
    onnx: str
    features: tuple[str, ...]
    fields: tuple[RequestField, ...]
    output: str = "probability"
    key: tuple[str, ...] = ()
    time: str | None = None
    training_set: VersionRef | None = None
    views: tuple[ServedView, ...] = ()
    uses: tuple[UsedView, ...] = ()
    sources: dict[str, str] = field(default_factory=dict)
    takes_missing: bool = True
    external: ExternalSystem | None = None


@dataclass(frozen=True)
class Candidate:
    """A version that is tried beside the one that answers. Both score every request, so that they can be compared on the same rows.

    It answers the ``share`` of the keys that ``salt`` picks, none of them in shadow. ``guard`` closes it, and so does a feature outside
    its declared bounds; the champion answers what it refuses.
    """

    document: RouteDocument
    salt: str
    share: float = 0.0
    guard: GuardDefinition | None = None

    @property
    def ref(self) -> VersionRef:
        return VersionRef(self.document.model, self.document.number)


@dataclass(frozen=True)
class Route:
    """One route of an endpoint, made at an event time. Epochs count up and are never used again; a rollback is a new epoch with an old
    document."""

    endpoint: str
    epoch: int
    document: RouteDocument
    cause: Cause
    ungated: bool
    reason: str
    created_at: datetime
    created_by: str
    in_force: bool = False
    candidate: Candidate | None = None

    @property
    def ref(self) -> VersionRef:
        return VersionRef(self.document.model, self.document.number)

    def document_of(self, number: int) -> RouteDocument:
        """The document by which a version answered under this route: the candidate's, or the champion's."""
        tried = self.candidate
        return tried.document if tried is not None and tried.document.number == number else self.document


@dataclass(frozen=True)
class Endpoint:
    """An endpoint and the version that answers there since ``deployed_at``, in event time; its route may have changed since by a candidate."""

    name: str
    model: str
    epoch: int
    number: int
    deployed_at: datetime
    deployed_by: str


@dataclass(frozen=True)
class Acknowledgement:
    """What a serving process says of a route: it has ``loaded`` it, is ``serving`` by it, or ``failed`` to load it."""

    endpoint: str
    epoch: int
    state: State
    message: str = ""


@dataclass(frozen=True)
class ServingProcess:
    """A serving process and how far it is with the endpoint's route; ``alive`` when it was seen within the last seconds."""

    process: str
    url: str
    started_at: datetime
    seen_at: datetime
    alive: bool
    epoch: int | None = None
    state: str | None = None
    message: str = ""


@dataclass(frozen=True)
class Minute:
    """What an endpoint did in one minute of wall time. A request with several rows counts once.

    ``errors`` are requests that got an error; ``refused`` are those of them that were the sender's: a field that is missing, a value that
    it can't take. ``ignored`` counts requests by the names of their fields that nobody takes, for the minute's first 20 names.
    """

    minute: datetime
    requests: int
    rows: int
    errors: int
    p50_us: int
    p95_us: int
    refused: int = 0
    ignored: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class EndpointStatus:
    """``flipped`` when every living process answers by the route in force. ``minutes`` are oldest first.

    ``errors`` are of all requests of these minutes, ``refused`` those of them that were the sender's, and ``ignored`` counts those that
    have a field which nobody takes, by its name. ``reason`` is why the version that the route serves came to answer: a candidate that
    came and went since has reasons of its own, which stand at its routes.
    """

    endpoint: Endpoint
    route: Route
    processes: list[ServingProcess]
    flipped: bool
    requests: int
    errors: int
    minutes: list[Minute]
    refused: int = 0
    reason: str = ""
    ignored: dict[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:  # the route's document is pages long
        alive = sum(process.alive for process in self.processes)
        tried = f", {self.route.candidate.ref} tried beside it" if self.route.candidate is not None else ""
        served = f"{alive} processes serve{'' if self.flipped else ', not all by it yet'}" if alive else "no serving process runs"
        return f"<endpoint {self.endpoint.name}: {self.route.ref}, epoch {self.route.epoch}{tried}; {served}>"


@dataclass(frozen=True)
class Truth:
    """What came of it: ``known``, ``waiting`` within the label's horizon, ``unlabelled`` past it, ``none`` where the model has no label."""

    state: Literal["known", "waiting", "unlabelled", "none"]
    value: float | None = None


@dataclass(frozen=True)
class OtherAnswer:
    """What the version that did not answer said of the same row: the candidate in shadow, or the champion behind a canary's answer."""

    number: int
    probability: float | None
    latency_us: int
    error: str | None


@dataclass(frozen=True)
class Answer:
    """One answered row, or one error, as the prediction log keeps it; ``by_candidate`` where the version that its route tried gave it."""

    prediction_id: str
    at: datetime
    event_time: datetime | None
    endpoint: str
    epoch: int
    model: str
    number: int
    row: dict[str, Any]
    probability: float | None
    views: dict[str, int]
    missing: tuple[str, ...]
    latency_us: int
    error: str | None
    truth: Truth
    other: OtherAnswer | None = None
    by_candidate: bool = False


@dataclass(frozen=True)
class AnsweredFeature:
    """A model's input as it was for one prediction; ``value`` is ``None`` where it was missing, ``view`` where the request gave it.

    ``rows`` counts the rows of the view's dataset behind it, as known at the request's time: those in its own window, or the newest one.
    """

    name: str
    value: float | None
    view: str | None
    number: int | None
    rows: int | None = None


@dataclass(frozen=True)
class Explanation:
    """A prediction walked back: what was asked, what was known, and the versions, runs, rows and code behind it."""

    answer: Answer
    features: list[AnsweredFeature]
    route: Route
    model: AssetVersion
    run_id: str | None
    training_set: AssetVersion | None
    views: list[AssetVersion]
    datasets: list[AssetVersion]
    verdicts: list[GateVerdict]
    source: str | None
    git_commit: str | None
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def __str__(self) -> str:
        from clew.serving.explaining import in_words

        return in_words(self)


@dataclass(frozen=True)
class Compaction:
    """Which segments became rows of the table of predictions, and how many rows it holds now."""

    segments: int
    added: int
    rows: int
