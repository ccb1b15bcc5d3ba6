"""Will a loan turn bad? The file of a small project, from its rows to answers; nothing in it says where it runs."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import helpers
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

import clew

customer = clew.entity("customer")


@clew.dataset(key="loan", time="at")
def asked(file: Path) -> pl.LazyFrame:
    return pl.scan_parquet(file)


@clew.dataset(key="loan", time="done")
def outcomes(file: Path) -> pl.LazyFrame:
    return pl.scan_parquet(file)


past = clew.windows("past", outcomes, entity=customer, over="3d", bad=clew.mean("bad"), seen=clew.count())


@clew.features(request={"size": pl.Float64})
def request(request: pl.LazyFrame) -> pl.LazyFrame:
    return request.select(size=helpers.scaled(pl.col("size")))


rows = clew.training_set("rows", asked, label=outcomes["bad"], label_within="1d", holdout="20d", features=[past, request])


@clew.model(rows, tune=clew.search(trials=3, maximize="auc"), refit=True)
def risk(
    data: clew.TrainingData, strength: Annotated[float, clew.log_uniform(0.01, 0.3)] = 0.1, *, seed: int = 3
) -> HistGradientBoostingClassifier:
    train, valid = data.split(valid=0.3)
    fitted = HistGradientBoostingClassifier(learning_rate=strength, max_iter=10, random_state=seed)
    fitted.fit(train.X, train.y)
    print("fitted with", strength)
    auc = roc_auc_score(valid.y, fitted.predict_proba(valid.X)[:, 1])
    clew.log(auc=auc)
    helpers.logged(strength, auc)
    return fitted


@clew.gate(risk, on=rows.holdout)
def enough(challenger: clew.Candidate, champion: clew.Candidate | None, recent: clew.TrainingData) -> clew.Verdict:
    if champion is None:
        return clew.passed("the first version")
    return clew.compare(challenger, champion, on=recent, metric=roc_auc_score).no_worse_by(0.01)


service = clew.endpoint("risk", model=risk)


def main() -> None:
    """Everything that a user does, in the order in which it is done."""
    for dataset in (asked, outcomes):
        dataset.ingest(f"{dataset.name}.parquet")
    first, again = risk.build(), risk.build()
    why = risk.why()
    service.deploy(first.number)
    newest = pl.read_parquet("newest.parquet")
    before = service.predict(newest)
    labels = newest.select("loan", "customer", done=pl.col("at") + timedelta(hours=2), bad=pl.lit(True))
    appended = outcomes.append(labels)
    later = newest.with_columns(pl.col("at") + timedelta(hours=3), loan=pl.col("loan") + " again")
    after = service.predict(later)
    with clew.run("a script of its own", params={"slope": 2}) as run:
        for step in range(50):
            run.log(loss=1 / (1 + step), step=step)
    kept = clew.get_run(run.id)
    told = {
        "built": [first.ref, again.ref], "why": why, "then": risk.why(), "appended": appended.added,
        "answers": [(one.value, one.model, one.features, one.missing) for one in (*before, *after)],
        "run": [kept.status, kept.params, kept.history("loss").select("step", "value").rows()],
    }  # fmt: skip
    print(json.dumps(told, default=str))


if __name__ == "__main__":
    main()
