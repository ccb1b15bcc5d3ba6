"""One version of an asset, for reading: ``late.at(7)``, ``clew.get("landings@7")``."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

from clew.backend import Backend, current
from clew.catalog import service as catalog
from clew.catalog.schema import AssetKind, AssetVersion, GateVerdict, LineageGraph, VersionRef
from clew.errors import Invalid, NotFound
from clew.sdk.border import errors_end_here

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

    from clew.datasets.schema import VersionProfile
    from clew.monitoring.schema import ShadowReport
    from clew.sdk.runs import RunView

__all__ = ["Version", "get"]


@errors_end_here
class Version:
    """A version. Attributes are as recorded when it was made, those of ``AssetVersion`` among them: ``ref``, ``kind``, ``why``, ``state``,
    ``aliases``, ``created_at`` …; methods read storage."""

    project: str
    kind: AssetKind
    name: str
    definition_digest: str
    content_digest: str
    why: str
    run_id: str | None
    details: dict[str, Any]
    state: str
    state_reason: str
    created_at: datetime
    created_by: str
    aliases: tuple[str, ...]
    ref: VersionRef

    def __init__(self, row: AssetVersion, backend: Backend | None = None) -> None:
        self._row = row
        self._backend = backend or current()

    if not TYPE_CHECKING:  # the checkers go by the names above, and tell of one that is not there

        def __getattr__(self, name: str) -> Any:  # Any: the fields of AssetVersion, each with its own type
            return getattr(self._row, name)

    def __repr__(self) -> str:
        return f"<{self._row.kind.replace('_', ' ')} {self._row.name}@{self._row.number}>"

    @property
    def number(self) -> int:
        """Its number: 7 of ``late@7``."""
        return self._row.number

    @property
    def run(self) -> "RunView":
        """The run that made it. Raises ``NotFound`` for a version that no run made, such as an ingested file."""
        from clew.sdk.runs import get_run

        if self._row.run_id is None:
            raise NotFound(f"{self._row.ref} was made by no run; its lineage says what it comes from")
        return get_run(self._row.run_id)

    def verdicts(self) -> list[GateVerdict]:
        """What the gates said of it, newest first. Of a refit they said nothing: what was judged is the version that it refits."""
        return self._backend.call(catalog.list_verdicts, self._row.name, self._row.number).items

    def lineage(self, depth: int = 10) -> LineageGraph:
        """Everything that it was made from, and what was made from it."""
        return self._backend.call(catalog.lineage, self._row.name, self._row.number, depth)

    def scan(self) -> "pl.LazyFrame":
        """The rows, lazily; with the zones and types of the stored version."""
        name, number, kind = self._row.name, self._row.number, self._row.kind
        if kind == "dataset":
            from clew.datasets.reading import scan_version

            return scan_version(self._backend, name, number)
        if kind in ("feature_view", "training_set"):
            from clew.feature_store.reading import scan_version as scan_features

            return scan_features(self._backend, name, number)
        raise Invalid(f"{self._row.ref} is a {kind} and has no rows; load() gives the model")

    def collect(self) -> "pl.DataFrame":
        """All rows in memory."""
        return self.scan().collect()

    def profile(self, against: int | None = None) -> "VersionProfile":
        """What its columns hold: counts, missing values, distribution; ``against`` an earlier number, also how far each column moved.

        A dataset's is computed once and kept; that of feature views and training sets is computed at each call.
        """
        from clew.datasets.profiling import profile_rows
        from clew.datasets.reading import profile_version

        if self._row.kind == "dataset":
            return profile_version(self._backend, self._row.name, self._row.number, against)
        if against is None:
            return profile_rows(str(self._row.ref), self.scan())
        before = get(f"{self._row.name}@{against}")
        return profile_rows(str(self._row.ref), self.scan(), str(before.ref), before.scan())

    def load(self) -> Any:  # Any: the model in its own framework
        """The model as its framework knows it. Only a model has something to load."""
        if self._row.kind != "model":
            raise Invalid(f"{self._row.ref} is a {self._row.kind.replace('_', ' ')}; scan() reads its rows")
        from clew.registry.loading import load_version

        return load_version(self._backend, self._row.name, self._row.number)

    def shadow(
        self,
        decisions: "str | Path | pl.DataFrame",
        *,
        decision: str | None = None,
        margin: float = 0.01,
        threshold: float | None = None,
        endpoint: str | None = None,
    ) -> "ShadowReport":
        """A model's version against what people, or another system, decided about the same rows. The report is kept.

        ``decisions`` is a CSV file or a frame with the training set's key and a column ``decision`` of yes and no, or of probabilities.
        The version says yes as often as they did, or from a ``threshold`` on. Only rows that it was not trained on and whose labels
        have matured are judged, by blocks; ``margin`` is what may be lost and still be *no worse*. Raises ``Invalid``.
        """
        from pathlib import Path

        from clew.monitoring.shadowing import shadow

        given = Path(decisions) if isinstance(decisions, str) else decisions
        name = endpoint or self._endpoint()
        return shadow(self._backend, str(self._row.ref), given, name, column=decision, margin=margin, threshold=threshold)

    def _endpoint(self) -> str:
        """The endpoint that is declared for the model, or one of its name."""
        found = [
            one.name for one in self._backend.call(catalog.list_definitions, "endpoint").items if one.document["model"] == self._row.name
        ]
        return min(found, default=self._row.name)


def get(reference: str) -> Version:
    """``landings@7`` by number, ``late@champion`` by alias, ``late`` for the newest."""
    backend = current()
    return Version(backend.call(catalog.resolve, reference), backend)
