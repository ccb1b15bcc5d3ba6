"""Tables of the feature store, and the frozen dataclasses that travel. Versions stand in the catalog, rows in Delta tables."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from clew.catalog.schema import AssetVersion, VersionRef
from clew.errors import Invalid
from clew.storage.database import Instant, metadata
from clew.storage.tables import TablePin

__all__ = [
    "FeatureColumn", "FeatureViewDetails", "FeatureViewVersion", "Pin", "PushResult", "Revert", "TrainingSetDetails", "UsedView",
    "ViewKind", "Waiting", "online_pins", "training_set_details", "used_views",
]  # fmt: skip

_NAME = sa.String(128)

online_pins = sa.Table(
    "online_pins",
    metadata,
    sa.Column("project", _NAME, primary_key=True),
    sa.Column("view", _NAME, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("owner", sa.String(160), primary_key=True),
    sa.Column("dataset", _NAME, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Index("ix_online_pins_dataset", "project", "dataset"),
)
"""Which view versions are kept online, for whom. ``dataset`` is the one whose new rows go to it."""

ViewKind = Literal["windows", "table", "request"]


@dataclass(frozen=True)
class FeatureColumn:
    name: str
    dtype: str


@dataclass(frozen=True)
class FeatureViewDetails:
    """What a version of a view is, complete enough to serve it without the file that declared it.

    ``windows`` are evaluated over a dataset's rows, a ``table`` was made by a function and is stored, and ``request`` features are
    computed from a request's own fields. ``values`` are the columns kept of each event; ``columns`` the features that are answered.
    ``additive`` says that the function of some rows and of others makes together what it makes of all, so new rows can be added alone.
    ``online_key`` names its rows online: versions that make the same rows of the same dataset have them in common.
    """

    kind: ViewKind
    definition: dict[str, Any]
    columns: tuple[FeatureColumn, ...]
    entity: tuple[FeatureColumn, ...]
    inputs: tuple[VersionRef, ...]
    time: str | None = None
    known: str | None = None
    key: tuple[str, ...] = ()
    values: tuple[FeatureColumn, ...] = ()
    pin: TablePin | None = None
    rows: int = 0
    additive: bool = False
    online_key: str = ""
    time_min: datetime | None = None
    time_max: datetime | None = None


@dataclass(frozen=True)
class UsedView:
    """A view version as one training set uses it: looked up by which columns, its features under which names."""

    view: str
    number: int
    by: dict[str, str]
    prefix: str
    columns: tuple[str, ...]
    details: FeatureViewDetails
    definition_digest: str = ""
    inputs: tuple["UsedView", ...] = ()
    """The stored views that a function of the request takes beside the request."""


def used_views(views: Iterable[UsedView]) -> Iterator[UsedView]:
    """The views and those that they take as inputs."""
    for use in views:
        yield use
        yield from used_views(use.inputs)


@dataclass(frozen=True)
class TrainingSetDetails:
    """Rows before ``holdout_from`` train, those from it on judge. ``cut_off`` is the last event time whose label has matured."""

    pin: TablePin
    rows: int
    features: tuple[str, ...]
    key: tuple[str, ...]
    entities: tuple[str, ...]
    time: str
    label: str
    label_within: str
    holdout_from: datetime | None
    holdout_rows: int
    cut_off: datetime
    time_min: datetime | None
    time_max: datetime | None
    unlabelled: int
    block: str
    zone: str
    spine: VersionRef
    label_dataset: VersionRef
    views: tuple[UsedView, ...]


def training_set_details(version: AssetVersion) -> TrainingSetDetails:
    """A training set's version, typed."""
    if version.kind != "training_set":
        raise Invalid(f"{version.ref} is a {version.kind.replace('_', ' ')}, not a training set")
    return msgspec.convert(version.details, TrainingSetDetails)


@dataclass(frozen=True)
class FeatureViewVersion:
    version: AssetVersion
    details: FeatureViewDetails


@dataclass(frozen=True)
class Pin:
    view: str
    number: int
    owner: str


@dataclass(frozen=True)
class Waiting:
    """A view version whose online rows are behind its dataset, and why."""

    view: str
    reason: str


@dataclass(frozen=True)
class PushResult:
    """``added`` rows were new; every view version in ``views`` answers with them already."""

    added: int
    known: int
    views: list[str] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)


@dataclass(frozen=True)
class Revert:
    """What a revert did: the version whose definition and data are current again, under its new number, and its online rows."""

    version: AssetVersion
    of: int
    online_rows: int
