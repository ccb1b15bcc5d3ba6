"""What the checkers must refuse in a user's file: each line marked ``# E:`` and no other. Checked by ``test_typing.py``, never run."""

from typing import Annotated

import polars as pl

import clew


class Threshold:
    """A small model with types of its own."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def predict(self, rows: pl.DataFrame) -> pl.Series:
        return rows["score"] > self.rate


@clew.dataset(key=["at"], time="at")
def landings(file: str, skip: int = 0) -> pl.LazyFrame:
    return pl.scan_csv(file, skip_rows=skip)


@clew.features(landings, entity=clew.entity("carrier"), time="at", ttl="3h")
def pace(landings: pl.LazyFrame) -> pl.LazyFrame:
    return landings


training = clew.training_set("training", landings, label=landings["late"], label_within="1d", features=[pace])


@clew.model(training)
def late(data: clew.TrainingData, rate: Annotated[float, clew.log_uniform(0.01, 0.3)] = 0.1, *, seed: int = 7) -> Threshold:
    return Threshold(rate * seed)


def of_a_call(data: clew.TrainingData) -> None:
    late(data, rate=0.2)
    late(data, learning_rate=0.2)  # E: a hyperparameter that the function does not have
    late(data, rate="fast")  # E: text where a number belongs
    late(data, 0.2, 7)  # E: the seed is named
    late(rate=0.2)  # E: nothing to train on
    late("landings", rate=0.2)  # E: a name is no data
    late(data).predict(data.X)
    late(data).foresee(data.X)  # E: the model has no such method
    number: int = late(data)  # E: a model is no number
    print(number)


def of_a_function(rows: pl.LazyFrame) -> None:
    pace(rows).collect()
    pace(rows, rows)  # E: one input too many
    pace("rows")  # E: text where a frame belongs
    landings("2013-01.csv", skip=1)
    landings(2013)  # E: a number where a path belongs
    landings("2013-01.csv", skipped=1)  # E: a parameter that the function does not have


def of_an_asset() -> None:
    late.build()
    late.biuld()  # E: no such verb
    late.at("champion")
    late.at(7.5)  # E: versions are whole numbers
    landings.at(7).scan().collect()
    landings.at(7).sacn()  # E: no such method
    landings.append("rows")  # E: text where rows belong
    clew.modle(training)  # E: no such name in clew


def of_a_declaration() -> None:
    clew.training_set("t", landings, label="late", label_within="1d", features=[pace])  # E: a label is a column of a dataset
    clew.training_set("t", landings, label=landings["late"], label_within="1d", features=["pace"])  # E: a name is no view
    clew.windows("w", landings, entity="carrier", over=["6h"], late=clew.mean("late"))  # E: a name is no entity
    clew.windows("w", landings, entity=clew.entity("carrier"), over=["6h"], late="mean")  # E: a word is no aggregate
    clew.search(trials="many", maximize="auc")  # E: text where a number belongs
    clew.log_uniform("0.01", 0.3)  # E: text where a number belongs
    clew.endpoint("late", model="late")  # E: a name is no model


@clew.gate(late, on=training.holdout)
def no_verdict(challenger: clew.Candidate, champion: clew.Candidate | None, recent: clew.TrainingData) -> clew.Verdict:
    return True  # E: a verdict carries numbers and a reason


@clew.gate(late, on=landings)  # E: a gate runs on a holdout
def on_anything(challenger: clew.Candidate, champion: clew.Candidate | None, recent: clew.TrainingData) -> clew.Verdict:
    return clew.passed(challenger.sum)  # E: no such attribute
