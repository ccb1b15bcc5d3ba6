"""``clew.monitor``, and the triggers that build: when a monitor says *worse*, or a time has come."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from clew.clock import parse_duration
from clew.definitions import Condition, MonitorDefinition, TriggerDefinition, check_durations
from clew.errors import Invalid
from clew.sdk.assets import Declared
from clew.sdk.border import errors_end_here
from clew.sdk.datasets import Dataset
from clew.sdk.endpoints import Endpoint
from clew.sdk.models import Model

if TYPE_CHECKING:
    from clew.monitoring.schema import Alert, MonitorKind, MonitorLook, WindowProfile

__all__ = ["Monitor", "Trigger", "any_of", "cron", "monitor", "on"]

Metric = Callable[..., float] | str
_METRICS = {"log_loss": "log_loss", "roc_auc_score": "auc", "auc": "auc"}


@errors_end_here
class Monitor(Declared):
    """Something that is watched. See ``clew.monitor``."""

    definition: MonitorDefinition

    @property
    def worse(self) -> Condition:
        """Holds when the monitor's newest look at performance, or at what not retraining costs, says *worse*."""
        return Condition("worse", monitor=self.name)

    def look(self) -> "list[MonitorLook]":
        """Look at every window that has ended and matured and was not looked at yet; oldest first, none when asked again."""
        from clew.backend import current
        from clew.monitoring.looking import look

        return current().call(look, self.name).items

    def looks(self, kind: "MonitorKind | None" = None, *, limit: int = 50) -> "list[MonitorLook]":
        """What it has found, newest windows first; of one kind: performance, regret, drift, missing or skew."""
        from clew.backend import current
        from clew.monitoring.looking import monitor_looks

        return current().call(monitor_looks, self.name, kind=kind, limit=limit).items

    def profile(self, weeks: int = 4) -> "WindowProfile | None":
        """What the columns held in the newest weeks, beside what they are held against; ``None`` before the first look at drift."""
        from clew.backend import current
        from clew.monitoring.looking import window_profile

        return current().call(window_profile, self.name, weeks=weeks)

    def alerts(self, *, resolved: bool = False) -> "list[Alert]":
        """The alerts that wait for somebody, newest first; with ``resolved`` all that there were."""
        from clew.backend import current
        from clew.monitoring.alerts import list_alerts

        return current().call(list_alerts, monitor=self.name, resolved=resolved).items


class Trigger(Declared):
    """Something that builds by itself. See ``clew.on``."""

    definition: TriggerDefinition


def monitor(
    name: str,
    of: Endpoint | Dataset[..., Any],
    *,
    performance: Sequence[Metric] = (),
    drift: bool = False,
    skew: bool = False,
    missing: bool = True,
    window: str = "28d",
    rate: float = 0.05,
    looks: int = 12,
) -> Monitor:
    """Watch an endpoint, or a dataset's rows as they come.

    ``performance`` names metrics on matured labels, ``log_loss`` or ``roc_auc_score`` of scikit-learn; each ``window`` is looked at
    once, and ``rate`` is the chance of a false alarm in a run of ``looks`` windows. ``drift`` compares weeks with what the model was
    trained on, ``skew`` recomputes served features, ``missing`` watches null rate and freshness of each view.
    """
    check_durations(window)
    if not 0 < rate < 1 or looks < 1:
        raise Invalid(f"monitor {name!r}: rate={rate} lies between 0 and 1, looks={looks} is at least 1")
    known = tuple(dict.fromkeys(_metric(name, one) for one in performance))
    if known and parse_duration(window).days < 14:
        raise Invalid(f"monitor {name!r} looks at {window} at a time; performance needs at least 14 days of labels to say anything")
    if isinstance(of, Dataset):
        if known or skew:
            raise Invalid(f"monitor {name!r} watches the dataset {of.name!r}, which has neither performance nor skew; watch an endpoint")
        return Monitor(MonitorDefinition(name, None, of.name, (), drift, False, missing, window, rate, looks))
    return Monitor(MonitorDefinition(name, of.name, None, known, drift, skew, missing, window, rate, looks))


def _metric(monitor: str, one: Metric) -> str:
    name = one if isinstance(one, str) else one.__name__
    if name not in _METRICS:
        raise Invalid(f"monitor {monitor!r} can't watch {name!r}; it knows log_loss and roc_auc_score")
    return _METRICS[name]


def cron(expression: str, *, zone: str = "UTC") -> Condition:
    """Holds at the times of a cron expression of five fields (minute, hour, day, month, weekday), in a zone."""
    from clew.clock import next_cron

    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Invalid(f"clew.cron(zone={zone!r}): there is no such zone; one is called 'America/New_York' or 'UTC'") from error
    next_cron(expression, zone)  # refuses what can't be read, and what never comes
    return Condition("cron", cron=expression, zone=zone)


def any_of(*conditions: Condition) -> tuple[Condition, ...]:
    """Holds when any of the conditions does."""
    if not conditions:
        raise Invalid("clew.any_of() needs at least one condition, such as clew.cron('0 4 1 * *')")
    return conditions


def on(condition: Condition | tuple[Condition, ...], *, build: Model[..., Any], name: str) -> Trigger:
    """Build a model by itself whenever the condition holds, judge it, and roll out what its gates let through."""
    conditions = condition if isinstance(condition, tuple) else (condition,)
    return Trigger(TriggerDefinition(name, build.name, conditions))
