"""Studies ask the same for a seed, begin with the defaults, and know their best."""

import pytest

from clew.definitions import FunctionRef, ModelDefinition, ParameterDefinition, SearchDefinition, Space
from clew.errors import Invalid
from clew.tuning.study import Study, Trial


def definition(direction: str = "maximize", trials: int = 10) -> tuple[ModelDefinition, SearchDefinition]:
    search = SearchDefinition(trials, "score", direction)  # type: ignore[arg-type]
    parameters = {
        "rate": ParameterDefinition(0.1, Space("log_uniform", 0.01, 1)),
        "leaves": ParameterDefinition(31, Space("integer", 8, 64)),
        "loss": ParameterDefinition("a", Space("choice", choices=("a", "b"))),
        "fixed": ParameterDefinition(5),
    }
    return ModelDefinition("late", "rows", parameters, 7, search, False, FunctionRef("m", "late", "m.py")), search


def run(study: Study) -> list[Trial]:
    asked = []
    while batch := study.ask():
        for trial in batch:
            study.tell(trial, -abs(float(trial.parameters["rate"] or 0) - 0.3))
        asked += batch
    return asked


def test_the_same_seed_asks_the_same_questions() -> None:
    first, second = (run(Study(*definition(), seed=7)) for _ in range(2))
    assert first == second
    assert first != run(Study(*definition(), seed=8))


def test_the_first_question_is_the_defaults_and_what_has_no_space_stays() -> None:
    asked = run(Study(*definition(), seed=7))
    assert asked[0].parameters == {"rate": 0.1, "leaves": 31, "loss": "a", "fixed": 5}
    assert {trial.parameters["fixed"] for trial in asked} == {5}
    assert len(asked) == 10


def test_every_answer_lies_in_its_space() -> None:
    for trial in run(Study(*definition(trials=30), seed=1)):
        assert 0.01 <= float(trial.parameters["rate"] or 0) <= 1
        assert trial.parameters["leaves"] in range(8, 65)


@pytest.mark.parametrize(("direction", "best"), [("maximize", 3.0), ("minimize", 1.0)])
def test_the_best_is_by_direction(direction: str, best: float) -> None:
    study = Study(*definition(direction), seed=7)
    for trial, value in zip(study.ask(), (1.0, 3.0, 2.0, None), strict=True):
        study.tell(trial, value)
    assert study.best()[1] == best


def test_a_study_whose_trials_all_failed_has_no_best() -> None:
    study = Study(*definition(trials=1), seed=7)
    study.tell(study.ask()[0], None)
    with pytest.raises(Invalid, match="none of the 1 trials"):
        study.best()
