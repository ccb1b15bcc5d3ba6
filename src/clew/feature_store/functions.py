"""The user's functions behind views: finding one in a folder of source, and checking what it made."""

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_type_hints

from clew.definitions import FeaturesDefinition, FunctionRef, parse_dtype
from clew.errors import BuildFailed, ClewError, Invalid

if TYPE_CHECKING:
    import polars as pl

__all__ = ["KNOWN", "ViewFunction", "apply", "apply_to_request", "engine_for", "known_times", "load_function", "request_frame_schema"]

ViewFunction = Callable[..., Any]
_FEW_ROWS = 10_000
KNOWN = "_known"
"""The column of a stored view that says when a row became known."""


def load_function(reference: FunctionRef, folder: Path | None = None) -> ViewFunction:
    """The function that a reference names: from the module where it is loaded, else from its file, in ``folder`` where one is given."""
    module = sys.modules.get(reference.module)
    if module is None or (reference.module == "__main__" and getattr(module, "__file__", None) != reference.file):
        file = _file_of(reference, folder)
        if str(file.parent) not in sys.path:
            sys.path.insert(0, str(file.parent))
        if reference.module != "__main__" and file.stem == reference.module.rpartition(".")[2]:
            module = importlib.import_module(file.stem)
        else:
            module = _import_file(file)
    found: Any = module
    for name in reference.qualname.split("."):
        found = getattr(found, name, None)
    if found is None:
        raise Invalid(f"{reference.qualname!r} is no longer in {reference.file}; apply the file that declares it again")
    return getattr(found, "function", found)  # type: ignore[no-any-return]  # a decorated object holds the plain function


def _file_of(reference: FunctionRef, folder: Path | None) -> Path:
    named = Path(reference.file)
    if folder is None:
        return named
    # The recorded path is one of the machine that declared it; the longest end of it that exists in the folder is the file.
    for start in range(len(named.parts)):
        candidate = folder.joinpath(*named.parts[start:]) if not Path(*named.parts[start:]).is_absolute() else None
        if candidate is not None and candidate.is_file():
            return candidate
    return named


def _import_file(file: Path) -> Any:  # Any: a module
    specification = importlib.util.spec_from_file_location(file.stem, file)
    if specification is None or specification.loader is None:
        raise Invalid(f"{file} is no Python file that can be imported")
    module = importlib.util.module_from_spec(specification)
    sys.modules[file.stem] = module
    specification.loader.exec_module(module)
    return module


def engine_for(rows: int) -> Literal["in-memory", "auto"]:
    """Polars' engine for a query over so many rows in memory. Streaming takes half a millisecond before it begins, the other 25 µs
    (measured, Polars 2.1), which is most of what a request or a push of a few rows costs; with many rows it needs less memory.
    """
    return "in-memory" if rows <= _FEW_ROWS else "auto"


def apply(name: str, function: ViewFunction, frames: "Sequence[pl.DataFrame]") -> "pl.DataFrame":
    """What the function makes of its inputs, each in the form that its parameter's annotation asks for."""
    import polars as pl

    try:
        made = function(*_in_form(function, frames))
        if isinstance(made, pl.LazyFrame):
            return made.collect(engine=engine_for(sum(frame.height for frame in frames)))
        return made if isinstance(made, pl.DataFrame) else pl.DataFrame(made)
    except ClewError:
        raise
    except Exception as error:
        where = _place(function, error)
        raise BuildFailed(f"the feature view {name!r} failed: {type(error).__name__}: {error}{where}", view=name) from error


def _place(function: ViewFunction, error: Exception) -> str:
    """Where in the function's file it raised; the function itself where a lazy frame failed later, outside of it."""
    code = getattr(function, "__code__", None)
    if code is None:  # a worker's process, whose message says it already
        return ""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == code.co_filename]
    return f" ({Path(code.co_filename).name}:{frames[-1].lineno if frames else code.co_firstlineno})"


def _in_form(function: ViewFunction, frames: "Sequence[pl.DataFrame]") -> list[Any]:
    import polars as pl

    if not hasattr(function, "__code__"):  # a worker's process, which looks at the function itself
        return list(frames)
    try:
        hints = get_type_hints(function)
    except NameError:  # an annotation that stands under TYPE_CHECKING only; a lazy frame, then
        hints = {}
    names = function.__code__.co_varnames[: function.__code__.co_argcount]
    if len(names) < len(frames):
        raise Invalid(f"{function.__qualname__} takes {len(names)} parameters, and its decorator names {len(frames)} inputs")
    return [frame if hints.get(name) is pl.DataFrame else frame.lazy() for name, frame in zip(names, frames, strict=False)]


def request_frame_schema(definition: FeaturesDefinition) -> "dict[str, pl.DataType]":
    return {name: parse_dtype(dtype) for name, dtype in definition.request.items()}


def apply_to_request(
    definition: FeaturesDefinition, function: ViewFunction, stored: "Sequence[pl.DataFrame]", request: "pl.DataFrame"
) -> "pl.DataFrame":
    """A request view's features, one row for each row of the request, in order."""
    made = apply(definition.name, function, [*stored, request])
    if made.height != request.height:
        raise BuildFailed(
            f"the feature view {definition.name!r} made {made.height} rows of {request.height} of the request; "
            "it must answer each row with one, in order: no filter, no aggregation"
        )
    return made


def known_times(
    name: str, made: "pl.DataFrame", time: str, inputs: "Sequence[tuple[pl.DataFrame, tuple[str, ...], str | None]]"
) -> "pl.Series":
    """When each made row became known: the latest known time of the input rows that it can be traced to, by their key; else its ``time``.

    ``inputs`` are rows, key and known column of each. Raises ``Invalid`` for a row that can't be traced: it might tell the future.
    """
    import polars as pl

    traced = made.lazy()
    known = []
    for place, (rows, key, column) in enumerate(inputs):
        if column is None:
            continue
        if column in made.columns:
            known.append(_in_utc(pl.col(column)))
            continue
        lost = [part for part in key if part not in made.columns]
        if lost:
            raise Invalid(
                f"{name} drops {lost[0]!r} and {column!r}, so nothing says when its rows became known; "
                f"keep {column!r}, or the whole key ({', '.join(key)})"
            )
        when = rows.lazy().group_by(key).agg(_in_utc(pl.col(column)).max().alias(f"{KNOWN}_{place}"))
        traced = traced.join(when, on=key, how="left", maintain_order="left")
        known.append(pl.col(f"{KNOWN}_{place}"))
    latest = pl.coalesce(pl.max_horizontal(known), _in_utc(pl.col(time))) if known else _in_utc(pl.col(time))
    rows_in_all = made.height + sum(rows.height for rows, _, _ in inputs)
    return traced.select(latest.alias(KNOWN)).collect(engine=engine_for(rows_in_all)).to_series()


def _in_utc(instant: "pl.Expr") -> "pl.Expr":
    return instant.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
