"""Rows that the floor itself keeps: events, audit, idempotency keys, and which project may read which blob."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from clew.storage.database import Instant, Json, metadata

__all__ = ["Event", "Job", "JobState", "audit", "blob_owners", "events", "idempotency_keys", "jobs", "leaders"]

events = sa.Table(
    "events",
    metadata,
    sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
    sa.Column("project", sa.String(128), nullable=False),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("subject", sa.String(256), nullable=False),
    sa.Column("body", Json, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Index(None, "project", "sequence"),
)

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("project", sa.String(128), nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("operation", sa.String(128), nullable=False),
    sa.Column("subject", sa.String(256), nullable=False),
    sa.Column("at", Instant, nullable=False),
)

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("operation", sa.String(128), nullable=False),
    sa.Column("response", sa.LargeBinary, nullable=True),
    sa.Column("holder", sa.String(256), nullable=True),
    sa.Column("expires_at", Instant, nullable=True),
    sa.Column("at", Instant, nullable=False),
    sa.Index("ix_idempotency_keys_at", "at"),
)
"""``response`` is empty while the request is at work: then ``holder`` is who works, until ``expires_at`` unless it renews that."""

blob_owners = sa.Table(
    "blob_owners",
    metadata,
    sa.Column("project", sa.String(128), primary_key=True),
    sa.Column("digest", sa.String(80), primary_key=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("staged_at", Instant, nullable=False),
)


jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("project", sa.String(128), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("subject", sa.String(128), nullable=False),
    sa.Column("due_at", Instant, nullable=False),
    sa.Column("arguments", Json, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("token", sa.Integer, nullable=False),
    sa.Column("lease_until", Instant, nullable=True),
    sa.Column("worker", sa.String(160), nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("ended_at", Instant, nullable=True),
    sa.Column("result", Json, nullable=True),
    sa.Column("error", sa.Text, nullable=False),
    sa.UniqueConstraint("project", "kind", "subject", "due_at"),
    sa.Index("ix_jobs_state", "state", "due_at"),
)
"""Work that is done once for its kind, subject and due time; ``due_at`` is event time, the lease and the rest wall time."""

leaders = sa.Table(
    "leaders",
    metadata,
    sa.Column("role", sa.String(32), primary_key=True),
    sa.Column("holder", sa.String(160), nullable=False),
    sa.Column("expires_at", Instant, nullable=False),
)
"""Who does what is done once for the database, in wall time."""


@dataclass(frozen=True)
class Event:
    """Something that happened in a project. ``sequence`` orders events without gaps for readers that follow."""

    sequence: int
    project: str
    kind: str
    subject: str
    body: dict[str, Any]
    at: datetime
    actor: str


JobState = Literal["queued", "running", "done", "failed"]


@dataclass(frozen=True)
class Job:
    """A piece of work, such as a build. ``due_at`` is the event time that it belongs to; ``token`` rises with each attempt, and only the
    newest attempt's word counts. ``result`` is what came of it, ``error`` why it failed."""

    id: str
    project: str
    kind: str
    subject: str
    due_at: datetime
    arguments: dict[str, Any]
    state: JobState
    attempt: int
    token: int
    worker: str
    created_at: datetime
    ended_at: datetime | None
    result: dict[str, Any] | None
    error: str
