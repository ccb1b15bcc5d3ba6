"""A version in the shadow of an existing system: scored on rows that people, or another system, have decided already.

On a client's side, since features are computed by the user's functions: the rows are found by their keys, scored as known at their event
time, and held against what was decided on the labels that have matured.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from clew.access.service import get_project
from clew.backend import Backend
from clew.catalog import service as catalog
from clew.clock import parse_duration, wall_now
from clew.datasets.reading import scan_version
from clew.datasets.schema import DatasetDetails
from clew.errors import Invalid, NotFound, Refused
from clew.monitoring.decisions import Contest, judge_decisions, judge_scores, labels_follow
from clew.monitoring.schema import ShadowReport
from clew.monitoring.service import record_shadow
from clew.pipelines.comparison import MINIMUM_BLOCKS, unit_of
from clew.registry.service import model_version
from clew.serving.documents import model_document
from clew.serving.loading import Kept, functions_of
from clew.serving.schema import RouteDocument

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from clew.feature_store.functions import ViewFunction
    from clew.feature_store.schema import TrainingSetDetails

__all__ = ["shadow"]

_YES_AND_NO = {"yes": 1.0, "true": 1.0, "1": 1.0, "no": 0.0, "false": 0.0, "0": 0.0}
_DECIDED = "_decided"


def shadow(
    backend: Backend,
    reference: str,
    decisions: "Path | pl.DataFrame",
    endpoint: str,
    *,
    column: str | None = None,
    margin: float = 0.01,
    threshold: float | None = None,
    functions: "Mapping[str, ViewFunction] | None" = None,
) -> ShadowReport:
    """Hold a version against what was decided about the same rows, and keep the report with the endpoint.

    ``decisions`` names rows by the training set's key, with a ``column`` of yes and no, or of probabilities; the only other one where
    none is named. ``functions`` are the views' own, by view; without, they come from the source snapshots of the version.
    Raises ``Invalid`` for a file that can't be read so, with the row.
    """
    import numpy as np

    from clew.feature_store.training_data import block_numbers, block_of

    document, details, seen_until = _version(backend, reference)
    given, name = _read(decisions, details.key, column)
    rows = _with_labels(backend, details, _joined(backend, document, details, given))
    unknown = given.height - rows.height
    if given.height and not rows.height:
        raise NotFound(
            f"none of the {given.height:,} keys in {_source(decisions)} is in {details.spine.name}; it is keyed by {', '.join(details.key)}"
        )
    numbers = block_numbers(rows[details.time], details.block, details.zone)
    now = backend.call(get_project).event_time or wall_now()
    matured = numbers < block_of(now - parse_duration(details.label_within), details.block, details.zone)
    fresh = np.ones(len(numbers), np.bool_) if seen_until is None else numbers > block_of(seen_until, details.block, details.zone)
    labelled = rows["_label"].is_not_null().to_numpy()
    judged = matured & fresh & labelled
    part = rows.filter(judged)
    scores, whole = _scores(backend, document, part, functions)
    contest = _contest(part.filter(whole), scores[whole], numbers[judged][whole], margin, threshold)
    reason = _why_nothing(rows.filter(matured & fresh), contest, details.block)
    report = ShadowReport(
        endpoint, f"{document.model}@{document.number}", _source(decisions), name, given.height, unknown, int((~fresh).sum()),
        int((~matured & fresh).sum()), int((matured & fresh & ~labelled).sum()), int((~whole).sum()), details.block,
        replace(contest, word="not enough data yet") if reason else contest, reason, now,
    )  # fmt: skip
    backend.call(record_shadow, endpoint, report)
    return report


def _version(backend: Backend, reference: str) -> "tuple[RouteDocument, TrainingSetDetails, datetime | None]":
    from clew.feature_store.schema import training_set_details

    version = backend.call(catalog.resolve, reference)
    found = backend.call(model_version, version.name, version.number)
    document = backend.call(model_document, version.name, version.number)
    if document.external is not None:
        raise Refused(
            f"{version.ref} is the existing system at {document.external.host}, which can't be asked about the past: hold a version of Clew's "
            "against what it decided"
        )
    if document.training_set is None:
        raise Invalid(f"{version.ref} was registered without a training set, so nothing says which rows the decisions are about")
    training = backend.call(catalog.get_version, document.training_set.name, document.training_set.number)
    return document, training_set_details(training), found.details.seen_until


def _source(decisions: "Path | pl.DataFrame") -> str:
    return decisions.name if isinstance(decisions, Path) else "a frame"


# ── what was decided ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _read(decisions: "Path | pl.DataFrame", key: tuple[str, ...], column: str | None) -> "tuple[pl.DataFrame, str]":
    """The keys as they were given, with what was decided as a number from 0 to 1; and the column that said it."""
    import polars as pl
    from polars.exceptions import PolarsError

    frame = decisions
    if isinstance(frame, Path):
        try:
            frame = pl.read_csv(frame, infer_schema=False)
        except (PolarsError, OSError) as error:
            raise Invalid(f"{decisions} can't be read as a CSV file: {error}") from error
    absent = [name for name in key if name not in frame.columns]
    if absent:
        raise Invalid(f"the decisions lack the key column {absent[0]!r}; rows are named by {', '.join(key)}")
    others = [name for name in frame.columns if name not in key]
    if column is None and len(others) != 1:
        raise Invalid(f"say which column is the decision, with --decision: there are {', '.join(others) or 'none but the key'}")
    name = column or others[0]
    if name not in others:
        raise Invalid(f"the decisions have no column {name!r}; there are {', '.join(others)}")
    values = [_number(place, value, name) for place, value in enumerate(frame[name])]
    made = frame.select(key).with_columns(pl.Series(_DECIDED, values, dtype=pl.Float64))
    once = made.unique(maintain_order=True)
    twice = once.filter(once.select(key).is_duplicated())
    if twice.height:
        named = ", ".join(f"{name}={value}" for name, value in zip(key, twice.select(key).row(0), strict=True))
        raise Invalid(f"two decisions differ about the row with {named}; keep the one that counted")
    return once, name


def _number(place: int, value: Any, column: str) -> float:
    """Yes and no, or a probability. ``place`` counts rows from 0; a file's first row stands in its second line."""
    text = str(value).strip().lower()
    found = _YES_AND_NO.get(text)
    if found is None:
        try:
            found = float(text)
        except ValueError:
            found = float("nan")
    if not 0 <= found <= 1:
        raise Invalid(
            f"row {place + 1}: {column!r} is {value!r}; a decision is yes or no, true or false, 1 or 0, or a probability", row=place
        )
    return found


def _joined(backend: Backend, document: RouteDocument, details: "TrainingSetDetails", given: "pl.DataFrame") -> "pl.DataFrame":
    """The spine's rows that were decided about, those that were appended and not cut yet among them."""
    newest = backend.call(catalog.resolve, details.spine.name)
    spine = scan_version(backend, newest.name, newest.number, include_tail=True).collect()
    absent = [field.name for field in document.fields if field.name not in spine.columns]
    if absent:
        raise Invalid(f"{newest.ref} has no column {absent[0]!r}, which requests name; its rows can't be scored without")
    keys = given.with_columns(_typed(given[name], spine.schema[name]) for name in details.key)
    return spine.join(keys, on=list(details.key), how="inner", maintain_order="left")


def _typed(texts: "pl.Series", dtype: "pl.DataType") -> "pl.Series":
    """A key's column in the type of the spine's. Raises ``Invalid`` with the first value that can't be one."""
    import polars as pl
    from polars.exceptions import PolarsError

    if texts.dtype == dtype:
        return texts
    try:
        if isinstance(dtype, pl.Datetime) and texts.dtype == pl.String:
            return pl.Series(texts.name, [_instant(text, dtype.time_zone) for text in texts], dtype=dtype)
        if isinstance(dtype, pl.Date) and texts.dtype == pl.String:
            return pl.Series(texts.name, [date.fromisoformat(text) for text in texts], dtype=dtype)
        return texts.cast(dtype)
    except (PolarsError, ValueError, TypeError) as error:
        raise Invalid(f"the key {texts.name!r} can't be read as {dtype}: {error}") from error


def _instant(text: str, zone: str | None) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no zone; write its offset, such as {text}+00:00")
    return found.astimezone(ZoneInfo(zone or "UTC"))


# ── what came of it, and what the version says ──────────────────────────────────────────────────────────────────────────────────────


def _with_labels(backend: Backend, details: "TrainingSetDetails", rows: "pl.DataFrame") -> "pl.DataFrame":
    """The rows with ``_label``, true or false, null where none came in time."""
    import msgspec
    import polars as pl

    newest = backend.call(catalog.resolve, details.label_dataset.name)
    of_label = msgspec.convert(newest.details, DatasetDetails)
    came = of_label.known or of_label.time
    brought = scan_version(backend, newest.name, newest.number, include_tail=True).collect()
    labels = brought.select(*of_label.key, _label=pl.col(details.label), **({"_came": pl.col(came)} if came else {}))
    within = parse_duration(details.label_within) // timedelta(microseconds=1)
    in_time = pl.col("_came").dt.epoch("us") - pl.col("_asked") <= within if came else pl.lit(value=True)
    joined = rows.with_columns(_asked=pl.col(details.time).dt.epoch("us")).join(
        labels, on=list(of_label.key), how="left", maintain_order="left"
    )
    values = joined["_label"].drop_nulls().cast(pl.Float64)
    if not values.is_in([0.0, 1.0]).all():
        raise Invalid(f"the label {details.label!r} is no yes or no: decisions about a number can't be held against it")
    return joined.with_columns(_label=pl.when(in_time).then(pl.col("_label").cast(pl.Float64)).cast(pl.Boolean))


def _scores(
    backend: Backend, document: RouteDocument, rows: "pl.DataFrame", functions: "Mapping[str, ViewFunction] | None"
) -> "tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]":
    """What the version says of each row as known at its time; and whether it says anything, which one without missing values may not."""
    import numpy as np

    from clew.feature_store.reading import recompute
    from clew.registry.runtime import load_onnx

    if not rows.height:
        return np.zeros(0), np.zeros(0, np.bool_)
    kept = Kept(backend.settings, backend.project)
    if functions is None:
        functions = functions_of(document, kept, backend)
    assert document.time is not None  # a training set has one
    features = recompute(backend, rows, document.time, document.uses, dict(functions))
    matrix = np.ascontiguousarray(features.select(document.features).to_numpy(), np.float32)
    whole = np.ones(rows.height, np.bool_) if document.takes_missing else ~np.isnan(matrix).any(axis=1)
    scores = np.full(rows.height, np.nan)
    if whole.any():
        scores[whole] = load_onnx(kept.model(document.onnx, backend))(matrix[whole])
    return scores, whole & np.isfinite(scores)


def _contest(
    rows: "pl.DataFrame", scores: "npt.NDArray[np.float64]", blocks: "npt.NDArray[np.int64]", margin: float, threshold: float | None
) -> Contest:
    import numpy as np

    labels, given = rows["_label"].to_numpy().astype(np.bool_), rows[_DECIDED].to_numpy()
    if np.isin(given, (0.0, 1.0)).all():
        return judge_decisions(labels, given == 1.0, scores, blocks, margin=margin, threshold=threshold)
    return judge_scores(labels, given, scores, blocks, margin=margin)


def _why_nothing(rows: "pl.DataFrame", contest: Contest, block: str) -> str:
    """Why the rows that have been decided and labelled say nothing, in words; empty where they do, or where more of them would."""
    decided = rows.filter(rows["_label"].is_not_null())[_DECIDED].unique()
    if contest.rows and len(decided) == 1 and decided[0] in (0.0, 1.0):
        return (
            f"{'yes' if decided[0] else 'no'} was decided about all of these rows, which tells none from another; bring rows that got a yes "
            "and such that got a no, or say with --decision which column is the decision"
        )
    reason = _selection(rows) if contest.measure == "wrong decisions" else ""
    if not reason and contest.rows and contest.blocks < MINIMUM_BLOCKS:
        return f"a comparison takes decisions on at least {MINIMUM_BLOCKS} {unit_of(block)}"
    return reason


def _selection(rows: "pl.DataFrame") -> str:
    """Why the labelled rows say nothing about the others, in words; empty where they do."""
    yes, no = (rows.filter(rows[_DECIDED] == value) for value in (1.0, 0.0))
    had = [part["_label"].len() - part["_label"].null_count() for part in (yes, no)]
    if not labels_follow(yes.height, had[0], no.height, had[1]):
        return ""
    shares = [count / part.height for count, part in zip(had, (yes, no), strict=True)]
    return (
        f"labels came for {shares[0] * 100:.0f} % of the rows that got a yes and {shares[1] * 100:.0f} % of those that got a no: what is "
        "known of them was chosen by the decision, and a comparison would be too"
    )
