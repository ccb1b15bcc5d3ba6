"""Frames become rows. Each writer's frames are taken once and in order: the watermark moves in the transaction that stores them."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from clew.access.service import owns_blob
from clew.clock import from_micros, wall_now
from clew.errors import Conflict, Invalid, NotFound
from clew.identifiers import run_name
from clew.operations import Context
from clew.storage.events import emit
from clew.tracking.frames import HEADER, OUTPUT, POINT, Kind, holds_nul, read_frames
from clew.tracking.schema import metric_chunks, run_artifacts, run_metrics, run_output, run_params, run_tags, run_writers, runs
from clew.tracking.series import Points, decode_points, encode_points, join

__all__ = ["STREAMS", "take_frames"]

STREAMS = {1: "stdout", 2: "stderr", 3: "stdout", 4: "stderr"}
_LATEST_MICROS = 7_258_118_400_000_000
_CHUNK_POINTS = 4_096
_POINT_BYTES = HEADER.size + POINT.size
_POINT_HEAD = Kind.POINT << 24 | POINT.size
_POINTS = np.dtype([("crc", "<u4"), ("head", "<u4"), ("name", "<u2"), ("step", "<i8"), ("time", "<i8"), ("value", "<f8")])
_MAX_TEXT = 100_000
_NAMES_AT_ONCE = 1_000
"""A statement of SQLite takes 32,766 values, one of PostgreSQL 65,535."""


def take_frames(context: Context, run_id: str, writer: str, offset: int, content: bytes) -> int:
    """Store a writer's next frames; where it is to go on. Frames that are in already are left out, a gap is a ``Conflict``."""
    row = context.db.execute(sa.select(run_writers).where(run_writers.c.writer == writer)).one_or_none()
    if row is not None and (row.project, row.run_id) != (context.project, run_id):
        raise Conflict(f"the writer {writer} belongs to another run")
    expected, names = (0, []) if row is None else (int(row.offset), list(row.names))
    if offset > expected:
        raise Conflict(f"frames of {writer} from {expected} to {offset} are missing; send from {expected} on", expected=expected)
    fresh = content[expected - offset :]
    known = len(names)
    if fresh:
        _Run(context, run_id, names).take(fresh)
    elif not content:
        _beat(context, run_id)
    end = expected + len(fresh)
    if row is None:
        values = {"writer": writer, "project": context.project, "run_id": run_id, "offset": end, "names": names}
        context.db.execute(sa.insert(run_writers).values(**values))
    elif fresh:
        changed = {"offset": end, **({"names": names} if len(names) != known else {})}
        context.db.execute(sa.update(run_writers).where(run_writers.c.writer == writer).values(**changed))
    return end


def _beat(context: Context, run_id: str) -> None:
    where = (runs.c.id == run_id, runs.c.project == context.project)
    if not context.db.execute(sa.update(runs).where(*where).values(heartbeat_at=wall_now())).rowcount:
        raise NotFound(f"no run {run_id!r} is known here yet")


def _blocks(content: bytes) -> Iterator[tuple[Kind, bytes | NDArray[Any]]]:
    """The frames in order; points that stand together come as one array, which is what makes a million of them cheap."""
    at = 0
    while at < len(content):
        count = (len(content) - at) // _POINT_BYTES
        points = np.frombuffer(content, _POINTS, count, at)
        others = np.flatnonzero(points["head"] != _POINT_HEAD)
        together = int(others[0]) if len(others) else count
        if together:
            yield Kind.POINT, points[:together]
            at += together * _POINT_BYTES
            continue
        item = next(read_frames(memoryview(content)[at:]), None)
        if item is None:
            raise Invalid(f"the frames are damaged at byte {at} of {len(content)}; nothing of them was kept")
        yield item.kind, item.payload
        at += item.end


@dataclass(frozen=True)
class _Start:
    started_at: datetime
    title: Annotated[str, msgspec.Meta(max_length=10_000)] | None = None
    experiment: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    parent: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None


@dataclass(frozen=True)
class _Artifact:
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    digest: Annotated[str, msgspec.Meta(max_length=80)]
    size_bytes: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    at: datetime


@dataclass(frozen=True)
class _End:
    status: Literal["finished", "failed", "pruned", "stopped", "lost"]
    ended_at: datetime
    error: str | None = None


_Values = dict[Annotated[str, msgspec.Meta(min_length=1, max_length=250)], Any]
_DOCUMENTS: dict[Kind, Any] = {  # Any: types as values
    Kind.START: _Start, Kind.PARAMS: _Values, Kind.TAGS: _Values, Kind.ARTIFACT: _Artifact, Kind.FACTS: _Values, Kind.END: _End,
}  # fmt: skip


class _Run:
    """The run that a batch of frames changes, inside the batch's transaction."""

    def __init__(self, context: Context, run_id: str, names: list[str]) -> None:
        self._context = context
        self._db = context.db
        self._id = run_id
        self._names = names

    def take(self, content: bytes) -> None:
        arrays: list[NDArray[Any]] = []
        output: list[tuple[int, int, bytes]] = []
        blocks = list(_blocks(content))
        self._demand(started=any(kind is Kind.START for kind, _ in blocks))
        for kind, payload in blocks:
            if isinstance(payload, np.ndarray):
                arrays.append(payload)
            elif kind is Kind.POINT:
                raise Invalid(f"a frame of a point has {len(payload)} bytes, and a point has {POINT.size}")
            elif kind is Kind.NAME:
                self._names.append(_text(payload))
            elif kind is Kind.OUTPUT:
                if len(payload) < OUTPUT.size:
                    raise Invalid("a frame of output is shorter than its head")
                stream, _, at = OUTPUT.unpack_from(payload)
                if stream not in STREAMS or not 0 <= at <= _LATEST_MICROS:
                    raise Invalid(f"output has no stream {stream}, or a time that is not between 1970 and 2200")
                output.append((stream, at, payload[OUTPUT.size :]))
            else:
                self._document(kind, payload)
        if arrays:
            self._points(np.concatenate(arrays))
        if output:
            self._output(output)
        self._db.execute(sa.update(runs).where(runs.c.id == self._id).values(heartbeat_at=wall_now()))

    def _demand(self, *, started: bool) -> None:
        project = self._db.scalar(sa.select(runs.c.project).where(runs.c.id == self._id))
        if project is not None and project != self._context.project:
            raise Conflict(f"the run {self._id} belongs to another project")
        if project is None and not started:
            raise NotFound(f"no run {self._id!r} is known here yet; the frames of the process that began it come first")

    # ── documents ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _document(self, kind: Kind, payload: bytes) -> None:
        if holds_nul(payload):
            raise Invalid(f"a frame {kind.name.lower()} holds a NUL character, which no database keeps in a text")
        try:
            document = msgspec.json.decode(payload, type=_DOCUMENTS[kind])
        except (ValueError, RecursionError) as error:  # malformed, of another shape, no UTF-8, or nested too deeply
            raise Invalid(f"a frame {kind.name.lower()} can't be read: {error}") from error
        takes: dict[Kind, Callable[[Any], None]] = {  # Any: each takes the type that its kind was decoded as
            Kind.START: self._start, Kind.PARAMS: self._params, Kind.TAGS: self._tags, Kind.ARTIFACT: self._artifact,
            Kind.FACTS: self._facts, Kind.END: self._close,
        }  # fmt: skip
        takes[kind](document)

    def _start(self, document: _Start) -> None:
        if self._db.scalar(sa.select(runs.c.id).where(runs.c.id == self._id)) is not None:
            self._db.execute(sa.update(runs).where(runs.c.id == self._id).values(status="running", ended_at=None, error=None))
            return
        known = {"id": self._id, "project": self._context.project, "name": run_name(self._id), "status": "running", "facts": {}}
        values = {**asdict(document), **known, "started_at": _aware(document.started_at)}
        self._db.execute(sa.insert(runs).values(**values, heartbeat_at=wall_now(), actor=self._context.actor))
        emit(self._context, "run.started", self._id, {"title": document.title, "experiment": document.experiment})

    def _params(self, document: dict[str, Any]) -> None:
        self._forget(run_params, list(document))
        rows = [
            {"run_id": self._id, "name": name, "value": value, "text": _words(value), "number": _number(value)}
            for name, value in document.items()
        ]
        if rows:
            self._db.execute(sa.insert(run_params), rows)

    def _tags(self, document: dict[str, Any]) -> None:
        self._forget(run_tags, list(document))
        rows = [{"run_id": self._id, "name": name, "value": _words(value)} for name, value in document.items()]
        if rows:
            self._db.execute(sa.insert(run_tags), rows)

    def _forget(self, table: sa.Table, names: list[str]) -> None:
        for begin in range(0, len(names), _NAMES_AT_ONCE):
            some = names[begin : begin + _NAMES_AT_ONCE]
            self._db.execute(sa.delete(table).where(table.c.run_id == self._id, table.c.name.in_(some)))

    def _artifact(self, document: _Artifact) -> None:
        if not owns_blob(self._context, document.digest):
            raise Invalid(
                f"the artifact {document.name!r} names {document.digest}, which was never uploaded; upload first, then send the frame"
            )
        self._db.execute(sa.delete(run_artifacts).where(run_artifacts.c.run_id == self._id, run_artifacts.c.name == document.name))
        self._db.execute(sa.insert(run_artifacts).values(run_id=self._id, **{**asdict(document), "at": _aware(document.at)}))

    def _facts(self, document: dict[str, Any]) -> None:
        facts = dict(self._db.scalar(sa.select(runs.c.facts).where(runs.c.id == self._id)) or {})
        for name, value in document.items():
            facts[name] = {**facts[name], **value} if isinstance(value, dict) and isinstance(facts.get(name), dict) else value
        self._db.execute(sa.update(runs).where(runs.c.id == self._id).values(facts=facts))

    def _close(self, document: _End) -> None:
        ended = {"status": document.status, "ended_at": _aware(document.ended_at), "error": document.error}
        self._db.execute(sa.update(runs).where(runs.c.id == self._id).values(**ended))
        emit(self._context, "run.ended", self._id, {"status": document.status})

    # ── points and output ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _points(self, points: NDArray[Any]) -> None:
        if int(points["name"].max()) >= len(self._names):
            raise Invalid(f"a point refers to metric {int(points['name'].max())}; the writer has named {len(self._names)}")
        if int(points["time"].min()) < 0 or int(points["time"].max()) > _LATEST_MICROS:
            raise Invalid("a point's time is not between 1970 and 2200")
        order = np.argsort(points["name"], kind="stable")
        ordered = points[order]
        for part in np.split(ordered, np.flatnonzero(np.diff(ordered["name"].astype(np.int64))) + 1):
            columns = (np.ascontiguousarray(part[name]) for name in ("step", "time", "value"))
            self._extend(self._names[int(part["name"][0])], Points(*columns))

    def _extend(self, name: str, points: Points) -> None:
        self._summarise(name, points)
        query = sa.select(metric_chunks).where(metric_chunks.c.run_id == self._id, metric_chunks.c.name == name)
        last = self._db.execute(query.order_by(metric_chunks.c.sequence.desc()).limit(1)).one_or_none()
        sequence = 0 if last is None else last.sequence + 1
        if last is not None and last.points < _CHUNK_POINTS:
            # A short last chunk is written anew with what came, so that reading a curve is a few rows and not one a shipment.
            points, sequence = join([decode_points(last.body), points]), last.sequence
            this = (metric_chunks.c.run_id == self._id, metric_chunks.c.name == name, metric_chunks.c.sequence == sequence)
            self._db.execute(sa.delete(metric_chunks).where(*this))
        for begin in range(0, len(points), _CHUNK_POINTS):
            cut = slice(begin, begin + _CHUNK_POINTS)
            part = Points(points.steps[cut], points.times[cut], points.values[cut])
            row = {"run_id": self._id, "name": name, "sequence": sequence, "points": len(part), "body": encode_points(part)}
            self._db.execute(sa.insert(metric_chunks).values(**row))
            sequence += 1

    def _summarise(self, name: str, points: Points) -> None:
        finite = points.values[np.isfinite(points.values)]
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (None, None)
        last = float(points.values[-1])
        this = (run_metrics.c.run_id == self._id, run_metrics.c.name == name)
        row = self._db.execute(sa.select(run_metrics).where(*this)).one_or_none()
        at = from_micros(int(points.times[-1]))
        values: dict[str, Any] = {"last": last if np.isfinite(last) else None, "step": int(points.steps[-1]), "at": at}
        if row is None:
            values |= {"run_id": self._id, "name": name, "minimum": low, "maximum": high, "points": len(points)}
            self._db.execute(sa.insert(run_metrics).values(**values))
            return
        lows, highs = [item for item in (row.minimum, low) if item is not None], [item for item in (row.maximum, high) if item is not None]
        values |= {"minimum": min(lows, default=None), "maximum": max(highs, default=None), "points": row.points + len(points)}
        self._db.execute(sa.update(run_metrics).where(*this).values(**values))

    def _output(self, pieces: list[tuple[int, int, bytes]]) -> None:
        newest = self._db.scalar(sa.select(sa.func.max(run_output.c.sequence)).where(run_output.c.run_id == self._id))
        first = 1 if newest is None else newest + 1
        rows = [
            {"run_id": self._id, "sequence": first + index, "stream": stream, "at": from_micros(at), "body": body}
            for index, (stream, at, body) in enumerate(pieces)
        ]
        self._db.execute(sa.insert(run_output), rows)


def _text(payload: bytes) -> str:
    try:
        name = payload.decode()
    except UnicodeDecodeError as error:
        raise Invalid("a metric's name is not UTF-8") from error
    if not name or len(name) > 250 or "\0" in name:
        raise Invalid("a metric's name has 1 to 250 characters, and no NUL")
    return name


def _aware(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise Invalid(f"the time {instant.isoformat()} has no zone")
    return instant


def _words(value: Any) -> str:  # Any: a JSON value
    return (value if isinstance(value, str) else msgspec.json.encode(value).decode())[:_MAX_TEXT]


def _number(value: Any) -> float | None:  # Any: a JSON value
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:  # past 1.8e308: it is kept, and no comparison of numbers finds it
        return None
