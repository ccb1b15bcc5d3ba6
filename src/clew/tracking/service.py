"""Runs: taking their frames in, and finding and reading them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from clew.errors import Invalid, NotFound
from clew.operations import Context, Page, decode_cursor, encode_cursor, operation
from clew.tracking import saved_views
from clew.tracking.filters import parse
from clew.tracking.ingestion import STREAMS, take_frames
from clew.tracking.schema import (
    Artifact,
    Experiment,
    Ingested,
    MetricSummary,
    OutputPiece,
    RunDetails,
    RunLog,
    RunRow,
    Series,
    metric_chunks,
    run_artifacts,
    run_metrics,
    run_output,
    run_params,
    run_tags,
    runs,
)
from clew.tracking.search import condition, duration_micros, ordering, past, status_now
from clew.tracking.series import decode_points, downsample, join

__all__ = ["get_run", "ingest_frames", "list_experiments", "list_runs", "metric_points", "metric_series", "run_log", "saved_views"]

SYSTEM = "system/"
"""Metrics that the sampler takes by itself; they have curves, and stay out of the runs table."""

_MAX_LIMIT = 1_000
_MAX_BUCKETS = 10_000
_MAX_SERIES = 200


@operation("POST /projects/{project}/runs/{run_id}/frames", permission="tracking.write", kind="write")
def ingest_frames(context: Context, run_id: str, writer: str, offset: int, frames: bytes) -> Ingested:
    """Take a writer's journal frames, each once. Without frames it is a heartbeat. A gap is a ``Conflict`` with ``expected`` in it."""
    if offset < 0 or not run_id or len(run_id) > 64 or not writer or len(writer) > 64:
        raise Invalid("run_id and writer are identifiers of up to 64 characters, and offset is not negative")
    return Ingested(take_frames(context, run_id, writer, offset, frames))


@operation("GET /projects/{project}/runs", permission="tracking.read", kind="read")
def list_runs(
    context: Context,
    filter: str | None = None,  # noqa: A002 - the word of the address and of the command
    order: str = "-started",
    cursor: str | None = None,
    limit: int = 100,
) -> Page[RunRow]:
    """Runs that a filter finds, such as ``metrics.auc > 0.7 and params.lr < 0.2``, in an order such as ``-metrics.auc``."""
    if not 1 <= limit <= _MAX_LIMIT:
        raise Invalid(f"limit is {limit}; a page has 1 to {_MAX_LIMIT} runs")
    key, descending = ordering(order)
    query = _rows().add_columns(key.label("key")).where(runs.c.project == context.project)
    if filter and filter.strip():
        query = query.where(condition(parse(filter)))
    if cursor is not None:
        query = query.where(past(key, descending, decode_cursor(cursor)))
    sorts = (key.desc(), runs.c.id.desc()) if descending else (key.asc(), runs.c.id.asc())
    found = context.db.execute(query.order_by(key.is_(None), *sorts).limit(limit + 1)).all()
    following = encode_cursor({"value": found[limit - 1].key, "id": found[limit - 1].id}) if len(found) > limit else None
    return Page(_filled(context, found[:limit]), following)


def _rows() -> sa.Select[Any]:
    return sa.select(runs, status_now().label("status_now"), duration_micros().label("duration"))


def _filled(context: Context, found: Iterable[Any]) -> list[RunRow]:  # Any: SQLAlchemy rows
    rows = list(found)
    ids = [row.id for row in rows]
    params: dict[str, dict[str, Any]] = {identifier: {} for identifier in ids}
    metrics, minimum, maximum = ({identifier: dict[str, float | None]() for identifier in ids} for _ in range(3))
    tags: dict[str, dict[str, str]] = {identifier: {} for identifier in ids}
    for row in context.db.execute(sa.select(run_params).where(run_params.c.run_id.in_(ids)).order_by(run_params.c.name)):
        params[row.run_id][row.name] = row.value
    query = sa.select(run_metrics).where(run_metrics.c.run_id.in_(ids))
    for row in context.db.execute(query.where(sa.not_(run_metrics.c.name.startswith(SYSTEM))).order_by(run_metrics.c.name)):
        metrics[row.run_id][row.name] = row.last
        if row.points > 1:
            minimum[row.run_id][row.name] = row.minimum
            maximum[row.run_id][row.name] = row.maximum
    for row in context.db.execute(sa.select(run_tags).where(run_tags.c.run_id.in_(ids)).order_by(run_tags.c.name)):
        tags[row.run_id][row.name] = row.value
    return [
        RunRow(
            id=row.id, project=row.project, name=row.name, title=row.title, experiment=row.experiment, status=row.status_now,
            parent=row.parent, started_at=row.started_at, ended_at=row.ended_at, duration_seconds=row.duration / 1e6, actor=row.actor,
            params=params[row.id], metrics=metrics[row.id], tags=tags[row.id], minimum=minimum[row.id], maximum=maximum[row.id],
        )
        for row in rows
    ]  # fmt: skip


@operation("GET /projects/{project}/runs/{run_id}", permission="tracking.read", kind="read")
def get_run(context: Context, run_id: str) -> RunDetails:
    """Everything about a run but its series and its output."""
    row = context.db.execute(_rows().where(runs.c.id == run_id, runs.c.project == context.project)).one_or_none()
    if row is None:
        raise NotFound(f"no run {run_id!r} in the project {context.project!r}; `clew runs` lists them")
    summaries = {
        item.name: MetricSummary(item.last, item.minimum, item.maximum, item.step, item.at, item.points)
        for item in context.db.execute(sa.select(run_metrics).where(run_metrics.c.run_id == run_id).order_by(run_metrics.c.name))
    }
    artifacts = [
        Artifact(item.name, item.digest, item.size_bytes, item.at)
        for item in context.db.execute(sa.select(run_artifacts).where(run_artifacts.c.run_id == run_id).order_by(run_artifacts.c.name))
    ]
    children = context.db.scalars(
        sa.select(runs.c.id).where(runs.c.parent == run_id, runs.c.project == context.project).order_by(runs.c.started_at, runs.c.id)
    )
    [filled] = _filled(context, [row])
    return RunDetails(filled, row.seed, row.error, row.heartbeat_at, row.facts, summaries, artifacts, list(children))


@operation("GET /projects/{project}/runs/{run_id}/series", permission="tracking.read", kind="read")
def metric_series(context: Context, run_id: str, names: list[str] | None = None, buckets: int = 500) -> list[Series]:
    """The curves of a run, by step, in at most ``buckets`` entries each with last value, minimum and maximum; all of them without names."""
    if not 1 <= buckets <= _MAX_BUCKETS:
        raise Invalid(f"buckets is {buckets}; a curve has 1 to {_MAX_BUCKETS}")
    _demand(context, run_id)
    if names is None:
        query = sa.select(run_metrics.c.name).where(run_metrics.c.run_id == run_id).order_by(run_metrics.c.name)
        names = list(context.db.scalars(query.limit(_MAX_SERIES)))
    if len(names) > _MAX_SERIES:
        raise Invalid(f"{len(names)} curves at once; ask for up to {_MAX_SERIES}")
    return [_series(context, run_id, name, buckets) for name in names]


def _series(context: Context, run_id: str, name: str, buckets: int) -> Series:
    points = join([decode_points(body) for body in _bodies(context, run_id, name)]).by_step()
    sampled = downsample(points, buckets)
    values = (_finite(sampled.last), _finite(sampled.minimum), _finite(sampled.maximum))
    return Series(name, len(points), sampled.steps.tolist(), sampled.times.tolist(), *values)


def _finite(values: NDArray[np.float64]) -> list[float | None]:
    if bool(np.isfinite(values).all()):
        return list(values.tolist())
    return [value if np.isfinite(value) else None for value in values.tolist()]


@operation("GET /projects/{project}/runs/{run_id}/points", permission="tracking.read", kind="read")
def metric_points(context: Context, run_id: str, name: str) -> list[bytes]:
    """All points of one metric, as the chunks that they are stored in, which ``series.decode_points`` reads."""
    _demand(context, run_id)
    found = _bodies(context, run_id, name)
    if not found:
        names = context.db.scalars(sa.select(run_metrics.c.name).where(run_metrics.c.run_id == run_id).order_by(run_metrics.c.name))
        raise NotFound(f"the run {run_id} has no metric {name!r}; it has {', '.join(names) or 'none'}")
    return found


def _bodies(context: Context, run_id: str, name: str) -> list[bytes]:
    query = sa.select(metric_chunks.c.body).where(metric_chunks.c.run_id == run_id, metric_chunks.c.name == name)
    return [bytes(body) for body in context.db.scalars(query.order_by(metric_chunks.c.sequence))]


@operation("GET /projects/{project}/runs/{run_id}/log", permission="tracking.read", kind="read")
def run_log(context: Context, run_id: str, after: int = 0, limit: int = 1_000) -> RunLog:
    """What the run printed, from the piece past ``after`` on."""
    if not 1 <= limit <= _MAX_LIMIT:
        raise Invalid(f"limit is {limit}; a part of a log has 1 to {_MAX_LIMIT} pieces")
    ended = _demand(context, run_id)
    query = sa.select(run_output).where(run_output.c.run_id == run_id, run_output.c.sequence > after).order_by(run_output.c.sequence)
    found = context.db.execute(query.limit(limit + 1)).all()
    pieces = [OutputPiece(STREAMS[row.stream], row.at, bytes(row.body).decode(errors="replace")) for row in found[:limit]]
    return RunLog(pieces, found[len(pieces) - 1].sequence if pieces else after, ended and len(found) <= limit)


def _demand(context: Context, run_id: str) -> bool:
    """Whether the run has ended. Raises ``NotFound`` for one that this project doesn't have."""
    status = context.db.scalar(sa.select(runs.c.status).where(runs.c.id == run_id, runs.c.project == context.project))
    if status is None:
        raise NotFound(f"no run {run_id!r} in the project {context.project!r}; `clew runs` lists them")
    return bool(status != "running")


@operation("GET /projects/{project}/experiments", permission="tracking.read", kind="read")
def list_experiments(context: Context) -> list[Experiment]:
    """The experiments of the project, the one with the newest run first; runs without one stand under ``None``."""
    newest = sa.func.max(sa.type_coerce(runs.c.started_at, sa.BigInteger))
    query = sa.select(runs.c.experiment, sa.func.count(), sa.func.max(runs.c.started_at)).where(runs.c.project == context.project)
    return [Experiment(*row) for row in context.db.execute(query.group_by(runs.c.experiment).order_by(newest.desc()))]
