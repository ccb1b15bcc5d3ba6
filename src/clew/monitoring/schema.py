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

    def __str__(self) -> str:
        """The figures with their interval, unit and count."""
        figures = self.figures
        counts = (
            f"{figures.blocks} {figures.unit}, {figures.rows:,} rows; {figures.waiting:,} wait for labels; {figures.unlabelled:,} got none"
        )
        if self.word != "measured":
            return f"not enough data yet: {counts}"
        shown = [("AUC", figures.auc), ("log loss", figures.log_loss)]
        named = [f"{name} {one.estimate:.3f} ({one.level:.0%}: {one.low:.3f} to {one.high:.3f})" for name, one in shown if one is not None]
        return f"{', '.join(named)} over {counts}"


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

    def __str__(self) -> str:
        """Zero, or where it is."""
        if not self.cells:
            return "no answer to recompute"
        if self.none:
            return (
                f"no skew: all {self.cells:,} feature values of {self.rows:,} answers are the same when recomputed as known then "
                f"(tolerance {self.tolerance:g}, largest difference {self.largest:.2g})"
            )
        worst = sorted((one for one in self.features if one.differing), key=lambda one: -one.differing)
        named = ", ".join(f"{one.feature} of {one.view} in {one.differing:,} rows" for one in worst[:5])
        return f"skew: {self.differing:,} of {self.cells:,} feature values differ: {named}"


@dataclass(frozen=True)
class Report:
    """A stored report of either kind."""

    id: int
    endpoint: str
    kind: Literal["skew", "performance"]
    at: datetime
    performance: PerformanceReport | None = None
    skew: SkewReport | None = None
