"""Tables of schedules, rollouts and triggers, and the frozen dataclasses that travel."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from clew.definitions import Condition, GuardDefinition, RolloutStep
from clew.storage.database import Instant, Json, metadata
from clew.storage.schema import Job

__all__ = [
    "Advance", "Build", "Harm", "HarmDay", "Overdue", "Rollout", "RolloutEvent", "RolloutState", "Trigger", "TriggerState", "rollouts", "schedules", "trigger_states",
]  # fmt: skip

_NAME = sa.String(128)

schedules = sa.Table(
    "schedules",
    metadata,
    sa.Column("project", _NAME, primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("subject", _NAME, primary_key=True),
    sa.Column("next_at", Instant, nullable=False),
    sa.Column("reckoned_from", sa.String(128), nullable=False),
    sa.Index("ix_schedules_next", "project", "next_at"),
)
"""When something is due next, in event time: a ``rollout``'s check, a monitor's ``look``, a trigger's ``cron``.
``reckoned_from`` is what ``next_at`` follows from: the digest of a definition, or how a rollout stands."""

rollouts = sa.Table(
    "rollouts",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("project", _NAME, nullable=False),
    sa.Column("endpoint", _NAME, nullable=False),
    sa.Column("model", _NAME, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("champion", sa.Integer, nullable=False),
    sa.Column("steps", Json, nullable=False),
    sa.Column("guard", Json, nullable=True),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("ungated", sa.Boolean, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("harm", Json, nullable=True),
    sa.Column("history", Json, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("step_ends_at", Instant, nullable=False),
    sa.Column("paused_at", Instant, nullable=True),
    sa.Column("ended_at", Instant, nullable=True),
    sa.Column("created_by", _NAME, nullable=False),
    sa.Column("bounds", sa.Boolean, nullable=False),
    sa.Index("ix_rollouts_endpoint", "project", "endpoint", "started_at"),
)
"""Instants are event times. A rollout's id is the salt by which its canary's keys are picked."""

trigger_states = sa.Table(
    "trigger_states",
    metadata,
    sa.Column("project", _NAME, primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("since", Instant, nullable=True),
    sa.Column("last_look", sa.BigInteger, nullable=False),
    sa.Column("changed_at", Instant, nullable=False),
)
"""``since`` is the event time from which its builds count, the last time that a person resumed it; ``last_look`` is the newest look that
it has heard of."""

RolloutState = Literal["running", "paused", "promoted", "rolled back", "superseded"]
TriggerState = Literal["active", "on schedule", "paused"]


@dataclass(frozen=True)
class RolloutEvent:
    """Something that happened to a rollout, at an event time, and why; ``by`` is a person, the ``guard``, or ``clew`` itself."""

    at: datetime
    state: str
    step: int
    reason: str
    by: str


@dataclass(frozen=True)
class HarmDay:
    """A day of the harm test, from its first row ``at``: its ``rows``, and the mean difference up to its end with the interval then."""

    at: datetime
    rows: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Harm:
    """The harm test on matured labels: ``mean`` is what the candidate's log loss is worse by, in nats, on ``rows`` of ``blocks`` days.

    ``low`` and ``high`` hold at every look at once, at 95 %; ``capital`` shows harm at ``1 / alpha``.
    """

    word: Literal["safe", "worse", "not enough data yet"]
    rows: int
    blocks: int
    unit: str
    mean: float | None
    low: float | None
    high: float | None
    tolerance: float
    capital: float
    alpha: float
    until: datetime
    daily: list[HarmDay] = field(default_factory=list)


@dataclass(frozen=True)
class Rollout:
    """A version on its way behind an endpoint: ``step`` of ``steps``, each with its end in event time."""

    id: str
    endpoint: str
    model: str
    number: int
    champion: int
    steps: tuple[RolloutStep, ...]
    guard: GuardDefinition | None
    step: int
    state: RolloutState
    ungated: bool
    reason: str
    harm: Harm | None
    history: list[RolloutEvent]
    started_at: datetime
    step_ends_at: datetime
    paused_at: datetime | None
    ended_at: datetime | None
    created_by: str
    bounds: bool = True
    """Whether the bounds of today's definitions hold for it."""

    @property
    def reference(self) -> str:
        return f"{self.model}@{self.number}"

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("running", "paused")

    @property
    def at_step(self) -> RolloutStep:
        return self.steps[self.step]


@dataclass(frozen=True)
class Build:
    """A build that a trigger asked for, and what came of it."""

    job: Job
    outcome: str


@dataclass(frozen=True)
class Trigger:
    """A trigger as it stands: ``next_at`` is its next cron time, ``builds`` what it has brought, newest first.

    One that is *on schedule* listens to no monitor any more. ``barren`` counts retrainings in a row that brought nothing, and
    ``not_improved`` says of ``model`` that retraining has turned out not to improve it.
    """

    name: str
    model: str
    conditions: tuple[Condition, ...]
    state: TriggerState
    reason: str
    barren: int
    next_at: datetime | None
    builds: list[Build]
    not_improved: bool = False


@dataclass(frozen=True)
class Overdue:
    """Something that was due ``at`` an instant by the wall clock and that nobody has done; ``what`` is in words."""

    what: str
    at: datetime


@dataclass(frozen=True)
class Advance:
    """Where event time stands after a move. ``waiting`` says for what it does not go on yet, in words; empty when it has arrived.

    ``next_due`` is when something is due next, as far as is known by then; ``None`` where nothing is, and while it waits.
    """

    event_time: datetime
    waiting: tuple[str, ...]
    next_due: datetime | None = None
