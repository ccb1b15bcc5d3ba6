"""Reading a version's rows from a client, with or without the rows appended since."""

from typing import TYPE_CHECKING, Any

from clew.backend import Backend
from clew.datasets import service
from clew.datasets.rows import to_frame
from clew.datasets.schema import VersionProfile

if TYPE_CHECKING:
    import polars as pl

__all__ = ["profile_version", "scan_version"]


def scan_version(backend: Backend, name: str, number: int, include_tail: bool = False) -> "pl.LazyFrame":
    """The rows of a version, lazily, each column in its own type and zone, in the order in which they were stored.

    With ``include_tail`` the rows that were appended after the version follow, also those that a later version has taken in.
    """
    import polars as pl

    found = backend.call(service.dataset_version, name, number)
    rows = backend.scan(found.details.pin)
    if not include_tail:
        return rows
    appended = to_frame(_tail(backend, name, number), found.details.columns)
    return pl.concat([rows, appended.lazy()]) if appended.height else rows


def profile_version(backend: Backend, name: str, number: int, against: int | None = None) -> VersionProfile:
    """The profile of a version, in the bins of another and with the distances to it if one is given; computed when first asked for."""
    found = backend.call(service.version_profile, name, number, against)
    if found is None:
        backend.call(service.compute_profile, name, number, against)
        found = backend.call(service.version_profile, name, number, against)
    assert found is not None  # it has just been kept
    return found


def _tail(backend: Backend, name: str, number: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after = 0
    while True:
        page = backend.call(service.tail_page, name, number, after)
        rows += [item.row for item in page.items]
        if page.next_cursor is None:
            return rows
        after = int(page.next_cursor)
