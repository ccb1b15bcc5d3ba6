"""The tables of runs, and the dataclasses that travel."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from clew.storage.database import Instant, Json, metadata

__all__ = [
    "Artifact", "Experiment", "Ingested", "MetricSummary", "OutputPiece", "RunDetails", "RunLog", "RunRow", "SavedView", "Series",
    "metric_chunks", "run_artifacts", "run_metrics", "run_output", "run_params", "run_tags", "run_writers", "runs", "saved_views",
]  # fmt: skip

_RUN = sa.String(64)
_NAME = sa.String(250)

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", _RUN, primary_key=True),
    sa.Column("project", sa.String(128), nullable=False),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("title", sa.Text, nullable=True),
    sa.Column("experiment", sa.String(128), nullable=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("parent", _RUN, nullable=True),
    sa.Column("seed", sa.BigInteger, nullable=True),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("ended_at", Instant, nullable=True),
    sa.Column("heartbeat_at", Instant, nullable=False),
    sa.Column("error", sa.Text, nullable=True),
    sa.Column("facts", Json, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Index("ix_runs_started", "project", "started_at", "id"),
    sa.Index("ix_runs_experiment", "project", "experiment", "started_at"),
    sa.Index("ix_runs_parent", "parent"),
)

run_params = sa.Table(
    "run_params",
    metadata,
    sa.Column("run_id", _RUN, primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("value", Json, nullable=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("number", sa.Double, nullable=True),
    sa.Index("ix_run_params_number", "name", "number"),
)

run_metrics = sa.Table(
    "run_metrics",
    metadata,
    sa.Column("run_id", _RUN, primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("last", sa.Double, nullable=True),
    sa.Column("minimum", sa.Double, nullable=True),
    sa.Column("maximum", sa.Double, nullable=True),
    sa.Column("step", sa.BigInteger, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("points", sa.BigInteger, nullable=False),
    sa.Index("ix_run_metrics_last", "name", "last"),
)

metric_chunks = sa.Table(
    "metric_chunks",
    metadata,
    sa.Column("run_id", _RUN, primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("points", sa.Integer, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

run_tags = sa.Table(
    "run_tags",
    metadata,
    sa.Column("run_id", _RUN, primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

run_artifacts = sa.Table(
    "run_artifacts",
    metadata,
    sa.Column("run_id", _RUN, primary_key=True),
    sa.Column("name", sa.String(500), primary_key=True),
    sa.Column("digest", sa.String(80), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("at", Instant, nullable=False),
)

run_output = sa.Table(
    "run_output",
    metadata,
    sa.Column("run_id", _RUN, primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("stream", sa.SmallInteger, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

run_writers = sa.Table(
    "run_writers",
    metadata,
    sa.Column("writer", _RUN, primary_key=True),
    sa.Column("project", sa.String(128), nullable=False),
    sa.Column("run_id", _RUN, nullable=False),
    sa.Column("offset", sa.BigInteger, nullable=False),
    sa.Column("names", Json, nullable=False),
)

saved_views = sa.Table(
    "saved_views",
    metadata,
    sa.Column("project", sa.String(128), primary_key=True),
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("page", sa.String(128), nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("saved_at", Instant, nullable=False),
    sa.Column("saved_by", sa.String(128), nullable=False),
)


@dataclass(frozen=True)
class Ingested:
    """How far a writer's frames are in: everything before ``offset`` is committed."""

    offset: int


@dataclass(frozen=True)
class MetricSummary:
    """Of all points of one metric. ``last``, ``minimum`` and ``maximum`` are ``None`` where there was no number (only NaN)."""

    last: float | None
    minimum: float | None
    maximum: float | None
    step: int
    at: datetime
    count: int


@dataclass(frozen=True)
class Artifact:
    name: str
    digest: str
    size_bytes: int
    at: datetime


@dataclass(frozen=True)
class RunRow:
    """One line of the runs table. ``status`` is running, finished, failed, pruned, stopped or lost.

    ``metrics`` holds last values; ``minimum`` and ``maximum`` the lowest and the highest of metrics with more than one point.
    """

    id: str
    project: str
    name: str
    title: str | None
    experiment: str | None
    status: str
    parent: str | None
    started_at: datetime
    ended_at: datetime | None
    duration_seconds: float
    actor: str
    params: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float | None] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    minimum: dict[str, float | None] = field(default_factory=dict)
    maximum: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class RunDetails:
    """Everything about one run but its series and its output. ``facts`` tells what it was made in: ``environment``, ``hardware``,
    ``git``, ``source``, ``command``, ``seeds``."""

    run: RunRow
    seed: int | None
    error: str | None
    heartbeat_at: datetime
    facts: dict[str, Any]
    metrics: dict[str, MetricSummary]
    artifacts: list[Artifact]
    children: list[str]


@dataclass(frozen=True)
class Series:
    """A metric's curve in at most as many entries as were asked for; ``count`` is how many points there are.

    The lists have one length. ``times`` are microseconds since 1970; a value is ``None`` where it was not a finite number.
    """

    name: str
    count: int
    steps: list[int]
    times: list[int]
    last: list[float | None]
    minimum: list[float | None]
    maximum: list[float | None]


@dataclass(frozen=True)
class OutputPiece:
    """Some output as it came; it may begin and end inside a line."""

    stream: str
    at: datetime
    text: str


@dataclass(frozen=True)
class RunLog:
    """A part of a run's output in its order; go on with ``after=next_after``. ``complete`` when the run has ended and this is its last."""

    pieces: list[OutputPiece]
    next_after: int
    complete: bool


@dataclass(frozen=True)
class Experiment:
    name: str | None
    runs: int
    latest_at: datetime


@dataclass(frozen=True)
class SavedView:
    """A page of the screen as somebody set it; ``address`` is what stands behind the page's ``?``."""

    name: str
    page: str
    address: str
    saved_at: datetime
    saved_by: str
