"""``clew runs`` and ``clew sync``."""

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

import typer

from clew import console
from clew.backend import Backend, current
from clew.identifiers import names_near
from clew.tracking.filters import Field, fields_of, parse, parse_field
from clew.tracking.schema import RunDetails, RunRow
from clew.tracking.service import get_run, list_runs
from clew.tracking.shipping import SyncReport, ship_dead
from clew.tracking.views import RunView

__all__ = ["COMMANDS", "runs", "sync"]

_COLUMNS = 4
_MOST_RUNS = 1_000
_FAMILIES = {"params": "parameter", "tags": "tag"}


def runs(
    run: Annotated[str | None, typer.Argument(help="A run's id; without one, the newest runs are listed.")] = None,
    filter: Annotated[  # noqa: A002 - the option's name
        str | None, typer.Option("--filter", "-f", help="Only runs for which this holds, such as: metrics.auc > 0.7 and params.lr < 0.2")
    ] = None,
    order: Annotated[str, typer.Option(help="A field to sort by, with - from high to low: -metrics.auc")] = "-started",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many runs at most.")] = 20,
    log: Annotated[bool, typer.Option("--log", help="Print what the run printed.")] = False,
) -> None:
    """List runs, or show one."""
    backend = current()
    ship_dead(backend)
    if run is None:
        _show_list(backend, filter, order, limit)
    elif log:
        output = RunView(backend, backend.call(get_run, run)).output()
        console.show({"run": run, "output": output}, output)
    else:
        details = backend.call(get_run, run)
        console.show(details, lambda: _described(details))


def _show_list(backend: Backend, condition: str | None, order: str, limit: int) -> None:
    page = backend.call(list_runs, condition, order, limit=limit)
    metrics = _most_common([row.metrics for row in page.items])
    params = _most_common([row.params for row in page.items])
    columns = ("run", "name", "title", "status", "started", "took", *params, *metrics)
    empty = "no run here yet; `with clew.run() as run: run.log(loss=0.3)` makes one" if condition is None else "the filter finds no run"
    for words in _unknown(backend, condition, order):
        console.note(words)
    console.show_rows(page, columns, [_line(row, params, metrics) for row in page.items], empty=empty)
    if page.next_cursor is not None:
        console.say(f"… and more; --limit {limit * 5} shows them")


def _unknown(backend: Backend, condition: str | None, order: str) -> Iterator[str]:
    """The fields of a filter and an order that no run has, in words: the reason for an empty table, or for one in no order."""
    named = [parse_field(order.removeprefix("-")), *([] if condition is None or not condition.strip() else fields_of(parse(condition)))]
    absent = [one for one in dict.fromkeys(named) if one.family != "run" and not _is_anywhere(backend, one)]
    if not absent:
        return
    newest = backend.call(list_runs, limit=_MOST_RUNS).items
    for field in absent:
        known = {name for row in newest for name in _names(row, field)}
        what = _FAMILIES.get(field.family, "metric")
        yield f"no run has the {what} {field.name!r}; {names_near(field.name, known) or f'the newest {_MOST_RUNS:,} runs have no {what} at all'}"


def _is_anywhere(backend: Backend, field: Field) -> bool:
    return bool(backend.call(list_runs, f"{field.family}.`{field.name}` exists", limit=1).items)


def _names(row: RunRow, field: Field) -> Iterable[str]:
    return {"params": row.params, "tags": row.tags}.get(field.family, row.metrics)


def _line(row: RunRow, params: list[str], metrics: list[str]) -> list[Any]:
    values = [row.params.get(name) for name in params] + [row.metrics.get(name) for name in metrics]
    return [row.id, row.name, row.title, row.status, row.started_at, f"{row.duration_seconds:.1f} s", *values]


def _most_common(documents: list[dict[str, Any]]) -> list[str]:
    counts: dict[str, int] = {}
    for document in documents:
        for name in document:
            counts[name] = counts.get(name, 0) + 1
    return sorted(sorted(counts), key=lambda name: -counts[name])[:_COLUMNS]


def _described(details: RunDetails) -> str:
    row = details.run
    lines = [f"{row.id}  {row.name}" + (f"  “{row.title}”" if row.title else "")]
    lines.append(f"{row.status}, {row.duration_seconds:.1f} s from {console.instant(row.started_at)}")
    if details.error:
        lines += ["", details.error.rstrip()]
    blocks = {
        "params": row.params,
        "metrics": {
            name: f"{item.last}   (min {item.minimum}, max {item.maximum}, {item.count} points)"
            for name, item in details.metrics.items()
            if not name.startswith("system/")
        },
        "tags": row.tags,
        "artifacts": {item.name: f"{item.size_bytes} bytes, {item.digest}" for item in details.artifacts},
    }
    git = details.facts.get("git")
    if git:
        blocks["git"] = {"commit": git["commit"] + (" and changes that are not committed" if git["dirty"] else "")}
    for title, values in blocks.items():
        if values:
            width = max(len(name) for name in values)
            lines += ["", title, *(f"  {name:{width}}  {value}" for name, value in values.items())]
    if details.children:
        lines += ["", "inside", *(f"  {child}" for child in details.children)]
    return "\n".join(lines)


def sync() -> None:
    """Ship what dead processes left in their journals."""
    report = ship_dead(current())
    console.show(report, lambda: _reported(report))
    if report.failed:
        raise typer.Exit(1)


def _reported(report: SyncReport) -> str:
    lines = [f"shipped {run}" for run in report.runs] or ["nothing was left to ship"]
    lines += [f"could not ship {run}: {why}" for run, why in report.failed.items()]
    if report.targets:
        lines.append(f"{report.waiting} more wait for {', '.join(report.targets)}; `clew sync` with CLEW_URL set to it ships them")
    return "\n".join(lines)


COMMANDS: dict[str, Callable[..., Any]] = {"runs": runs, "sync": sync}
