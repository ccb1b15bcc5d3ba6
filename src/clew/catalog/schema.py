"""Tables of the catalog, and the frozen dataclasses that travel."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from clew.fields import FieldChange
from clew.storage.database import Instant, Json, metadata

__all__ = [
    "Alias", "AliasMove", "ApplyResult", "Asset", "AssetKind", "AssetVersion", "Definition", "DefinitionChange", "DefinitionDraft", "Edge",
    "GateVerdict", "LineageGraph", "VersionRef", "alias_moves", "aliases", "definitions", "edges", "gate_verdicts", "versions",
]  # fmt: skip

AssetKind = Literal["dataset", "feature_view", "training_set", "model"]
ASSET_KINDS: tuple[AssetKind, ...] = ("dataset", "feature_view", "training_set", "model")

_NAME = sa.String(128)
_DIGEST = sa.String(80)
_NAMED_NODES = 8

definitions = sa.Table(
    "definitions",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("project", _NAME, nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("name", _NAME, nullable=False),
    sa.Column("digest", _DIGEST, nullable=False),
    sa.Column("document", Json, nullable=False),
    sa.Column("source", _DIGEST, nullable=True),
    sa.Column("current", sa.Boolean, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("created_by", _NAME, nullable=False),
    sa.UniqueConstraint("project", "kind", "name", "digest"),
    sa.Index("ix_definitions_current", "project", "current"),
)

versions = sa.Table(
    "versions",
    metadata,
    sa.Column("project", _NAME, primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("definition_digest", _DIGEST, nullable=False),
    sa.Column("content_digest", _DIGEST, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("run_id", sa.String(64), nullable=True),
    sa.Column("details", Json, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("state_reason", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False),
    sa.Column("created_by", _NAME, nullable=False),
    sa.UniqueConstraint("project", "name", "definition_digest", "content_digest", name="uq_versions_pair"),
    sa.Index("ix_versions_run", "project", "run_id"),
)

aliases = sa.Table(
    "aliases",
    metadata,
    sa.Column("project", _NAME, primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("alias", _NAME, primary_key=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("owner", sa.String(160), nullable=True),
)

alias_moves = sa.Table(
    "alias_moves",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("project", _NAME, nullable=False),
    sa.Column("name", _NAME, nullable=False),
    sa.Column("alias", _NAME, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("previous", sa.Integer, nullable=True),
    sa.Column("at", Instant, nullable=False),
    sa.Column("actor", _NAME, nullable=False),
    sa.Index("ix_alias_moves_name", "project", "name"),
)

edges = sa.Table(
    "edges",
    metadata,
    sa.Column("project", _NAME, primary_key=True),
    sa.Column("source_name", _NAME, primary_key=True),
    sa.Column("source_number", sa.Integer, primary_key=True),
    sa.Column("target_name", _NAME, primary_key=True),
    sa.Column("target_number", sa.Integer, primary_key=True),
    sa.Column("role", sa.String(32), primary_key=True),
    sa.Index("ix_edges_target", "project", "target_name", "target_number"),
)

gate_verdicts = sa.Table(
    "gate_verdicts",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("project", _NAME, nullable=False),
    sa.Column("gate", _NAME, nullable=False),
    sa.Column("model", _NAME, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("passed", sa.Boolean, nullable=False),
    sa.Column("word", sa.String(32), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("figures", Json, nullable=False),
    sa.Column("at", Instant, nullable=False),
    sa.Index("ix_gate_verdicts_model", "project", "model", "number"),
)


@dataclass(frozen=True)
class VersionRef:
    """``name@number``, the address of a version inside its project."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name}@{self.number}"


@dataclass(frozen=True)
class DefinitionDraft:
    """A definition as a client proposes it; ``kind`` may also be ``gate``, ``endpoint`` or ``entity``.

    ``code`` is the digest of the code behind it, empty where there is none; ``None`` where the client doesn't say.
    """

    kind: str
    name: str
    digest: str
    document: dict[str, Any]
    code: str | None = None


@dataclass(frozen=True)
class Definition:
    """What a user declared, as it stood under one digest; ``source`` is the digest of the source snapshot that holds its code."""

    project: str
    kind: str
    name: str
    digest: str
    document: dict[str, Any]
    source: str | None
    created_at: datetime


@dataclass(frozen=True)
class DefinitionChange:
    """What an apply does with one definition; ``would_remove`` stands for one that only ``prune`` removes.

    ``fields`` are those that are declared otherwise, and ``code`` says whether the code behind it is another.
    """

    kind: str
    name: str
    change: Literal["added", "changed", "unchanged", "removed", "would_remove"]
    fields: list[FieldChange] = field(default_factory=list)
    code: bool = False

    @property
    def words(self) -> list[str]:
        """What is another, a line each."""
        return [*map(str, self.fields), *(["its code changed"] if self.code else [])]


@dataclass(frozen=True)
class ApplyResult:
    """What an apply changed, or would have."""

    changes: list[DefinitionChange]


@dataclass(frozen=True)
class AssetVersion:
    """One immutable version. ``details`` is the slice's own document; ``why`` says in words why this number is new."""

    project: str
    kind: AssetKind
    name: str
    number: int
    definition_digest: str
    content_digest: str
    why: str
    run_id: str | None
    details: dict[str, Any]
    state: str
    state_reason: str
    created_at: datetime
    created_by: str
    aliases: tuple[str, ...] = ()

    @property
    def ref(self) -> VersionRef:
        """``name@number``."""
        return VersionRef(self.name, self.number)

    def __repr__(self) -> str:  # ``details`` is pages long
        return f"<{self.kind.replace('_', ' ')} {self.ref}, {self.state}: {self.why}>"


@dataclass(frozen=True)
class Asset:
    """One row of a list of assets: the newest version, how many there are, and where its aliases point."""

    project: str
    kind: AssetKind
    name: str
    latest: int | None
    versions: int
    updated_at: datetime | None
    aliases: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Alias:
    name: str
    alias: str
    number: int
    owner: str | None


@dataclass(frozen=True)
class AliasMove:
    name: str
    alias: str
    number: int
    previous: int | None
    at: datetime
    actor: str


@dataclass(frozen=True)
class Edge:
    """``target`` was made from ``source``; ``role`` says as what (``input``, ``spine``, ``label``, ``feature``, ``training``, ``gated_by``…)."""

    source: VersionRef
    target: VersionRef
    role: str


@dataclass(frozen=True)
class LineageGraph:
    """Versions, and what was made from what."""

    nodes: list[AssetVersion]
    edges: list[Edge]

    def __repr__(self) -> str:
        named = ", ".join(str(node.ref) for node in self.nodes[:_NAMED_NODES])
        more = f" and {len(self.nodes) - _NAMED_NODES} more" if len(self.nodes) > _NAMED_NODES else ""
        return f"<lineage of {len(self.nodes)} versions by {len(self.edges)} edges: {named}{more}>"


@dataclass(frozen=True)
class GateVerdict:
    """What a gate found: ``word`` is from the vocabulary of verdicts; ``figures`` holds the numbers with their intervals, units and counts."""

    gate: str
    model: str
    number: int
    passed: bool
    word: str
    reason: str
    figures: dict[str, Any]
    at: datetime
