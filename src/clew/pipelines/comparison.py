"""What a gate says of a challenger: no worse, better or worse than the champion on rows that neither has seen."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from clew.errors import Invalid

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from clew.feature_store.training_data import TrainingData
    from clew.pipelines.intervals import Interval

__all__ = ["Candidate", "Comparison", "Verdict", "compare", "failed", "passed"]

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
    """A model version under test. ``same_recipe`` says that code, features and parameters' search are the champion's own."""

    def __init__(
        self, name: str, predict: "Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float64]]", features: tuple[str, ...], *, same_recipe: bool = True
    ) -> None:
        self.name = name
        self.features = features
        self.same_recipe = same_recipe
        self._predict = predict

    def __repr__(self) -> str:
        return f"<Candidate {self.name}>"

    def score(self, data: "TrainingData") -> "npt.NDArray[np.float64]":
        """The probability of the positive class (or the value of a regression) for each row, ``(n,)``."""
        return self.score_matrix(data.X.select(self.features).to_numpy())

    def score_matrix(self, matrix: "npt.NDArray[np.float32]") -> "npt.NDArray[np.float64]":
        """The same for a matrix whose columns are ``features``; missing values are NaN."""
        import numpy as np

        return np.asarray(self._predict(np.ascontiguousarray(matrix, dtype=np.float32)), dtype=np.float64)

    def predict_proba(self, data: "TrainingData") -> "npt.NDArray[np.float64]":
        """``(n, 2)``: probabilities of both classes, as scikit-learn has them."""
        import numpy as np

        positive = self.score(data)
        return np.column_stack([1 - positive, positive])


@dataclass(frozen=True)
class Comparison:
    """Challenger against champion on the same rows. Differences are oriented so that above zero is better."""

    metric: str
    difference: "Interval"
    log_loss: "Interval | None"
    challenger: float
    champion: float
    unit: str

    def no_worse_by(self, margin: float) -> Verdict:
        """*No worse* when the whole interval of the difference lies above ``-margin``."""
        return self._verdict(self.difference.low > -margin, "no worse", f"lower bound {self.difference.low:+.4f} against −{margin}", margin)

    def better(self) -> Verdict:
        """*Better* when the whole interval of the difference lies above zero."""
        return self._verdict(self.difference.low > 0, "better", f"lower bound {self.difference.low:+.4f} against 0", 0.0)

    def _verdict(self, holds: bool, word: str, line: str, margin: float) -> Verdict:
        measured = f"{self.metric} {self.difference.estimate:+.4f}, 95 % {self.difference.low:+.4f} to {self.difference.high:+.4f}"
        counted = f"{self.difference.blocks} {self.unit}, {self.difference.rows:,} rows"
        if self.difference.blocks < MINIMUM_BLOCKS:
            reason = f"{counted}: a gate needs at least {MINIMUM_BLOCKS} {self.unit}"
            return Verdict(False, "not enough data yet", reason, self._figures(margin))
        found = word if holds else "worse" if self.difference.high < -margin else f"not {word}"
        return Verdict(holds, found, f"{measured} ({counted}); {line}", self._figures(margin))

    def _figures(self, margin: float) -> dict[str, Any]:
        return {
            "metric": self.metric, "difference": vars(self.difference), "log_loss": vars(self.log_loss) if self.log_loss else None,
            "challenger": self.challenger, "champion": self.champion, "margin": margin, "unit": self.unit,
        }  # fmt: skip


def clipped_log_loss(labels: "npt.NDArray[Any]", scores: "npt.NDArray[np.float64]") -> "npt.NDArray[np.float64]":
    """The log loss of each row in nats, with probabilities held inside [0.01, 0.99]."""
    import numpy as np

    held = np.clip(scores, CLIP, 1 - CLIP)
    return -np.where(np.asarray(labels).astype(bool), np.log(held), np.log1p(-held))


def compare(
    challenger: Candidate, champion: Candidate, *, on: "TrainingData", metric: "Callable[..., float] | Literal['auc', 'log_loss']"
) -> Comparison:
    """Score both on the same rows and compare them block by block, at 95 %.

    ``metric`` is ``roc_auc_score`` or ``log_loss`` of scikit-learn, or their names ``"auc"`` and ``"log_loss"``.
    """
    from clew.pipelines.intervals import auc_difference, auc_interval, blocked_mean

    name = metric if isinstance(metric, str) else {"roc_auc_score": "auc"}.get(metric.__name__, metric.__name__)
    labels, blocks = on.y, on.blocks()
    first, second = challenger.score(on), champion.score(on)
    unit = "days" if on.block == "1d" else f"blocks of {on.block}"
    losses = [clipped_log_loss(labels, scores) for scores in (first, second)]
    gain = blocked_mean(losses[1] - losses[0], blocks)
    if name == "log_loss":
        return Comparison("log loss", gain, gain, float(losses[0].mean()), float(losses[1].mean()), unit)
    if name == "auc":
        values = [auc_interval(labels, scores, blocks).estimate for scores in (first, second)]
        return Comparison("AUC", auc_difference(labels, first, second, blocks), gain, values[0], values[1], unit)
    raise Invalid(f"clew.compare() knows roc_auc_score and log_loss; {name!r} has no interval over blocks here")
