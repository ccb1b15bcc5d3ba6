"""Features against their declared bounds: one comparison for many rows, the same where they are built and where they are served.

A feature is compared as its model gets it, in float32, with the bounds rounded to float32 too. Rounding keeps order, so what lies within
the bounds never falls outside by it, and the last digit of a float64, in which offline and online may differ, decides nothing.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from clew.bounds import Bounds, bounds_in_words
from clew.definitions import AnyDefinition, FeaturesDefinition, WindowsDefinition, from_document
from clew.errors import Invalid, MissingFeature, OutOfBounds
from clew.feature_store.schema import UsedView

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Limits", "bounds_of", "check_frame", "check_names", "counted_from", "declared_bounds", "limits_of"]

_NAMED_ROWS = 5
Matrix = npt.NDArray[np.float32] | npt.NDArray[np.float64]


class Limits:
    """The bounds of the columns of a matrix. Immutable.

    ``owners`` says of each column, in order, its view and what the view calls it.
    """

    def __init__(self, owners: Sequence[tuple[str, str]], bounds: Sequence[Bounds | None]) -> None:
        self._owners = tuple(owners)
        self._bounds = tuple(bounds)
        with np.errstate(over="ignore"):  # a bound past float32's range is none that a float32 can break
            self._low = np.array([-np.inf if one is None or one[0] is None else one[0] for one in bounds], np.float64).astype(np.float32)
            self._high = np.array([np.inf if one is None or one[1] is None else one[1] for one in bounds], np.float64).astype(np.float32)
        self._any = any(one is not None for one in bounds)

    def __bool__(self) -> bool:
        """Whether there is anything to check."""
        return self._any

    def outside(self, matrix: Matrix) -> npt.NDArray[np.bool_]:
        """Which values of ``(n_rows, n_columns)`` lie outside; NaN is a missing value, and never does."""
        if matrix.dtype != np.float32:
            with np.errstate(over="ignore"):
                matrix = matrix.astype(np.float32)
        return (matrix < self._low) | (matrix > self._high)

    def check(self, matrix: Matrix) -> None:
        """Raise ``OutOfBounds`` with view, column, value and bounds of the first value outside, and every row that has one, from 0."""
        if not self._any:
            return
        outside = self.outside(matrix)
        if not outside.any():
            return
        rows = np.flatnonzero(outside.any(axis=1)).tolist()
        column = int(outside[rows[0]].argmax())
        (view, name), bounds = self._owners[column], self._bounds[column]
        assert bounds is not None  # nothing lies outside of none
        value = float(matrix[rows[0], column])
        raise OutOfBounds(
            f"the feature {name!r} of {view} is {value:.9g}, and must be {bounds_in_words(bounds)}",
            view=view, column=name, value=value, bounds=list(bounds), row=rows[0], rows=rows,
        )  # fmt: skip


def counted_from(error: OutOfBounds | MissingFeature, first: int) -> OutOfBounds | MissingFeature:
    """What was raised of the features of a part of a request, for the whole: it names the row, and rows count from the first of all."""
    rows = [first + row for row in error.details["rows"]]
    return type(error)(f"row {rows[0]}: {error.message}", **error.details | {"row": rows[0], "rows": rows})


def bounds_of(definition: AnyDefinition) -> Mapping[str, Bounds]:
    """The bounds of a view's features, by column: those of an aggregate hold for each of its windows."""
    if isinstance(definition, WindowsDefinition):
        return {
            f"{name}_{window}": one.bounds
            for window in definition.over
            for name, one in definition.aggregates.items()
            if one.bounds is not None
        }
    return definition.bounds if isinstance(definition, FeaturesDefinition) else {}


def declared_bounds(use: UsedView) -> list[Mapping[str, Bounds]]:
    """The bounds that the version of a view declares, and those of the views that it takes, without those that declare none."""
    own = bounds_of(from_document(use.details.definition))
    return [*([own] if own else []), *(one for taken in use.inputs for one in declared_bounds(taken))]


def limits_of(views: Sequence[UsedView]) -> Limits:
    """The limits of the features of views, in the order in which a model's matrix has them."""
    owners, bounds = [], []
    for use in views:
        declared = bounds_of(from_document(use.details.definition))
        for column in use.details.columns:
            owners.append((use.view, column.name))
            bounds.append(declared.get(column.name))
    return Limits(owners, bounds)


def check_names(definition: FeaturesDefinition, columns: Sequence[str]) -> None:
    """Raise ``Invalid`` for bounds of a column that the view's function does not make."""
    unknown = [name for name in definition.bounds if name not in columns]
    if unknown:
        raise Invalid(
            f"{definition.name} bounds {unknown[0]!r}, and its function makes no such feature; it makes {', '.join(columns) or 'none'}",
            view=definition.name,
            column=unknown[0],
        )


def check_frame(view: str, features: "pl.DataFrame", bounds: Mapping[str, Bounds], keys: "pl.DataFrame") -> None:
    """Raise ``OutOfBounds`` where a feature lies outside, naming view, column, value, bounds and the keys of the first rows."""
    import polars as pl

    for name, limit in bounds.items():
        column = features[name]
        outside = Limits([(view, name)], [limit]).outside(column.cast(pl.Float32).to_numpy().reshape(-1, 1))
        rows = np.flatnonzero(outside[:, 0])
        if not len(rows):
            continue
        first = rows[:_NAMED_ROWS].tolist()
        named = [{key: str(value) for key, value in row.items()} for row in keys[first].iter_rows(named=True)]
        values = [float(value) for value in column[first]]
        listed = "; ".join(
            f"{value:.9g} at {', '.join(f'{key}={text}' for key, text in row.items())}" for value, row in zip(values, named, strict=True)
        )
        more = f", and {len(rows) - len(first):,} more" if len(rows) > len(first) else ""
        raise OutOfBounds(
            f"the feature {name!r} of {view} must be {bounds_in_words(limit)}, and is {listed}{more}; nothing is stored. "
            "Mend the rows or the function, or declare other bounds",
            view=view, column=name, value=values[0], bounds=list(limit), count=len(rows), keys=named,
        )  # fmt: skip
