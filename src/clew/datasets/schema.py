"""Tables of datasets, and the frozen dataclasses that travel. Versions themselves stand in the catalog; their rows in Delta tables."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from clew.bounds import Bounds
from clew.catalog.schema import AssetVersion
from clew.datasets.columns import Column, Scalar
from clew.datasets.distances import Shift
from clew.datasets.expectations import Expectations
from clew.datasets.profile import ColumnProfile, Profile
from clew.storage.database import Instant, Json, metadata
from clew.storage.tables import TablePin

__all__ = [
    "Append", "AppendedRow", "Column", "DatasetDetails", "DatasetSummary", "DatasetVersion", "Growth", "KeptProfile", "Preview",
    "VersionProfile", "dataset_profiles", "dataset_tail", "writer_leases",
]  # fmt: skip

_NAME = sa.String(128)

dataset_tail = sa.Table(
    "dataset_tail",
    metadata,
    sa.Column("project", _NAME, primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("key_digest", sa.String(64), primary_key=True),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("row_digest", sa.String(64), nullable=False),
    sa.Column("row", Json, nullable=False),
    sa.Column("cut_in", sa.Integer, nullable=True),
    sa.Column("appended_at", Instant, nullable=False),
    sa.UniqueConstraint("project", "name", "sequence", name="uq_dataset_tail_sequence"),
    sa.Index("ix_dataset_tail_uncut", "project", "name", "cut_in", "sequence"),
)
"""Appended rows. ``cut_in`` is the version that took the row in; until then it is read from here. It stays afterwards, so that the
same row sent again is known by its key without a look into the Delta table."""

dataset_profiles = sa.Table(
    "dataset_profiles",
    metadata,
    sa.Column("project", _NAME, primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("bins_of", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("format", sa.Integer, nullable=False),
    sa.Column("digest", sa.String(80), nullable=False),
    sa.Column("computed_at", Instant, nullable=False),
)
"""Profiles that somebody asked for, as blobs: of a version, in the bins of a version (its own number, or one that it is held against)."""

writer_leases = sa.Table(
    "writer_leases",
    metadata,
    sa.Column("project", _NAME, primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("holder", sa.String(256), nullable=True),
    sa.Column("expires_at", Instant, nullable=False),
)


@dataclass(frozen=True)
class DatasetDetails:
    """What a dataset's version holds. ``tail_sequence`` is the last appended row that is in it.

    ``expectations`` and ``bounds`` are the rules that its newest rows were held against, and that rows appended to it are. ``code`` is
    what the function could reach that read its newest file, by name with digests.
    """

    pin: TablePin
    rows: int
    added_rows: int
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    time: str | None
    known: str | None
    zone: str | None
    time_min: datetime | None
    time_max: datetime | None
    expectations: Expectations | None
    source: str
    row_sum: str
    tail_sequence: int = 0
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetVersion:
    """A version with its details typed; ``tail_rows`` counts the rows appended since, when it is the newest."""

    version: AssetVersion
    details: DatasetDetails
    tail_rows: int


@dataclass(frozen=True)
class DatasetSummary:
    name: str
    latest: int | None
    rows: int
    tail_rows: int
    time_min: datetime | None
    time_max: datetime | None
    updated_at: datetime | None


@dataclass(frozen=True)
class Growth:
    """What an ingest or a cut did: ``added`` rows are new, ``known`` were there before; with none added the version is an old one."""

    version: AssetVersion
    added: int
    known: int
    rows: int
    new: bool


@dataclass(frozen=True)
class AppendedRow:
    """One appended row in the dataset's own types: aware datetimes in their column's zone."""

    sequence: int
    row: dict[str, Any]


@dataclass(frozen=True)
class Append:
    """What an append did: the rows that were new, and how many were known."""

    rows: tuple[AppendedRow, ...]
    known: int

    @property
    def added(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Preview:
    """Some rows as JSON can hold them; times are ISO text with their offset."""

    columns: tuple[Column, ...]
    rows: list[list[Scalar]]
    total: int


@dataclass(frozen=True)
class VersionProfile:
    """The profile of a version such as ``landings@7``; ``[]`` names a column.

    Where it is held ``against`` another version, ``before`` is that one's profile, ``profile`` counts in its bins as far as both have a
    column, and ``shifts`` say how far each of these moved, the farthest first.
    """

    version: str
    profile: Profile
    against: str | None = None
    before: Profile | None = None
    shifts: tuple[Shift, ...] = ()

    def __getitem__(self, name: str) -> ColumnProfile:
        return self.profile[name]


@dataclass(frozen=True)
class KeptProfile:
    """Where a profile's document is kept: a blob of the project."""

    version: str
    against: str | None
    digest: str
