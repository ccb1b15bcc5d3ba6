"""How well served predictions did, once their labels have come: with intervals over blocks, and by matured cohorts only.

Labels arrive by outcome (a flight that is late says so later), so the labelled rows of a young cohort are a biased sample of it. A
block is judged when every row of it is past the declared ``label_within``; younger ones are shown with their counts and judge nothing.
A row that has no label by then is unlabelled for good, and counted as such.

Sources
-------
Intervals: see ``clew.pipelines.intervals``. Brier (1950) for the squared error of a probability.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from clew.clock import parse_duration
from clew.errors import Invalid
from clew.pipelines.intervals import Interval

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

__all__ = ["BlockPerformance", "Performance", "by_day", "measure"]

ENOUGH_BLOCKS = 7
"""Nothing about labels is said on fewer blocks than this: see ``docs/explanation/statistics.md``."""


@dataclass(frozen=True)
class BlockPerformance:
    """One block of predictions. Figures are over its labelled rows; ``auc`` is ``None`` where they are of one class.

    A block that is not ``matured`` is shown and not judged: its labels are those that came early.
    """

    starts: datetime
    rows: int
    labelled: int
    matured: bool
    auc: float | None
    log_loss: float | None
    positives: float | None
    predicted: float


@dataclass(frozen=True)
class Performance:
    """Figures over matured, labelled rows; ``None`` where these are too few for an interval.

    ``bias`` is what came minus what was predicted. ``waiting`` rows are of blocks that have not matured, ``unlabelled`` ones have, and
    got no label. ``enough`` says whether there are blocks enough to say anything.
    """

    auc: Interval | None
    log_loss: Interval | None
    brier: Interval | None
    bias: Interval | None
    unit: str
    blocks: int
    rows: int
    unlabelled: int
    waiting: int
    enough: bool
    by_block: tuple[BlockPerformance, ...]


def measure(
    times: "pl.Series",
    scores: "npt.NDArray[np.float64]",
    labels: "npt.NDArray[np.float64]",
    *,
    now: datetime,
    label_within: str,
    block: str = "1d",
    zone: str = "UTC",
) -> Performance:
    """Performance of predictions made at ``times`` (with a zone), ``(n,)`` each; ``labels`` are 0, 1, or NaN where none has come.

    ``now`` is the project's event time: a block has matured when ``label_within`` has passed since its end.
    """
    import numpy as np

    from clew.feature_store.training_data import block_numbers, block_of

    truth, given = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if not len(times) == len(truth) == len(given):
        raise Invalid(f"one time, score and label each: there are {len(times)}, {len(given)} and {len(truth)}")
    wrong = ~np.isnan(truth) & (truth != 0) & (truth != 1)
    if wrong.any():
        raise Invalid(f"a label is 0, 1 or missing; row {int(wrong.argmax())} has {truth[wrong.argmax()]:g}")
    numbers = block_numbers(times, block, zone)
    matured = numbers < block_of(now - parse_duration(label_within), block, zone)
    judged = matured & ~np.isnan(truth)
    summary = _summary(truth[judged], given[judged], numbers[judged], block)
    blocks = len(np.unique(numbers[judged]))
    counts = int(judged.sum()), int((matured & np.isnan(truth)).sum()), int((~matured).sum())
    shown = [_block(number, numbers == number, truth, given, matured, block, zone) for number in np.unique(numbers)]
    from clew.pipelines.comparison import unit_of

    return Performance(*summary, unit_of(block), blocks, *counts, blocks >= ENOUGH_BLOCKS, tuple(shown))


def by_day(
    labels: "npt.NDArray[np.float64]", scores: "npt.NDArray[np.float64]", days: "npt.NDArray[np.int64]", zone: str
) -> list[dict[str, Any]]:
    """The rows and figures of each local day, by rows that all have matured and been labelled, ``(n,)`` each; ``days`` count from 1970."""
    import numpy as np

    matured = np.ones(len(days), dtype=np.bool_)
    blocks = (_block(day, days == day, labels, scores, matured, "1d", zone) for day in np.unique(days))
    return [{"starts": one.starts, "rows": one.rows, "auc": one.auc, "log_loss": one.log_loss} for one in blocks]


def _summary(
    truth: "npt.NDArray[np.float64]", scores: "npt.NDArray[np.float64]", blocks: "npt.NDArray[np.int64]", block: str
) -> tuple[Interval | None, Interval | None, Interval | None, Interval | None]:
    import numpy as np

    from clew.pipelines.comparison import clipped_log_loss
    from clew.pipelines.intervals import auc_interval, blocked_mean

    if len(np.unique(blocks)) < 2:
        return None, None, None, None
    auc = auc_interval(truth, scores, blocks) if len(np.unique(truth)) == 2 else None
    loss = blocked_mean(clipped_log_loss(truth, scores), blocks)
    return auc, loss, blocked_mean(np.square(truth - scores), blocks), blocked_mean(truth - scores, blocks)


def _block(
    number: int,
    chosen: "npt.NDArray[np.bool_]",
    truth: "npt.NDArray[np.float64]",
    scores: "npt.NDArray[np.float64]",
    matured: "npt.NDArray[np.bool_]",
    block: str,
    zone: str,
) -> BlockPerformance:
    import numpy as np

    from clew.feature_store.training_data import block_start
    from clew.pipelines.comparison import clipped_log_loss

    labelled = chosen & ~np.isnan(truth)
    labels, given = truth[labelled], scores[labelled]
    return BlockPerformance(
        starts=block_start(int(number), block, zone),
        rows=int(chosen.sum()),
        labelled=int(labelled.sum()),
        matured=bool(matured[chosen].all()),
        auc=_auc(labels, given),
        log_loss=float(clipped_log_loss(labels, given).mean()) if len(labels) else None,
        positives=float(labels.mean()) if len(labels) else None,
        predicted=float(scores[chosen].mean()),
    )


def _auc(labels: "npt.NDArray[np.float64]", scores: "npt.NDArray[np.float64]") -> float | None:
    import numpy as np

    from clew.pipelines.intervals import pair_counts

    positives = labels.sum()
    pairs = positives * (len(labels) - positives)
    return float(pair_counts(labels, scores, np.zeros(len(labels), dtype=np.int64), 1)[0, 0] / pairs) if pairs else None
