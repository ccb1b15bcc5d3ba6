"""What commands print: words and tables for people, one JSON document with ``--json``, progress on stderr only.

Every command takes ``--json`` without declaring it: ``clew.cli`` adds the option, and the functions here obey it.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from clew.settings import Settings

__all__ = ["as_json", "begin", "complete_assets", "instant", "note", "say", "say_where", "show", "show_rows", "use_json"]

_PIPE_WIDTH = 1_000
_json = False
_unsaid = False


def use_json(wanted: bool) -> None:
    global _json  # noqa: PLW0603 - one process runs one command
    _json = wanted


def as_json() -> bool:
    """Whether the caller asked for JSON."""
    return _json


def say(text: str) -> None:
    """A line for a person; silent with ``--json``, where ``show`` speaks."""
    if not _json:
        print(text)


def note(text: str) -> None:
    """A remark beside the result, on stderr."""
    print(text, file=sys.stderr)


def begin() -> None:
    """A command begins, which says where it writes."""
    global _unsaid  # noqa: PLW0603 - likewise
    _unsaid = True


def say_where(settings: Settings) -> None:
    """Say, once a command and before it writes, in which project that is, where none lies in the working directory but one above it.

    A script says nothing: it is written for its project. So does a command with ``--json``.
    """
    global _unsaid  # noqa: PLW0603 - likewise
    where = settings.found_above(Path.cwd()) if _unsaid and not _json else ""
    _unsaid = False
    if where:
        from rich.console import Console

        Console(stderr=True, highlight=False, markup=False, soft_wrap=True).print(f"in {where}", style="dim")


def show(value: Any, words: str | Callable[[], str]) -> None:  # Any: whatever msgspec can encode
    """The value as JSON with ``--json``, else the words."""
    if _json:
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n")
        sys.stdout.flush()
    else:
        print(words if isinstance(words, str) else words(), flush=True)


def show_rows(value: Any, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """The value as JSON with ``--json``, else a table; ``empty`` says how the first row comes about."""
    if _json:
        show(value, "")
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for place, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=place == 0)
    for row in rows:
        table.add_row(*(_cell(cell) for cell in row))
    if table.row_count:
        # Into a pipe a row is one line, however long: the next program reads lines.
        Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)
    else:
        print(empty)


def instant(value: datetime) -> str:
    """A time by this machine's clock, with its offset: two terminals far apart show the same instant differently, and say so."""
    local = value.astimezone()
    offset = local.isoformat(timespec="seconds")[len("2013-04-01T12:00:00") :] if local.utcoffset() else "UTC"
    return f"{local:%Y-%m-%d %H:%M:%S} {offset}"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    return str(value)


def complete_assets(kind: str | None = None) -> Callable[[str], list[str]]:
    """A completion for Typer: the project's asset names of a kind, or of all. Quiet when nothing can be read."""

    def complete(incomplete: str) -> list[str]:
        try:
            from clew.backend import current
            from clew.catalog import service as catalog

            page = current().call(catalog.list_assets, kind, limit=1_000)  # type: ignore[arg-type]
        except Exception:  # completion runs at each Tab: no folder, no server and no schema are all just *no names*
            return []
        return [asset.name for asset in page.items if asset.name.startswith(incomplete)]

    return complete
