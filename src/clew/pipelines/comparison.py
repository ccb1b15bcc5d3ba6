"""What a gate says of a challenger: no worse, better or worse than the champion on rows that neither has seen."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from clew.errors import Invalid, Refused

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from clew.feature_store.training_data import TrainingData
    from clew.pipelines.intervals import Interval

__all__ = [
    "MINIMUM_BLOCKS",
    "Candidate",
    "Comparison",
    "Verdict",
    "check_unseen",
    "clipped_log_loss",
    "compare",
    "failed",
    "passed",
    "unit_of",
    "unseen",
]

Word = Literal["no worse", "better", "safe", "worse", "changed", "missing", "not enough data yet"]
MINIMUM_BLOCKS = 14
"""Fewer matured, unseen blocks than this decide nothing: see the rules of gates in ``docs/explanation/statistics.md``."""
CLIP = 0.01
"""Probabilities are held inside [0.01, 0.99] before their log loss, so that one confident mistake does not decide a gate."""


@dataclass(frozen=True)
class Verdict:
    """What a gate found. ``word`` is from the vocabulary of verdicts, or says how a version was judged alone; figures travel as JSON."""

    passed: bool
    word: str
    reason: str
    figures: dict[str, Any] = field(default_factory=dict)

    def __bool__(self) -> bool:
        raise Invalid("a verdict is more than true or false; read .passed, .word and .reason")


def passed(reason: str, **figures: Any) -> Verdict:
    """A verdict that lets a version through, for a reason that is not a comparison."""
    return Verdict(True, "passed", reason, figures)


def failed(reason: str, **figures: Any) -> Verdict:
    """A verdict that stops a version."""
    return Verdict(False, "failed", reason, figures)


class Candidate:
    """A model version under test.

    ``same_recipe`` says that code, features and parameters' search are the champion's own; ``seen_until`` is the newest event time
    that it was trained or tuned on, and no gate looks at rows up to it.
    """

    def __init__(
        self,
        name: str,
        predict: "Callable[[npt.NDArray[np.float32]], npt.NDArray[np.floating[Any]]]",
        features: tuple[str, ...],
        *,
        same_recipe: bool = True,
        seen_until: datetime | None = None,
    ) -> None:
        self.name = name
        self.features = features
        self.same_recipe = same_recipe
        self.seen_until = seen_until
        self._predict = predict

    def __repr__(self) -> str:
        return f"<Candidate {self.name}>"

    def score(self, data: "TrainingData") -> "npt.NDArray[np.float64]":
        """The probability of the positive class (or the value of a regression) for each row, ``(n,)``."""
        absent = [name for name in self.features if name not in data.X.columns]
        if absent:
            raise Invalid(
                f"{self.name} needs the feature {absent[0]!r}, which these rows don't have; build a training set with both models' views"
            )
        return self.score_matrix(data.X.select(self.features).to_numpy())

    def score_matrix(self, matrix: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float64]":
        """The same for a matrix whose columns are ``features``; missing values are NaN."""
        import numpy as np

        scores = np.asarray(self._predict(np.ascontiguousarray(matrix, dtype=np.float32)), dtype=np.float64)
        if not np.isfinite(scores).all():
            row = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise Refused(
                f"{self.name} answers {int((~np.isfinite(scores)).sum())} of {len(scores)} rows with no number, row {row} first", row=row
            )
        return scores

    def predict_proba(self, data: "TrainingData") -> "npt.NDArray[np.float64]":
        """``(n, 2)``: probabilities of both classes, as scikit-learn has them."""
        import numpy as np

        positive = self.score(data)
        return np.column_stack([1 - positive, positive])


@dataclass(frozen=True)
class Comparison:
    """Challenger against champion on the same rows. Differences are oriented so that above zero is better.

    ``difference`` is ``None`` where the rows are too few for an interval: one block, or rows of one class.
    """

    metric: str
    difference: "Interval | None"
    log_loss: "Interval | None"
    challenger: float | None
    champion: float | None
    unit: str
    blocks: int
    rows: int

    def no_worse_by(self, margin: float) -> Verdict:
        """*No worse* when the whole interval of the difference lies above ``-margin``."""
        if margin <= 0:
            raise Invalid(f"no_worse_by({margin}): a margin is above zero, such as 0.01; better() asks for more than equality")
        return self._verdict("no worse", margin)

    def better(self) -> Verdict:
        """*Better* when the whole interval of the difference lies above zero."""
        return self._verdict("better", 0.0)

    def _verdict(self, word: str, margin: float) -> Verdict:
        counted = f"{self.blocks} {self.unit}, {self.rows:,} rows"
        found = self.difference
        if found is None or self.blocks < MINIMUM_BLOCKS:
            missing = "rows of both classes" if self.blocks >= MINIMUM_BLOCKS else f"at least {MINIMUM_BLOCKS} {self.unit}"
            return Verdict(False, "not enough data yet", f"{counted}: a gate needs {missing}", self._figures(margin))
        # An interval that says neither is its own answer: an inconclusive challenger stays out, and is not called worse.
        holds = found.low > -margin
        said = word if holds else "worse" if found.high < -margin else f"not {word}"
        measured = f"{self.metric} {found.estimate:+.4f}, {found.level * 100:.0f} % {found.low:+.4f} to {found.high:+.4f}"
        against = f"-{margin:g}" if margin else "0"
        return Verdict(holds, said, f"{measured} ({counted}); lower bound {found.low:+.4f} against {against}", self._figures(margin))

    def _figures(self, margin: float) -> dict[str, Any]:
        return {
            "metric": self.metric, "difference": asdict(self.difference) if self.difference else None,
            "log_loss": asdict(self.log_loss) if self.log_loss else None, "challenger": self.challenger, "champion": self.champion,
            "margin": margin, "unit": self.unit, "blocks": self.blocks, "rows": self.rows,
        }  # fmt: skip


def clipped_log_loss(labels: "npt.NDArray[Any]", scores: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
    """The log loss of each row in nats, with probabilities held inside [0.01, 0.99]."""
    import numpy as np

    held = np.clip(scores, CLIP, 1 - CLIP)
    return -np.where(np.asarray(labels).astype(bool), np.log(held), np.log1p(-held))


def unit_of(block: str) -> str:
    """How intervals name their blocks: *days*, or *blocks of 7d*."""
    return "days" if block == "1d" else f"blocks of {block}"


def check_unseen(name: str, seen_until: datetime | None, rows: "TrainingData") -> None:
    """Raise ``Refused`` when a gate's rows touch the range that a version was trained or tuned on."""
    if seen_until is None:
        return
    first = rows.time.min()
    if isinstance(first, datetime) and first <= seen_until:
        raise Refused(
            f"the gate's rows begin at {first.isoformat()}, and {name} has seen rows up to {seen_until.isoformat()}: a model scores too "
            "well on rows that it was trained on. Use a holdout that begins later",
            model=name,
        )


def unseen(rows: "TrainingData", *candidates: Candidate | None) -> "TrainingData":
    """The rows of whole blocks after everything that any of the candidates has seen."""
    import numpy as np

    from clew.feature_store.training_data import block_of

    seen = [candidate.seen_until for candidate in candidates if candidate is not None and candidate.seen_until is not None]
    if not seen:
        return rows
    return rows.filter(np.asarray(rows.blocks() > block_of(max(seen), rows.block, rows.zone), dtype=np.bool_))


def compare(
    challenger: Candidate, champion: Candidate, *, on: "TrainingData", metric: "Callable[..., float] | Literal['auc', 'log_loss']"
) -> Comparison:
    """Score both on the same rows and compare them block by block, at 95 %.

    ``metric`` is ``roc_auc_score`` or ``log_loss`` of scikit-learn, or their names ``"auc"`` and ``"log_loss"``.
    Raises ``Refused`` when one of them has seen the rows.
    """
    import numpy as np

    from clew.pipelines.intervals import auc_difference, auc_interval, blocked_mean

    name = metric if isinstance(metric, str) else {"roc_auc_score": "auc"}.get(metric.__name__, metric.__name__)
    if name not in ("auc", "log_loss"):
        raise Invalid(f"clew.compare() knows roc_auc_score and log_loss; {name!r} has no interval over blocks here")
    for candidate in (challenger, champion):
        check_unseen(candidate.name, candidate.seen_until, on)
    shown, unit = "AUC" if name == "auc" else "log loss", unit_of(on.block)
    labels, blocks = on.y, on.blocks()
    count = len(np.unique(blocks))
    if count < 2 or (name == "auc" and len(np.unique(labels)) < 2):
        return Comparison(shown, None, None, None, None, unit, count, len(on))
    first, second = challenger.score(on), champion.score(on)
    losses = [clipped_log_loss(labels, scores) for scores in (first, second)]
    gain = blocked_mean(losses[1] - losses[0], blocks)
    if name == "log_loss":
        return Comparison(shown, gain, gain, float(losses[0].mean()), float(losses[1].mean()), unit, count, len(on))
    values = [auc_interval(labels, scores, blocks).estimate for scores in (first, second)]
    return Comparison(shown, auc_difference(labels, first, second, blocks), gain, values[0], values[1], unit, count, len(on))
