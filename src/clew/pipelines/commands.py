"""``clew apply``, ``plan``, ``build`` and ``why``."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from clew import console
from clew.backend import current
from clew.sdk import verbs
from clew.sdk.files import load_files

__all__ = ["COMMANDS", "apply", "build", "plan", "why"]

_Files = Annotated[list[Path] | None, typer.Option("--file", "-f", help="A file with definitions; [tool.clew] files where none is named.")]
_Asset = Annotated[str, typer.Argument(help="An asset's name.", autocompletion=console.complete_assets())]


def apply(
    files: Annotated[list[Path] | None, typer.Argument(help="Files with definitions; [tool.clew] files where none is named.")] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what the files no longer declare.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
) -> None:
    """Show what would change, then make the files' definitions the project's."""
    load_files(current().settings, files or ())
    result = verbs.apply(prune=prune, dry_run=dry_run)
    rows = [
        row
        for change in result.changes
        for row in _beneath((change.kind.replace("_", " "), change.name), [_WORDS[change.change], *change.words])
    ]
    console.show_rows(result, ("kind", "name", "change"), rows, empty="the files declare nothing")


_WORDS = {
    "added": "added", "changed": "changed", "unchanged": "as it was", "removed": "removed",
    "would_remove": "not declared any more; --prune removes it",
}  # fmt: skip


def plan(asset: _Asset, files: _Files = None) -> None:
    """Show what a build would do, without doing it."""
    load_files(current().settings, files or ())
    made = verbs.plan(asset)
    rows = [row for step in made.steps for row in _beneath((step.kind.replace("_", " "), step.name, step.state), step.lines)]
    console.show_rows(made, ("kind", "name", "state", "why"), rows, empty="nothing to build")


def _beneath(cells: tuple[str, ...], lines: Sequence[str]) -> list[tuple[str, ...]]:
    """A row with the first of the lines, and one beneath it for each further one."""
    return [(*(cell if place == 0 else "" for cell in cells), line) for place, line in enumerate(lines)]


def build(
    asset: _Asset,
    files: _Files = None,
    executor: Annotated[str, typer.Option(help="processes, in_process or ray.")] = "processes",
    workers: Annotated[int | None, typer.Option(help="How many workers; one for each core where it is left out.")] = None,
) -> None:
    """Build everything stale upstream of an asset, in parallel, cached.

    A model's version that its gate rejects ends it with 0: a verdict is no failure of the command. CI asks `--json` for the `state`.
    """
    load_files(current().settings, files or ())
    version = verbs.build(asset, executor=executor, workers=workers, progress=_Lines())
    console.show(version, lambda: f"{version.ref} is {version.state}: {version.state_reason or version.why}")


def why(asset: _Asset, files: _Files = None) -> None:
    """Say the first thing that differs from the last build."""
    load_files(current().settings, files or ())
    reason = verbs.why(asset)
    console.show({"asset": asset, "why": reason}, reason)


class _Lines:
    """Progress as lines on standard error."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[int, int | None]] = {}

    def started(self, step: str, total: int | None = None) -> None:
        self._parts[step] = (0, total)
        console.note(f"{step} …")

    def advanced(self, step: str, message: str = "") -> None:
        done, total = self._parts.get(step, (0, None))
        self._parts[step] = (done + 1, total)
        console.note(f"{step} {done + 1}/{total or '?'} {message}")

    def finished(self, step: str, outcome: str) -> None:
        console.note(f"{step} {outcome}")


COMMANDS: dict[str, Callable[..., Any]] = {"apply": apply, "plan": plan, "build": build, "why": why}
