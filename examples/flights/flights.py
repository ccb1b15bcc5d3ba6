"""Will a flight arrive more than 15 minutes late? Asked at its scheduled departure."""

from pathlib import Path
from typing import Annotated

import polars as pl
from prepare import read_flights, read_landings, read_weather  # plain functions that tidy the raw files
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss, roc_auc_score

import clew

FLIGHT = ["departs", "carrier", "flight", "origin"]
carrier, origin, dest, tailnum = (clew.entity(name) for name in ("carrier", "origin", "dest", "tailnum"))


@clew.dataset(key=FLIGHT, time="departs", known="published")  # `known`: when a row became known to us
def schedule(file: Path) -> pl.LazyFrame:
    return read_flights(file).select(*FLIGHT, "dest", "tailnum", "distance", "published")


@clew.dataset(key=FLIGHT, time="landed")
def landings(file: Path) -> pl.LazyFrame:
    return read_landings(file).select(*FLIGHT, "dest", "tailnum", "landed", "delay", "late", "delay_seconds", "late_percent")


@clew.dataset(key=["origin", "hour"], time="hour", known="reported")
def weather(file: Path) -> pl.LazyFrame:
    return read_weather(file)


delays = {"late": clew.mean("late", bounds=(0, 1)), "delay": clew.mean("delay"), "flown": clew.count()}
carrier_delays = clew.windows("carrier_delays", landings, entity=carrier, over=["6h", "7d"], **delays)  # as of each request,
origin_delays = clew.windows("origin_delays", landings, entity=origin, over=["3h", "7d"], **delays)  # offline and online alike
dest_delays = clew.windows("dest_delays", landings, entity=dest, over=["6h"], **delays)
plane_delays = clew.windows("plane_delays", landings, entity=tailnum, over=["24h"], **delays)
congestion = clew.windows("congestion", schedule, entity=origin, over=["1h"], flights=clew.count())


@clew.features(weather, entity=origin, time="hour", ttl="3h", missing="hold")  # what it is made of stands in the decorator
def origin_weather(weather: pl.LazyFrame) -> pl.LazyFrame:
    return weather.select("origin", "hour", "temp", "wind_speed", "visib", "precip", "pressure")


@clew.features(request={"departs": pl.Datetime("us", "America/New_York"), "distance": pl.Float64})
def calendar(request: pl.LazyFrame) -> pl.LazyFrame:  # from the request itself
    return request.select(hour=pl.col("departs").dt.hour(), weekday=pl.col("departs").dt.weekday(), distance="distance")


training = clew.training_set(
    "late_training", schedule, label=landings["late"], label_within="1d", holdout="28d", block="1d", zone="America/New_York",
    features=[carrier_delays, origin_delays, dest_delays, plane_delays, congestion, origin_weather, calendar],
)  # fmt: skip


@clew.model(training, tune=clew.search(trials=16, maximize="auc"), refit=True)  # tuned when the recipe changes, not at each refresh
def late(
    training: clew.TrainingData,  # never holds the holdout
    learning_rate: Annotated[float, clew.log_uniform(0.01, 0.3)] = 0.1,  # every default is a hyperparameter
    max_leaf_nodes: Annotated[int, clew.integer(8, 64)] = 31,
    *,
    seed: int = 7,
) -> HistGradientBoostingClassifier:
    train, valid = training.split(valid=0.2, by="departs")  # the later part is for validation
    model = HistGradientBoostingClassifier(learning_rate=learning_rate, max_leaf_nodes=max_leaf_nodes, random_state=seed)
    model.fit(train.X, train.y)
    scores = model.predict_proba(valid.X)[:, 1]
    clew.log(auc=roc_auc_score(valid.y, scores), log_loss=log_loss(valid.y, scores))
    return model


@clew.gate(late, on=training.holdout)
def no_worse(challenger: clew.Candidate, champion: clew.Candidate | None, recent: clew.TrainingData) -> clew.Verdict:
    if champion is None:
        return clew.passed("the first version")
    result = clew.compare(challenger, champion, on=recent, metric=roc_auc_score)  # blocked by day
    return result.no_worse_by(0.01) if challenger.same_recipe else result.better()


service = clew.endpoint(
    "late", model=late,
    rollout=[clew.shadow("2d"), clew.canary(0.10, "7d")], guard=clew.guard(errors=0.01, p95_ms=50, harm=0.02),
)  # fmt: skip
quality = clew.monitor("late_quality", service, performance=[log_loss, roc_auc_score], drift=True, skew=True)
clew.monitor("schedule_drift", schedule, drift=True, missing=False)  # where the world moves, whatever a model makes of it
clew.on(clew.any_of(quality.worse, clew.cron("0 4 1 * *", zone="America/New_York")), build=late, name="late_retrain")
