"""Judging a version: the user's gate on rows that no model has seen, and what every gate checks and reports beside it.

Sources
-------
Holm (1979), *A simple sequentially rejective multiple test procedure*: slices are judged together.
Breck et al. (2017), *The ML Test Score*: slices, staleness of inputs and invariances as tests of a model, not of its code.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from clew.errors import Invalid
from clew.pipelines.comparison import MINIMUM_BLOCKS, Candidate, Verdict, check_unseen, clipped_log_loss, unit_of, unseen

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from clew.feature_store.schema import UsedView
    from clew.feature_store.training_data import TrainingData

__all__ = ["GatedView", "MissingView", "check_unseen", "gated_views", "judge", "report", "row_counts"]

HARM_TOLERANCE = 0.02
"""Nats of log loss that a slice may lose against the champion: the tolerance of the harm guard in ``docs/explanation/statistics.md``."""

GateFunction = Callable[[Candidate, Candidate | None, "TrainingData"], Verdict]


@dataclass(frozen=True)
class GatedView:
    """What a gate needs to know of a view: its features, the columns it is looked up by, and its declared answer when nothing is known."""

    columns: tuple[str, ...]
    by: tuple[str, ...] = ()
    missing: str | float | None = None


def gated_views(used: "Sequence[UsedView]") -> dict[str, GatedView]:
    """The views of a training set by name, with their prefixes where one serves several roles."""
    return {
        f"{one.prefix}{one.view}": GatedView(one.columns, tuple(one.by.values()), one.details.definition.get("missing"))
        for one in used
    }  # fmt: skip


def judge(
    gate: GateFunction,
    challenger: Candidate,
    champion: Candidate | None,
    data: "TrainingData",
    *,
    views: "Mapping[str, GatedView | Sequence[str]] | None" = None,
    slices: Sequence[str] = (),
    immaterial: Sequence[str] = (),
) -> Verdict:
    """The gate's verdict on the rows that neither model has seen, with a report in ``figures["report"]``.

    What the report finds can stop a version that the gate let through: scores that are no better than chance where there is no
    champion to compare with, a slice that loses against the champion, an invariance that doesn't hold. It never lets one through.
    ``immaterial`` names features that must not change a score.
    """
    rows = unseen(data, challenger, champion)
    blocks, unit = row_counts(rows)
    if blocks < MINIMUM_BLOCKS:
        reason = f"{blocks} {unit}, {len(rows):,} rows that no model has seen: a gate needs at least {MINIMUM_BLOCKS} {unit}"
        return Verdict(False, "not enough data yet", reason, {"blocks": blocks, "rows": len(rows), "unit": unit})
    verdict: object = gate(challenger, champion, rows)  # the user's own function: its annotation promises, and may not keep
    if not isinstance(verdict, Verdict):
        name = getattr(gate, "__name__", "the gate")
        raise Invalid(
            f"{name} returned {verdict!r}; a gate returns a verdict: clew.passed(reason), clew.failed(reason) or one of clew.compare()"
        )
    found = report(challenger, rows, views or {}, slices, champion=champion, immaterial=immaterial)
    verdict = replace(verdict, figures={**verdict.figures, "report": found})
    if champion is None:
        verdict = replace(verdict, reason=f"{verdict.reason}: {_own_figures(found)}")
    objection = _objection(found, alone=champion is None)
    if verdict.passed and objection is not None:
        word, reason = objection
        return replace(verdict, passed=False, word=word, reason=f"{reason}. The gate itself had passed it: {verdict.reason}")
    return verdict


def row_counts(data: "TrainingData") -> tuple[int, str]:
    """How many independent blocks the rows are, and what one is called."""
    import numpy as np

    return len(np.unique(data.blocks())), unit_of(data.block)


def _own_figures(found: dict[str, Any]) -> str:
    auc, loss = found["auc"], found["log_loss"]
    area = f"AUC {auc['estimate']:.4f} (95 % {auc['low']:.4f} to {auc['high']:.4f}), " if auc else ""
    counted = f"{loss['blocks']} {found['unit']}, {loss['rows']:,} rows"
    return f"{area}log loss {loss['estimate']:.4f} (95 % {loss['low']:.4f} to {loss['high']:.4f}); {counted}"


def _objection(found: dict[str, Any], *, alone: bool) -> tuple[str, str] | None:
    """The first thing in a report that must stop a version, as a verdict's word and reason."""
    for one in found["invariances"]:
        if not one["holds"]:
            return "failed", f"a score must not depend on {one['name']}, and it moves by up to {one['largest_change']:.3g}"
    if alone and found["auc"] is not None and found["auc"]["low"] <= 0.5:
        return "failed", f"it is not told from chance: AUC {found['auc']['estimate']:.4f}, 95 % from {found['auc']['low']:.4f}"
    for one in found["slices"]:
        if one["worse"]:
            where = f"{one['column']} = {one['value']} ({one['rows']:,} rows)"
            gain = one["gain"]
            return (
                "worse",
                f"on {where} the champion's log loss is better by {-gain['estimate']:.4f}, 95 % {-gain['high']:.4f} to {-gain['low']:.4f}",
            )
    return None


def report(
    candidate: Candidate,
    data: "TrainingData",
    views: "Mapping[str, GatedView | Sequence[str]]",
    slices: Sequence[str] = (),
    *,
    champion: Candidate | None = None,
    immaterial: Sequence[str] = (),
) -> dict[str, Any]:
    """All figures of one version on the gate's rows, as a JSON document; against the champion where there is one.

    ``views`` maps each view to its feature columns. ``auc`` is ``None`` for rows of one class.
    """
    import numpy as np

    from clew.pipelines import checks
    from clew.pipelines.intervals import auc_interval, blocked_mean

    scores, labels, blocks = candidate.score(data), data.y, data.blocks()
    losses = clipped_log_loss(labels, scores)
    gains = None if champion is None else clipped_log_loss(labels, champion.score(data)) - losses
    gated = {name: view if isinstance(view, GatedView) else GatedView(tuple(view)) for name, view in views.items()}
    return {
        "auc": asdict(auc_interval(labels, scores, blocks)) if len(np.unique(labels)) > 1 else None,
        "log_loss": asdict(blocked_mean(losses, blocks)),
        "bias": asdict(blocked_mean(labels - scores, blocks)),
        "gain": None if gains is None else asdict(blocked_mean(gains, blocks)),
        "unit": unit_of(data.block),
        "slices": [asdict(one) for one in checks.slices(data, slices, losses, scores, gains, tolerance=HARM_TOLERANCE)],
        "calibration": [asdict(one) for one in checks.calibration(labels, scores, blocks)],
        "missing_views": [asdict(one) for one in _missing_views(candidate, data, gated, losses, scores)],
        "invariances": [asdict(one) for one in checks.invariances(candidate, data, scores, immaterial)],
        "latency_us": checks.latency(candidate, data),
    }


def _missing_views(
    candidate: Candidate,
    data: "TrainingData",
    views: Mapping[str, GatedView],
    losses: "npt.NDArray[np.float64]",
    scores: "npt.NDArray[np.float64]",
) -> "list[MissingView]":
    from clew.pipelines import checks

    found = []
    for name, view in views.items():
        columns = tuple(column for column in view.columns if column in candidate.features)
        if columns:
            without = checks.score_without(candidate, data, columns)
            fallback = without if view.missing is None else checks.score_with_fallback(candidate, data, columns, view.by, view.missing)
            declared = None if view.missing is None else str(view.missing)
            told = (*_loss_and_mean(data, without), declared, *_loss_and_mean(data, fallback))
            found.append(MissingView(name, float(losses.mean()), float(scores.mean()), *told))
    return found


def _loss_and_mean(data: "TrainingData", scores: "npt.NDArray[np.float64] | None") -> tuple[float | None, float | None]:
    return (None, None) if scores is None else (float(clipped_log_loss(data.y, scores).mean()), float(scores.mean()))


@dataclass(frozen=True)
class MissingView:
    """What the model says when one view brings nothing: as it is, with nulls, and with the declared fallback.

    A loss is ``None`` where the model gives no number without the view.
    """

    view: str
    log_loss: float
    mean_score: float
    log_loss_without: float | None
    mean_score_without: float | None
    fallback: str | None
    log_loss_fallback: float | None
    mean_score_fallback: float | None
