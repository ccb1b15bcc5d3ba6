"""A throw-away project: a user's own definitions are built and looked at in a test, and nothing outside of one folder is touched."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clew import backend as backends
from clew.backend import LocalBackend
from clew.sdk import verbs
from clew.sdk.assets import Asset
from clew.sdk.border import errors_end_here
from clew.sdk.datasets import Dataset
from clew.sdk.ingest import ingest, ingest_frame
from clew.sdk.versions import Version
from clew.settings import load_settings

if TYPE_CHECKING:
    import polars as pl

__all__ = ["OpenProject", "project"]


@errors_end_here
class OpenProject:
    """What ``clew.testing.project`` opens. While it is open, every verb of an asset and every ``clew.run`` goes to it."""

    def __init__(self, folder: Path, backend: LocalBackend) -> None:
        self.folder = folder
        self.backend = backend

    def ingest(self, dataset: Dataset[..., Any], rows: "pl.DataFrame | str | Path") -> Version:
        """A version with more rows: of a file that the dataset's function reads, or a frame as that function would have made it.

        ``bounds=`` hold. No other rules are inferred: what a few rows of a test look like says nothing of the next few.
        """
        if isinstance(rows, str | Path):
            done = ingest(self.backend, dataset, Path(rows))
        else:
            done = ingest_frame(self.backend, dataset.definition, rows)
        if done.expectations is not None:
            done.expectations.unlink()
        return Version(done.growth.version, self.backend)

    def build(self, asset: Asset | str) -> Version:
        """Build an asset with everything upstream, in this process: a debugger stops inside, and what a test has patched is patched."""
        return Version(verbs.build(asset, executor="in_process"), self.backend)


@contextmanager
def project(folder: str | Path, *, name: str = "test") -> Iterator[OpenProject]:
    """A project of its own under ``folder`` until the block ends, for everything that was imported by then or is declared inside.

    No environment variable, no ``pyproject.toml`` and no server is asked, so that a test on a machine that works against a server touches
    only ``folder``; pytest's ``tmp_path`` is one. Opened again, it is the same project. A model's function stands at the top of a module, and
    the code of all definitions, which lies outside of the folder, counts as it was: a test that changes it opens another folder.

    Examples
    --------
    >>> import tempfile
    >>> import clew, polars as pl
    >>> @clew.dataset(key="trip", time="arrived")
    ... def arrivals(file):
    ...     return pl.read_csv(file, try_parse_dates=True)
    >>> seen = clew.windows("seen", arrivals, entity=clew.entity("line"), over="2h", delay=clew.mean("delay"))
    >>> hours = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 1, 2), "1h", time_zone="UTC", eager=True)
    >>> rows = pl.DataFrame({"trip": ["a", "b", "c"], "arrived": hours, "line": "T1", "delay": [1.0, 3.0, 8.0]})
    >>> with tempfile.TemporaryDirectory() as folder, project(folder) as trial:
    ...     print(trial.ingest(arrivals, rows).ref, trial.build(seen).ref)
    arrivals@1 seen@1
    """
    place = Path(folder).resolve()
    place.mkdir(parents=True, exist_ok=True)
    settings = replace(load_settings(place, {}), root=place, project=name, files=()).at(place / ".clew")
    before = backends.active()
    backend = LocalBackend(settings).prepare()
    backends.use(backend)
    try:
        yield OpenProject(place, backend)
    finally:
        backends.use(before)
        backend.dispose()
