"""Bringing rows of datasets to the online store, each view version in its own way, so that nothing is lost, doubled or mixed.

Beside a view's events the store notes up to which appended row they go. A push that finds that behind brings what is missing
first: that is how rows whose process died between the append and the push arrive. Putting an event twice changes nothing.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import sqlalchemy as sa

from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion, VersionRef
from clew.clock import to_micros
from clew.datasets import tail
from clew.datasets.growth import details_of
from clew.datasets.rows import to_frame
from clew.datasets.schema import AppendedRow, DatasetDetails
from clew.definitions import FeaturesDefinition, from_document
from clew.errors import ClewError, NotFound
from clew.feature_store.function_worker import FunctionWorker
from clew.feature_store.online import OnlineStore, Progress, open_store, view_key
from clew.feature_store.online_rows import Event, OnlineRows, frame_events
from clew.feature_store.schema import FeatureViewDetails, Waiting, online_pins
from clew.operations import Context

if TYPE_CHECKING:
    import polars as pl

__all__ = ["PinnedView", "behind", "drop", "fill", "online_rows", "pinned", "push", "source_dataset"]

_UNIX_ORDINAL = date(1970, 1, 1).toordinal()
_BATCH = 2_000  # requests may have to wait for one transaction


# Built once: making a statement and its cache key takes as long as running it, and every push asks.
_PINS = (
    sa.select(online_pins.c.view, online_pins.c.number, online_pins.c.dataset)
    .distinct()
    .where(online_pins.c.project == sa.bindparam("project"))
    .order_by(online_pins.c.view, online_pins.c.number)
)
_PINS_OF_DATASET = _PINS.where(online_pins.c.dataset == sa.bindparam("dataset"))


@dataclass(frozen=True)
class PinnedView:
    """A view that is kept online, in its newest version; ``numbers`` are all those pinned that have their rows in common with it."""

    name: str
    number: int
    dataset: str
    details: FeatureViewDetails
    online: OnlineRows
    definition_digest: str
    numbers: tuple[int, ...] = ()

    @property
    def addresses(self) -> list[str]:
        return [f"{self.name}@{number}" for number in self.numbers]


_known_views: dict[tuple[str, str, str, int], PinnedView] = {}  # versions never change, so what was read once is kept
_workers: dict[tuple[str, str], FunctionWorker] = {}
_workers_lock = threading.Lock()


def source_dataset(context: Context, details: FeatureViewDetails) -> str:
    """The dataset whose new rows go to a view; empty for a view of other views."""
    first = catalog.get_version(context, details.inputs[0].name, details.inputs[0].number)
    return first.name if first.kind == "dataset" else ""


def pinned(context: Context, dataset: str | None) -> list[PinnedView]:
    """What is kept online, of one dataset or of all: each once, however many of a view's versions answer from it."""
    query = _PINS if dataset is None else _PINS_OF_DATASET
    found: dict[tuple[str, str], list[PinnedView]] = {}
    for row in context.db.execute(query, {"project": context.project, "dataset": dataset}):
        view = _pinned_view(context, *row)
        found.setdefault((view.name, view.details.online_key), []).append(view)
    return [replace(versions[-1], numbers=tuple(one.number for one in versions)) for versions in found.values()]


def _pinned_view(context: Context, name: str, number: int, dataset: str) -> PinnedView:
    key = (context.database.name, context.project, name, number)
    found = _known_views.get(key)
    if found is None:
        version = catalog.get_version(context, name, number)
        details = msgspec.convert(version.details, FeatureViewDetails)
        found = _known_views[key] = PinnedView(name, number, dataset, details, OnlineRows(details), version.definition_digest)
    return found


def push(context: Context, name: str, rows: Sequence[AppendedRow], pins: Sequence[PinnedView]) -> tuple[list[str], list[Waiting]]:
    """Bring appended rows, and any that are missing before them, to the pinned views of a dataset."""
    if not pins:
        return [], []
    store = _store(context)
    done: list[str] = []
    waiting: list[Waiting] = []
    previous = rows[0].sequence - 1 if rows else 0  # how far a view must have come that lacks nothing but these rows
    for view in pins:
        if view.details.kind == "windows":
            continue
        try:
            _push_table(context, store, view, rows, previous)
            done += view.addresses
        except ClewError as error:
            waiting += _all_wait(view, error)
    windows = [view for view in pins if view.details.kind == "windows"]
    missing = {_key(context, view): _missing(context, name, rows, store.progress(_key(context, view)), previous) for view in windows}
    now, new = to_micros(context.now), [Event.of(one.row) for one in rows]
    with store.writing() as writer:
        for view in windows:
            key = _key(context, view)
            events = [*(Event.of(one.row) for one in missing[key]), *new]
            # In order of time, so that readers read on and not anew.
            view.online.put_on(writer, key, sorted(events, key=lambda event: event.row[view.online.time]), now)
            writer.advance(key, rows[-1].sequence if rows else max((one.sequence for one in missing[key]), default=0))
            done += view.addresses
    return done, waiting


def _all_wait(view: PinnedView, error: ClewError) -> list[Waiting]:
    return [Waiting(address, error.message) for address in view.addresses]


def _missing(context: Context, dataset: str, rows: Sequence[AppendedRow], before: Progress | None, previous: int) -> list[AppendedRow]:
    """Appended rows past the progress that are not at hand. Without any the view is just being filled, which brings them."""
    if before is None or (rows and before.sequence >= previous):
        return []
    with context.reading() as inside:
        latest = catalog.latest_version(inside, dataset)
        if latest is None:
            return []
        reader = tail.reader_of(dataset, details_of(latest))
        stored = tail.uncut(inside, dataset, number=0, after=before.sequence)
    first = rows[0].sequence if rows else None
    return [AppendedRow(sequence, reader.restore(row)) for sequence, row in stored if first is None or sequence < first]


def _push_table(context: Context, store: OnlineStore, view: PinnedView, rows: Sequence[AppendedRow], previous: int) -> None:
    """The function's rows of the new rows alone where that is sound, else of all rows."""
    key = _key(context, view)
    before = store.progress(key)
    if not view.details.additive or before is None or not before.current:
        _fill_one(context, store, view)
        return
    fresh = [*_missing(context, view.dataset, rows, before, previous), *rows]
    if not fresh:
        return
    with context.reading() as inside:
        dataset = tail.stream_of(inside, view.dataset).details
    frame = to_frame([{name: _stored(value) for name, value in one.row.items()} for one in fresh], dataset.columns)
    events = frame_events(_table_rows(context, view, [frame], [dataset]), view.online, None)
    with store.writing() as writer:
        for event in events:
            view.online.put(writer, key, event)
        writer.advance(key, fresh[-1].sequence)


def _stored(value: Any) -> Any:  # Any: one value of a row
    if isinstance(value, datetime):
        return to_micros(value)
    return value.toordinal() - _UNIX_ORDINAL if isinstance(value, date) else value


def fill(context: Context, pins: Sequence[PinnedView]) -> tuple[list[str], list[Waiting]]:
    """Bring pinned views up to their datasets' newest rows, ingested or appended."""
    store = _store(context)
    done: list[str] = []
    waiting: list[Waiting] = []
    for view in pins:
        definition = from_document(view.details.definition)
        if view.dataset and view.details.kind == "table" and isinstance(definition, FeaturesDefinition):
            _worker(context, view, definition).start()  # its imports go on while the windows are filled
    for view in sorted(pins, key=lambda pin: pin.details.kind == "table"):
        try:
            _fill_one(context, store, view)
            done += view.addresses
        except ClewError as error:
            waiting += _all_wait(view, error)
    return done, waiting


def _fill_one(context: Context, store: OnlineStore, view: PinnedView) -> None:
    key = _key(context, view)
    life = store.life(key)  # before anything is read: what is brought must not be lost while the rest is
    if not view.dataset:  # a view of views: as new as its version
        assert view.details.pin is not None  # kind "table"
        made = context.tables.scan(view.details.pin)
        since = _since(context, view, made)
        with store.writing() as writer:
            for event in frame_events(made, view.online, since):
                view.online.put(writer, key, event)
            writer.advance(key, 0, 0, life, since)
        return
    with context.reading() as inside:
        latest = catalog.latest_version(inside, view.dataset)
        if latest is None:
            raise NotFound(f"{view.dataset!r} has no version")
        dataset = details_of(latest)
        appended = [row for _, row in tail.uncut(inside, view.dataset)]
        sequence = tail.last_sequence(inside, view.dataset)
        before = store.progress(key)
        has_all = before is not None and sequence <= before.sequence and _only_cut(inside, view, before, latest)
    if has_all:
        with store.writing() as writer:
            writer.advance(key, sequence, latest.number, life)
        return
    rows = _with_tail(context, dataset, appended)
    if view.details.pin is not None and not appended and view.details.inputs == (latest.ref,):
        rows = context.tables.scan(view.details.pin)  # the version was made of these very rows: its function need not run again
    elif view.details.kind == "table":
        others = [_input_rows(context, reference) for reference in view.details.inputs[1:]]
        frames = [rows.collect(), *(frame for frame, _ in others)]
        rows = _table_rows(context, view, frames, [dataset, *(details for _, details in others)]).lazy()
    since = _since(context, view, rows)
    events = frame_events(rows, view.online, since)
    if _begun_anew(context, view.dataset, store.progress(key), latest):
        with store.writing() as writer:  # one transaction: no reader sees the view without its rows
            writer.drop(key)
            for event in events:
                view.online.put(writer, key, event)
            writer.advance(key, sequence, latest.number, life, since)
        return
    for start in range(0, len(events), _BATCH):  # several transactions, so that pushes don't wait for the whole
        with store.writing() as writer:
            for event in events[start : start + _BATCH]:
                view.online.put(writer, key, event)
    with store.writing() as writer:
        writer.advance(key, sequence, latest.number, life, since)


def _only_cut(context: Context, view: PinnedView, before: Progress, latest: AssetVersion) -> bool:
    """Whether the versions since then have taken in appended rows and no others: a view that had those lacks nothing."""
    if not before.current or not before.dataset or len(view.details.inputs) != 1:
        return False
    for number in range(before.dataset + 1, latest.number + 1):
        details = details_of(catalog.get_version(context, view.dataset, number))
        if details.tail_sequence > before.sequence or tail.cut_count(context, view.dataset, number) != details.added_rows:
            return False
    return True


def _begun_anew(context: Context, dataset: str, before: Progress | None, latest: AssetVersion) -> bool:
    """Whether a version since then holds none of the rows before: an ingest that replaced them."""
    if before is None or not before.dataset:
        return False
    with context.reading() as inside:
        between = [catalog.get_version(inside, dataset, number) for number in range(before.dataset + 1, latest.number + 1)]
    return any(details.added_rows == details.rows for details in map(details_of, between))


def behind(context: Context) -> list[PinnedView]:
    """The pinned views that lack rows: appended ones whose push died, those of a file that was ingested, or all that the store lost."""
    with context.reading() as inside:
        pins = pinned(inside, None)
        names = {view.dataset for view in pins if view.dataset}
        newest = {name: (tail.last_sequence(inside, name), catalog.latest_version(inside, name)) for name in names}
    found = []
    for view in pins:
        progress = _store(context).progress(_key(context, view))
        sequence, latest = newest.get(view.dataset, (0, None))
        if progress is None or not progress.current or progress.sequence < sequence or _is_older(progress, latest):
            found.append(view)
    return found


def _is_older(progress: Progress, latest: AssetVersion | None) -> bool:
    return latest is not None and progress.dataset < latest.number


def _with_tail(context: Context, dataset: DatasetDetails, appended: Sequence[dict[str, Any]]) -> "pl.LazyFrame":
    import polars as pl

    rows = context.tables.scan(dataset.pin)
    return pl.concat([rows, to_frame(appended, dataset.columns).lazy()]) if appended else rows


def _input_rows(context: Context, reference: VersionRef) -> "tuple[pl.DataFrame, DatasetDetails]":
    with context.reading() as inside:
        latest = catalog.latest_version(inside, reference.name)
        if latest is None or latest.kind != "dataset":
            raise NotFound(f"{reference.name!r} is no dataset with a version")
        dataset = details_of(latest)
        appended = [row for _, row in tail.uncut(inside, reference.name)]
    return _with_tail(context, dataset, appended).collect(), dataset


def _since(context: Context, view: PinnedView, rows: "pl.LazyFrame") -> int | None:
    """From which event time on rows are kept: a reach behind the newest event that has happened by the project's clock."""
    import polars as pl

    if view.online.reach is None:
        return None
    times = pl.col(view.online.time).dt.epoch("us")
    now = to_micros(context.now)
    newest = rows.select(times.filter(times <= now).max()).collect().item()
    return None if newest is None else int(newest) - view.online.reach


def _table_rows(context: Context, view: PinnedView, frames: "Sequence[pl.DataFrame]", datasets: Sequence[DatasetDetails]) -> "pl.DataFrame":
    from clew.feature_store.tables import table_rows

    definition = from_document(view.details.definition)
    assert isinstance(definition, FeaturesDefinition)  # kind "table"
    return table_rows(definition, _worker(context, view, definition), frames, [(dataset.key, dataset.known) for dataset in datasets])


def _worker(context: Context, view: PinnedView, definition: FeaturesDefinition) -> FunctionWorker:
    """The process that runs the function of this very version: from its source snapshot, or from its file where there is none."""
    key = (view.definition_digest, definition.function.qualname)
    with _workers_lock:
        if key not in _workers:
            _workers[key] = FunctionWorker(definition.function, _source_folder(context, view))
        return _workers[key]


def _source_folder(context: Context, view: PinnedView) -> Path | None:
    try:
        with context.reading() as inside:
            source = catalog.get_definition(inside, "feature_view", view.name, view.definition_digest).source
    except NotFound:
        source = None
    if source is None:
        return None
    folder = context.settings.home / "cache" / "source" / source.replace(":", "-")
    if not folder.is_dir():
        part = folder.with_name(f"{folder.name}.part")
        for file in context.blobs.get_manifest(source).files:
            target = part / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(context.blobs.get(file.digest))
        part.mkdir(parents=True, exist_ok=True)
        part.replace(folder)
    return folder


def drop(context: Context, views: Sequence[PinnedView]) -> None:
    """Delete the rows of views that nobody pins."""
    if views:
        with _store(context).writing() as writer:
            for view in views:
                writer.drop(_key(context, view))


def online_rows(context: Context, name: str, details: FeatureViewDetails) -> int:
    """How many events a view version has online."""
    return _store(context).count(view_key(context.project, name, details.online_key))


def _store(context: Context) -> OnlineStore:
    return open_store(context.settings.online_url, durability=context.settings.durability)


def _key(context: Context, view: PinnedView) -> bytes:
    return view_key(context.project, view.name, view.details.online_key)
