"""Which of the declared monitors can never judge performance, before one has looked: by the lengths that a file declares. Pure."""

from collections.abc import Iterable

from clew.clock import parse_duration
from clew.definitions import AnyDefinition, EndpointDefinition, ModelDefinition, MonitorDefinition, TrainingSetDefinition
from clew.monitoring.due import unit_days, window_days
from clew.monitoring.performance_alert import can_judge, most_reference, would_do

__all__ = ["never_judging"]


def never_judging(declared: Iterable[AnyDefinition]) -> list[str]:
    """In words, a monitor each, those whose looks at performance have too few weeks for their rate however long a version answers."""
    definitions = list(declared)
    trained = {one.name: one.training_set for one in definitions if isinstance(one, ModelDefinition)}
    served = {one.name: trained.get(one.model) for one in definitions if isinstance(one, EndpointDefinition)}
    sets = {one.name: one for one in definitions if isinstance(one, TrainingSetDefinition)}
    watching = [one for one in definitions if isinstance(one, MonitorDefinition) and one.performance]
    trainings = [sets.get(served.get(one.endpoint or "") or "") for one in watching]
    told = [_in_words(one, training) for one, training in zip(watching, trainings, strict=True) if training is not None]
    return [words for words in told if words]


def _in_words(monitor: MonitorDefinition, training: TrainingSetDefinition) -> str:
    """Empty for a monitor that can judge, at least as its version ages."""
    unit = unit_days(training.block)
    window = window_days(monitor.window, training.block) // unit
    held = 0 if training.holdout is None else parse_duration(training.holdout).days // unit
    looks, rate, metrics = monitor.looks, monitor.rate, len(monitor.performance)
    if can_judge(most_reference(held, window), window, looks=looks * metrics, rate=rate):
        return ""
    holdout = "no holdout" if training.holdout is None else f"a holdout of {training.holdout}"
    asked = f"with {holdout}, a window of {monitor.window} and {looks} look{'s' if looks > 1 else ''} a run"
    would = would_do(held, window, looks=looks, rate=rate, metrics=metrics, unit=unit)
    return f"{monitor.name} will never judge performance: {asked} it can't hold its rate of {rate * 100:g} %; {would}"
