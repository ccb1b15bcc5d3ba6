"""What changed between two versions of a dataset."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clew.datasets.columns import Column, Scalar, plain
from clew.errors import Invalid

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ColumnChange", "Diff", "compare"]

_EXAMPLES = 20


@dataclass(frozen=True)
class ColumnChange:
    """A column as it was and as it is; ``None`` where it is not there. ``changed_rows`` counts rows of both versions that differ in it."""

    name: str
    before: Column | None
    after: Column | None
    changed_rows: int


@dataclass(frozen=True)
class Diff:
    """Rows by key: ``added`` and ``removed`` are in one version only, ``changed`` in both with other values. Examples are keys."""

    key: tuple[str, ...]
    added: int
    removed: int
    changed: int
    unchanged: int
    columns: tuple[ColumnChange, ...]
    added_examples: list[list[Scalar]]
    removed_examples: list[list[Scalar]]
    changed_examples: list[list[Scalar]]


def compare(
    before: "pl.LazyFrame",
    after: "pl.LazyFrame",
    before_columns: tuple[Column, ...],
    after_columns: tuple[Column, ...],
    key: tuple[str, ...],
) -> Diff:
    """Compare two sets of rows by key. Raises ``Invalid`` when one has other key columns, or has them in another type."""
    import polars as pl

    old, new = ({column.name: column for column in columns} for columns in (before_columns, after_columns))
    unlike = [name for name in key if name not in old or old[name].dtype != new[name].dtype]
    if unlike:
        how = "; ".join(f"{name} is {new[name].dtype} now, and was {old[name].dtype if name in old else 'not there'}" for name in unlike)
        raise Invalid(f"the rows of the two versions can't be matched by key: {how}", columns=unlike)
    names = list(old | new)
    shared = [name for name in names if name in old and name in new and name not in key]
    added = after.join(before, on=key, how="anti").select(key)
    removed = before.join(after, on=key, how="anti").select(key)
    both = after.select(*key, *shared).join(before.select(*key, *shared), on=key, how="inner", suffix="_before")
    # A column of another type differs in every row: whoever reads it gets another value, be it 1 and 1.0.
    differs = [
        (pl.col(name).ne_missing(pl.col(f"{name}_before")) if old[name].dtype == new[name].dtype else pl.lit(value=True)).alias(name)
        for name in shared
    ]
    marked = both.select(*key, *differs).collect(engine="streaming")
    changed = marked.filter(pl.any_horizontal(shared)) if shared else marked.clear()
    first, gone = pl.collect_all([added, removed])
    return Diff(
        key=key,
        added=first.height,
        removed=gone.height,
        changed=changed.height,
        unchanged=marked.height - changed.height,
        columns=tuple(
            ColumnChange(name, old.get(name), new.get(name), int(changed[name].sum()) if name in shared else 0) for name in names
        ),
        added_examples=_examples(first, key),
        removed_examples=_examples(gone, key),
        changed_examples=_examples(changed, key),
    )


def _examples(rows: "pl.DataFrame", key: tuple[str, ...]) -> list[list[Scalar]]:
    return [[plain(value) for value in row] for row in rows.select(key).sort(key).head(_EXAMPLES).iter_rows()]
