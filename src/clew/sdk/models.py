"""``@clew.model``, its search spaces, and ``@clew.gate``."""

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec, TypeVar, get_args, get_origin, get_type_hints

from clew.definitions import FunctionRef, GateDefinition, ModelDefinition, ParameterDefinition, SearchDefinition, Space
from clew.errors import Invalid
from clew.sdk import declarations
from clew.sdk.assets import Declared, FunctionAsset
from clew.sdk.border import errors_end_here
from clew.sdk.training import Holdout, TrainingSet

if TYPE_CHECKING:
    from clew.feature_store.training_data import TrainingData
    from clew.pipelines.comparison import Candidate, Verdict
    from clew.sdk.versions import Version

__all__ = ["Gate", "Model", "choice", "gate", "integer", "log_uniform", "model", "search", "uniform"]

P = ParamSpec("P")
R = TypeVar("R")


def uniform(low: float, high: float) -> Space:
    """Any number between two bounds."""
    return Space("uniform", low, high)


def log_uniform(low: float, high: float) -> Space:
    """Any positive number between two bounds, each decade as likely as the next."""
    return Space("log_uniform", low, high)


def integer(low: int, high: int) -> Space:
    """A whole number from ``low`` to ``high``, both included."""
    return Space("integer", low, high)


def choice(*values: str | int | float | bool) -> Space:
    """One of the values."""
    return Space("choice", choices=values)


def search(*, trials: int, maximize: str | None = None, minimize: str | None = None) -> SearchDefinition:
    """A study of so many trials over the parameters that have a space, judged by one metric that the function logs."""
    if (maximize is None) == (minimize is None):
        raise Invalid("clew.search() takes maximize= or minimize=, the name of one metric that the model's function logs")
    if trials < 1:
        raise Invalid(f"clew.search(trials={trials}): a study has at least one trial")
    return SearchDefinition(trials, maximize or minimize or "", "maximize" if maximize else "minimize")


@errors_end_here
class Model(FunctionAsset[P, R]):
    """A model's recipe. Calling it trains with a throw-away run: no cache, no version."""

    definition: ModelDefinition

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        from clew.sdk.runs import current_run
        from clew.testing.run import Run

        if current_run() is not None:
            return self.function(*args, **kwargs)
        with Run():
            return self.function(*args, **kwargs)

    def propose(self, changes: "Mapping[str, Any]", *, roll_out: bool = True, **options: Any) -> "Version":  # Any: as of ``build``
        """Build a candidate by a changed recipe, ``{"late_training.last": "30d"}``, that leaves the definitions as they are.

        It must be *better* where the gate asks that of a changed recipe, and is marked with the reason where it is not.
        """
        from clew.sdk import verbs
        from clew.sdk.versions import Version

        return Version(verbs.propose(self, changes, roll_out=roll_out, **options))

    def register_external(
        self,
        url: str,
        *,
        answer: str = "probability",
        timeout: str = "1s",
        training: TrainingSet | None = None,
        token_env: str | None = None,
    ) -> "Version":
        """A scoring service of your own as a version of this model: deploy it, and Clew's versions can be tried beside it.

        Each row of a request is posted to ``url`` as JSON; ``answer`` is the dotted path to the probability in what comes back, such as
        ``predictions.0.probability``. ``training`` says what is asked and what its label is: the model's own training set unless given.
        ``token_env`` names the variable in the serving process's environment that holds a bearer token. Raises ``Invalid``.
        """
        from clew.backend import current
        from clew.registry.schema import ExternalSystem
        from clew.registry.service import register_external
        from clew.sdk.versions import Version

        system = ExternalSystem.of(url, answer, timeout, token_env)
        named = self.definition.training_set if training is None else training.name
        backend = current()
        return Version(backend.call(register_external, self.name, system, named).version, backend)


def model(training: TrainingSet, *, tune: SearchDefinition | None = None, refit: bool = False) -> Callable[[Callable[P, R]], Model[P, R]]:
    """Declare a model; the function below trains it. Its first parameter is the training data, every default a hyperparameter.

    With ``refit``, a version that passed its gates is trained once more on all rows up to the cut-off; that version is deployed.
    """

    def decorate(function: Callable[P, R]) -> Model[P, R]:
        declarations.ordinary_function(function, "@clew.model")
        parameters, seed = _parameters(function)
        if tune is not None and not any(parameter.space for parameter in parameters.values()):
            raise Invalid(
                f"{function.__name__} has tune= and no parameter with a space; annotate one, such as Annotated[float, clew.uniform(0, 1)]"
            )
        reference: FunctionRef = declarations.function_ref(function)
        return Model(function, ModelDefinition(function.__name__, training.name, parameters, seed, tune, refit, reference))

    return decorate


def _parameters(function: Callable[..., Any]) -> tuple[dict[str, ParameterDefinition], int | None]:
    """The hyperparameters of a model's function with their spaces, and its seed."""
    hints = get_type_hints(function, include_extras=True)
    found, seed = {}, None
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is inspect.Parameter.empty:
            continue
        if name == "seed":
            if parameter.kind is not inspect.Parameter.KEYWORD_ONLY:
                raise Invalid(f"{function.__qualname__}: seed must be keyword-only; write it after a bare *")
            seed = parameter.default
            continue
        if not isinstance(parameter.default, str | int | float | bool | None):
            raise Invalid(
                f"{function.__qualname__}: the default of {name!r} is a {type(parameter.default).__name__}; a hyperparameter is text or a number"
            )
        hint = hints.get(name)
        spaces = [item for item in get_args(hint)[1:] if isinstance(item, Space)] if get_origin(hint) is Annotated else []
        found[name] = ParameterDefinition(parameter.default, spaces[0] if spaces else None)
    return found, seed


class Gate(Declared):
    """A test that a model's version must pass to be promoted. Calling it runs the function."""

    definition: GateDefinition

    def __init__(self, function: "Callable[[Candidate, Candidate | None, TrainingData], Verdict]", definition: GateDefinition) -> None:
        self.function = function
        super().__init__(definition)

    def __call__(self, challenger: "Candidate", champion: "Candidate | None", recent: "TrainingData") -> "Verdict":
        verdict: Verdict = self.function(challenger, champion, recent)  # type: ignore[misc]  # always set by __init__
        return verdict


def gate(model: Model[..., Any], *, on: Holdout) -> "Callable[[Callable[[Candidate, Candidate | None, TrainingData], Verdict]], Gate]":
    """Declare a gate for a model on a holdout; the function gets challenger, champion (``None`` for the first) and the recent rows."""

    def decorate(function: "Callable[[Candidate, Candidate | None, TrainingData], Verdict]") -> Gate:
        declarations.ordinary_function(function, "@clew.gate")
        if on.training_set != model.definition.training_set:
            raise Invalid(
                f"the gate {function.__name__} looks at {on.training_set}, and {model.name} is trained on {model.definition.training_set}"
            )
        return Gate(function, GateDefinition(function.__name__, model.name, on.training_set, declarations.function_ref(function)))

    return decorate
