"""Profiles of versions: computed when somebody first asks, then kept as blobs.

Not at ingest: a profile reads the whole version, and few of a stream's hourly versions are ever looked at. A version never changes, so
neither does its profile; bins are drawn with a fixed seed, so that two who compute it at once keep the same bytes.
"""

from typing import TYPE_CHECKING

import sqlalchemy as sa

from clew.access.service import own_blob
from clew.catalog.schema import AssetVersion
from clew.clock import wall_now
from clew.datasets.distances import shifts
from clew.datasets.growth import details_of
from clew.datasets.profile import FORMAT, Profile, decode, encode, fitting, profile
from clew.datasets.schema import KeptProfile, VersionProfile, dataset_profiles
from clew.errors import NotFound
from clew.operations import Context

if TYPE_CHECKING:
    import polars as pl

__all__ = ["find", "keep", "profile_rows"]


def find(context: Context, version: AssetVersion, base: AssetVersion | None = None) -> VersionProfile | None:
    """The kept profile, in the bins of ``base`` and held against it if there is one; ``None`` when it is not there (yet)."""
    if base is None:
        own = _found(context, version, version)
        return None if own is None else VersionProfile(str(version.ref), own[0])
    before, after = _found(context, base, base), _found(context, version, base)
    if before is None or after is None:
        return None
    return _against(str(version.ref), after[0], str(base.ref), before[0])


def keep(context: Context, version: AssetVersion, base: AssetVersion | None = None) -> KeptProfile:
    """Compute what is not kept yet, and keep it."""
    reference = None
    if base is not None:
        reference, _ = _ensured(context, base, base, None)
    _, digest = _ensured(context, version, base or version, reference)
    return KeptProfile(str(version.ref), None if base is None else str(base.ref), digest)


def profile_rows(name: str, rows: "pl.LazyFrame", against: str | None = None, before_rows: "pl.LazyFrame | None" = None) -> VersionProfile:
    """The same for rows of any version, without keeping it."""
    if against is None or before_rows is None:
        return VersionProfile(name, profile(rows))
    before = profile(before_rows)
    return _against(name, profile(rows, fitting(before, rows)), against, before)


def _against(name: str, after: Profile, base: str, before: Profile) -> VersionProfile:
    # A column that is new, or holds another kind of value now, has bins of its own: there is no distance to speak of.
    comparable = Profile(after.rows, tuple(column for column in after.columns if column.bins in _bins(before, column.name)))
    return VersionProfile(name, after, base, before, tuple(shifts(before, comparable)))


def _bins(profile: Profile, name: str) -> list[object]:
    return [column.bins for column in profile.columns if column.name == name]


def _ensured(context: Context, version: AssetVersion, bins_of: AssetVersion, reference: Profile | None) -> tuple[Profile, str]:
    """The profile and its digest, found or computed."""
    with context.reading() as inside:
        found = _found(inside, version, bins_of)
    if found is not None:
        return found
    rows = context.tables.scan(details_of(version).pin)
    computed = profile(rows, None if reference is None else fitting(reference, rows))
    blob = context.blobs.put(encode(computed))

    def commit(inside: Context) -> None:
        own_blob(inside, blob)
        inside.db.execute(sa.delete(dataset_profiles).where(*_here(inside, version, bins_of)))
        row = {
            "project": inside.project, "name": version.name, "number": version.number, "bins_of": bins_of.number, "format": FORMAT,
            "digest": blob.digest, "computed_at": wall_now(),
        }  # fmt: skip
        inside.db.execute(sa.insert(dataset_profiles).values(row))

    context.run_write(commit)
    return computed, blob.digest


def _found(context: Context, version: AssetVersion, bins_of: AssetVersion) -> tuple[Profile, str] | None:
    query = sa.select(dataset_profiles.c.format, dataset_profiles.c.digest).where(*_here(context, version, bins_of))
    row = context.db.execute(query).one_or_none()
    if row is None or row.format != FORMAT:
        return None
    try:
        return decode(context.blobs.get(row.digest)), row.digest
    except NotFound:  # its bytes were collected: compute it again
        return None


def _here(context: Context, version: AssetVersion, bins_of: AssetVersion) -> list["sa.ColumnElement[bool]"]:
    table = dataset_profiles.c
    return [
        table.project == context.project, table.name == version.name, table.number == version.number, table.bins_of == bins_of.number,
    ]  # fmt: skip
