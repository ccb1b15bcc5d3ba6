"""``clew performance``, ``skew``, ``shadow``, ``monitors`` and ``alerts``: what was measured, what is watched, and what waits for somebody."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from clew import console
from clew.backend import current
from clew.monitoring.schema import Alert, Monitor, MonitorKind, MonitorLook, WindowProfile

__all__ = ["COMMANDS"]

_Alert = Annotated[int, typer.Argument(metavar="ALERT", help="The alert's number, as `clew alerts` shows it.")]
_Reason = Annotated[str, typer.Option(help="Why; it stays on record.")]
_Endpoint = Annotated[str, typer.Argument(help="The endpoint.")]
_From = Annotated[
    str | None, typer.Option("--from", help="Answers from this event time on: 2013-04-01 (in UTC), or a time with its offset.")
]
_To = Annotated[str | None, typer.Option("--to", help="Answers to before this event time.")]


def performance(endpoint: _Endpoint, start: _From = None, end: _To = None) -> None:
    """Measure how an endpoint did on answers whose labels have come and matured; the report is kept and shown on the overview."""
    from clew.monitoring.service import measure_performance

    report = current().call(measure_performance, endpoint, _instant("--from", start), _instant("--to", end))
    console.show(report, lambda: str(report))


def skew(
    endpoint: _Endpoint,
    start: _From = None,
    end: _To = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Only the newest so many answers.")] = None,
) -> None:
    """Recompute the features of answers as known at each one's time, and say what differs; the report is kept."""
    from clew.monitoring.measuring import measure_skew

    report = measure_skew(current(), endpoint, _instant("--from", start), _instant("--to", end), sample=sample)
    console.show(report, lambda: str(report))


def shadow(
    version: Annotated[
        str, typer.Argument(help="The model's version that is judged, such as late@3.", autocompletion=console.complete_assets("model"))
    ],
    decisions: Annotated[
        Path,
        typer.Argument(
            help="A CSV file: the columns of the training set's key, and one of what was decided about each row: yes and no, or probabilities."
        ),
    ],
    decision: Annotated[
        str | None, typer.Option(help="Which column says what was decided; to be named where the file has more than one beside the key.")
    ] = None,
    margin: Annotated[
        float,
        typer.Option(
            help="How much worse still counts as *no worse*: a share of the decisions (0.01 is one in a hundred), or nats of log loss where they are probabilities."
        ),
    ] = 0.01,
    threshold: Annotated[
        float | None, typer.Option(help="The version says yes from this score on; left out, it says yes as often as they did.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(help="The endpoint that keeps the report; left out, the one that is declared for the model.")
    ] = None,
) -> None:
    """Say whether a version would have decided better than people, or another system, did about the same rows; the report is kept."""
    from clew.monitoring.shadowing import shadow as run
    from clew.serving.commands import endpoint_of

    backend = current()
    name = endpoint_of(backend, version.partition("@")[0], endpoint)
    report = run(backend, version, decisions, name, column=decision, margin=margin, threshold=threshold)
    console.show(report, lambda: str(report))


def _instant(option: str, text: str | None) -> datetime | None:
    """A day, which begins in UTC, or a time with its offset. Raises ``Invalid``."""
    from clew.errors import Invalid

    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(f"{option} is {text!r}; a day is written 2013-04-01, a time 2013-04-01T08:00:00-04:00") from error
    if found.tzinfo is None and len(text) > len("2013-04-01"):
        raise Invalid(f"{option} is {text!r}, which has no offset; write it, such as {text}+00:00")
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def monitors(
    name: Annotated[str | None, typer.Argument(help="One monitor, with its looks.")] = None,
    look: Annotated[bool, typer.Option("--look", help="Look first at every window that is due.")] = False,
    kind: Annotated[str | None, typer.Option(help="Only looks at performance, regret, drift, missing or skew.")] = None,
    limit: Annotated[
        int, typer.Option(help="Show so many lines, each of looks in a row that found the same; so many looks with --json.")
    ] = 20,
    profile: Annotated[
        bool, typer.Option("--profile", help="What its columns held in the newest weeks, and how far each is from before.")
    ] = False,
    weeks: Annotated[int, typer.Option(min=1, help="So many weeks for --profile.")] = 4,
) -> None:
    """List monitors and what they last found, or show one's looks, newest first."""
    from clew.errors import Invalid
    from clew.monitoring import looking
    from clew.sdk.verbs import say_overdue

    backend = current()
    say_overdue()
    if name is None:
        if look or profile or kind is not None:
            raise Invalid("name the monitor to look with, such as `clew monitors late_quality --look`")
        found = backend.call(looking.list_monitors).items
        rows = ((one.name, one.endpoint or one.dataset, *(_told(one, kind) for kind in _KINDS), one.alerts) for one in found)
        empty = "no monitor is declared yet: clew.monitor(…) in your file, then `clew apply`"
        console.show_rows(found, ("monitor", "of", *_KINDS, "open alerts"), rows, empty=empty)
        for told in filter(None, map(_unjudged, found)):
            console.say(told)
        return
    if look:
        console.note(_looked_at(len(backend.call(looking.look, name).items)))
    if profile:
        _show_profile(backend.call(looking.window_profile, name, weeks=weeks), name)
        return
    page = backend.call(looking.monitor_looks, name, kind=_as_kind(kind), limit=limit if console.as_json() else _MOST_LOOKS)
    _show_looks(page.items, limit, f"{name} has not looked yet: `clew monitors {name} --look`")


def _looked_at(windows: int) -> str:
    if not windows:
        return "no window was due"
    return "1 window was due and is looked at" if windows == 1 else f"{windows} windows were due and are looked at"


_MOST_LOOKS = 500
"""Four looks a day for a whole season: enough that what was found before it stays in sight."""
_KINDS: tuple[MonitorKind, ...] = ("performance", "regret", "drift", "missing", "skew")


def _as_kind(kind: str | None) -> MonitorKind | None:
    from clew.errors import Invalid

    known = next((one for one in _KINDS if one == kind), None)
    if kind is not None and known is None:
        raise Invalid(f"{kind!r} is no kind of look; there are {', '.join(_KINDS)}")
    return known


def _told(monitor: Monitor, kind: MonitorKind) -> str | None:
    if kind not in monitor.watches:
        return None
    return next((look.word for look in monitor.looks if look.kind == kind), "no look yet")


def _unjudged(monitor: Monitor) -> str | None:
    """Of which time the word about missing data is, where there is a newer look that could say nothing."""
    if monitor.unjudged is None:
        return None
    judged = next(look for look in monitor.looks if look.kind == "missing")
    nobody, few = ("nobody has asked", "too few have asked") if monitor.endpoint else ("no row has come", "too few rows have come")
    since = f"{few} since to tell" if monitor.unjudged.rows else f"{nobody} since"
    return f"{monitor.name}: what it says of missing data is as of {console.instant(judged.end)}; {since}"


def _show_profile(found: WindowProfile | None, name: str) -> None:
    from clew.datasets.profile_words import shift_rows_of
    from clew.datasets.schema import VersionProfile

    empty = f"{name} has looked at no whole week yet: drift=True, and `clew monitors {name} --look` when one has ended"
    rows: list[tuple[object, ...]] = []
    if found is not None:
        span = f"{found.weeks} week{'s' if found.weeks > 1 else ''}, {found.start:%Y-%m-%d %H:%M} to {found.end:%Y-%m-%d %H:%M} UTC"
        held = f"{found.profile.rows:,} rows, {found.before.rows:,} there"
        console.say(f"{span}, against {found.source}: {held}; the farthest first, 0 to 1 but for PSI")
        rows = shift_rows_of(VersionProfile(found.monitor, found.profile, found.source, found.before, found.shifts))
    console.show_rows(found, ("column", "J-S", "variation", "K-S", "PSI", "missing", "what moved"), rows, empty=empty)


def _show_looks(looks: list[MonitorLook], lines: int, empty: str) -> None:
    rows = ((ran[0].kind, ran[-1].start, ran[0].end, len(ran), ran[0].source or None, ran[0].summary) for ran in _in_a_row(looks)[:lines])
    console.show_rows(looks, ("look at", "from", "to", "looks", "of", "found"), rows, empty=empty)


def _in_a_row(looks: list[MonitorLook]) -> list[list[MonitorLook]]:
    """Looks, newest first, with those of one kind that follow each other and found the same put together where the newest of them stands."""
    found: list[list[MonitorLook]] = []
    newest_of: dict[str, list[MonitorLook]] = {}
    for one in looks:
        before = newest_of.get(one.kind)
        if before is not None and (before[-1].source, before[-1].summary) == (one.source, one.summary):
            before.append(one)
        else:
            newest_of[one.kind] = [one]
            found.append(newest_of[one.kind])
    return found


alerts = typer.Typer(invoke_without_command=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@alerts.callback()
def _list_alerts(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Those that are resolved, too.")] = False,
    monitor: Annotated[str | None, typer.Option(help="Only those of a monitor.")] = None,
    limit: Annotated[int, typer.Option(help="Show so many.")] = 50,
) -> None:
    """List alerts, or answer one: `ack`, `silence`, `resolve`."""
    if context.invoked_subcommand is not None:
        return
    from clew.monitoring import alerts as operations

    found = current().call(operations.list_alerts, monitor=monitor, resolved=everything, limit=limit).items
    rows = ((one.id, one.state, one.monitor, one.kind, one.subject or None, one.opened_at, one.last_seen_at, one.summary) for one in found)
    columns = ("alert", "state", "monitor", "kind", "of", "opened", "last seen", "what")
    console.show_rows(found, columns, rows, empty="no alert waits for anybody" if not everything else "there was no alert yet")


@alerts.command("ack")
def _acknowledge(alert: _Alert, reason: _Reason = "") -> None:
    """Say that you have seen it and take care; it stays until a look finds nothing."""
    from clew.monitoring.alerts import acknowledge_alert

    _show(current().call(acknowledge_alert, alert, reason=reason))


@alerts.command("silence")
def _silence(
    alert: _Alert,
    duration: Annotated[str, typer.Option("--for", help="How long, in event time: 6h, 7d.")] = "1d",
    reason: _Reason = "",
) -> None:
    """Hear nothing of it for a while; then it opens anew, if it is still so."""
    from clew.monitoring.alerts import silence_alert

    _show(current().call(silence_alert, alert, duration, reason=reason))


@alerts.command("resolve")
def _resolve(alert: _Alert, reason: _Reason = "") -> None:
    """Say that it is over."""
    from clew.monitoring.alerts import resolve_alert

    _show(current().call(resolve_alert, alert, reason=reason))


def _show(alert: Alert) -> None:
    until = "" if alert.silenced_until is None else f" until {alert.silenced_until:%Y-%m-%d %H:%M} UTC"
    why = f": {alert.reason}" if alert.reason else ""
    console.show(alert, f"alert {alert.id} is {alert.state}{until}{why}\n{alert}")


COMMANDS: dict[str, Callable[..., Any] | typer.Typer] = {
    "performance": performance,
    "skew": skew,
    "shadow": shadow,
    "monitors": monitors,
    "alerts": alerts,
}
