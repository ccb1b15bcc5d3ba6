"""The prediction log, read: newest answers, one by its id, all of a span as a frame; and its compaction into a table."""

import fcntl
import heapq
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa

from clew.access.service import own_blob
from clew.clock import from_micros, to_micros, wall_now
from clew.errors import Conflict, NotFound
from clew.operations import Context, Page, decode_cursor, encode_cursor, operation
from clew.serving import truths
from clew.serving.prediction_log import Address, decode_id, encode_id, is_finished, read_frame, read_segment, remove_spares, segment_paths
from clew.serving.records import Record, decode_record, from_row, to_frame
from clew.serving.schema import Answer, Candidate, Compaction, OtherAnswer, Truth, compacted_segments, routes
from clew.serving.segment_index import Entry, records_of
from clew.settings import Settings
from clew.storage.blobs import Blob
from clew.storage.tables import TablePin

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "all_answers", "candidates_of", "compact_predictions", "export_answers", "find_record", "get_prediction", "latest_answers", "log_folder",
    "records_since", "scan_predictions", "to_answer",
]  # fmt: skip

_MAX_LIMIT = 500
Found = tuple[str, Record]


def log_folder(settings: Settings, project: str) -> Path:
    """Where the serving processes of a folder keep their segments."""
    return settings.home / "predictions" / project


def _table(context: Context) -> str:
    return f"{context.project}/predictions"


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _compacted(context: Context) -> dict[str, int]:
    """Segments that are in the table, by the table's version that has them."""
    query = sa.select(compacted_segments.c.segment, compacted_segments.c.table_version).where(
        compacted_segments.c.project == context.project
    )
    return {row.segment: row.table_version for row in context.db.execute(query)}


def _pinned(context: Context, compacted: dict[str, int]) -> TablePin | None:
    return TablePin(_table(context), max(compacted.values()), 0, 0) if compacted else None


def _live(context: Context) -> tuple[list[Path], TablePin | None]:
    """Segments that are in no table, and the table. The files are listed first: what is compacted meanwhile is in the table then."""
    paths = segment_paths(log_folder(context.settings, context.project))
    compacted = _compacted(context)
    return [path for segment, path in paths.items() if f"{segment:016x}" not in compacted], _pinned(context, compacted)


def _frames(path: Path) -> list[tuple[Address, bytes]]:
    try:
        return list(read_segment(path))
    except FileNotFoundError:  # compacted in between: the next look finds it in the table
        return []


def _decoded(frames: Iterable[tuple[Address, bytes]]) -> Iterator[Found]:
    for at, payload in frames:
        yield encode_id(at.segment, at.offset, at.check), decode_record(payload)


def _segment(path: Path) -> list[Found]:
    return list(_decoded(_frames(path)))


def _newest_first(paths: Iterable[Path]) -> Iterator[Found]:
    """All answers of some segments, newest first, though several processes wrote them at a time. Decoded only as far as it is read."""
    return heapq.merge(*(_decoded(reversed(_frames(path))) for path in paths), key=lambda found: -found[1].at)


def scan_predictions(context: Context) -> "pl.LazyFrame | None":
    """The compacted part of the log, lazily."""
    pin = _pinned(context, _compacted(context))
    return None if pin is None else context.tables.scan(pin)


def all_answers(context: Context, endpoint: str, start: datetime | None = None, end: datetime | None = None) -> "pl.DataFrame":
    """Every logged answer of an endpoint by event time, from ``start`` to before ``end``, errors too: a row for each, as in the table."""
    import polars as pl

    paths, pin = _live(context)
    first = None if start is None else to_micros(start)
    last = None if end is None else to_micros(end)

    def asked(entry: Entry) -> bool:
        inside = (first is None or entry.event_time >= first) and (last is None or entry.event_time < last)
        return inside and entry.endpoint == endpoint

    wanted = (
        (encode_id(at.segment, at.offset, at.check), at.segment, at.offset, record)
        for path in paths
        for at, record in records_of(path, asked)
    )
    frames = [to_frame(wanted)]
    if pin is not None:
        time = pl.col("event_time").dt.epoch("us")
        within = [pl.col("endpoint") == endpoint, *([] if first is None else [time >= first]), *([] if last is None else [time < last])]
        frames.insert(0, context.tables.scan(pin).filter(*within).collect())
    rows = pl.concat(frames)
    return rows.sort("event_time", "at", maintain_order=True)


def records_since(context: Context, endpoint: str, epoch: int) -> Iterator[Record]:
    """An endpoint's answers and errors since a route came into force, newest first, read only as far as that."""
    import polars as pl

    paths, pin = _live(context)

    def asked(entry: Entry) -> bool:
        return entry.endpoint == endpoint and entry.epoch >= epoch

    since = [(record for _, record in records_of(path, asked, newest_first=True)) for path in paths]
    yield from heapq.merge(*since, key=lambda record: -record.at)
    if pin is not None:
        rows = context.tables.scan(pin).filter(pl.col("endpoint") == endpoint, pl.col("epoch") >= epoch).sort("at", descending=True)
        yield from (from_row(row) for row in rows.collect().iter_rows(named=True))


def _place(identifier: str) -> tuple[int, int]:
    address = decode_id(identifier)
    return address.segment, address.offset


@operation("POST /projects/{project}/endpoints/{name}/exports", permission="serving.read", kind="staged")
def export_answers(context: Context, name: str, start: datetime | None = None, end: datetime | None = None) -> Blob:
    """Every answer of an endpoint by event time, errors too, as a Parquet file to download."""
    with context.reading() as inside:
        rows = all_answers(inside, name, start, end)
    content = io.BytesIO()
    rows.write_parquet(content, compression="zstd")
    blob = context.blobs.put(content.getvalue())
    context.run_write(lambda inside: own_blob(inside, blob))
    return blob


def find_record(context: Context, prediction_id: str) -> Record:
    """The logged answer of a prediction. Raises ``NotFound``."""
    import polars as pl

    address = decode_id(prediction_id)
    payload = read_frame(log_folder(context.settings, context.project), address)
    if payload is not None:
        return decode_record(payload)
    compacted = _compacted(context)
    if f"{address.segment:016x}" in compacted:
        pin = _pinned(context, compacted)
        assert pin is not None
        rows = (
            context.tables.scan(pin)
            .filter(pl.col("segment") == f"{address.segment:016x}", pl.col("prediction_id") == prediction_id)
            .collect()
        )
        if rows.height:
            return from_row(rows.row(0, named=True))
    raise NotFound(f"no prediction {prediction_id!r} was logged in the project {context.project!r}")


@operation("GET /projects/{project}/predictions/{prediction_id}", permission="serving.read", kind="read")
def get_prediction(context: Context, prediction_id: str) -> Answer:
    """One answer, and what came of it."""
    record = find_record(context, prediction_id)
    (truth,) = truths.of(context, [record])
    return to_answer(prediction_id, record, truth, candidates_of(context, [record]))


@operation("GET /projects/{project}/endpoints/{name}/answers", permission="serving.read", kind="read")
def latest_answers(context: Context, name: str, limit: int = 50, cursor: str | None = None) -> Page[Answer]:
    """Answers and errors of an endpoint, newest first, each with what came of it."""
    limit = max(1, min(limit, _MAX_LIMIT))
    position = None if cursor is None else decode_cursor(cursor, at=int, id=str)
    before = None if position is None else (position["at"], position["id"])
    paths, pin = _live(context)
    found = list(islice(_of(name, before, _newest_first(paths)), limit + 1))
    if len(found) <= limit and pin is not None:
        found += _from_table(context, pin, name, before, limit + 1 - len(found))
    page = found[:limit]
    outcomes = truths.of(context, [record for _, record in page])
    tried = candidates_of(context, [record for _, record in page])
    items = [to_answer(identifier, record, truth, tried) for (identifier, record), truth in zip(page, outcomes, strict=True)]
    return Page(items, encode_cursor({"at": page[-1][1].at, "id": page[-1][0]}) if len(found) > limit else None)


def _of(name: str, before: tuple[int, str] | None, found: Iterator[Found]) -> Iterator[Found]:
    """Those of an endpoint past the cursor; answers of one microsecond are told apart by where the last page ended."""
    waiting = before is not None
    for identifier, record in found:
        if before is not None and waiting:
            if record.at > before[0]:
                continue
            if record.at == before[0]:
                waiting = identifier != before[1]
                continue
            waiting = False
        if record.endpoint == name:
            yield identifier, record


def _from_table(context: Context, pin: TablePin, name: str, before: tuple[int, str] | None, limit: int) -> list[Found]:
    import polars as pl

    rows = context.tables.scan(pin).filter(pl.col("endpoint") == name)
    if before is not None:
        rows = rows.filter(pl.col("at").dt.epoch("us") <= before[0])
    newest = rows.sort("at", "segment", "offset", descending=True).head(limit + 500).collect()
    return list(islice(_of(name, before, ((row["prediction_id"], from_row(row)) for row in newest.iter_rows(named=True))), limit))


def candidates_of(context: Context, records: Sequence[Record]) -> dict[tuple[str, int], int]:
    """The number of the version that was tried, by the endpoint and the epoch of those routes of the records that tried one."""
    tried = {(record.endpoint, record.epoch) for record in records if record.other is not None}
    if not tried:
        return {}
    named = sa.tuple_(routes.c.endpoint, routes.c.epoch).in_(sorted(tried))
    query = sa.select(routes.c.endpoint, routes.c.epoch, routes.c.candidate)
    rows = context.db.execute(query.where(routes.c.project == context.project, routes.c.candidate.is_not(None), named))
    return {(row.endpoint, row.epoch): msgspec.convert(row.candidate, Candidate).document.number for row in rows}


def to_answer(identifier: str, record: Record, truth: Truth, candidates: Mapping[tuple[str, int], int]) -> Answer:
    event_time = from_micros(record.event_time) if record.event_time else None
    return Answer(
        identifier, from_micros(record.at), event_time, record.endpoint, record.epoch, record.model, record.number, record.row,
        record.probability, record.views, tuple(record.missing), record.latency_us, record.error, truth, _other(record),
        candidates.get((record.endpoint, record.epoch)) == record.number,
    )  # fmt: skip


def _other(record: Record) -> OtherAnswer | None:
    other = record.other
    return None if other is None else OtherAnswer(other.number, other.probability, other.latency_us, other.error)


# ── compaction ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@operation("POST /projects/{project}/predictions/compact", permission="serving.compact", kind="staged")
def compact_predictions(context: Context) -> Compaction:
    """Move finished segments of the log into the table of predictions, each frame once, whenever this is killed.

    The table's commit comes first and the row that names its segments second; a commit without its row is undone by the next
    compaction, a segment whose row is there is deleted by it.
    """
    folder = log_folder(context.settings, context.project)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        remove_spares(folder)
        finished = {f"{segment:016x}": path for segment, path in segment_paths(folder).items() if is_finished(path)}
        with context.reading() as inside:
            compacted = _compacted(inside)
            pin = _pinned(inside, compacted)
        fresh = {segment: path for segment, path in finished.items() if segment not in compacted}
        answers = {segment: _segment(path) for segment, path in fresh.items()}
        kept = {segment: found for segment, found in answers.items() if found}
        added = sum(len(found) for found in kept.values())
        version = None if pin is None else pin.version
        if kept:
            frame = to_frame((identifier, *_place(identifier), record) for found in kept.values() for identifier, record in found)
            version = context.tables.append(_table(context), frame, expected_head=_clean_head(context, pin)).version
            context.run_write(lambda inside: _note(inside, {segment: len(found) for segment, found in kept.items()}, version or 0))
        for segment, path in finished.items():
            if segment not in fresh or segment in kept or not answers[segment]:
                path.unlink(missing_ok=True)
        rows = (
            0 if version is None else int(context.tables.scan(TablePin(_table(context), version, 0, 0)).select(_count()).collect().item())
        )
        return Compaction(len(kept), added, rows)


def _count() -> "pl.Expr":
    import polars as pl

    return pl.len()


def _clean_head(context: Context, pin: TablePin | None) -> int | None:
    """The table's head, without what a compaction that was killed had committed and nobody had noted."""
    import polars as pl

    head = context.tables.head(_table(context))
    if head is None or (pin is not None and head == pin.version):
        return head
    if pin is not None:
        return context.tables.rollback_to(_table(context), pin.version)
    nothing = context.tables.scan(TablePin(_table(context), head, 0, 0)).filter(pl.lit(value=False)).collect()
    return context.tables.overwrite(_table(context), nothing, expected_head=head).version


def _note(context: Context, segments: dict[str, int], version: int) -> None:
    rows = [
        {"project": context.project, "segment": segment, "rows": count, "table_version": version, "at": wall_now()}
        for segment, count in segments.items()
    ]
    context.db.execute(sa.insert(compacted_segments), rows)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One compaction at a time on this machine; the table's expected head settles two machines."""
    with (folder / "compaction.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Conflict("another process compacts the predictions of this project just now; try again in a while") from error
        yield
