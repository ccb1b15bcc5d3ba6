"""What a build kept of each step, and what a plan says."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

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
    in words. ``step`` is ``build`` for an asset itself; of a model also ``refit``, and ``gate …`` for each gate that judged it.
    """

    definition: dict[str, str]
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

    ``note`` says of a dataset what a build does not mend: that its rows were read by code that has changed since.
    """

    kind: str
    name: str
    state: StepState
    reason: str
    version: int | None
    note: str = ""

    @property
    def words(self) -> str:
        """The reason, and what is to be known beside it."""
        return f"{self.reason}; {self.note}" if self.note else self.reason


@dataclass(frozen=True)
class Plan:
    """Steps in the order in which a build takes them."""

    target: str
    steps: list[PlanStep]

    def __str__(self) -> str:
        width = max(len(step.name) for step in self.steps)
        return "\n".join(f"{step.name:<{width}}  {step.state:<7} {step.words}" for step in self.steps)
