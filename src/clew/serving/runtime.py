"""A route made ready to answer: rows in, features read, the model's answers out. No network, no log."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from clew.clock import to_micros
from clew.errors import ClewError, MissingFeature
from clew.serving.requests import RequestReader
from clew.serving.schema import Route, RouteDocument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from clew.serving.external import LiveExternal
    from clew.serving.trying import LiveCandidate

    Matrix = NDArray[np.float32]

__all__ = ["Answered", "DirectSource", "FeatureSource", "LiveModel", "LiveRoute", "Predict"]

Predict = Callable[["Matrix"], "Matrix"]
"""``(n_rows, n_features)`` to the probabilities ``(n_rows,)`` of the label being true."""


class FeatureSource(Protocol):
    """Where a model's inputs come from. Called from one thread at a time."""

    def read(self, rows: Sequence[dict[str, Any]]) -> "tuple[Matrix, list[list[str]]]":
        """The inputs ``(n_rows, n_features)`` in the model's order, missing ones as NaN, and for each row the views that had nothing."""
        ...

    def hindrances(self) -> list[str]:
        """What keeps inputs from being read just now, in words. Called from any thread."""
        ...


class DirectSource:
    """For a model that was registered without a training set: its inputs stand in the request."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(names)

    def read(self, rows: Sequence[dict[str, Any]]) -> "tuple[Matrix, list[list[str]]]":
        import numpy as np

        from clew.feature_store.reader import check_range

        values = np.array([[float("nan") if row[name] is None else row[name] for name in self._names] for row in rows], np.float64)
        check_range(values, self._names)
        return values.astype(np.float32), [[] for _ in rows]

    def hindrances(self) -> list[str]:
        return []


@dataclass(frozen=True)
class Answered:
    """``matrix`` is ``(n_rows, n_features)``, ``probabilities`` ``(n_rows,)``."""

    matrix: "Matrix"
    missing: list[list[str]]
    probabilities: "Matrix"


class LiveModel:
    """One version, loaded: rows in, scores out. Immutable."""

    def __init__(self, document: RouteDocument, source: FeatureSource, predict: Predict) -> None:
        self.document = document
        self.name = f"{document.model}@{document.number}"
        self.views = {view.view: view.number for view in document.views}
        self._source = source
        self._predict = predict

    def answer(self, rows: Sequence[dict[str, Any]]) -> Answered:
        """Answers for rows that a ``RequestReader`` has read."""
        import numpy as np

        matrix, missing = self._source.read(rows)
        if not self.document.takes_missing:
            self._check_whole(matrix)
        probabilities = self._predict(matrix)
        if probabilities.shape != (len(rows),):
            raise ClewError(f"{self.name} answered {probabilities.shape} for {len(rows)} rows; an endpoint serves one probability a row")
        finite = np.isfinite(probabilities)
        if not finite.all():
            place = int((~finite).argmax())
            raise ClewError(f"{self.name} answered row {place} with {probabilities[place]}, which is no answer", row=place)
        return Answered(matrix, missing, probabilities)

    def _check_whole(self, matrix: "Matrix") -> None:
        """Raise ``MissingFeature`` where a row lacks a feature; its rows count from 0."""
        import numpy as np

        lacking = np.isnan(matrix)
        rows = np.flatnonzero(lacking.any(axis=1)).tolist()
        if not rows:
            return
        column = self.document.features[int(lacking[rows[0]].argmax())]
        view = next((use.view for use in self.document.uses if column in use.columns), None)
        raise MissingFeature(
            f"the feature {column!r}{f' of {view}' if view else ''} is missing, and {self.name} takes no missing values: train it with a "
            f"step that imputes them{', or declare missing= on the view' if view else ''}",
            view=view, column=column, row=rows[0], rows=rows,
        )  # fmt: skip

    def hindrances(self) -> list[str]:
        """What keeps it from answering just now, in words; empty where nothing does."""
        return self._source.hindrances()


class LiveRoute:
    """One route, loaded: the version that answers and, while one is tried, the candidate. Immutable: a flip replaces the whole object,
    and a request keeps the one that it began with."""

    def __init__(self, route: Route, champion: "LiveModel | LiveExternal", candidate: "LiveCandidate | None" = None) -> None:
        self.route = route
        self.epoch = route.epoch
        self.document = route.document
        asked = [route.document, *([] if route.candidate is None else [route.candidate.document])]
        self.requests = RequestReader(route.document.fields, others=any(one.external is not None for one in asked))
        self.champion = champion
        self.model = self.champion.name
        self.views = self.champion.views
        self.candidate = candidate

    def event_time(self, row: dict[str, Any]) -> int:
        """The row's event time in microseconds, 0 where the model has none."""
        return to_micros(row[self.document.time]) if self.document.time else 0

    def hindrances(self) -> list[str]:
        """What keeps the endpoint from answering just now. A candidate is no hindrance: the champion answers what it can't."""
        return self.champion.hindrances()

    def retire(self) -> None:
        """Let go of connections to existing systems: another route answers from now on, and requests that are under way are answered."""
        for one in self._external():
            one.retire()

    async def close(self) -> None:
        """The same at the end of the process: returns when the connections are closed."""
        self.retire()
        for one in self._external():
            await one.wait_closed()

    def _external(self) -> "list[LiveExternal]":
        models = [self.champion, *([] if self.candidate is None else [self.candidate.model])]
        return [one for one in models if not isinstance(one, LiveModel)]

    def without_candidate(self) -> "LiveRoute":
        """The same, with the champion alone."""
        alone = copy.copy(self)
        alone.candidate = None
        return alone
