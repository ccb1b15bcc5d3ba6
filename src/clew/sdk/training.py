"""``clew.training_set``: labelled rows with features as they were known, split so that the newest are never trained on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clew.definitions import TrainingSetDefinition, ViewUse, check_durations
from clew.errors import Invalid
from clew.sdk.assets import Asset
from clew.sdk.border import errors_end_here
from clew.sdk.datasets import Column, Dataset
from clew.sdk.features import AnyView

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Holdout", "TrainingSet", "training_set"]


@dataclass(frozen=True)
class Holdout:
    """The newest rows of a training set, which no model's function ever sees."""

    training_set: str


@errors_end_here
class TrainingSet(Asset):
    """A training set. It owns the split: see ``holdout``."""

    definition: TrainingSetDefinition

    @property
    def holdout(self) -> Holdout:
        """The newest rows, which gates look at: ``@clew.gate(late, on=training.holdout)``. Raises ``Invalid`` where none is declared."""
        if self.definition.holdout is None:
            raise Invalid(f"{self.name} keeps no holdout; declare one, such as holdout='28d'")
        return Holdout(self.name)

    def preview(self, *, at: int | str | None = None, rows: int = 1_000) -> "pl.DataFrame":
        """The first rows of a version; without ``at``, joined now from the newest data and stored nowhere."""
        if at is not None:
            return self.at(at).scan().head(rows).collect()
        from clew.sdk import verbs

        return verbs.preview(self, rows=rows)


def training_set(
    name: str,
    spine: Dataset[..., Any],
    *,
    label: Column,
    label_within: str,
    features: Sequence[AnyView | ViewUse],
    holdout: str | None = None,
    block: str = "1d",
    zone: str = "UTC",
    last: str | None = None,
) -> TrainingSet:
    """One row for each row of ``spine`` whose label has matured, with every feature as it was known at the row's event time.

    ``label_within`` is how long after the event a label may take; later means unlabelled. ``block`` (in ``zone``) is the unit of
    independence that every interval is computed over. ``holdout`` keeps the newest span for gates, ``last`` trains on the newest only.
    """
    check_durations(label_within, holdout, block, last)
    uses = tuple(use if isinstance(use, ViewUse) else ViewUse(use.name, {one: one for one in use.definition.entity}) for use in features)
    if not uses:
        raise Invalid(f"the training set {name!r} has no features")
    return TrainingSet(TrainingSetDefinition(name, spine.name, label.dataset, label.name, label_within, uses, holdout, block, zone, last))
