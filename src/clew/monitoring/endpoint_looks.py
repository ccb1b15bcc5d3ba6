"""What a monitor of an endpoint owes: windows that have ended and matured, of each version while it was the champion."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import sqlalchemy as sa

from clew.catalog.schema import gate_verdicts
from clew.clock import parse_duration
from clew.datasets.profile import Profile, profile
from clew.definitions import FeaturesDefinition, MonitorDefinition, from_document
from clew.feature_store.schema import TrainingSetDetails, UsedView, used_views
from clew.feature_store.training_data import block_numbers
from clew.monitoring.arrivals import Arrivals, arrivals_of
from clew.monitoring.due import QUARTERS_A_DAY, Span, first_whole_day, quarters, spans, unit_days, window_days
from clew.monitoring.findings import (
    PREDICTIONS,
    Cause,
    Counts,
    Finding,
    Labelled,
    MissingRate,
    Stale,
    drift,
    missing,
    not_enough,
    performance,
)
from clew.monitoring.outcomes import with_labels
from clew.monitoring.performance_alert import EARLIER_WINDOWS
from clew.monitoring.references import Reference, frame_of, null_rows, of_first_answers, reference_of
from clew.monitoring.regret import paired_regret
from clew.monitoring.schema import SkewReport, Word, monitoring_reports
from clew.monitoring.seen import Seen
from clew.monitoring.tenures import Tenure, answers_of
from clew.monitoring.windows import cell_counts, kept_weeks, of_weeks
from clew.operations import Context
from clew.pipelines.comparison import MINIMUM_BLOCKS, clipped_log_loss
from clew.registry.service import model_version
from clew.serving.documents import training_set_of

if TYPE_CHECKING:
    import polars as pl

__all__ = ["findings_of_tenure", "regret_by_gates", "skew_reports"]

_MOST_REPORTS = 20
_FIRST_ANSWERS = 100
"""Fewer answers in a week give no bins to hold later ones against."""


@dataclass(frozen=True)
class _Ground:
    """What all kinds of look at one tenure share."""

    context: Context
    definition: MonitorDefinition
    tenure: Tenure
    training: TrainingSetDetails | None
    seen: Seen
    read: "dict[tuple[datetime, datetime], pl.DataFrame]" = field(default_factory=dict)
    """Answers by the span that they were read for."""

    @property
    def zone(self) -> str:
        return "UTC" if self.training is None else self.training.zone

    @property
    def block(self) -> str:
        return "1d" if self.training is None else self.training.block

    @property
    def within(self) -> timedelta:
        return timedelta(0) if self.training is None else parse_duration(self.training.label_within)

    @property
    def until(self) -> datetime:
        return min(self.tenure.until or self.context.now, self.context.now)

    def reference(self) -> Reference:
        assert self.training is not None  # the callers look at versions with a training set
        if self.tenure.document.external is not None:
            return self._of_first_week()
        return reference_of(self.context, self.tenure.document, self.training)

    def _of_first_week(self) -> Reference:
        """What an existing system is held against: its own answers in the first week in which it gave enough of them."""
        weeks = spans(first_whole_day(self.tenure.since, self.zone), 7, self.until, self.zone)
        answered = (self.answers(week.start, week.end)["score"].to_numpy() for week in weeks)
        return of_first_answers(next((scores for scores in answered if len(scores) >= _FIRST_ANSWERS), np.empty(0)).astype(np.float64))

    def answers(self, start: datetime, end: datetime) -> "pl.DataFrame":
        assert self.definition.endpoint is not None  # a monitor of a dataset has no tenures
        for (first, last), rows in self.read.items():
            if first <= start and end <= last:
                return _between(rows, start, end)
        with self.context.reading() as inside:
            rows = self.read[start, end] = answers_of(inside, self.definition.endpoint, self.tenure.document, start, end)
        return rows


def findings_of_tenure(context: Context, definition: MonitorDefinition, tenure: Tenure, seen: Seen) -> list[Finding]:
    """Everything that is due and has not been looked at. ``context`` is outside of any transaction."""
    with context.reading() as inside:
        ground = _Ground(context, definition, tenure, training_set_of(inside, tenure.document.training_set), seen)
    first = first_whole_day(tenure.since, ground.zone)
    windows = spans(first, window_days(definition.window, ground.block), ground.until, ground.zone) if definition.performance else []
    matured = [span for span in windows if not seen.has("performance", span) and span.end + ground.within <= context.now]
    weeks = spans(first, 7, ground.until, ground.zone) if definition.drift else []
    new_weeks = [span for span in weeks if not seen.has("drift", span)]
    watched = definition.missing and ground.training is not None and tenure.document.external is None  # it reads none of our views
    new_quarters = [one for one in quarters(tenure.since, ground.until, ground.zone) if not seen.has("missing", one)] if watched else []
    owed = [*matured, *new_weeks, *new_quarters]
    if not owed:
        return []
    ground.answers(min(span.start for span in owed), max(span.end for span in owed))  # the log is read once for all
    found = _performance(ground, windows, matured) + _served_regret(ground, matured)
    return found + _drift(ground, weeks, new_weeks) + _missing(ground, new_quarters)


# ── performance, and what keeping the champion costs ────────────────────────────────────────────────────────────────────────────────


def _performance(ground: _Ground, windows: list[Span], owed: list[Span]) -> list[Finding]:
    if not owed:
        return []
    if ground.training is None:
        why = f"{ground.tenure.version} was registered without a training set, so nothing says what its label is"
        return [not_enough("performance", span, why) for span in owed]
    held = ground.reference().held
    words = {span: ground.seen.words.get(("performance", span.end), "") for span in windows}
    labelled = {span: _labelled(ground, span) for span in _with_earlier(windows, owed)}
    found = []
    for span in owed:
        earlier = [labelled[one] for one in _earlier(windows, span) if words[one] != "worse"]
        judged = performance(
            span, labelled[span], held, earlier, metrics=ground.definition.performance, unit=unit_days(ground.block),
            rate=ground.definition.rate, looks=ground.definition.looks, zone=ground.zone, source=ground.tenure.version,
        )  # fmt: skip
        words[span] = judged.word
        found.append(judged)
    return found


def _earlier(windows: list[Span], span: Span) -> list[Span]:
    place = windows.index(span)
    return windows[max(0, place - EARLIER_WINDOWS) : place]


def _with_earlier(windows: list[Span], owed: list[Span]) -> list[Span]:
    wanted = {one for span in owed for one in (*_earlier(windows, span), span)}
    return [span for span in windows if span in wanted]


def _labelled(ground: _Ground, span: Span) -> Labelled:
    assert ground.training is not None  # nothing is looked up without one
    answered = ground.answers(span.start, span.end)
    with ground.context.reading() as inside:
        rows = with_labels(inside, ground.training, answered)
    there = rows.filter(rows["label"].is_not_null())
    days = block_numbers(there["event_time"], "1d", ground.zone)
    return Labelled(there["label"].to_numpy(), there["score"].to_numpy(), days.astype(np.int64), rows.height - there.height)


def _served_regret(ground: _Ground, owed: list[Span]) -> list[Finding]:
    """From the rows that a fresh model has scored beside the champion while it was tried."""
    if ground.training is None:
        return []
    found = []
    for span in owed:
        pairs = ground.answers(span.start, span.end).drop_nulls("other")
        fresh = _same_recipe(ground, pairs["other_number"].unique().to_list())
        pairs = pairs.filter(pairs["other_number"].is_in(fresh))
        if not pairs.height:
            continue
        with ground.context.reading() as inside:
            rows = with_labels(inside, ground.training, pairs).drop_nulls("label")
        champion, other = (clipped_log_loss(rows["label"].to_numpy(), rows[name].to_numpy()) for name in ("score", "other"))
        days = block_numbers(rows["event_time"], "1d", ground.zone)
        regret = paired_regret(champion, other, days, window=max(2, window_days(ground.definition.window, ground.block)))
        interval = None if regret.mean is None else asdict(regret.mean)
        found.append(_regret(span.start, span.end, interval, regret.blocks, regret.rows, "rows that both scored when served", ""))
    return found


def _same_recipe(ground: _Ground, numbers: list[int]) -> list[int]:
    model = ground.tenure.document.model
    with ground.context.reading() as inside:
        recipe = model_version(inside, model, ground.tenure.document.number).details.recipe
        return [number for number in numbers if model_version(inside, model, number).details.recipe == recipe]


def regret_by_gates(context: Context, tenure: Tenure, seen: Seen) -> list[Finding]:
    """From the gates that have compared a retrained model with the champion, on held-out rows that neither had seen.

    ``context`` is inside a transaction. A changed recipe is no fresh model of the same kind: what it would bring is another question.
    """
    document = tenure.document
    query = sa.select(gate_verdicts).where(
        gate_verdicts.c.project == context.project, gate_verdicts.c.model == document.model, gate_verdicts.c.at >= tenure.since
    )
    if tenure.until is not None:
        query = query.where(gate_verdicts.c.at < tenure.until)
    champion = model_version(context, document.model, document.number)
    own = {champion.version.number, *([champion.details.refit_of.number] if champion.details.refit_of else [])}
    found = []
    for row in context.db.execute(query.order_by(gate_verdicts.c.id)):
        source = f"{row.model}@{row.number}"
        gain = (row.figures.get("report") or {}).get("gain")
        if gain is None or row.number in own or ("regret", source) in seen.sources:
            continue
        challenger = model_version(context, row.model, row.number)
        if challenger.details.recipe != champion.details.recipe:
            continue
        start = challenger.details.seen_until
        found.append(_regret(start, row.at, gain, gain["blocks"], gain["rows"], f"rows held out from {source}", source, passed=row.passed))
        seen.sources.add(("regret", source))  # two gates of one model say the same of it
    return found


def _regret(
    start: datetime | None,
    end: datetime,
    mean: dict[str, Any] | None,
    blocks: int,
    rows: int,
    on: str,
    source: str,
    *,
    passed: bool = False,
) -> Finding:
    """*Worse* by the rule of ``regret.paired_regret``: the whole interval of what the champion cost lies above zero.

    Where the fresh model has ``passed`` its gate it is *better*, and nobody has to do anything: it is on its way.
    """
    figures = {"unit": "days", "blocks": blocks, "rows": rows, "mean": mean, "threshold": 0.0, "on": on}
    if mean is None or blocks < MINIMUM_BLOCKS:
        why = f"{blocks} days, {rows:,} rows; a look needs {MINIMUM_BLOCKS} days"
        return Finding("regret", start, end, "not enough data yet", f"not enough data yet: {why}", figures, source=source)
    word: Word = "safe" if mean["low"] <= 0 else "better" if passed else "worse"
    shown = f"{mean['estimate']:+.4f} nats a row (95 %: {mean['low']:+.4f} to {mean['high']:+.4f}; {blocks} days, {rows:,} rows)"
    who = {
        "safe": "nothing shows that the champion costs more than a fresh model", "better": f"{source} costs less than the champion",
        "worse": "the champion costs more than a fresh model",
    }[word]  # fmt: skip
    summary = f"{word}: {who}; {shown}, on {on}; one look at 95 %"
    causes = (Cause("", "worse", summary),) if word == "worse" else ()
    return Finding("regret", start, end, word, summary, figures, causes, ("",) if word == "safe" else (), source)


# ── drift ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _drift(ground: _Ground, weeks: list[Span], owed: list[Span]) -> list[Finding]:
    if not owed:
        return []
    if ground.training is None:
        why = f"{ground.tenure.version} was registered without a training set, so there is nothing to compare with"
        return [not_enough("drift", span, why) for span in owed]
    reference = ground.reference()
    settled = ground.tenure.document.external is None  # the first answers of an existing system may still come: its weeks are counted anew
    version = ground.tenure.version
    with ground.context.reading() as inside:
        kept = kept_weeks(inside, ground.definition.name, version) if settled else {}

    def count(fresh: list[Span]) -> list[Profile]:
        answers = ground.answers(fresh[0].start, fresh[-1].end)
        return [_profile(reference, _between(answers, week.start, week.end)) for week in fresh]

    windows = of_weeks(weeks, owed, kept, reference.profile, count)
    counted = [cell_counts(window.profile) for window in windows]
    found = []
    for place, span in enumerate(weeks):
        if span in owed:
            columns = {name: _columns(reference, name, counted[: place + 1]) for name in reference.weeks}
            if PREDICTIONS in columns:
                columns[PREDICTIONS] = _with_first_weeks(columns[PREDICTIONS])
            found.append(
                drift(
                    span,
                    [one.start for one in weeks[: place + 1]],
                    columns,
                    reference.impacts,
                    rate=ground.definition.rate,
                    of=reference.views,
                    window=windows[place] if settled else None,
                    source=version,
                )
            )
    return found


def _between(answers: "pl.DataFrame", start: datetime, end: datetime) -> "pl.DataFrame":
    import polars as pl

    return answers.filter(pl.col("event_time") >= start, pl.col("event_time") < end)


def _profile(reference: Reference, answers: "pl.DataFrame") -> Profile:
    """What the features and the answers of a week were, in the reference's bins."""
    import polars as pl

    names = [name for name in reference.weeks if name != PREDICTIONS]
    columns = frame_of(_matrix_of(answers, len(names)), names)
    if PREDICTIONS in reference.weeks:
        columns = pl.DataFrame([*columns.iter_columns(), answers["score"].cast(pl.Float32).alias(PREDICTIONS)])
    return profile(columns, reference.profile)


def _matrix_of(answers: "pl.DataFrame", width: int) -> "np.ndarray[Any, np.dtype[np.float32]]":
    if not answers.height or not width:
        return np.empty((answers.height, width), dtype=np.float32)
    return answers["features"].explode().to_numpy().astype(np.float32, copy=False).reshape(answers.height, width)


def _columns(reference: Reference, name: str, counted: list[dict[str, list[int]]]) -> Counts:
    return Counts(reference.weeks[name], np.array([one[name] for one in counted], dtype=np.int64))


def _with_first_weeks(one: Counts) -> Counts:
    """Held-out weeks are few. The first served ones join them, as far as six are needed: a model's answers to rows that it has trained
    on are too sure of themselves to be compared with."""
    from clew.monitoring.drift import MINIMUM_REFERENCE

    lacking = max(0, MINIMUM_REFERENCE - int((one.reference.sum(axis=1) > 0).sum()))
    if not lacking:
        return one
    filled = one.weeks.sum(axis=1) > 0
    upto = int(np.flatnonzero(filled)[lacking - 1]) + 1 if filled.sum() >= lacking else len(one.weeks)
    rest = np.concatenate([np.zeros_like(one.weeks[:upto]), one.weeks[upto:]])  # places are kept, so that weeks keep their dates
    return Counts(np.concatenate([one.reference, one.weeks[:upto]]), rest)


# ── missing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _missing(ground: _Ground, owed: list[Span]) -> list[Finding]:
    if not owed:
        return []
    assert ground.training is not None  # the caller has asked
    reference = ground.reference()
    answers = ground.answers(owed[0].start, owed[-1].end)
    ages = _ages(ground, ground.training.views)
    looks = ground.definition.looks * window_days(ground.definition.window) * QUARTERS_A_DAY
    found = []
    for span in owed:
        rows = _between(answers, span.start, span.end)
        matrix = _matrix_of(rows, len(ground.tenure.document.features))
        rates = [
            MissingRate(name, rows.height, int(null_rows(matrix, places).sum()), reference.null_rates[name])
            for name, places in reference.positions.items()
        ]
        stale = [Stale(name, one.newest(span.end), limit.total_seconds(), f"its ttl is {ttl}") for name, one, limit, ttl in ages]
        found.append(missing(span, rates, stale, rate=ground.definition.rate, windows=looks, source=ground.tenure.version))
    return found


def _ages(ground: _Ground, views: Iterable[UsedView]) -> list[tuple[str, Arrivals, timedelta, str]]:
    """Each view that declares a ttl, with when its rows became known."""
    found: dict[str, tuple[str, Arrivals, timedelta, str]] = {}
    for use in used_views(views):
        definition = from_document(use.details.definition)
        if not isinstance(definition, FeaturesDefinition) or definition.ttl is None or use.details.kind != "table":
            continue
        known = [one for reference in use.details.inputs if (one := arrivals_of(ground.context, reference.name)) is not None]
        timed = [one for one in known if one.time == definition.time] or known
        if timed:
            # Of several inputs with the view's time, the one that is behind decides: the view is as old as that.
            name = f"{use.prefix}{use.view}"
            oldest = min(timed, key=lambda one: one.newest(ground.context.now) or datetime.min.replace(tzinfo=ground.context.now.tzinfo))
            found[name] = (name, oldest, parse_duration(definition.ttl), definition.ttl)
    return list(found.values())


# ── skew ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def skew_reports(context: Context, endpoint: str, seen: Seen) -> list[Finding]:
    """The reports that were not looked at yet, of the newest ones. They are measured by clients: features are the user's code."""
    query = sa.select(monitoring_reports).where(
        monitoring_reports.c.project == context.project, monitoring_reports.c.endpoint == endpoint, monitoring_reports.c.kind == "skew"
    )
    rows = list(context.db.execute(query.order_by(monitoring_reports.c.id.desc()).limit(_MOST_REPORTS)))[::-1]
    as_looks = (_skew(row.id, msgspec.convert(row.body, SkewReport), min(row.at, context.now)) for row in rows)
    return [one for one in as_looks if ("skew", one.source) not in seen.sources]


def _skew(number: int, report: SkewReport, at: datetime) -> Finding:
    source, end = f"report {number}", report.end or at
    figures: dict[str, Any] = {
        "unit": "values", "rows": report.rows, "cells": report.cells, "differing": report.differing, "largest": report.largest,
        "tolerance": report.tolerance, "features": [
            {"feature": one.feature, "view": one.view, "rows": one.rows, "differing": one.differing, "largest": one.largest}
            for one in report.features if one.differing
        ],
    }  # fmt: skip
    if not report.cells:
        return Finding("skew", report.start, end, "not enough data yet", f"not enough data yet: {report}", figures, source=source)
    causes = tuple(Cause(view, "changed", summary) for view, summary in _by_view(report).items())
    quiet = tuple({one.view.partition("@")[0] for one in report.features} - {one.subject for one in causes})
    word: Word = "changed" if causes else "safe"
    return Finding("skew", report.start, end, word, f"{word}: {report}", figures, causes, quiet, source)


def _by_view(report: SkewReport) -> dict[str, str]:
    """For each view that differs, what and how much: such a difference is a bug or a delay that its definition doesn't model."""
    told: dict[str, list[str]] = {}
    for one in report.features:
        if one.differing:
            told.setdefault(one.view.partition("@")[0], []).append(f"{one.feature} in {one.differing:,} of {one.rows:,} rows")
    return {view: f"served and recomputed values differ: {', '.join(parts)}" for view, parts in told.items()}
