"""The feature store's operations: committing versions of views and training sets, pushing rows, pinning and reverting."""

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from clew.access.service import owns_blob
from clew.backend import Backend
from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion, DefinitionDraft, VersionRef, versions
from clew.clock import wall_now
from clew.datasets import service as datasets
from clew.datasets import tail
from clew.datasets.leases import Fence, writer
from clew.datasets.schema import DatasetDetails
from clew.errors import Conflict, Invalid, NotFound
from clew.feature_store import pushing
from clew.feature_store.bounds import declared_bounds
from clew.feature_store.schema import FeatureViewDetails, FeatureViewVersion, Pin, PushResult, Revert, TrainingSetDetails, online_pins
from clew.operations import Context, Page, operation
from clew.storage.events import emit
from clew.storage.tables import TablePin

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "catch_up", "commit_training_set", "commit_view", "dataset_shape", "feature_view_version", "list_pins", "pin_views", "push_rows", "refresh_online",
    "revert_view", "unpin_views", "view_details",
]  # fmt: skip


_KEY_DIGITS = 16
"""64 bits: among the few definitions of one view no two have the same."""


# ── versions ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def view_details(version: AssetVersion) -> FeatureViewDetails:
    """A view's version, typed. Raises ``Invalid`` for a version of another kind."""
    if version.kind != "feature_view":
        raise Invalid(f"{version.ref} is a {version.kind.replace('_', ' ')}, not a feature view")
    return msgspec.convert(version.details, FeatureViewDetails)


def dataset_shape(backend: Backend, reference: VersionRef) -> DatasetDetails:
    """What a dataset's version says of itself: key, times, columns."""
    return backend.call(datasets.dataset_version, reference.name, reference.number).details


@operation("GET /projects/{project}/features/{name}/versions/{number}", permission="features.read", kind="read")
def feature_view_version(context: Context, name: str, number: int) -> FeatureViewVersion:
    """One version of a feature view, with what it answers and what it is made of."""
    version = catalog.get_version(context, name, number)
    return FeatureViewVersion(version, view_details(version))


@operation("POST /projects/{project}/features/{name}/versions", permission="features.write", kind="staged")
def commit_view(
    context: Context,
    name: str,
    definition_digest: str,
    details: FeatureViewDetails,
    inputs: list[VersionRef],
    staged: str | None = None,
    run_id: str | None = None,
    why: str = "",
) -> AssetVersion:
    """Make a version of a view: of a staged Parquet file, or of the inputs' versions where it stores no rows of its own."""
    if (staged is None) != (details.kind != "table"):
        raise Invalid(f"a view of kind {details.kind!r} is committed {'with' if details.kind == 'table' else 'without'} a staged file")
    with context.reading() as inside:
        contents = [catalog.get_version(inside, one.name, one.number).content_digest for one in inputs]
        content = staged or _digest([details.kind, *contents])
        same = _same(inside, name, definition_digest, content)
        dataset = "" if details.kind == "request" else pushing.source_dataset(inside, details)
    if same is not None:
        return same
    details = replace(details, online_key=_online_key(definition_digest, details, dataset or content))
    edges = [(one, "input") for one in inputs]
    return _commit(context, name, "feature_view", definition_digest, content, details, staged, edges, run_id, why)


def _online_key(definition_digest: str, details: FeatureViewDetails, of: str) -> str:
    """Names the rows that a version answers from online. They follow the dataset ``of`` which they are made, whichever version of it the
    view's was built over; those of a view of views are its version's own, and ``of`` is its content.
    """
    layout = [details.entity, details.values, details.time, details.known, details.key]
    return _digest([definition_digest, of, msgspec.json.encode(layout).decode()]).removeprefix("sha256:")[:_KEY_DIGITS]


@operation("POST /projects/{project}/training_sets/{name}/versions", permission="features.write", kind="staged")
def commit_training_set(
    context: Context, name: str, definition_digest: str, details: TrainingSetDetails, staged: str, run_id: str | None = None, why: str = ""
) -> AssetVersion:
    """Make a version of a training set of a staged Parquet file."""
    # Bounds change no row, and what is trained on the rows is served with them: with other bounds it is another content.
    bounds = [msgspec.json.encode([use.view, one], order="sorted").decode() for use in details.views for one in declared_bounds(use)]
    content = _digest([staged, *bounds]) if bounds else staged
    with context.reading() as inside:
        same = _same(inside, name, definition_digest, content)
    if same is not None:
        return same
    edges = [(details.spine, "spine"), (details.label_dataset, "label")]
    edges += [(VersionRef(use.view, use.number), "feature") for use in details.views]
    return _commit(context, name, "training_set", definition_digest, content, details, staged, edges, run_id, why)


def _commit(
    context: Context,
    name: str,
    kind: Any,  # Any: catalog's Literal of kinds
    definition_digest: str,
    content: str,
    details: Any,  # Any: the details of either kind; both have a pin
    staged: str | None,
    edges: "Sequence[tuple[VersionRef, str]]",
    run_id: str | None,
    why: str,
) -> AssetVersion:
    """Stage, verify, commit the row: the table's version is invisible until the catalog names it."""
    with writer(context, name) as fence:
        if staged is not None:
            details = replace(details, pin=_store(context, name, kind, staged))

        def commit(inside: Context) -> AssetVersion:
            fence.check(inside)
            return catalog.add_version(
                inside, kind=kind, name=name, definition_digest=definition_digest, content_digest=content,
                why=why or _why(inside, name, definition_digest, edges), details=details, run_id=run_id, inputs=edges,
            )  # fmt: skip

        return context.run_write(commit)


def _store(context: Context, name: str, kind: str, staged: str) -> TablePin:
    with context.reading() as inside:
        if not owns_blob(inside, staged):
            raise NotFound(f"no file {staged} was staged in {context.project!r}; upload it first")
    table = f"{context.project}/{kind}s/{name}"
    # Every version of a view overwrites the table, so a head that no row names needs no undoing: nothing of it rides along.
    head = context.tables.head(table)
    path = context.blobs.path(staged)
    return (
        context.tables.append(table, path, expected_head=None)
        if head is None
        else context.tables.overwrite(table, path, expected_head=head)
    )


def _same(context: Context, name: str, definition_digest: str, content: str) -> AssetVersion | None:
    pair = (versions.c.definition_digest == definition_digest, versions.c.content_digest == content)
    number = context.db.scalar(sa.select(versions.c.number).where(versions.c.project == context.project, versions.c.name == name, *pair))
    return None if number is None else catalog.get_version(context, name, number)


def _why(context: Context, name: str, definition_digest: str, edges: "Sequence[tuple[VersionRef, str]]") -> str:
    latest = catalog.latest_version(context, name)
    if latest is None:
        return "the first version"
    if latest.definition_digest != definition_digest:
        return "code: the definition or its function changed"
    before = {edge.source for edge in catalog.lineage(context, name, latest.number, depth=1, downstream=False).edges}
    new = [str(source) for source, _ in edges if source not in before]
    return f"data: {', '.join(new)}" if new else "data: the rows differ"


def _digest(parts: list[str]) -> str:
    return "sha256:" + hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


# ── rows online ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@operation("POST /projects/{project}/datasets/{name}/rows", permission="datasets.append", kind="staged")
def push_rows(context: Context, name: str, rows: list[dict[str, Any]]) -> PushResult:
    """Append rows to a dataset and bring them to every view version that an endpoint pins; both can be read when this returns.

    Idempotent by key. A view whose function fails is listed as waiting: the rows are kept, and the next push or refresh brings them.
    """

    def append(inside: Context) -> tuple[Any, list[pushing.PinnedView]]:
        return datasets.append_rows(inside, name, rows), pushing.pinned(inside, name)

    tail.read_keys(context, name)
    appended, pins = context.run_write(append)
    done, waiting = pushing.push(context, name, appended.rows, pins)
    return PushResult(appended.added, appended.known, done, waiting)


@operation("POST /projects/{project}/datasets/{name}/online", permission="datasets.append", kind="staged")
def refresh_online(context: Context, name: str) -> PushResult:
    """Bring every pinned view of a dataset up to its newest rows, ingested files among them."""
    with context.reading() as inside:
        pins = pushing.pinned(inside, name)
    done, waiting = pushing.fill(context, pins)
    return PushResult(0, 0, done, waiting)


@operation("POST /projects/{project}/online", permission="datasets.append", kind="staged")
def catch_up(context: Context) -> PushResult:
    """Bring those pinned views up to date that are behind: after a crash between an append and its push, or an ingest elsewhere."""
    done, waiting = pushing.fill(context, pushing.behind(context))
    return PushResult(0, 0, done, waiting)


@operation("PUT /projects/{project}/online/{owner}", permission="features.pin", kind="staged")
def pin_views(context: Context, owner: str, views: list[VersionRef]) -> PushResult:
    """Keep view versions online for an owner, such as an endpoint, from now on; their rows can be read when this returns."""

    def pin(inside: Context) -> list[pushing.PinnedView]:
        for one in views:
            details = view_details(catalog.get_version(inside, one.name, one.number))
            if details.kind == "request":
                continue
            row = {"project": context.project, "view": one.name, "number": one.number, "owner": owner}
            if inside.db.execute(sa.select(online_pins).filter_by(**row)).first() is None:
                dataset = pushing.source_dataset(inside, details)
                inside.db.execute(sa.insert(online_pins).values(**row, dataset=dataset, created_at=wall_now()))
        wanted = {(one.name, one.number) for one in views}
        return [one for one in pushing.pinned(inside, None) if any((one.name, number) in wanted for number in one.numbers)]

    # The pin first, the rows then: every push that does not see the pin has committed before the rows are read.
    done, waiting = pushing.fill(context, context.run_write(pin))
    return PushResult(0, 0, done, waiting)


@operation("DELETE /projects/{project}/online/{owner}", permission="features.pin", kind="staged")
def unpin_views(context: Context, owner: str, keep: list[VersionRef]) -> Page[Pin]:
    """Give up an owner's pins but those to keep; rows that no pinned version has any more are deleted. The pins that are left."""
    kept = {(one.name, one.number) for one in keep}

    def unpin(inside: Context) -> tuple[list[pushing.PinnedView], list[Pin]]:
        before = pushing.pinned(inside, None)
        for one in _pins(inside):
            if one.owner == owner and (one.view, one.number) not in kept:
                inside.db.execute(sa.delete(online_pins).filter_by(project=context.project, view=one.view, number=one.number, owner=owner))
        there = {(one.name, one.details.online_key) for one in pushing.pinned(inside, None)}
        return [one for one in before if (one.name, one.details.online_key) not in there], _pins(inside)

    gone, left = context.run_write(unpin)
    pushing.drop(context, gone)
    return Page(left)


@operation("GET /projects/{project}/online", permission="features.read", kind="read")
def list_pins(context: Context) -> Page[Pin]:
    """Which view versions are kept online, and for whom."""
    return Page(_pins(context))


def _pins(context: Context) -> list[Pin]:
    query = sa.select(online_pins).where(online_pins.c.project == context.project)
    rows = context.db.execute(query.order_by(online_pins.c.view, online_pins.c.number, online_pins.c.owner))
    return [Pin(row.view, row.number, row.owner) for row in rows]


@operation("POST /projects/{project}/features/{name}/reverts", permission="features.write", kind="staged")
def revert_view(context: Context, name: str, number: int) -> Revert:
    """Make an earlier version of a view the newest again, as a new number: its definition, its data and its online rows together.

    Nothing is removed, so a revert is reverted in the same way. What an endpoint serves does not change: it pins its own versions.
    Raises ``Unavailable`` while the online store is away; called again it ends what it began.
    """
    with writer(context, name) as fence:
        version = context.run_write(lambda inside: _revert(inside, name, number, fence))
    details = view_details(version)
    if details.kind == "request":
        return Revert(version, number, 0)
    owner = f"feature_view:{name}"
    pin_views(context, owner, [version.ref])
    unpin_views(context, owner, [version.ref])  # what an earlier revert brought online is of the past
    return Revert(version, number, pushing.online_rows(context, name, details))


def _revert(context: Context, name: str, number: int, fence: Fence) -> AssetVersion:
    fence.check(context)
    old = catalog.get_version(context, name, number)
    details = view_details(old)
    latest = catalog.latest_version(context, name)
    if latest is None or latest.number == number:
        raise Conflict(f"{name}@{number} is the newest version already; there is nothing to revert")
    if latest.content_digest == _reverted(old, latest.number - 1):
        return latest  # an earlier call came as far as this and not to the online rows
    try:
        definition = catalog.get_definition(context, "feature_view", name, old.definition_digest)
        draft = DefinitionDraft("feature_view", name, definition.digest, definition.document)
        catalog.apply_definitions(context, [draft], definition.source)
    except NotFound:
        emit(context, "definition.absent", name, {"digest": old.definition_digest})  # built without `apply`: there is none to bring back
    made = catalog.add_version(
        context, kind="feature_view", name=name, definition_digest=old.definition_digest,
        content_digest=_reverted(old, latest.number), why=f"reverted to {name}@{number}", details=details,
        inputs=[*((one, "input") for one in details.inputs), (old.ref, "reverted_to")],
    )  # fmt: skip
    emit(context, "feature_view.reverted", f"{name}@{made.number}", {"to": number, "from": latest.number})
    return made


def _reverted(old: AssetVersion, newest: int) -> str:
    """The content of a revert: that of the old version, as it comes back after the one that was the newest."""
    return _digest(["revert", old.content_digest, str(newest)])
