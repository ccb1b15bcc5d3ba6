"""What looks find, from arrays alone: performance, drift and missing data, each with its word, threshold, unit and rate. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from clew.monitoring.drift import MINIMUM_REFERENCE, changed_at, evidence
from clew.monitoring.due import Span
from clew.monitoring.performance import by_day
from clew.monitoring.performance_alert import Look, look_at_auc, look_at_mean, too_few
from clew.monitoring.schema import MonitorKind, Word
from clew.monitoring.windows import Window
from clew.pipelines.comparison import MINIMUM_BLOCKS, clipped_log_loss
from clew.pipelines.intervals import auc_interval, blocked_mean

__all__ = [
    "PREDICTIONS", "Cause", "Counts", "Finding", "Impact", "Labelled", "MissingRate", "Stale", "drift", "missing", "not_enough", "performance", "performance_word",
]  # fmt: skip

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

PREDICTIONS = "predictions"
"""The subject of drift in what the model answers."""
_LAST_WEEKS = 4
_SHOWN = {"auc": "AUC", "log_loss": "log loss"}


@dataclass(frozen=True)
class Cause:
    """Why an alert is open: a feature, a view, a column, or nothing narrower than the kind.

    ``since`` is when it came about, where that is known: what a person has said of an alert since then stands.
    """

    subject: str
    word: Word
    summary: str
    since: datetime | None = None


@dataclass(frozen=True)
class Finding:
    """One look, before it is kept. ``causes`` want somebody; ``quiet`` are the subjects that were judged and don't.
    ``window`` is what the columns held, where the look has counted it."""

    kind: MonitorKind
    start: datetime | None
    end: datetime
    word: Word
    summary: str
    figures: dict[str, Any]
    causes: tuple[Cause, ...] = ()
    quiet: tuple[str, ...] = ()
    source: str = ""
    window: Window | None = None


def not_enough(kind: MonitorKind, span: Span, why: str, **figures: Any) -> Finding:
    """A look that can't say anything yet, and why. It neither opens an alert nor resolves one."""
    return Finding(kind, span.start, span.end, "not enough data yet", f"not enough data yet: {why}", figures)


# ── performance ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Labelled:
    """Labelled rows that the version had not seen when it scored them, with the local day of each; ``unlabelled`` got no label in time."""

    labels: Floats
    scores: Floats
    days: Integers
    unlabelled: int = 0

    def __len__(self) -> int:
        return len(self.labels)


def performance(
    span: Span,
    window: Labelled,
    held: Labelled,
    earlier: Sequence[Labelled] = (),
    *,
    metrics: Sequence[str],
    unit: int,
    rate: float,
    looks: int,
    zone: str = "UTC",
    source: str = "",
) -> Finding:
    """Is the window worse than unseen rows? These are the rows ``held`` out and, as a version ages, its ``earlier`` windows.

    All are cut into whole weeks (``unit`` days): those of the window count from its first day, others back from their last. What each
    day of the window gave is kept in the figures, and judges nothing.
    """
    days = len(np.unique(window.days))
    counted: dict[str, Any] = {
        "unit": "days", "days": days, "rows": len(window), "unlabelled": window.unlabelled, "rate": rate, "looks": looks,
    }  # fmt: skip
    wrong = ~np.isin(window.labels, (0.0, 1.0))
    if wrong.any():
        return not_enough("performance", span, f"AUC and log loss need labels that are 0 or 1, not {window.labels[wrong][0]:g}", **counted)
    counted["by_day"] = by_day(window.labels, window.scores, window.days, zone)
    if days < MINIMUM_BLOCKS:
        why = f"{days} days with labels, {len(window):,} rows; a look needs {MINIMUM_BLOCKS} days"
        return not_enough("performance", span, why, **counted)
    held_out = _whole_weeks(held, unit)
    known = [part for part in (held_out, *(_whole_weeks(one, unit) for one in earlier)) if len(part[0])]
    figures = counted | {"judged_by": f"blocks of {unit} days", "metrics": {}}
    shift = 0
    labels, scores, blocks = [window.labels], [window.scores], [(window.days - span.day) // unit]
    for one_labels, one_scores, weeks in known:
        shift += int(weeks.max()) + 1
        labels, scores, blocks = [*labels, one_labels], [*scores, one_scores], [*blocks, weeks - shift]
    recent = np.repeat([True, False], [len(window), sum(len(one) for one in labels[1:])])
    together = np.concatenate(labels), np.concatenate(scores), np.concatenate(blocks)
    for metric in metrics:
        found = None if not known else _look(metric, *together, recent, looks=looks * len(metrics), rate=rate)
        figures["metrics"][metric] = _figure(metric, window, found)
    figures["reference_weeks"] = len(np.unique(together[2][~recent]))
    figures["window_weeks"] = len(np.unique(blocks[0]))
    word = performance_word([one["word"] for one in figures["metrics"].values()])
    short = too_few(
        figures["reference_weeks"], figures["window_weeks"], len(np.unique(held_out[2])), looks=looks, rate=rate, metrics=len(metrics), unit=unit
    )  # fmt: skip
    summary = "; ".join([_performance_in_words(word, figures), *([short] if short else [])])
    causes = (Cause("", "worse", summary),) if word == "worse" else ()
    return Finding("performance", span.start, span.end, word, summary, figures, causes, ("",) if word == "safe" else (), source)


def performance_word(words: Sequence[str]) -> Word:
    """*worse* when one metric is; *not enough data yet* when none could be judged."""
    if "worse" in words:
        return "worse"
    return "safe" if "safe" in words else "not enough data yet"


def _whole_weeks(rows: Labelled, unit: int) -> tuple[Floats, Floats, Integers]:
    """The rows of whole weeks counted back from the last day, and the number of each row's week from the oldest."""
    if not len(rows):
        return rows.labels, rows.scores, rows.days
    last = int(rows.days.max())
    count = (last - int(rows.days.min()) + 1) // unit
    weeks = count - 1 - (last - rows.days) // unit
    inside = weeks >= 0
    return rows.labels[inside], rows.scores[inside], weeks[inside]


def _look(metric: str, labels: Floats, scores: Floats, blocks: Integers, recent: npt.NDArray[np.bool_], *, looks: int, rate: float) -> Look:
    if metric == "auc":
        return look_at_auc(labels, scores, blocks, recent, looks=looks, rate=rate)
    return look_at_mean(clipped_log_loss(labels, scores), blocks, recent, looks=looks, rate=rate)


def _figure(metric: str, window: Labelled, found: Look | None) -> dict[str, Any]:
    if metric == "log_loss":
        interval = blocked_mean(clipped_log_loss(window.labels, window.scores), window.days)
    elif len(np.unique(window.labels)) == 2:
        interval = auc_interval(window.labels, window.scores, window.days)
    else:
        interval = None
    said = "not enough data yet" if found is None else {"not worse": "safe"}.get(found.word, found.word)
    told = {"word": said, "interval": None if interval is None else asdict(interval)}
    if found is None:
        return told | {"reference": None, "threshold": None, "p_value": None, "level": None}
    return told | {
        "reference": _number(found.reference), "threshold": _number(found.threshold), "p_value": found.p_value, "level": found.level,
    }  # fmt: skip


def _performance_in_words(word: Word, figures: dict[str, Any]) -> str:
    told = []
    for metric, one in figures["metrics"].items():
        interval = one["interval"]
        if interval is None:
            told.append(f"{_SHOWN[metric]} can't be had from rows of one class")
            continue
        measured = f"{_SHOWN[metric]} {interval['estimate']:.3f} (95 %: {interval['low']:.3f} to {interval['high']:.3f})"
        against = "" if one["reference"] is None else f" against {one['reference']:.3f} on unseen rows"
        limit = "" if one["threshold"] is None else f", worse from {one['threshold']:.3f} on"
        told.append(measured + against + limit)
    counted = f"{figures['days']} days, {figures['rows']:,} rows"
    rule = f"by weeks, {figures['rate'] * 100:.0f} % in a run of {figures['looks']} looks"
    return f"{word}: {'; '.join(told)}; {counted}; {rule}"


def _number(value: float | None) -> float | None:
    """As JSON can hold it."""
    return None if value is None or not math.isfinite(value) else float(value)


# ── drift ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Counts:
    """One feature's histograms by week, ``(weeks, cells)`` each: of the reference, and since the version answers."""

    reference: Integers
    weeks: Integers


@dataclass(frozen=True)
class Impact:
    """The mean score that the reference's rows had in each cell, ``(cells,)``; NaN where it had none."""

    scores: Floats


def drift(
    span: Span,
    starts: Sequence[datetime],
    columns: Mapping[str, Counts],
    impacts: Mapping[str, Impact],
    *,
    rate: float,
    of: Mapping[str, str] | None = None,
    window: Window | None = None,
    source: str = "",
) -> Finding:
    """Which columns have changed since training? ``starts`` are those of the weeks so far, the newest of which is the span's.

    Weeks with less than a tenth of the reference's rows wait for the next and are judged with it. Missing values are none of these
    histograms: they have a look of their own.
    """
    judged = {name: one for name, one in columns.items() if _has_reference(one.reference)}
    figures: dict[str, Any] = {"unit": "weeks", "weeks": len(starts), "rate": rate, "features": []}
    if not judged:
        why = f"the reference has fewer than {MINIMUM_REFERENCE} weeks"
        return Finding("drift", span.start, span.end, "not enough data yet", f"not enough data yet: {why}", figures, (), (), source, window)
    figures["threshold"] = len(columns) / rate
    pooled = {name: _pooled(one) for name, one in judged.items()}
    told = [_told(name, pooled[name], judged[name], starts, len(columns), rate, impacts.get(name), of or {}) for name in judged]
    told.sort(key=lambda one: (one["word"] != "changed", -abs(one["impact"] or 0.0), -one["log_evidence"], one["feature"]))
    figures["features"] = told
    figures["impact"] = (
        "how far the mean score moves when nothing but this column's shares move, at the mean score that each of its bins had in the reference"
    )
    changed = [one for one in told if one["word"] == "changed"]
    word: Word = "changed" if changed else "safe" if any(one["weeks"] for one in told) else "not enough data yet"
    causes = tuple(Cause(one["feature"], "changed", _drift_in_words(one, figures), one["since"]) for one in changed)
    quiet = tuple(one["feature"] for one in told if one["word"] == "safe")
    return Finding(
        "drift", span.start, span.end, word, _all_drift_in_words(word, told, figures), figures, causes, quiet, source, window
    )  # fmt: skip


def _has_reference(reference: Integers) -> bool:
    return int((reference.sum(axis=1) > 0).sum()) >= MINIMUM_REFERENCE if reference.size else False


def _pooled(one: Counts) -> tuple[Integers, list[int]]:
    """Weeks with too few rows joined to the next, and the index of the last week in each."""
    rows = one.reference.sum(axis=1)
    enough = max(1.0, float(np.median(rows[rows > 0])) / 10)
    groups: list[Integers] = []
    ends: list[int] = []
    waiting = np.zeros(one.reference.shape[1], dtype=np.int64)
    for index, week in enumerate(one.weeks):
        waiting = waiting + week
        if waiting.sum() >= enough:
            groups.append(waiting)
            ends.append(index)
            waiting = np.zeros_like(waiting)
    return np.array(groups, dtype=np.int64).reshape(len(groups), one.reference.shape[1]), ends


def _told(
    name: str,
    pooled: tuple[Integers, list[int]],
    one: Counts,
    starts: Sequence[datetime],
    columns: int,
    rate: float,
    impact: Impact | None,
    of: Mapping[str, str],
) -> dict[str, Any]:
    weeks, ends = pooled
    told: dict[str, Any] = {"feature": name, "view": of.get(name), "weeks": len(weeks), "log_evidence": 0.0, "since": None, "impact": None}
    if not len(weeks):
        return told | {"word": "not enough data yet"}
    reference = one.reference[one.reference.sum(axis=1) > 0]
    logs = evidence(reference, weeks)
    crossed = changed_at(logs, features=columns, alpha=rate)
    recent, before = weeks[-_LAST_WEEKS:].sum(axis=0), reference.sum(axis=0)
    moved = recent / recent.sum() - before / before.sum()
    effect = None
    if impact is not None:
        centre = np.nansum(np.where(before > 0, before * np.nan_to_num(impact.scores), 0)) / max(before.sum(), 1)
        effect = float((moved * np.where(np.isfinite(impact.scores), impact.scores, centre)).sum())
    return told | {
        "word": "safe" if crossed is None else "changed", "log_evidence": float(logs[-1]), "impact": effect,
        "since": None if crossed is None else starts[ends[crossed]], "moved": float(np.abs(moved).sum() / 2),
    }  # fmt: skip


def _drift_in_words(one: dict[str, Any], figures: dict[str, Any]) -> str:
    effect = "" if one["impact"] is None else f", which moves the mean score by {one['impact']:+.3f}"
    shown = f"{one['moved'] * 100:.0f} % of its rows lie elsewhere than in training{effect}"
    rule = f"by weeks since {one['since']:%Y-%m-%d}, threshold {figures['threshold']:g} at {figures['rate'] * 100:.0f} % a run"
    return f"{one['feature']}: {shown}; {rule}"


def _all_drift_in_words(word: Word, told: list[dict[str, Any]], figures: dict[str, Any]) -> str:
    changed = [one["feature"] for one in told if one["word"] == "changed"]
    rule = f"{figures['weeks']} weeks, evidence of {figures['threshold']:g} needed, {figures['rate'] * 100:.0f} % a run for all columns together"
    if changed:
        named = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        ranked = ", by their impact on the score" if any(one["impact"] is not None for one in told) else ""
        return f"changed: {named}{ranked}; {rule}"
    return f"{word}: none of {len(told)} columns has changed; {rule}" if word == "safe" else f"{word}: too few rows so far; {rule}"


# ── missing ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class MissingRate:
    """How often something was missing in the window, and the most that a quarter of a day of the reference lets one expect."""

    subject: str
    rows: int
    missing: int
    expected: float | None


@dataclass(frozen=True)
class Stale:
    """The newest row behind a view or dataset as known at the window's end, and how old it may be."""

    subject: str
    newest: datetime | None
    limit_seconds: float
    limit: str
    """The limit in words: *its ttl of 3h*."""


def missing(span: Span, rates: Sequence[MissingRate], stale: Sequence[Stale], *, rate: float, windows: int, source: str = "") -> Finding:
    """Is more missing than in training, or is something older than it may be? ``windows`` is how many looks a run has.

    Each rate has an exact binomial test at ``rate / (windows · subjects)``. Age is held against a declared limit, which has no rate.
    """
    level = rate / (windows * max(1, len(rates)))
    told: dict[str, dict[str, Any]] = {}
    for one in rates:
        told[one.subject] = {"subject": one.subject, "rows": one.rows, "missing": one.missing, "expected": one.expected} | _rate_word(
            one, level
        )
    for item in stale:
        row = told.setdefault(item.subject, {"subject": item.subject, "word": "not enough data yet", "why": ""})
        row |= _age(item, span.end)
        if row["stale"]:
            row |= {"word": "missing", "why": "; ".join(part for part in (_stale_in_words(item, span.end), row["why"]) if part)}
        elif row["word"] == "not enough data yet" and row["age_seconds"] is not None:
            row["word"] = "safe"
    figures = {"unit": "rows", "rate": rate, "windows": windows, "level": level, "subjects": list(told.values())}
    gone = [one for one in told.values() if one["word"] == "missing"]
    word: Word = "missing" if gone else "safe" if any(one["word"] == "safe" for one in told.values()) else "not enough data yet"
    summary = f"{word}: " + (
        "; ".join(f"{one['subject']}: {one['why']}" for one in gone) if gone
        else f"nothing more than in the reference; {rate * 100:.0f} % a run" if word == "safe"
        else f"{_few_rows(rates)}, and nothing with a limit on its age"
    )  # fmt: skip
    causes = tuple(Cause(one["subject"], "missing", one["why"]) for one in gone)
    quiet = tuple(one["subject"] for one in told.values() if one["word"] == "safe")
    return Finding("missing", span.start, span.end, word, summary, figures, causes, quiet, source)


def _few_rows(rates: Sequence[MissingRate]) -> str:
    rows = max((one.rows for one in rates), default=0)
    if not rows:
        return "no rows"
    return f"{rows:,} row{'s' if rows > 1 else ''}, too few here or in the reference to tell"


def _rate_word(one: MissingRate, level: float) -> dict[str, Any]:
    if one.expected is None or not one.rows:
        return {"word": "not enough data yet", "why": "", "p_value": None}
    if one.expected**one.rows > level:  # all of so few rows could be missing by chance
        return {"word": "not enough data yet", "why": "", "p_value": None}
    from scipy.special import bdtrc  # the binomial's tail; scipy.stats takes a second or more to import

    p_value = float(bdtrc(one.missing - 1, one.rows, one.expected))
    if p_value > level:
        return {"word": "safe", "why": "", "p_value": p_value}
    why = f"nothing known for {one.missing:,} of {one.rows:,} rows, where up to {one.expected * 100:.1f} % may be expected"
    return {"word": "missing", "why": why, "p_value": p_value}


def _age(item: Stale, at: datetime) -> dict[str, Any]:
    age = None if item.newest is None else (at - item.newest).total_seconds()
    stale = age is None or age > item.limit_seconds
    return {"newest": item.newest, "age_seconds": age, "limit_seconds": item.limit_seconds, "stale": stale}


def _stale_in_words(item: Stale, at: datetime) -> str:
    if item.newest is None:
        return f"there is no row at all; {item.limit}"
    hours = (at - item.newest).total_seconds() / 3_600
    return f"the newest row is {hours:,.1f} hours old, of {item.newest:%Y-%m-%d %H:%M} UTC; {item.limit}"
