"""How a dataset grows by a version: stage, verify, commit the row.

A version holds the rows of the one before, the rows appended since, and the new ones. Its Delta commit comes first and is invisible
until the catalog's row names it; a head that no row names, left by a writer that died in between, is undone before the next commit.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from clew.bounds import Bounds
from clew.catalog import service as catalog
from clew.catalog.schema import AssetVersion
from clew.datasets import digests, tail
from clew.datasets.columns import columns_of, time_range
from clew.datasets.expectations import Expectations, check, check_bounds, refuse
from clew.datasets.leases import Fence, writer
from clew.datasets.preparation import conform, prepare, split_known
from clew.datasets.rows import to_frame
from clew.datasets.schema import DatasetDetails, Growth
from clew.definitions import DatasetDefinition
from clew.errors import ClewError, Conflict, NotFound
from clew.operations import Context

if TYPE_CHECKING:
    import polars as pl

    from clew.storage.tables import TablePin

__all__ = ["Arrival", "details_of", "grow", "table_of"]

_ATTEMPTS = 5


@dataclass(frozen=True)
class Arrival:
    """Rows that arrive, as the dataset's function made them, and what they are to be held against."""

    frame: "pl.DataFrame"
    definition: DatasetDefinition
    definition_digest: str
    expectations: Expectations | None
    source: str
    replace: bool = False
    code: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Ground:
    """What the dataset is before: its newest version, if any, and the appended rows that it lacks."""

    latest: AssetVersion | None
    details: DatasetDetails | None
    appended: list[dict[str, object]]
    sequence: int


def table_of(context: Context, name: str) -> str:
    return f"{context.project}/datasets/{name}"


def details_of(version: AssetVersion) -> DatasetDetails:
    return msgspec.convert(version.details, DatasetDetails)


def grow(context: Context, name: str, arrival: Arrival | None) -> Growth:
    """Take in an arrival, or with ``None`` only the appended rows. With nothing new in either, the version that there is."""
    with writer(context, name) as fence:
        for _ in range(_ATTEMPTS):
            ground = _survey(context, name)
            if arrival is None or not arrival.replace:
                grown = _extend(context, name, arrival, ground, fence)
            elif ground.appended:
                _extend(context, name, None, ground, fence)  # what was appended gets into the history before it begins anew
                continue
            else:
                grown = _replace(context, arrival, ground, fence)
            if grown is not None:
                return grown
    raise Conflict(f"rows with the keys of this file kept being appended to {name!r} while it was ingested; pause the stream and try again")


def _survey(context: Context, name: str) -> _Ground:
    with context.reading() as inside:
        latest = catalog.latest_version(inside, name)
        if latest is None:
            return _Ground(None, None, [], tail.last_sequence(inside, name))
        if latest.kind != "dataset":
            raise Conflict(f"{name!r} is a {latest.kind.replace('_', ' ')} in this project; a dataset needs another name")
        rows = tail.uncut(inside, name)
        return _Ground(latest, details_of(latest), [row for _, row in rows], tail.last_sequence(inside, name))


def _extend(context: Context, name: str, arrival: Arrival | None, ground: _Ground, fence: Fence) -> Growth | None:
    """``None`` when a row was appended meanwhile that may touch the arrival: look again."""
    details = ground.details
    if details is None:
        if arrival is None:
            raise NotFound(f"{name!r} has no version yet, so nothing can have been appended; `clew ingest {name} <file>` makes the first")
        return _replace(context, arrival, ground, fence)
    import polars as pl

    appended = to_frame(ground.appended, details.columns)
    fresh = appended
    if arrival is not None:
        if tuple(arrival.definition.key) != details.key:
            was, now = ", ".join(details.key), ", ".join(arrival.definition.key)
            raise Conflict(f"the key of {name} is now ({now}) and the rows stored have ({was}); `clew ingest --replace` starts anew")
        frame = conform(prepare(arrival.frame, arrival.definition, arrival.source), details.columns, name, arrival.source)
        _expect(arrival, frame)
        known = pl.concat([context.tables.scan(details.pin), appended.lazy()])
        fresh = pl.concat([appended, split_known(frame, known, details.key, name, arrival.source)])
    if not fresh.height and (arrival is None or _same_declaration(ground.latest, arrival)):
        assert ground.latest is not None
        return Growth(ground.latest, 0, arrival.frame.height if arrival else 0, details.rows, new=False)
    head = context.tables.head(table_of(context, name))
    if not fresh.height:
        pin = details.pin
    else:
        if head != details.pin.version:
            head = context.tables.rollback_to(table_of(context, name), details.pin.version)
        pin = _verified(context.tables.append(table_of(context, name), fresh, expected_head=head), details.rows + fresh.height)
    return _commit(context, name, arrival, ground, fence, pin, fresh)


def _replace(context: Context, arrival: Arrival, ground: _Ground, fence: Fence) -> Growth | None:
    """The first version, or one that starts anew with the arrival only."""
    name = arrival.definition.name
    frame = prepare(arrival.frame, arrival.definition, arrival.source)
    _expect(arrival, frame)
    table = table_of(context, name)
    head = context.tables.head(table)
    write = context.tables.append if head is None else context.tables.overwrite
    pin = _verified(write(table, frame, expected_head=head), frame.height)
    return _commit(context, name, arrival, _Ground(ground.latest, None, [], ground.sequence), fence, pin, frame)


def _expect(arrival: Arrival, frame: "pl.DataFrame") -> None:
    unexpected = check(frame, arrival.expectations) if arrival.expectations is not None else []
    refuse(arrival.definition.name, arrival.source, check_bounds(frame, arrival.definition.bounds), unexpected)


def _same_declaration(latest: AssetVersion | None, arrival: Arrival) -> bool:
    return latest is not None and latest.definition_digest == arrival.definition_digest


def _verified(pin: "TablePin", rows: int) -> "TablePin":
    if pin.rows != rows:
        raise ClewError(
            f"the table {pin.table!r} holds {pin.rows:,} rows after the commit, and {rows:,} were to be there; nothing of it is visible"
        )
    return pin


def _commit(
    context: Context, name: str, arrival: Arrival | None, ground: _Ground, fence: Fence, pin: "TablePin", fresh: "pl.DataFrame"
) -> Growth | None:
    details = _details(context, arrival, ground, pin, fresh)
    content = digests.content_digest([(column.name, column.dtype) for column in details.columns], details.rows, details.row_sum)
    digest = arrival.definition_digest if arrival else ground.latest.definition_digest  # type: ignore[union-attr]  # a cut has a version to cut onto

    def commit(inside: Context) -> AssetVersion | None:
        fence.check(inside)
        if arrival is not None and _touched(inside, name, details, ground, fresh):
            return None
        version = catalog.add_version(
            inside,
            kind="dataset",
            name=name,
            definition_digest=digest,
            content_digest=content,
            why=_why(arrival, ground, fresh),
            details=details,
        )
        tail.mark_cut(inside, name, version.number, ground.sequence)
        if arrival is not None and arrival.replace:
            if ground.latest is not None and version.number < ground.latest.number:
                raise Conflict(
                    f"these rows are {version.ref} already, and {ground.latest.ref} came after it; read that version where you want it"
                )
            tail.forget_cut(inside, name)
        return version

    version = context.run_write(commit)
    if version is None:
        return None
    known = (arrival.frame.height if arrival else 0) + len(ground.appended) - fresh.height
    new = ground.latest is None or version.number > ground.latest.number
    return Growth(version, fresh.height, known, details.rows, new)


def _touched(context: Context, name: str, details: DatasetDetails, ground: _Ground, fresh: "pl.DataFrame") -> bool:
    """Whether a row that was appended since the survey has the key of a row that is about to be committed."""
    late = tail.uncut(context, name, after=ground.sequence)
    if not late:
        return False
    rows = to_frame([row for _, row in late], details.columns)
    return bool(rows.join(fresh, on=details.key, how="semi").height)


def _details(context: Context, arrival: Arrival | None, ground: _Ground, pin: "TablePin", fresh: "pl.DataFrame") -> DatasetDetails:
    rows = context.tables.scan(pin)
    before = ground.details
    declared: DatasetDetails | DatasetDefinition
    row_sum = digests.add(before.row_sum if before else digests.EMPTY, digests.sum_of(digests.row_digests(fresh)))
    if arrival is None:
        assert before is not None
        declared, expectations, source = before, before.expectations, "appended rows"
    else:
        declared, expectations, source = arrival.definition, arrival.expectations, arrival.source
    first, last = time_range(rows, declared.time)
    return DatasetDetails(
        pin=pin,
        rows=pin.rows,
        added_rows=fresh.height,
        columns=columns_of(rows),
        key=tuple(declared.key),
        time=declared.time,
        known=declared.known,
        zone=declared.zone,
        time_min=first,
        time_max=last,
        expectations=expectations,
        source=source,
        row_sum=row_sum,
        tail_sequence=ground.sequence,
        bounds=declared.bounds,
        code=arrival.code if arrival else before.code if before else {},
    )


def _why(arrival: Arrival | None, ground: _Ground, fresh: "pl.DataFrame") -> str:
    appended = len(ground.appended)
    filed = fresh.height - appended
    if arrival is None:
        return f"data: {appended:,} appended rows"
    if not fresh.height:
        rebounded = sorted(_differing(ground.details.bounds if ground.details else {}, arrival.definition.bounds))
        what = f"the bounds of {', '.join(rebounded)} changed" if rebounded else "the dataset's declaration or function changed"
        return f"code: {what}; the rows are the same"
    source = arrival.source or "a frame"
    together = f" and {appended:,} appended rows" if appended else ""
    begun = "the first rows, " if ground.latest is None else "anew with " if arrival.replace else ""
    return f"data: {begun}{filed:,} rows from {source}{together}"


def _differing(before: Mapping[str, Bounds], after: Mapping[str, Bounds]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
