"""Bringing a file into a dataset: run the user's function, check, stage, commit."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clew import console
from clew.backend import Backend
from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion
from clew.datasets import expectation_file, service
from clew.datasets.expectations import check, check_bounds, infer, refuse
from clew.datasets.preparation import conform, prepare
from clew.datasets.schema import Growth
from clew.definitions import DatasetDefinition, definition_digest
from clew.errors import ClewError, Invalid, NotFound, Refused
from clew.feature_store.service import refresh_online
from clew.fingerprints import Code, fingerprint

if TYPE_CHECKING:
    import polars as pl

    from clew.sdk.datasets import Dataset

__all__ = ["Ingested", "ingest", "ingest_file", "ingest_frame"]


@dataclass(frozen=True)
class Ingested:
    """What an ingest did; ``expectations`` is the file with the rules that it inferred, when there was none before."""

    growth: Growth
    expectations: Path | None


def ingest_file(backend: Backend, dataset: "Dataset[..., Any]", file: Path, *, replace: bool = False) -> AssetVersion:
    """The dataset's version with the rows of a file in it; says on stderr where inferred rules wait for review. Raises as ``ingest``."""
    done = ingest(backend, dataset, file, replace=replace)
    if done.expectations is not None:
        console.note(f"{dataset.name}: rules were inferred; review {done.expectations}, from the next file on they are enforced")
    return done.growth.version


def ingest(backend: Backend, dataset: "Dataset[..., Any]", file: Path, *, replace: bool = False) -> Ingested:
    """Read a file through the dataset's function, check its rows, and commit them as the next version.

    The dataset's ``bounds=`` hold at once. The other rules stand in ``expectations/<dataset>.toml`` of the project's folder. Where there is no such file, they are inferred from
    these rows and written there for review; they hold from the next ingest on. Raises ``Refused`` naming column, rows and rule, or
    ``Conflict`` for known keys with other values; nothing of the file is stored then.
    """
    if not file.is_file():
        raise NotFound(f"there is no file {file} to ingest into {dataset.name}")
    code = fingerprint(dataset.function, backend.settings.root)
    return ingest_frame(backend, dataset.definition, _read(dataset, file), source=file.name, replace=replace, code=code)


def ingest_frame(
    backend: Backend,
    definition: DatasetDefinition,
    frame: "pl.DataFrame",
    *,
    source: str = "",
    replace: bool = False,
    code: Code | None = None,
) -> Ingested:
    """The same for rows in memory, as the dataset's function would have made them; ``code`` is what that function can reach."""
    root, name = backend.settings.root, definition.name
    rules = expectation_file.read(root, name)
    rows = prepare(frame, definition, source)
    if not replace and (latest := _latest(backend, name)) is not None:
        rows = conform(rows, service.details_of(latest).columns, name, source)
    refuse(name, source, check_bounds(rows, definition.bounds), check(rows, rules) if rules is not None else [])
    growth = backend.call(
        service.commit_ingest,
        name,
        definition=definition,
        definition_digest=definition_digest(definition, code.digest) if code else definition_digest(definition),
        staged=_stage(backend, rows),
        expectations=rules,
        source=source,
        replace=replace,
        code=code.parts if code else None,
    )
    if growth.new:
        backend.call(refresh_online, name)
    if rules is not None:
        return Ingested(growth, None)
    required = [*definition.key, *(column for column in (definition.time, definition.known) if column)]
    origin = f"{rows.height:,} rows{f' of {source}' if source else ''}"
    return Ingested(growth, expectation_file.write(root, name, infer(rows, tuple(required), definition.bounds), origin))


def _read(dataset: "Dataset[..., Any]", file: Path) -> "pl.DataFrame":
    """The function's rows. What Polars can't make of the file is the file's fault, said as a refusal; other errors are the function's."""
    import polars as pl

    try:
        made = dataset.function(file)
        return _collected(made, dataset.name)
    except ClewError:
        raise
    except pl.exceptions.PolarsError as error:
        what = str(error).strip().partition("\n")[0]  # below it stands Polars' plan of the query, which is no help here
        raise Refused(
            f"{file.name} can't be read by the function of {dataset.name}, nothing of it is stored: {type(error).__name__}: {what}",
            dataset=dataset.name, source=file.name,
        ) from error  # fmt: skip


def _collected(made: Any, name: str) -> "pl.DataFrame":  # Any: whatever the user's function returned
    import polars as pl

    if isinstance(made, pl.LazyFrame):
        return made.collect()
    if isinstance(made, pl.DataFrame):
        return made
    if hasattr(made, "__arrow_c_stream__") or type(made).__module__.startswith("pandas."):
        frame = pl.DataFrame(made)
        return frame.drop([column for column in frame.columns if column.startswith("__index_level_")])
    raise Invalid(f"the function of {name} returned {type(made).__name__}; it should return a Polars frame, lazy or not")


def _latest(backend: Backend, name: str) -> AssetVersion | None:
    try:
        return backend.call(catalog.resolve, name)
    except NotFound:
        return None


def _stage(backend: Backend, rows: "pl.DataFrame") -> str:
    with tempfile.TemporaryDirectory(prefix="clew-stage-") as folder:
        path = Path(folder) / "rows.parquet"
        rows.write_parquet(path, compression="zstd")
        return backend.upload(path).digest
