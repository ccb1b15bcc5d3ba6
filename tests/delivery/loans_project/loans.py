"""Will a loan turn bad? Retrained on the second of each month, and brought out by two steps."""

from pathlib import Path

import polars as pl
import witness
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import clew


@clew.dataset(key="loan", time="at")
def asked(file: Path) -> pl.LazyFrame:
    return pl.scan_parquet(file)


@clew.dataset(key="loan", time="done")
def outcomes(file: Path) -> pl.LazyFrame:
    return pl.scan_parquet(file)


@clew.features(request={"size": pl.Float64, "term": pl.Float64})
def request(request: pl.LazyFrame) -> pl.LazyFrame:
    return request.select("size", "term")


rows = clew.training_set("rows", asked, label=outcomes["bad"], label_within="1d", holdout="20d", features=[request])


@clew.model(rows, refit=True)
def risk(data: clew.TrainingData, strength: float = 1.0) -> LogisticRegression:
    witness.saw_a_fit()
    return LogisticRegression(C=strength).fit(data.X.to_numpy(), data.y.astype(int))


@clew.gate(risk, on=rows.holdout)
def enough(challenger: clew.Candidate, champion: clew.Candidate | None, recent: clew.TrainingData) -> clew.Verdict:
    if champion is None:
        return clew.passed("the first version")
    result = clew.compare(challenger, champion, on=recent, metric=roc_auc_score)
    return result.no_worse_by(0.05) if challenger.same_recipe else result.better()


service = clew.endpoint("risk", model=risk, rollout=[clew.shadow("1d"), clew.canary(0.5, "2d")], guard=clew.guard(errors=0.05, harm=0.02))
clew.on(clew.cron("0 4 2 * *"), build=risk, name="monthly")
