"""Projects: the namespace and the border of permissions."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from clew.storage.database import Instant, metadata

__all__ = ["Clock", "Project", "projects"]

Clock = Literal["wall", "replay"]

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("slug", sa.String(128), primary_key=True),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("clock", sa.String(8), nullable=False),
    sa.Column("event_time", Instant, nullable=True),
    sa.Column("created_at", Instant, nullable=False),
)


@dataclass(frozen=True)
class Project:
    """``event_time`` stands still between the driver's moves when ``clock`` is ``replay``, and is ``None`` on the wall clock."""

    slug: str
    title: str
    clock: Clock
    event_time: datetime | None
    created_at: datetime
