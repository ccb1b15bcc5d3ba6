"""Performance on matured labels, skew reports, and reading both. Looks and alerts are operations of their own modules."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import sqlalchemy as sa

from clew.clock import wall_now
from clew.errors import Invalid
from clew.feature_store.schema import TrainingSetDetails
from clew.identifiers import check_slug
from clew.monitoring import alerts, looking
from clew.monitoring.outcomes import with_labels
from clew.monitoring.performance import measure
from clew.monitoring.schema import PerformanceReport, Report, ShadowReport, SkewReport, monitoring_reports
from clew.operations import Context, Page, operation
from clew.serving.answers import all_answers
from clew.serving.documents import training_set_of
from clew.serving.routing import endpoint_row, get_route
from clew.storage.events import emit

if TYPE_CHECKING:
    import polars as pl

__all__ = ["alerts", "list_reports", "looking", "measure_performance", "record_shadow", "record_skew"]

_MAX_LIMIT = 200


@operation("POST /projects/{project}/endpoints/{name}/performance", permission="monitoring.measure", kind="staged")
def measure_performance(context: Context, name: str, start: datetime | None = None, end: datetime | None = None) -> PerformanceReport:
    """How the endpoint did on answers by event time, from ``start`` to before ``end``, whose labels have matured. The report is kept."""
    with context.reading() as inside:
        training = _training_set(inside, name)
        found = _outcomes(inside, name, training, start, end)
    report = _report(context, name, training, found, start, end)
    context.run_write(lambda inside: _store(inside, name, "performance", report))
    return report


def _training_set(context: Context, name: str) -> TrainingSetDetails:
    route = get_route(context, name, endpoint_row(context, name).epoch)
    details = training_set_of(context, route.document.training_set)
    if details is None:
        raise Invalid(
            f"{route.ref} was registered without a training set, so nothing says what its label is; there is no truth to compare with"
        )
    return details


def _outcomes(context: Context, name: str, training: TrainingSetDetails, start: datetime | None, end: datetime | None) -> "pl.DataFrame":
    """Answers by key, the newest of each, with ``label``, null where none came in time; errors have no probability."""
    import polars as pl

    rows = all_answers(context, name, start, end)
    errors = rows.filter(pl.col("error").is_not_null())
    answered = rows.filter(pl.col("error").is_null())
    return pl.concat([with_labels(context, training, answered), errors], how="diagonal")


def _report(
    context: Context, name: str, training: TrainingSetDetails, found: "pl.DataFrame", start: datetime | None, end: datetime | None
) -> PerformanceReport:
    import polars as pl

    answered = found.filter(pl.col("error").is_null())
    figures = measure(
        answered["event_time"],
        answered["probability"].to_numpy(),
        answered["label"].fill_null(float("nan")).to_numpy(),
        now=context.now,
        label_within=training.label_within,
        block=training.block,
        zone=training.zone,
    )
    by_version = answered.group_by("model", "number").len().sort("model", "number")
    versions = {f"{row['model']}@{row['number']}": row["len"] for row in by_version.iter_rows(named=True)}
    word: Literal["measured", "not enough data yet"] = "measured" if figures.enough else "not enough data yet"
    errors = found.height - answered.height
    return PerformanceReport(name, start, end, answered.height, errors, versions, word, figures, context.now)


@operation("POST /projects/{project}/endpoints/{name}/skew", permission="monitoring.measure", kind="write")
def record_skew(context: Context, name: str, report: SkewReport) -> Report:
    """Keep what a client found when it recomputed served rows: the features' functions are the user's code, which no server runs."""
    endpoint_row(context, name)
    emit(context, "skew.measured", name, {"rows": report.rows, "differing": report.differing})
    return _store(context, name, "skew", report)


@operation("POST /projects/{project}/endpoints/{name}/shadow-reports", permission="monitoring.measure", kind="write")
def record_shadow(context: Context, name: str, report: ShadowReport) -> Report:
    """Keep what a client found when it held a version against what others had decided, with the endpoint that would serve it."""
    check_slug(name, "endpoint's name")
    emit(context, "shadow.measured", name, {"version": report.version, "word": report.contest.word, "rows": report.contest.rows})
    return _store(context, name, "shadow", report)


def _store(context: Context, name: str, kind: str, body: PerformanceReport | ShadowReport | SkewReport) -> Report:
    row = {"project": context.project, "endpoint": name, "kind": kind, "body": body, "at": wall_now()}
    made = context.db.execute(sa.insert(monitoring_reports).values(**row))
    key = made.inserted_primary_key
    assert key is not None
    return _as_report(context.db.execute(sa.select(monitoring_reports).where(monitoring_reports.c.id == key[0])).one())


def _as_report(row: Any) -> Report:  # Any: a SQLAlchemy row
    if row.kind == "skew":
        return Report(row.id, row.endpoint, row.kind, row.at, skew=msgspec.convert(row.body, SkewReport))
    if row.kind == "shadow":
        return Report(row.id, row.endpoint, row.kind, row.at, shadow=msgspec.convert(row.body, ShadowReport))
    return Report(row.id, row.endpoint, row.kind, row.at, performance=msgspec.convert(row.body, PerformanceReport))


@operation("GET /projects/{project}/endpoints/{name}/reports", permission="monitoring.read", kind="read")
def list_reports(context: Context, name: str, kind: str | None = None, limit: int = 20) -> Page[Report]:
    """Reports of an endpoint, newest first."""
    query = sa.select(monitoring_reports).where(monitoring_reports.c.project == context.project, monitoring_reports.c.endpoint == name)
    if kind is not None:
        query = query.where(monitoring_reports.c.kind == kind)
    ordered = query.order_by(monitoring_reports.c.id.desc()).limit(max(1, min(limit, _MAX_LIMIT)))
    return Page([_as_report(row) for row in context.db.execute(ordered)])
