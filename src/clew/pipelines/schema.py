"""What a build kept of each step, and what a plan says."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from clew.fields import FieldChange, Written
from clew.storage.database import Instant, Json, metadata

__all__ = ["BuildRecord", "Plan", "PlanStep", "StepKey", "StepState", "builds"]

StepState = Literal["cached", "stale", "new", "source", "waits"]

builds = sa.Table(
    "builds",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("project", sa.String(128), nullable=False),
    sa.Column("asset", sa.String(128), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("key", Json, nullable=False),
    sa.Column("trace", Json, nullable=False),
    sa.Column("run_id", sa.String(64), nullable=True),
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("built_at", Instant, nullable=False),
    sa.Index("ix_builds_asset", "project", "asset", "id"),
)


@dataclass(frozen=True)
class StepKey:
    """What a step's result is cached under, kept part by part, so that the first part that differs can be named.

    ``code`` maps what a function can reach to digests, ``inputs`` names to the versions' digests. ``definition`` holds what was declared,
    field by field as the file writes it. ``step`` is ``build`` for an asset itself; of a model also ``refit``, and ``gate …`` for each gate that judged it.
    """

    definition: dict[str, Written]
    code: dict[str, str]
    inputs: dict[str, str]
    parameters: dict[str, str]
    python: str
    step: str = "build"


@dataclass(frozen=True)
class BuildRecord:
    """One step of a build: the version that came of it, or that a gate judged; its key, and what it read while it ran."""

    asset: str
    number: int
    key: StepKey
    trace: dict[str, str]
    run_id: str | None
    seconds: float
    built_at: datetime


@dataclass(frozen=True)
class PlanStep:
    """What a build would do with one asset, and why, in words. ``version`` is what is there now.

    ``note`` says of a dataset what a build does not mend: that its rows were read by code that has changed since. ``fields`` are those
    that are declared otherwise than when that version was made, whatever else the reason is.
    """

    kind: str
    name: str
    state: StepState
    reason: str
    version: int | None
    note: str = ""
    fields: list[FieldChange] = field(default_factory=list)

    @property
    def words(self) -> str:
        """The reason, and what is to be known beside it."""
        return f"{self.reason}; {self.note}" if self.note else self.reason

    @property
    def unsaid(self) -> list[str]:
        """The fields that the reason doesn't tell of, each in words."""
        return [told for told in map(str, self.fields) if told not in self.reason]

    @property
    def lines(self) -> list[str]:
        """The words, then a line for each field that they don't tell of."""
        return [self.words, *self.unsaid]


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which a build takes them."""

    target: str
    steps: list[PlanStep]

    def __str__(self) -> str:
        width = max(len(step.name) for step in self.steps)
        rows = [(step, line, not place) for step in self.steps for place, line in enumerate(step.lines)]
        return "\n".join(f"{step.name if first else '':<{width}}  {step.state if first else '':<7} {line}" for step, line, first in rows)
