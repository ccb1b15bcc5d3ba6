"""The looks that a monitor has had, so that no window is looked at twice."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from clew.monitoring.due import Span
from clew.monitoring.schema import MonitorKind, monitor_looks
from clew.operations import Context

__all__ = ["Seen", "looks_so_far"]


@dataclass(frozen=True)
class Seen:
    """The looks that a monitor has had: by kind, the ends of their windows with the words, and the sources."""

    words: dict[tuple[str, datetime], str]
    sources: set[tuple[str, str]]

    def has(self, kind: MonitorKind, span: Span) -> bool:
        return (kind, span.end) in self.words


def looks_so_far(context: Context, monitor: str) -> Seen:
    columns = monitor_looks.c
    query = sa.select(columns.kind, columns.window_end, columns.source, columns.word)
    rows = list(context.db.execute(query.where(columns.project == context.project, columns.monitor == monitor)))
    return Seen({(row.kind, row.window_end): row.word for row in rows}, {(row.kind, row.source) for row in rows if row.source})
