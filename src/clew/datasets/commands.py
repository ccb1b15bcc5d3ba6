"""``clew ingest``, ``clew datasets`` and ``clew cut``."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from clew import console
from clew.backend import Backend, current
from clew.catalog import service as catalog
from clew.datasets import profile_words, service
from clew.datasets.schema import Column, DatasetVersion, Growth
from clew.errors import ClewError, Invalid

__all__ = ["COMMANDS"]

Name = Annotated[str, typer.Argument(autocompletion=console.complete_assets("dataset"), help="The dataset's name.")]


@dataclass(frozen=True)
class _Line:
    """What the ingest of one file did, as ``--json`` says it."""

    file: str
    version: str
    new: bool
    added: int
    known: int
    rows: int
    expectations: str | None


def ingest(
    dataset: Name,
    files: Annotated[list[Path], typer.Argument(help="The files, in order; each makes a version.")],
    replace: Annotated[bool, typer.Option("--replace", help="Start anew with these rows; the versions before stay.")] = False,
    definitions: Annotated[list[Path] | None, typer.Option("--file", "-f", help="The file that declares the dataset.")] = None,
) -> None:
    """Add files to a dataset: one more version each, checked on the way in. Nothing of a refused file is stored."""
    from clew.sdk.datasets import Dataset
    from clew.sdk.files import find_declared
    from clew.sdk.ingest import ingest as ingest_one

    backend = current()
    asset = find_declared(backend.settings, "dataset", dataset, definitions or ())
    assert isinstance(asset, Dataset)
    lines = []
    for place, file in enumerate(files):
        try:
            done = ingest_one(backend, asset, file, replace=replace and place == 0)
        except ClewError as error:
            if len(files) == 1:
                raise
            raise _among(error, files, place) from error
        growth = done.growth
        written = None if done.expectations is None else str(done.expectations)
        lines.append(_Line(str(file), str(growth.version.ref), growth.new, growth.added, growth.known, growth.rows, written))
        console.say(f"{file.name}: {_told(growth)}")
        if written:
            console.say(f"  rules were inferred: review {written}; from the next file on they are enforced")
    if console.as_json():
        console.show(lines, "")


def _among(error: ClewError, files: list[Path], place: int) -> ClewError:
    """The refusal of one file of several, with what became of the others."""
    taken, untried = [str(file) for file in files[:place]], [str(file) for file in files[place + 1 :]]
    before = f"{', '.join(taken)} {'is' if len(taken) == 1 else 'are'} in; " if taken else ""
    after = f"{', '.join(untried)} {'was' if len(untried) == 1 else 'were'} not tried" if untried else "there was none after it"
    return type(error)(f"{error.message}\n  {before}{after}", **{**error.details, "taken": taken, "untried": untried})


def cut(dataset: Name) -> None:
    """Cut appended rows into a dataset version."""
    growth = current().call(service.cut_tail, dataset)
    console.show(growth, lambda: _told(growth))


def _told(growth: Growth) -> str:
    known = f", {growth.known:,} known before" if growth.known else ""
    if not growth.new:
        return f"{growth.version.ref}, as before: {growth.rows:,} rows, none of them new"
    return f"{growth.version.ref}: {growth.added:,} rows added{known}, {growth.rows:,} in all"


def datasets(
    reference: Annotated[
        str | None, typer.Argument(autocompletion=console.complete_assets("dataset"), help="One dataset, or a version such as landings@7.")
    ] = None,
    against: Annotated[int | None, typer.Option("--diff", help="Compare with this version's number.")] = None,
    rows: Annotated[int, typer.Option("--rows", help="Show so many rows.")] = 0,
) -> None:
    """List datasets, or show one: its columns, its first rows, or what differs from another version."""
    backend = current()
    if reference is None:
        if against is not None or rows:
            raise Invalid("name the dataset whose rows or differences you want, such as `clew datasets landings@7 --diff 6`")
        _list(backend)
        return
    version = backend.call(catalog.resolve, reference)
    found = backend.call(service.dataset_version, version.name, version.number)
    if against is not None:
        _show_diff(backend, found, against)
    elif rows:
        preview = backend.call(service.preview_rows, version.name, version.number, limit=rows)
        console.show_rows(preview, [column.name for column in preview.columns], preview.rows, empty="no rows")
    else:
        _show(found)


def _list(backend: Backend) -> None:
    page = backend.call(service.list_datasets)
    columns = ("dataset", "newest", "rows", "appended since", "from", "to", "updated")
    table = [
        (item.name, item.latest, f"{item.rows:,}", f"{item.tail_rows:,}", item.time_min, item.time_max, item.updated_at)
        for item in page.items
    ]
    console.show_rows(page, columns, table, empty="no dataset yet; `clew ingest <dataset> <file>` makes the first version of one")


def _show(found: DatasetVersion) -> None:
    details = found.details
    waiting = f", and {found.tail_rows:,} appended since" if found.tail_rows else ""
    console.say(f"{found.version.ref}: {details.rows:,} rows{waiting}; {found.version.why}")
    console.say(f"key {', '.join(details.key)}; time {details.time or 'none'}; known {details.known or details.time or 'always'}")
    table = [(item.name, _type(item), item.nulls, item.distinct, item.minimum, item.maximum) for item in details.columns]
    console.show_rows(found, ("column", "type", "missing", "different", "least", "greatest"), table, empty="no columns")


def _type(column: Column) -> str:
    return column.dtype if column.zone is None else f"{column.dtype.partition('(')[0]} in {column.zone}"


def show_profile(
    reference: Annotated[
        str, typer.Argument(autocompletion=console.complete_assets("dataset"), help="A dataset's version, such as landings@3.")
    ],
    against: Annotated[
        str | None, typer.Option("--against", help="Say how far each column moved since this one: landings@2, or 2.")
    ] = None,
) -> None:
    """Show what a version's columns hold, and how far each moved since another version."""
    from clew.datasets.reading import profile_version

    backend = current()
    version = backend.call(catalog.resolve, reference)
    base = None if against is None else _number_of(backend, version.name, against)
    found = profile_version(backend, version.name, version.number, base)
    if base is None:
        console.say(f"{found.version}: {found.profile.rows:,} rows")
        console.show_rows(found, ("column", "type", "missing", "what it holds"), profile_words.rows_of(found), empty="no columns")
        return
    assert found.before is not None
    console.say(
        f"{found.against} → {found.version}: {found.before.rows:,} → {found.profile.rows:,} rows; the farthest first, 0 to 1 but for PSI"
    )
    columns = ("column", "J-S", "variation", "K-S", "PSI", "missing", "what moved")
    console.show_rows(found, columns, profile_words.shift_rows_of(found), empty="the versions have no column in common")


def _number_of(backend: Backend, name: str, against: str) -> int:
    """The number of another version of the same dataset, by number or by reference."""
    base = backend.call(catalog.resolve, f"{name}@{against}" if against.isdecimal() else against)
    if base.name != name:
        raise Invalid(f"{base.ref} is a version of another dataset; hold {name} against a version of its own, such as --against 1")
    return base.number


def _show_diff(backend: Backend, found: DatasetVersion, against: int) -> None:
    diff = backend.call(service.diff_versions, found.version.name, against, found.version.number)

    def words() -> str:
        counts = f"{diff.added:,} rows added, {diff.removed:,} removed, {diff.changed:,} changed, {diff.unchanged:,} the same"
        gone = [item.name for item in diff.columns if item.after is None]
        new = [item.name for item in diff.columns if item.before is None]
        lines = [f"{found.version.name}@{against} → {found.version.ref}: {counts}"]
        lines += [f"  columns {what}: {', '.join(names)}" for what, names in (("added", new), ("removed", gone)) if names]
        lines += [f"  {item.name}: {item.changed_rows:,} rows differ" for item in diff.columns if item.changed_rows]
        return "\n".join(lines)

    console.show(diff, words)


class _ShowsUnlessTold(TyperGroup):
    """``clew datasets landings@7`` shows that version: only a word that is a command is one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Any: Typer's own context class is private to it
        named = bool(args) and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if named else ["show", *args])


_datasets = typer.Typer(cls=_ShowsUnlessTold, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
_datasets.command("show")(datasets)
_datasets.command("profile")(show_profile)

COMMANDS: dict[str, Callable[..., Any]] = {"ingest": ingest, "datasets": _datasets, "cut": cut}
