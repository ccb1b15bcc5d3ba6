"""The table of reports, and the frozen dataclasses that travel."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import sqlalchemy as sa

from clew.monitoring.performance import Performance
from clew.storage.database import Instant, Json, metadata

__all__ = ["FeatureSkew", "PerformanceReport", "Report", "SkewReport", "monitoring_reports"]

_NAME = sa.String(128)

monitoring_reports = sa.Table(
    "monitoring_reports",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("project", _NAME, nullable=False),
    sa.Column("endpoint", _NAME, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("body", Json, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Index("ix_monitoring_reports_endpoint", "project", "endpoint", "kind"),
)


@dataclass(frozen=True)
class PerformanceReport:
    """How an endpoint did on answers by event time from ``start`` to before ``end``, as of the project's event time ``at``.

    Of several answers for one key the newest counts. ``answers`` are those by key, ``errors`` the requests that got one, ``versions``
    the answers by the version that gave them.
    """

    endpoint: str
    start: datetime | None
    end: datetime | None
    answers: int
    errors: int
    versions: dict[str, int]
    word: Literal["measured", "not enough data yet"]
    figures: Performance
    at: datetime


@dataclass(frozen=True)
class FeatureSkew:
    """One feature: how many rows differ by more than the tolerance, the largest difference, and a row that shows it."""

    feature: str
    view: str
    rows: int
    differing: int
    largest: float
    example: str | None = None
    served: float | None = None
    recomputed: float | None = None


@dataclass(frozen=True)
class SkewReport:
    """What was served against what the same rows give today, as known at their time.

    Two values agree when they differ by at most ``tolerance`` relative to the larger, or to 1 where both are smaller; missing agrees with
    missing only.
    """

    endpoint: str
    start: datetime | None
    end: datetime | None
    rows: int
    cells: int
    differing: int
    largest: float
    tolerance: float
    features: list[FeatureSkew] = field(default_factory=list)

    @property
    def none(self) -> bool:
        """Whether every cell agrees, and there was one to compare."""
        return self.cells > 0 and self.differing == 0


@dataclass(frozen=True)
class Report:
    """A stored report of either kind."""

    id: int
    endpoint: str
    kind: Literal["skew", "performance"]
    at: datetime
    performance: PerformanceReport | None = None
    skew: SkewReport | None = None
