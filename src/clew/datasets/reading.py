"""Reading a version's rows from a client, with or without the rows appended since."""

from typing import TYPE_CHECKING, Any

from clew.backend import Backend
from clew.datasets import service
from clew.datasets.rows import to_frame

if TYPE_CHECKING:
    import polars as pl

__all__ = ["scan_version"]


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


def _tail(backend: Backend, name: str, number: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after = 0
    while True:
        page = backend.call(service.tail_page, name, number, after)
        rows += [item.row for item in page.items]
        if page.next_cursor is None:
            return rows
        after = int(page.next_cursor)
