"""A prediction walked back: to the model version, the run, the views and the rows behind its features, the data and the code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion, VersionRef
from clew.clock import from_micros, parse_duration, to_micros
from clew.datasets import service as datasets
from clew.datasets.growth import details_of
from clew.datasets.rows import to_frame
from clew.definitions import FeaturesDefinition, WindowsDefinition, from_document
from clew.errors import NotFound
from clew.feature_store.reader import asked_too_early
from clew.feature_store.schema import UsedView, used_views
from clew.operations import Context, operation
from clew.registry.schema import ModelDetails
from clew.serving import truths
from clew.serving.answers import candidates_of, find_record, to_answer
from clew.serving.records import Record
from clew.serving.routing import brief, get_route
from clew.serving.schema import AnsweredFeature, Explanation, Route
from clew.tracking.service import get_run

if TYPE_CHECKING:
    import polars as pl

__all__ = ["explain", "in_words"]

_MOST_ROWS = 20


@operation("GET /projects/{project}/predictions/{prediction_id}/explanation", permission="serving.read", kind="read")
def explain(context: Context, prediction_id: str) -> Explanation:
    """Everything behind one answer. ``rows`` are, by view, the newest rows behind its features, as known at the request's time."""
    record = find_record(context, prediction_id)
    (truth,) = truths.of(context, [record])
    route = get_route(context, record.endpoint, record.epoch)
    model = catalog.get_version(context, record.model, record.number)
    details = msgspec.convert(model.details, ModelDetails)
    upstream = catalog.lineage(context, model.name, model.number, downstream=False).nodes
    run_id, source, commit = _code(context, model, details)
    tested = details.refit_of or model.ref
    behind = _behind(context, record, route)
    counted = {name: rows for one in behind for name, rows in one.counted.items()}
    return Explanation(
        to_answer(prediction_id, record, truth, candidates_of(context, [record])),
        _features(record, route, counted),
        brief(route),
        model,
        run_id,
        _find(context, details.training_set),
        [version for version in (_find(context, VersionRef(view, number)) for view, number in record.views.items()) if version is not None],
        [] if details.external is not None else [version for version in upstream if version.kind == "dataset"],
        catalog.list_verdicts(context, tested.name, tested.number).items,
        source,
        commit,
        {one.view: [{name: _plain(value) for name, value in row.items()} for row in one.newest.iter_rows(named=True)] for one in behind},
    )


def _find(context: Context, reference: VersionRef | None) -> AssetVersion | None:
    return None if reference is None else catalog.find_version(context, reference.name, reference.number)


def _code(context: Context, model: AssetVersion, details: ModelDetails) -> tuple[str | None, str | None, str | None]:
    """The run that trained the model, the source snapshot, and the commit of git that it stood on."""
    facts: dict[str, Any] = {}
    if model.run_id is not None:
        try:
            facts = get_run(context, model.run_id).facts
        except NotFound:  # registered by hand under an id that was never shipped
            facts = {}
    git, source = facts.get("git"), facts.get("source")
    commit = git.get("commit") if isinstance(git, dict) else None
    digest = source.get("digest") if isinstance(source, dict) else source
    return model.run_id, details.source or digest, commit


def _features(record: Record, route: Route, counted: Mapping[str, int]) -> list[AnsweredFeature]:
    """The model's inputs as it saw them, each with the view that gave it."""
    import numpy as np

    values = np.frombuffer(record.features, "<f4")
    document = route.document_of(record.number)
    brought = {name: use for use in document.uses for name in use.columns}
    found = []
    for name, value in zip(document.features, values.tolist(), strict=False):
        use = brought.get(name)
        known = None if value != value else value
        found.append(AnsweredFeature(name, known, use.view if use else None, use.number if use else None, counted.get(name)))
    return found


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Behind:
    """The rows behind one view: the newest of them, and how many there are behind each of its features."""

    view: str
    newest: "pl.DataFrame"
    counted: dict[str, int]


def _behind(context: Context, record: Record, route: Route) -> list[_Behind]:
    """By view, rows of its dataset for the request's entity that were known at its time; for windows those inside the longest one."""
    if record.error is not None or not record.event_time:
        return []
    kept: dict[str, pl.DataFrame] = {}
    found = []
    for use in used_views(route.document_of(record.number).uses):
        if use.details.kind == "request" or not use.details.inputs:
            continue
        dataset = use.details.inputs[0].name
        if dataset not in kept:
            kept[dataset] = _known(context, dataset, from_micros(record.event_time))
        one = _of_entity(kept[dataset], use, record.row, from_micros(record.event_time))
        if one is not None:
            found.append(one)
    return found


def _known(context: Context, dataset: str, at: datetime) -> "pl.DataFrame":
    """The dataset's rows as known at an instant; appended ones too. Empty for something that is no dataset."""
    import polars as pl

    latest = catalog.latest_version(context, dataset)
    if latest is None or latest.kind != "dataset":
        return pl.DataFrame()
    details = details_of(latest)
    appended = [row.row for row in datasets.read_tail(context, dataset)]
    rows = (
        pl.concat([context.tables.scan(details.pin), _typed(appended, details.columns).lazy()])
        if appended
        else context.tables.scan(details.pin)
    )
    for column in (details.time, details.known):
        if column is not None:
            rows = rows.filter(pl.col(column).dt.epoch("us") <= to_micros(at))
    return (rows.sort(details.time, descending=True) if details.time else rows).collect()


def _typed(rows: list[dict[str, Any]], columns: Any) -> "pl.DataFrame":
    """Appended rows as a frame of the dataset's types."""
    return to_frame([{name: _stored(value) for name, value in row.items()} for row in rows], columns)


def _stored(value: Any) -> Any:
    """A typed value as appended rows are kept: instants as microseconds, days as days since 1970."""
    if isinstance(value, datetime):
        return to_micros(value)
    return value.toordinal() - date(1970, 1, 1).toordinal() if isinstance(value, date) else value


def _of_entity(rows: "pl.DataFrame", use: UsedView, asked: dict[str, Any], at: datetime) -> _Behind | None:
    import polars as pl

    entity = {one.name: asked.get(use.by[one.name]) for one in use.details.entity}
    if rows.is_empty() or any(name not in rows.columns for name in entity):
        return None
    chosen = rows.filter(pl.col(name) == value for name, value in entity.items()) if entity else rows
    definition = from_document(use.details.definition)
    if isinstance(definition, WindowsDefinition) and use.details.time:
        times = chosen[use.details.time].dt.epoch("us")
        spans = [times > to_micros(at - parse_duration(span)) for span in definition.over]
        inside = [int(span.sum()) for span in spans for _ in definition.aggregates]  # columns stand window by window
        longest = max(spans, key=lambda span: int(span.sum()))
        return _Behind(use.view, chosen.filter(longest).head(_MOST_ROWS), dict(zip(use.columns, inside, strict=True)))
    assert isinstance(definition, FeaturesDefinition)
    newest = chosen.head(1)
    return _Behind(use.view, newest, dict.fromkeys(use.columns, newest.height))


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value


# ── words ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _short(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _of_rows(feature: AnsweredFeature, missing: Sequence[str]) -> str:
    """How many rows a value comes from; of a value that is missing though there are rows, why none of them counted."""
    if feature.rows is None:
        return ""
    rows = f"{feature.rows:,} row{'s' if feature.rows != 1 else ''}"
    if feature.value is not None or not feature.rows:
        return f", from {rows}" if feature.rows else ", from no row"
    if feature.view is not None and asked_too_early(feature.view) in missing:
        return f": asked about a time before its online rows begin, and not answered from a part; {rows} of that time are stored"
    return f", and none of {rows} of that time had a value, or was online yet"


def _external(found: Explanation) -> str:
    """That the version is an existing system, and where; empty for one of Clew's."""
    external = found.route.document_of(found.answer.number).external
    return "" if external is None else f", the existing system at {external.url}"


def _is_ungated(found: Explanation) -> bool:
    """Whether no gate spoke for the version that answered. A route that tries a version was made for that one."""
    return found.route.ungated and (found.route.candidate is None or found.answer.by_candidate)


def in_words(found: Explanation) -> str:
    """The explanation for a terminal."""
    answer = found.answer
    asked = ", ".join(f"{name}={value}" for name, value in answer.row.items())
    outcome = {
        "known": f"in truth {answer.truth.value:g}" if answer.truth.value is not None else "",
        "waiting": "the truth is not known yet",
        "unlabelled": "its label never came",
        "none": "no label is declared",
    }[answer.truth.state]
    given = f"failed: {answer.error}" if answer.probability is None else f"answered {answer.probability:.4f}; {outcome}"
    lines = [
        f"{answer.prediction_id} {given}",
        f"  asked    {asked}",
        f"  at       {_short(answer.event_time or answer.at)}, answered {_short(answer.at)} in {answer.latency_us / 1000:.1f} ms",
        f"  by       {found.model.ref}{_external(found)}, route {answer.epoch} of {answer.endpoint}{', ungated' if _is_ungated(found) else ''}",
        *(f"  gate     {verdict.gate}: {verdict.word}, {verdict.reason}" for verdict in found.verdicts),
    ]
    if _external(found):
        lines.append("  features known to the existing system alone")
        return "\n".join(lines)
    lines += [
        f"  run      {found.run_id or 'none'}",
        f"  code     {found.source or 'no snapshot'}{f', git {found.git_commit[:12]}' if found.git_commit else ''}",
    ]
    if found.training_set is not None:
        lines.append(f"  trained  on {found.training_set.ref}: {found.training_set.why}")
    lines += [f"  data     {version.ref}: {version.why}" for version in found.datasets]
    lines.append("  features")
    for feature in found.features:
        value = "missing" if feature.value is None else f"{feature.value:.6g}"
        origin = f"{feature.view}@{feature.number}" if feature.view else "the request"
        lines.append(f"    {feature.name:<24} {value:>12}  {origin}{_of_rows(feature, answer.missing)}")
    newest = [(view, rows[0]) for view, rows in found.rows.items() if rows]
    if newest:
        lines.append("  newest row behind each view")
    for view, row in newest:
        lines.append(f"    {view:<24} " + ", ".join(f"{name}={value}" for name, value in row.items() if value is not None))
    return "\n".join(lines)
