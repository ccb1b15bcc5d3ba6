"""A model's scores against what somebody else decided, or scored, about the same rows: people, or a system that answers today.

People say yes or no, a model says how likely. Both are made comparable by giving the model as many yes as people gave, to the rows that it
scores highest: whoever is right about more of them decides better at the same price. The number of yes is fixed beforehand and the labels
have no part in it, so that the model gains nothing by the choice.

What can't be judged here is what would have come of the rows that nobody let happen. Where labels come by decision (a loan that was refused
is never repaid), the labelled rows are people's choice, and a comparison on them would be too: see ``labels_follow``.

Sources
-------
Lakkaraju, Kleinberg, Leskovec, Ludwig and Mullainathan (2017), *The selective labels problem*, KDD: why labels by decision mislead.
Interval: see ``clew.pipelines.intervals``.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from clew.errors import Invalid
from clew.pipelines.comparison import MINIMUM_BLOCKS, clipped_log_loss
from clew.pipelines.intervals import Interval, blocked_mean

__all__ = ["Contest", "judge_decisions", "judge_scores", "labels_follow"]

ContestWord = Literal["better", "no worse", "worse", "not enough data yet"]
_LEAST_SHARE = 0.5


@dataclass(frozen=True)
class Contest:
    """Who did better on the same rows. ``difference`` is theirs minus the model's, so that above zero the model is better.

    ``theirs`` and ``ours`` are shares of wrong decisions, or mean log losses; ``threshold`` the score from which the model says yes,
    ``None`` for scores. *better*: the whole interval lies above zero; *no worse*: above ``-margin``; *worse*: below ``-margin``, or below
    zero; else there is *not enough data yet*, as with fewer than 14 blocks.
    """

    word: ContestWord
    measure: Literal["wrong decisions", "log loss"]
    difference: Interval | None
    theirs: float | None
    ours: float | None
    threshold: float | None
    margin: float
    blocks: int
    rows: int


def judge_decisions(
    labels: npt.NDArray[np.bool_],
    decided: npt.NDArray[np.bool_],
    scores: npt.NDArray[np.float64],
    blocks: npt.NDArray[np.integer],
    *,
    margin: float = 0.01,
    threshold: float | None = None,
) -> Contest:
    """Decisions of yes and no against a model's scores, ``(n,)`` each. The model says yes as often as they did, or from ``threshold`` on.

    >>> days = np.repeat(np.arange(20), 50)
    >>> labels = np.tile([True, False], 500)
    >>> found = judge_decisions(labels, np.tile([True, True, False, False], 250), labels * 0.8 + 0.1, days)
    >>> found.word, found.theirs, found.ours, found.threshold
    ('better', 0.5, 0.0, 0.9)
    """
    if threshold is None:
        said, threshold = _as_often(scores, int(decided.sum()))
    else:
        said = scores >= threshold
    theirs, ours = (decided != labels).astype(np.float64), (said != labels).astype(np.float64)
    told = len(np.unique(decided)) == 2  # who says the same of every row tells nothing apart
    return _judge("wrong decisions", theirs, ours, blocks, margin, threshold, told=told)


def judge_scores(
    labels: npt.NDArray[np.bool_],
    theirs: npt.NDArray[np.float64],
    scores: npt.NDArray[np.float64],
    blocks: npt.NDArray[np.integer],
    *,
    margin: float = 0.01,
) -> Contest:
    """Probabilities of another system against a model's, by log loss, ``(n,)`` each."""
    losses = [clipped_log_loss(labels, given) for given in (theirs, scores)]
    return _judge("log loss", losses[0], losses[1], blocks, margin, None, told=True)


def _as_often(scores: npt.NDArray[np.float64], times: int) -> tuple[npt.NDArray[np.bool_], float | None]:
    """Yes for the highest scores, so many of them; and the lowest score that got one."""
    said = np.zeros(len(scores), np.bool_)
    chosen = np.argsort(-scores, kind="stable")[:times]
    said[chosen] = True
    return said, float(scores[chosen[-1]]) if times else None


def _judge(
    measure: Literal["wrong decisions", "log loss"],
    theirs: npt.NDArray[np.float64],
    ours: npt.NDArray[np.float64],
    blocks: npt.NDArray[np.integer],
    margin: float,
    threshold: float | None,
    *,
    told: bool,
) -> Contest:
    if margin <= 0:
        raise Invalid(f"a margin is above zero, not {margin:g}: what may be lost and still be called no worse")
    count = len(np.unique(blocks))
    difference = blocked_mean(theirs - ours, blocks) if count > 1 else None
    enough = told and difference is not None and count >= MINIMUM_BLOCKS
    word = _word(difference, margin) if enough and difference is not None else "not enough data yet"
    if not len(ours):
        return Contest("not enough data yet", measure, None, None, None, threshold, margin, 0, 0)
    return Contest(word, measure, difference, float(theirs.mean()), float(ours.mean()), threshold, margin, count, len(ours))


def _word(difference: Interval, margin: float) -> ContestWord:
    if difference.low > 0:
        return "better"
    if difference.low > -margin:
        return "no worse"
    return "worse" if difference.high < 0 else "not enough data yet"


def labels_follow(yes: int, labelled_yes: int, no: int, labelled_no: int) -> bool:
    """Whether labels came for much fewer of the rows on one side: less than half as often as on the other.

    >>> labels_follow(yes=100, labelled_yes=97, no=100, labelled_no=3)
    True
    """
    if not yes or not no:
        return False
    shares = labelled_yes / yes, labelled_no / no
    return min(shares) < _LEAST_SHARE * max(shares)
