"""The table of reports, and the frozen dataclasses that travel."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from clew.datasets.distances import Shift
from clew.datasets.profile import ColumnProfile, Profile
from clew.monitoring.decisions import Contest
from clew.monitoring.performance import Performance
from clew.pipelines.comparison import unit_of
from clew.storage.database import Instant, Json, metadata

__all__ = [
    "Alert", "FeatureSkew", "Monitor", "MonitorKind", "MonitorLook", "PerformanceReport", "Report", "ShadowReport", "SkewReport", "Unjudged", "WindowProfile", "Word",
    "alert_deliveries", "alerts", "monitor_looks", "monitoring_reports", "reference_profiles",
]  # fmt: skip

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

_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")

monitor_looks = sa.Table(
    "monitor_looks",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("project", _NAME, nullable=False),
    sa.Column("monitor", _NAME, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("window_start", Instant, nullable=True),
    sa.Column("window_end", Instant, nullable=False),
    sa.Column("source", sa.String(160), nullable=False),
    sa.Column("word", sa.String(32), nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("figures", Json, nullable=False),
    sa.Column("profile", Json, nullable=True),
    sa.Column("at", Instant, nullable=False),
    sa.UniqueConstraint("project", "monitor", "kind", "window_end", "source", name="uq_monitor_looks_window"),
)
"""Each window is looked at once: a job that is repeated finds its look here. ``source`` names what a look was made from where that is no
window of answers or rows (a skew report, a gate's verdict). ``profile`` is what the window's columns held, without their bins: later looks add
it up."""

reference_profiles = sa.Table(
    "reference_profiles",
    metadata,
    sa.Column("project", _NAME, primary_key=True),
    sa.Column("source", sa.String(160), primary_key=True),
    sa.Column("body", Json, nullable=False),
)
"""What windows are held against, by its version, such as ``late@2``; it has the bins in which their columns were counted."""

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("project", _NAME, nullable=False),
    sa.Column("monitor", _NAME, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("subject", sa.String(256), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("active", sa.Boolean, nullable=True),
    sa.Column("word", sa.String(32), nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("look", sa.BigInteger, nullable=False),
    sa.Column("opened_at", Instant, nullable=False),
    sa.Column("last_seen_at", Instant, nullable=False),
    sa.Column("resolved_at", Instant, nullable=True),
    sa.Column("silenced_until", Instant, nullable=True),
    sa.Column("by", _NAME, nullable=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.UniqueConstraint("project", "monitor", "kind", "subject", "active", name="uq_alerts_active"),
    sa.Index("ix_alerts_state", "project", "state"),
)
"""``active`` is true, or null once resolved: a unique constraint takes nulls for different, so there is one active alert for a cause."""

alert_deliveries = sa.Table(
    "alert_deliveries",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("project", _NAME, nullable=False),
    sa.Column("alert", sa.BigInteger, nullable=False),
    sa.Column("notice", sa.String(16), nullable=False),
    sa.Column("channel", sa.String(16), nullable=False),
    sa.Column("body", Json, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("next_at", Instant, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("delivered_at", Instant, nullable=True),
    sa.Index("ix_alert_deliveries_next", "state", "next_at"),
)
"""What is to be told by which channel; ``waiting`` until it is ``delivered``, or ``failed`` after the last attempt. Wall time."""

MonitorKind = Literal["performance", "drift", "missing", "skew", "regret"]
Word = Literal["safe", "no worse", "better", "worse", "changed", "missing", "not enough data yet"]
"""What a look says. *safe*: no threshold was passed, which is no proof that nothing is there."""


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
        named = [
            f"{name} {one.estimate:.3f} ({one.level * 100:.0f} %: {one.low:.3f} to {one.high:.3f})"
            for name, one in shown
            if one is not None
        ]
        return f"{', '.join(named)} over {counts}"


@dataclass(frozen=True)
class FeatureSkew:
    """One feature: how many rows differ by more than the tolerance, the largest difference, and a row that shows it.

    ``largest`` is ``None`` where a value is missing on one side only: that is farther than any number.
    """

    feature: str
    view: str
    rows: int
    differing: int
    largest: float | None
    example: str | None = None
    served: float | None = None
    recomputed: float | None = None
    left_out: int = 0
    """Rows that asked about a time before the view's online rows: their answer said so, and there is nothing to compare."""


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
    largest: float | None
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
        left_out = sum(one.left_out for one in self.features)
        besides = f"; {left_out:,} are left out, asked about a time before their online rows" if left_out else ""
        if self.none:
            return (
                f"no skew: all {self.cells:,} feature values of {self.rows:,} answers are the same when recomputed as known then "
                f"(tolerance {self.tolerance:g}, largest difference {self.largest or 0.0:.2g}){besides}"
            )
        worst = sorted((one for one in self.features if one.differing), key=lambda one: -one.differing)
        named = ", ".join(f"{one.feature} of {one.view} in {one.differing:,} rows" for one in worst[:5])
        return f"skew: {self.differing:,} of {self.cells:,} feature values differ: {named}"


@dataclass(frozen=True)
class ShadowReport:
    """A version against what people, or another system, ``decided`` about rows that both know, as of the project's event time ``at``.

    Of the ``given`` decisions, ``unknown`` have a key that is in no dataset, ``seen`` lie in what the version was trained on, ``waiting``
    are too young for their label, ``unlabelled`` never got one, and ``unscored`` lack a feature that the version can't do without; the
    others are the contest's rows. ``reason`` says why nothing can be said in spite of enough of them.
    """

    endpoint: str
    version: str
    source: str
    decided: str
    given: int
    unknown: int
    seen: int
    waiting: int
    unlabelled: int
    unscored: int
    block: str
    contest: Contest
    reason: str
    at: datetime

    def __str__(self) -> str:
        """The word, with its interval, unit and count."""
        found = self.contest
        counts = f"{found.blocks} {unit_of(self.block)}, {found.rows:,} rows"
        left = [
            f"{number:,} {what}"
            for number, what in (
                (self.unknown, "with a key that is in no dataset"), (self.seen, "that it was trained on"), (self.waiting, "waiting for labels"),
                (self.unlabelled, "without a label"), (self.unscored, "without a feature that it needs"),
            )
            if number
        ]  # fmt: skip
        rest = f"; not judged, of {self.given:,} decisions: {', '.join(left)}" if left else ""
        if self.reason:
            return f"{found.word}: {self.reason} ({counts}){rest}"
        if found.difference is None or found.theirs is None or found.ours is None:
            return f"{found.word}: {counts}{rest}"
        low, high, level = found.difference.low, found.difference.high, f"{found.difference.level * 100:.0f} %"
        if found.measure == "log loss":
            said = f"{self.version} has a log loss of {found.ours:.4f}, {self.decided} one of {found.theirs:.4f}"
            gain = f"a gain of {found.difference.estimate:+.4f} nats, {level} between {low:+.4f} and {high:+.4f}"
            return f"{found.word}: {said}: {gain} ({counts}){rest}"
        said = f"{self.version} would have been wrong in {found.ours * 100:.1f} % of the decisions, where {found.theirs * 100:.1f} % were"
        at = "" if found.threshold is None else f" (it says yes from a score of {found.threshold:.3g} on)"
        points = f"a gain of {found.difference.estimate * 100:+.1f} points, {level} between {low * 100:+.1f} and {high * 100:+.1f}"
        return f"{found.word}: {said}{at}: {points} ({counts}){rest}"


@dataclass(frozen=True)
class Report:
    """A stored report of any kind."""

    id: int
    endpoint: str
    kind: Literal["skew", "performance", "shadow"]
    at: datetime
    performance: PerformanceReport | None = None
    skew: SkewReport | None = None
    shadow: ShadowReport | None = None


@dataclass(frozen=True)
class MonitorLook:
    """One look of a monitor at one window of event time, from ``start`` to before ``end``; ``start`` is ``None`` where it is not said.

    ``figures`` hold the numbers behind the summary with their unit, threshold and rate; each kind has its own, described in
    ``docs/how-to/choose-a-monitor.md``. ``at`` is wall time.
    """

    id: int
    monitor: str
    kind: MonitorKind
    start: datetime | None
    end: datetime
    source: str
    word: Word
    summary: str
    figures: dict[str, Any]
    at: datetime


@dataclass(frozen=True)
class WindowProfile:
    """What a monitor's columns held in ``weeks`` windows that follow each other, from ``start`` to before ``end``; ``[]`` names a column.

    ``before`` is the profile of what they are held against, ``source``: the training rows of a model's version (of its held-out rows in
    ``predictions``), or a dataset's version. Both count in its bins. ``shifts`` say how far each column is from it, the farthest first:
    distances, no verdicts.
    """

    monitor: str
    source: str
    start: datetime
    end: datetime
    weeks: int
    profile: Profile
    before: Profile
    shifts: tuple[Shift, ...]

    def __getitem__(self, name: str) -> ColumnProfile:
        return self.profile[name]


@dataclass(frozen=True)
class Unjudged:
    """The quarters of days after the newest one in which there were rows enough to say whether anything is missing.

    They end at ``until``; ``rows`` says whether there were any, too few, or none at all.
    """

    until: datetime
    rows: bool


@dataclass(frozen=True)
class Monitor:
    """A declared monitor, the newest look of each kind, and how many alerts wait for somebody.

    At missing data it is the newest look that could say something, if one of the same version or reference could: at night nobody asks,
    which says nothing against the evening. What came after it is ``unjudged``.
    """

    name: str
    endpoint: str | None
    dataset: str | None
    watches: tuple[MonitorKind, ...]
    looks: list[MonitorLook]
    alerts: int
    unjudged: Unjudged | None


@dataclass(frozen=True)
class Alert:
    """Something that wants a person, or a retraining. Times are event time; ``look`` is the id of the newest look that saw it.

    The cause is ``kind`` and ``subject``: the feature, view or column, empty for a whole model. ``by`` and ``reason`` tell who
    acknowledged, silenced or resolved it and why; by the monitor itself where ``by`` is ``None``.
    """

    id: int
    monitor: str
    kind: MonitorKind
    subject: str
    state: Literal["open", "acknowledged", "silenced", "resolved"]
    word: Word
    summary: str
    look: int
    opened_at: datetime
    last_seen_at: datetime
    resolved_at: datetime | None
    silenced_until: datetime | None
    by: str | None
    reason: str

    def __str__(self) -> str:
        cause = f"{self.kind} of {self.subject}" if self.subject else self.kind
        return f"{self.monitor}: {cause}, {self.word}: {self.summary}"
