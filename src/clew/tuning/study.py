"""A study over a model's search spaces: asks for parameters, is told values. On Optuna's TPE sampler.

Bergstra, Bardenet, Bengio and Kégl (2011), *Algorithms for Hyper-Parameter Optimization*.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clew.definitions import ModelDefinition, ParameterDefinition, SearchDefinition, Space
from clew.errors import Invalid

if TYPE_CHECKING:
    import optuna

__all__ = ["BATCH", "Study", "Trial", "Value"]

Value = str | int | float | bool | None
BATCH = 4
"""Trials asked for at once. A constant, not the machine's number of cores: the same study then asks the same questions anywhere."""


@dataclass(frozen=True)
class Trial:
    """One question: all parameters of the model, those without a space at their defaults."""

    number: int
    parameters: dict[str, Value]
    handle: Any = field(repr=False, compare=False, default=None)  # Any: Optuna's own trial, which only the study touches


class Study:
    """Deterministic for a seed, as long as each batch is told, in order, before the next one is asked."""

    def __init__(self, definition: ModelDefinition, search: SearchDefinition, *, seed: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._defaults = {name: parameter.default for name, parameter in definition.parameters.items()}
        self._spaces = _spaces(definition.parameters)
        self.search = search
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=min(10, max(4, search.trials // 2)), constant_liar=True)
        self._study = optuna.create_study(direction=search.direction, sampler=sampler)
        self._study.enqueue_trial({name: self._defaults[name] for name in self._spaces if self._defaults[name] is not None})
        self._values: dict[int, tuple[Trial, float]] = {}
        self._asked = 0

    def ask(self) -> list[Trial]:
        """The next batch; empty when the study has asked all its trials. The first question is the defaults."""
        count = min(BATCH, self.search.trials - self._asked)
        batch = []
        for _ in range(count):
            handle = self._study.ask(self._spaces)
            batch.append(Trial(handle.number, self._defaults | handle.params, handle))
        self._asked += count
        return batch

    def tell(self, trial: Trial, value: float | None) -> None:
        """The trial's value, or ``None`` for one that failed."""
        import optuna

        if value is None:
            self._study.tell(trial.handle, state=optuna.trial.TrialState.FAIL)
            return
        self._study.tell(trial.handle, value)
        self._values[trial.number] = (trial, value)

    def cut_short(self, trial: Trial, curve: Mapping[int, float]) -> None:
        """A trial that ended before it had a value; its curve so far is what the sampler learns from."""
        import optuna

        for step, value in curve.items():
            trial.handle.report(value, step)
        self._study.tell(trial.handle, state=optuna.trial.TrialState.PRUNED)

    def best(self) -> tuple[Trial, float]:
        """The best trial and its value; of equals the earlier. Raises ``Invalid`` when every trial failed."""
        if not self._values:
            raise Invalid(f"none of the {self._asked} trials gave a {self.search.metric!r}; their runs say why")
        sign = 1 if self.search.direction == "maximize" else -1
        return max(self._values.values(), key=lambda told: (sign * told[1], -told[0].number))


def _spaces(parameters: dict[str, ParameterDefinition]) -> "dict[str, optuna.distributions.BaseDistribution]":
    return {name: _distribution(parameter.space) for name, parameter in parameters.items() if parameter.space is not None}


def _distribution(space: Space) -> "optuna.distributions.BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if space.kind == "choice":
        return CategoricalDistribution(space.choices)
    assert space.low is not None and space.high is not None  # Space checks it when it is made
    if space.kind == "integer":
        return IntDistribution(int(space.low), int(space.high))
    return FloatDistribution(space.low, space.high, log=space.kind == "log_uniform")
