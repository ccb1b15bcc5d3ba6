"""``clew monitors`` and ``clew alerts``: what is watched, what was found, and what waits for somebody."""

from collections.abc import Callable
from typing import Annotated, Any

import typer

from clew import console
from clew.backend import current
from clew.monitoring.schema import Alert, Monitor, MonitorKind, MonitorLook

__all__ = ["COMMANDS"]

_Alert = Annotated[int, typer.Argument(metavar="ALERT", help="The alert's number, as `clew alerts` shows it.")]
_Reason = Annotated[str, typer.Option(help="Why; it stays on record.")]


def monitors(
    name: Annotated[str | None, typer.Argument(help="One monitor, with its looks.")] = None,
    look: Annotated[bool, typer.Option("--look", help="Look first at every window that is due.")] = False,
    kind: Annotated[str | None, typer.Option(help="Only looks at performance, regret, drift, missing or skew.")] = None,
    limit: Annotated[int, typer.Option(help="Show so many looks.")] = 20,
) -> None:
    """List monitors and what they last found, or show one's looks, newest first."""
    from clew.errors import Invalid
    from clew.monitoring import looking

    backend = current()
    if name is None:
        if look or kind is not None:
            raise Invalid("name the monitor to look with, such as `clew monitors late_quality --look`")
        found = backend.call(looking.list_monitors).items
        rows = ((one.name, one.endpoint or one.dataset, *(_told(one, kind) for kind in _KINDS), one.alerts) for one in found)
        empty = "no monitor is declared yet: clew.monitor(…) in your file, then `clew apply`"
        console.show_rows(found, ("monitor", "of", *_KINDS, "open alerts"), rows, empty=empty)
        return
    if look:
        made = backend.call(looking.look, name).items
        console.note(f"{len(made)} windows were due and are looked at")
    page = backend.call(looking.monitor_looks, name, kind=_as_kind(kind), limit=limit)
    _show_looks(page.items, f"{name} has not looked yet: `clew monitors {name} --look`")


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


def _show_looks(looks: list[MonitorLook], empty: str) -> None:
    rows = ((one.kind, one.start, one.end, one.source or None, one.summary) for one in looks)
    console.show_rows(looks, ("look at", "from", "to", "of", "found"), rows, empty=empty)


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


COMMANDS: dict[str, Callable[..., Any] | typer.Typer] = {"monitors": monitors, "alerts": alerts}
