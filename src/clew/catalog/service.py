"""Definitions, versions, aliases, lineage and verdicts: rules and queries."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from clew.catalog.schema import (
    ASSET_KINDS,
    Alias,
    AliasMove,
    ApplyResult,
    Asset,
    AssetKind,
    AssetVersion,
    Definition,
    DefinitionChange,
    DefinitionDraft,
    Edge,
    GateVerdict,
    LineageGraph,
    VersionRef,
    alias_moves,
    aliases,
    definitions,
    edges,
    gate_verdicts,
    versions,
)
from clew.clock import wall_now
from clew.definitions import document_digest
from clew.errors import Conflict, Invalid, NotFound
from clew.fields import changed_documents
from clew.identifiers import check_slug, names_near
from clew.operations import Context, Page, decode_cursor, encode_cursor, operation
from clew.storage.events import emit

__all__ = [
    "add_edge", "add_verdict", "add_version", "alias_history", "apply_definitions", "find_version", "get_definition", "get_version", "latest_version",
    "lineage", "list_assets", "list_definitions", "list_verdicts", "list_versions", "mark_version", "move_alias", "resolve", "set_alias",
]  # fmt: skip

_MAX_LIMIT = 1_000
_MAX_DEPTH = 50


# ── definitions ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@operation("PUT /projects/{project}/definitions", permission="catalog.apply", kind="write")
def apply_definitions(
    context: Context, drafts: list[DefinitionDraft], source: str | None = None, prune: bool = False, dry_run: bool = False
) -> ApplyResult:
    """Make the drafts the project's current definitions. What stands there and not in the drafts is removed with ``prune`` only."""
    _refuse_clashing_names(drafts)
    current = {(row.kind, row.name): row for row in context.db.execute(_current(context.project))}
    changes = [_change(current.get((draft.kind, draft.name)), draft) for draft in drafts]
    named = {(draft.kind, draft.name) for draft in drafts}
    gone = [key for key in current if key not in named]
    changes += [DefinitionChange(kind, name, "removed" if prune else "would_remove") for kind, name in sorted(gone)]
    if dry_run:
        return ApplyResult(changes)
    for draft in drafts:
        _make_current(context, draft, source)
    for kind, name in gone if prune else ():
        context.db.execute(_named(sa.update(definitions), context.project, kind, name).values(current=False))
    for change in changes:
        if change.change in ("added", "changed", "removed"):
            emit(context, "definition." + change.change, change.name, {"kind": change.kind})
    return ApplyResult(changes)


def _refuse_clashing_names(drafts: list[DefinitionDraft]) -> None:
    seen: dict[str, DefinitionDraft] = {}
    for draft in drafts:
        check_slug(draft.name, f"{draft.kind}'s name")
        if draft.kind not in ASSET_KINDS:
            continue
        other = seen.setdefault(draft.name, draft)
        if other is not draft:
            raise Conflict(
                f"two assets are named {draft.name!r}: a {other.kind} and a {draft.kind}; names are one namespace, rename one of them"
            )


def _change(row: Any, draft: DefinitionDraft) -> DefinitionChange:  # Any: a SQLAlchemy row
    if row is None:
        return DefinitionChange(draft.kind, draft.name, "added")
    if row.digest == draft.digest:
        return DefinitionChange(draft.kind, draft.name, "unchanged")
    fields = changed_documents(row.document, draft.document)
    other_code = draft.code is not None and document_digest(row.document, draft.code) != row.digest
    return DefinitionChange(draft.kind, draft.name, "changed", fields, other_code)


def _current(project: str) -> sa.Select[Any]:
    return sa.select(definitions).where(definitions.c.project == project, definitions.c.current)


def _named(statement: Any, project: str, kind: str, name: str) -> Any:  # Any: select and update share `where`, not a type
    return statement.where(definitions.c.project == project, definitions.c.kind == kind, definitions.c.name == name)


def _make_current(context: Context, draft: DefinitionDraft, source: str | None) -> None:
    context.db.execute(_named(sa.update(definitions), context.project, draft.kind, draft.name).values(current=False))
    same = _named(sa.update(definitions), context.project, draft.kind, draft.name).where(definitions.c.digest == draft.digest)
    kept = context.db.execute(same.values(current=True, document=draft.document, **({"source": source} if source else {})))
    if kept.rowcount:
        return
    row = {"project": context.project, "kind": draft.kind, "name": draft.name, "digest": draft.digest, "document": draft.document}
    context.db.execute(sa.insert(definitions).values(**row, source=source, current=True, created_at=wall_now(), created_by=context.actor))


@operation("GET /projects/{project}/definitions", permission="catalog.read", kind="read")
def list_definitions(context: Context, kind: str | None = None) -> Page[Definition]:
    """The current definitions, by kind and name."""
    query = _current(context.project).order_by(definitions.c.kind, definitions.c.name)
    return Page([_definition(row) for row in context.db.execute(query if kind is None else query.where(definitions.c.kind == kind))])


@operation("GET /projects/{project}/definitions/{kind}/{name}", permission="catalog.read", kind="read")
def get_definition(context: Context, kind: str, name: str, digest: str | None = None) -> Definition:
    """The current definition, or the one with a digest."""
    query = _named(sa.select(definitions), context.project, kind, name)
    query = query.where(definitions.c.current) if digest is None else query.where(definitions.c.digest == digest)
    row = context.db.execute(query).first()
    if row is None:
        raise NotFound(f"no {kind.replace('_', ' ')} {name!r} is defined here; `clew apply` with the file that declares it")
    return _definition(row)


def _definition(row: Any) -> Definition:  # Any: a SQLAlchemy row
    return Definition(row.project, row.kind, row.name, row.digest, row.document, row.source, row.created_at)


# ── versions ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def add_version(
    context: Context,
    *,
    kind: AssetKind,
    name: str,
    definition_digest: str,
    content_digest: str,
    why: str,
    details: Any,  # Any: the slice's own dataclass, kept as its JSON document
    run_id: str | None = None,
    inputs: Sequence[tuple[VersionRef, str]] = (),
) -> AssetVersion:
    """The version of this (definition, content) pair: the number that the pair has already, or the next one, with its lineage."""
    same = _of(context, name).where(versions.c.definition_digest == definition_digest, versions.c.content_digest == content_digest)
    row = context.db.execute(same).first()
    if row is not None:
        return _version(context, row)
    latest = context.db.execute(_of(context, name).order_by(versions.c.number.desc()).limit(1)).first()
    if latest is not None and latest.kind != kind:
        raise Conflict(
            f"{name!r} is a {latest.kind.replace('_', ' ')} in this project and can't become a {kind.replace('_', ' ')}; choose another name"
        )
    number = 1 if latest is None else latest.number + 1
    context.db.execute(
        sa.insert(versions).values(
            project=context.project, name=check_slug(name), number=number, kind=kind, definition_digest=definition_digest,
            content_digest=content_digest, why=why, run_id=run_id, details=details, state="ready", state_reason="",
            created_at=wall_now(), created_by=context.actor,
        )
    )  # fmt: skip
    for source, role in inputs:
        add_edge(context, source, VersionRef(name, number), role)
    emit(context, "version.added", f"{name}@{number}", {"kind": kind, "why": why})
    return get_version(context, name, number)


def _of(context: Context, name: str) -> sa.Select[Any]:
    return sa.select(versions).where(versions.c.project == context.project, versions.c.name == name)


def _version(context: Context, row: Any) -> AssetVersion:  # Any: a SQLAlchemy row
    pointing = sa.select(aliases.c.alias).where(
        aliases.c.project == row.project, aliases.c.name == row.name, aliases.c.number == row.number
    )
    return AssetVersion(**row._mapping, aliases=tuple(context.db.scalars(pointing.order_by(aliases.c.alias))))


@operation("GET /projects/{project}/assets/{name}/versions/{number}", permission="catalog.read", kind="read")
def get_version(context: Context, name: str, number: int) -> AssetVersion:
    row = context.db.execute(_of(context, name).where(versions.c.number == number)).first()
    if row is None:
        latest = latest_version(context, name)
        there = f"; its newest is {name}@{latest.number}" if latest else f"; nothing named {name!r} has a version yet"
        raise NotFound(f"there is no {name}@{number}{there}")
    return _version(context, row)


@operation("GET /projects/{project}/resolve/{reference}", permission="catalog.read", kind="read")
def resolve(context: Context, reference: str) -> AssetVersion:
    """``late@7`` by number, ``late@champion`` by alias, ``late`` for the newest."""
    name, at, which = reference.partition("@")
    if not at:
        latest = latest_version(context, name)
        if latest is None:
            raise NotFound(_why_none(context, name))
        return latest
    if which.isdecimal():
        return get_version(context, name, int(which))
    number = _alias_number(context, name, which)
    if number is None:
        known = context.db.scalars(sa.select(aliases.c.alias).where(aliases.c.project == context.project, aliases.c.name == name))
        raise NotFound(f"{name!r} has no alias {which!r}; it has {', '.join(sorted(known)) or 'none'}")
    return get_version(context, name, number)


def _why_none(context: Context, name: str) -> str:
    """Why a name has no version: nothing has made one yet, or nothing declares it; then with the names that are nearest."""
    kinds = {row.name: row.kind for row in context.db.execute(sa.select(_names(context)))}
    if name in kinds:
        command = f"clew ingest {name} <file>" if kinds[name] == "dataset" else f"clew build {name}"
        return f"nothing named {name!r} has a version yet; `{command}` makes one"
    near = names_near(name, kinds)
    return f"nothing is named {name!r}: it has no version, and no definition that was applied declares it{f'; {near}' if near else ''}"


def _names(context: Context) -> sa.Subquery:
    """Name and kind of every asset: those that have a version, and those that are declared and have none yet."""
    built = sa.select(versions.c.name, versions.c.kind).where(versions.c.project == context.project)
    defined = sa.select(definitions.c.name, definitions.c.kind).where(
        definitions.c.project == context.project, definitions.c.current, definitions.c.kind.in_(ASSET_KINDS)
    )
    return sa.union(built, defined).subquery()


def find_version(context: Context, name: str, number: int) -> AssetVersion | None:
    row = context.db.execute(_of(context, name).where(versions.c.number == number)).first()
    return None if row is None else _version(context, row)


def latest_version(context: Context, name: str) -> AssetVersion | None:
    row = context.db.execute(_of(context, name).order_by(versions.c.number.desc()).limit(1)).first()
    return None if row is None else _version(context, row)


@operation("GET /projects/{project}/assets", permission="catalog.read", kind="read")
def list_assets(context: Context, kind: AssetKind | None = None, cursor: str | None = None, limit: int = 200) -> Page[Asset]:
    """Assets by name; those that are defined and have no version yet are listed too."""
    limit = max(1, min(limit, _MAX_LIMIT))
    names = _names(context)
    query = sa.select(names).order_by(names.c.name).limit(limit + 1)
    if kind is not None:
        query = query.where(names.c.kind == kind)
    if cursor is not None:
        query = query.where(names.c.name > decode_cursor(cursor, name=str)["name"])
    rows = list(context.db.execute(query))
    items = [_asset(context, row.name, row.kind) for row in rows[:limit]]
    return Page(items, encode_cursor({"name": rows[limit - 1].name}) if len(rows) > limit else None)


def _asset(context: Context, name: str, kind: AssetKind) -> Asset:
    summary = sa.select(sa.func.max(versions.c.number), sa.func.count(), sa.func.max(versions.c.created_at)).where(
        versions.c.project == context.project, versions.c.name == name
    )
    latest, count, updated = context.db.execute(summary).one()
    pointing = sa.select(aliases.c.alias, aliases.c.number).where(aliases.c.project == context.project, aliases.c.name == name)
    return Asset(context.project, kind, name, latest, count, updated, {row.alias: row.number for row in context.db.execute(pointing)})


@operation("GET /projects/{project}/assets/{name}/versions", permission="catalog.read", kind="read")
def list_versions(context: Context, name: str, cursor: str | None = None, limit: int = 100) -> Page[AssetVersion]:
    """Newest first."""
    limit = max(1, min(limit, _MAX_LIMIT))
    query = _of(context, name).order_by(versions.c.number.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(versions.c.number < decode_cursor(cursor, number=int)["number"])
    rows = list(context.db.execute(query))
    return Page(
        [_version(context, row) for row in rows[:limit]], encode_cursor({"number": rows[limit - 1].number}) if len(rows) > limit else None
    )


def mark_version(context: Context, name: str, number: int, state: str, reason: str) -> AssetVersion:
    """Set a version's state (``ready``, ``rejected``, ``bytes_gone``) with its reason; what made it never changes."""
    get_version(context, name, number)
    where = (versions.c.project == context.project, versions.c.name == name, versions.c.number == number)
    context.db.execute(sa.update(versions).where(*where).values(state=state, state_reason=reason))
    emit(context, "version.marked", f"{name}@{number}", {"state": state, "reason": reason})
    return get_version(context, name, number)


# ── aliases ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@operation("PUT /projects/{project}/assets/{name}/aliases/{alias}", permission="registry.promote", kind="write")
def set_alias(context: Context, name: str, alias: str, number: int) -> Alias:
    """Point an alias at a version, by hand. An alias that an endpoint owns moves with the endpoint's route only."""
    row = _alias_row(context, name, alias)
    if row is not None and row.owner is not None:
        raise Conflict(f"{name}@{alias} belongs to {row.owner} and moves with its route; `clew deploy {name}@{number}` moves both")
    return move_alias(context, name, alias, number)


def move_alias(context: Context, name: str, alias: str, number: int, owner: str | None = None) -> Alias:
    """Point an alias at a version for its owner, and keep the move."""
    if check_slug(alias, "alias").isdecimal():
        raise Invalid(f"{alias!r} can't be an alias: a number names a version")
    get_version(context, name, number)
    row = _alias_row(context, name, alias)
    previous = None if row is None else row.number
    if row is None:
        context.db.execute(sa.insert(aliases).values(project=context.project, name=name, alias=alias, number=number, owner=owner))
    else:
        where = (aliases.c.project == context.project, aliases.c.name == name, aliases.c.alias == alias)
        context.db.execute(sa.update(aliases).where(*where).values(number=number, owner=owner))
    if previous != number:
        move = {"project": context.project, "name": name, "alias": alias, "number": number, "previous": previous}
        context.db.execute(sa.insert(alias_moves).values(**move, at=context.now, actor=context.actor))
        emit(context, "alias.moved", f"{name}@{alias}", {"number": number, "previous": previous})
    return Alias(name, alias, number, owner)


def _alias_row(context: Context, name: str, alias: str) -> Any:  # Any: a SQLAlchemy row
    where = (aliases.c.project == context.project, aliases.c.name == name, aliases.c.alias == alias)
    return context.db.execute(sa.select(aliases).where(*where)).first()


def _alias_number(context: Context, name: str, alias: str) -> int | None:
    row = _alias_row(context, name, alias)
    return None if row is None else int(row.number)


@operation("GET /projects/{project}/assets/{name}/aliases", permission="catalog.read", kind="read")
def alias_history(context: Context, name: str) -> Page[AliasMove]:
    """Every move of every alias of an asset, newest first."""
    query = (
        sa.select(alias_moves).where(alias_moves.c.project == context.project, alias_moves.c.name == name).order_by(alias_moves.c.id.desc())
    )
    return Page([AliasMove(row.name, row.alias, row.number, row.previous, row.at, row.actor) for row in context.db.execute(query)])


# ── lineage ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def add_edge(context: Context, source: VersionRef, target: VersionRef, role: str) -> None:
    """Note that ``target`` was made from ``source``. Both must exist; the same edge twice is one."""
    get_version(context, source.name, source.number)
    row = {
        "project": context.project, "source_name": source.name, "source_number": source.number,
        "target_name": target.name, "target_number": target.number, "role": role,
    }  # fmt: skip
    if context.db.execute(sa.select(edges).filter_by(**row)).first() is None:
        context.db.execute(sa.insert(edges).values(**row))


@operation("GET /projects/{project}/assets/{name}/versions/{number}/lineage", permission="catalog.read", kind="read")
def lineage(context: Context, name: str, number: int, depth: int = 10, downstream: bool = True) -> LineageGraph:
    """Everything that a version was made from, and with ``downstream`` what was made from it, up to ``depth`` steps."""
    start = get_version(context, name, number)
    found: dict[tuple[str, int, str, int, str], Edge] = {}
    for upwards in (True, False) if downstream else (True,):
        frontier = {(name, number)}
        seen = set(frontier)
        for _ in range(min(depth, _MAX_DEPTH)):
            step = [edge for ref in frontier for edge in _edges_at(context, ref, upwards=upwards)]
            found |= {(e.source.name, e.source.number, e.target.name, e.target.number, e.role): e for e in step}
            ends = [edge.source if upwards else edge.target for edge in step]
            frontier = {(ref.name, ref.number) for ref in ends} - seen
            seen |= frontier
    refs = {(ref.name, ref.number) for edge in found.values() for ref in (edge.source, edge.target)} - {(name, number)}
    return LineageGraph([start, *(get_version(context, *ref) for ref in sorted(refs))], list(found.values()))


def _edges_at(context: Context, ref: tuple[str, int], *, upwards: bool) -> list[Edge]:
    side = (edges.c.target_name, edges.c.target_number) if upwards else (edges.c.source_name, edges.c.source_number)
    query = sa.select(edges).where(edges.c.project == context.project, side[0] == ref[0], side[1] == ref[1])
    return [
        Edge(VersionRef(row.source_name, row.source_number), VersionRef(row.target_name, row.target_number), row.role)
        for row in context.db.execute(query)
    ]


# ── verdicts ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def add_verdict(
    context: Context, *, gate: str, model: str, number: int, passed: bool, word: str, reason: str, figures: dict[str, Any]
) -> GateVerdict:
    """Keep what a gate found about a model version."""
    get_version(context, model, number)
    verdict = GateVerdict(gate, model, number, passed, word, reason, figures, context.now)
    context.db.execute(sa.insert(gate_verdicts).values(project=context.project, **vars(verdict)))
    emit(context, "gate.passed" if passed else "gate.rejected", f"{model}@{number}", {"gate": gate, "word": word, "reason": reason})
    return verdict


@operation("GET /projects/{project}/assets/{model}/versions/{number}/verdicts", permission="catalog.read", kind="read")
def list_verdicts(context: Context, model: str, number: int) -> Page[GateVerdict]:
    """Newest first."""
    where = (gate_verdicts.c.project == context.project, gate_verdicts.c.model == model, gate_verdicts.c.number == number)
    query = sa.select(gate_verdicts).where(*where).order_by(gate_verdicts.c.id.desc())
    return Page([
        GateVerdict(row.gate, row.model, row.number, row.passed, row.word, row.reason, row.figures, row.at) for row in context.db.execute(query)
    ])  # fmt: skip
