"""How often the loop is wrong, and how soon it is right: simulated and on the flights of 2013; writes ``docs/explanation/error-rates.md``.

Simulated days are drawn as the flights' are: rows of one day share an effect. On the flights, what is healthy is made so: two models trained
on random halves of the same days are swapped at random day by day, weeks are shuffled. Each row says what was promised, what came in how
many runs, and its standard error. Five to ten minutes.
"""

import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before scikit-learn: threads that contend are slower than one

import numpy as np
import numpy.typing as npt
from flights_2013 import Flights, load
from sklearn.ensemble import HistGradientBoostingClassifier

from clew.monitoring.betting import LOG_LOSS_BOUND, HarmTest
from clew.monitoring.drift import changed_at, evidence
from clew.monitoring.performance_alert import complete_windows, look_at_auc, look_at_mean
from clew.monitoring.regret import paired_regret
from clew.pipelines.comparison import clipped_log_loss
from clew.pipelines.intervals import auc_difference, blocked_mean

Floats = npt.NDArray[np.float64]
PAGE = Path(__file__).parents[1] / "docs" / "explanation" / "error-rates.md"
BEGIN, END = "<!-- written by benchmarks/error_rates.py -->", "<!-- end of what is written -->"
ROWS_A_DAY, DAY_SD, ROW_SD = 900, 0.03, 0.19
"""Of the paired log loss of two models of one recipe, each trained on half of the days, as measured on the flights after day 120."""
TRAINED_UNTIL = 120


@dataclass(frozen=True)
class Rate:
    """One row of a table: what happened in ``hits`` of ``runs``; ``promised`` as a share, or ``None`` where nothing was."""

    what: str
    promised: float | None
    hits: int
    runs: int
    note: str = ""

    def __str__(self) -> str:
        share = self.hits / self.runs
        error = np.sqrt(max(share, 1 / self.runs) * (1 - min(share, 1 - 1 / self.runs)) / self.runs)
        promised = "" if self.promised is None else f"{100 * self.promised:g} %"
        return f"| {self.what} | {promised} | {100 * share:.1f} % ± {100 * error:.1f} | {self.runs:,} | {self.note} |"


def simulated_days(
    rng: np.random.Generator, days: int, mean: float, rows: int, day_sd: float = DAY_SD
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Paired differences with a day's effect; a few rows speak loudly, as log losses do."""
    day = np.repeat(np.arange(days), rows)
    row = rng.standard_t(4, len(day)) * ROW_SD / np.sqrt(2)
    return np.clip(mean + rng.normal(0, day_sd, days)[day] + row, -LOG_LOSS_BOUND, LOG_LOSS_BOUND), day


@dataclass(frozen=True)
class Models:
    """The flights, the losses of pairs of equal models, of monthly refits (by the day they were trained until) and of a broken candidate."""

    flights: Flights
    pairs: list[tuple[Floats, Floats]]
    refits: dict[int, Floats]
    broken: Floats

    @property
    def labels(self) -> npt.NDArray[np.bool_]:
        return self.flights.late


def fit_models(flights: Flights) -> Models:
    """Scores for all rows of the days after those that a model was trained on; NaN before."""
    rng = np.random.default_rng(0)
    served = flights.day >= TRAINED_UNTIL

    def scores(trained: npt.NDArray[np.bool_], features: npt.NDArray[np.float32] = flights.features) -> Floats:
        model = HistGradientBoostingClassifier(learning_rate=0.08, max_leaf_nodes=16, max_iter=80, l2_regularization=1, random_state=0)
        model.fit(flights.features[trained], flights.late[trained])
        found = np.full(len(flights.day), np.nan)
        found[served] = model.predict_proba(features[served])[:, 1]
        return found

    pairs = []
    for _ in range(3):
        days = rng.permutation(TRAINED_UNTIL)
        half = len(days) // 2
        pairs.append((scores(np.isin(flights.day, days[:half])), scores(np.isin(flights.day, days[half:]))))
    refits = {until: scores(flights.day < until) for until in (TRAINED_UNTIL - 30, TRAINED_UNTIL, 212, 273, 334)}
    wrong = flights.features.copy()
    for column, name in enumerate(flights.names):  # delays in seconds, shares in per cent
        wrong[:, column] *= 60 if "_delay_" in name else 100 if "_late_" in name else 1
    return Models(flights, pairs, refits, scores(flights.day < TRAINED_UNTIL, wrong))


def loss(models: Models, scores: Floats) -> Floats:
    return clipped_log_loss(models.labels, scores)


def gate(models: Models) -> Iterator[Rate]:
    rng = np.random.default_rng(1)
    runs = 2_000
    hits = 0
    for _ in range(runs):
        found = blocked_mean(*simulated_days(rng, 28, 0.0, 100))
        hits += found.low > 0 or found.high < 0
    yield Rate("two equal models, 28 simulated days: their interval leaves zero out", 0.05, hits, runs)
    hits = 0
    for _ in range(runs):
        values, _ = simulated_days(rng, 28, 0.0, 100)
        found = blocked_mean(values, np.arange(len(values)))
        hits += found.low > 0 or found.high < 0
    yield Rate("the same with rows taken for independent", 0.05, hits, runs, "why intervals count days")
    day, hits, auc_hits, runs, auc_runs = models.flights.day, 0, 0, 900, 600
    for run in range(runs):
        first, second = models.pairs[run % len(models.pairs)]
        start = int(rng.integers(TRAINED_UNTIL, 365 - 28))
        rows = models.flights.days(start, start + 28)
        swap = (rng.random(365) < 0.5)[day[rows]]
        one, other = np.where(swap, second[rows], first[rows]), np.where(swap, first[rows], second[rows])
        labels, blocks = models.labels[rows], day[rows]
        found = blocked_mean(clipped_log_loss(labels, one) - clipped_log_loss(labels, other), blocks)
        hits += found.low > 0 or found.high < 0
        if run < auc_runs:
            apart = auc_difference(labels, one, other, blocks)
            auc_hits += apart.low > 0 or apart.high < 0
    yield Rate("two equal models, 28 days of flights, log loss", 0.05, hits, runs, "swapped at random by day")
    yield Rate("two equal models, 28 days of flights, AUC", 0.05, auc_hits, auc_runs, "the same")


def first_harm(differences: Floats, day: npt.NDArray[np.int64], blocks_needed: int) -> HarmTest:
    test = HarmTest(blocks_needed=blocks_needed)
    for number in np.unique(day):
        test = test.observe(differences[day == number], block=int(number))
        if test.harmful:
            break
    return test


def guard_healthy(models: Models) -> Iterator[Rate]:
    rng = np.random.default_rng(2)
    runs = 400
    for needed in (1, 2):
        name = f"{needed} {'day' if needed == 1 else 'days'} needed"
        hits = sum(first_harm(*simulated_days(rng, 14, 0.02, 300, day_sd=0.0), needed).harmful for _ in range(runs))
        yield Rate(f"exactly the tolerance, no luck of the day, 14 simulated days; {name}", 0.005, hits, runs, "what α bounds")
        hits = sum(first_harm(*simulated_days(rng, 14, 0.0, ROWS_A_DAY), needed).harmful for _ in range(runs))
        yield Rate(f"equal in the long run, 14 simulated days, all rows; {name}", None, hits, runs, "days have luck; α does not bound this")
        for days, share in ((2, 1.0), (14, 1.0), (14, 0.1)):
            hits = 0
            for run in range(runs):
                first, second = models.pairs[run % len(models.pairs)]
                rows, labels = sample(models, rng, days, share)
                sign = rng.choice([-1.0, 1.0], 365)[models.flights.day[rows]]
                values = sign * (clipped_log_loss(labels, first[rows]) - clipped_log_loss(labels, second[rows]))
                hits += first_harm(values, models.flights.day[rows], needed).harmful
            yield Rate(f"two equal models, {days} days of flights, {share:.0%} of rows; {name}", None, hits, runs)
        hits = 0
        for _ in range(runs):
            rows, labels = sample(models, rng, 4, 1.0)
            values = clipped_log_loss(labels, models.refits[TRAINED_UNTIL][rows]) - clipped_log_loss(labels, models.refits[90][rows])
            hits += first_harm(values, models.flights.day[rows], needed).harmful
        yield Rate(f"a real refresh, 4 days of flights, all rows; {name}", None, hits, runs, "better by 0.01 nats in the mean")


def sample(models: Models, rng: np.random.Generator, days: int, share: float) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Some days in a row of the flights after training, and a share of their rows."""
    start = int(rng.integers(TRAINED_UNTIL, 365 - days))
    rows = models.flights.days(start, start + days)
    if share < 1:
        rows &= rng.random(len(rows)) < share
    return rows, models.labels[rows]


def guard_harm(models: Models) -> Iterator[str]:
    rng = np.random.default_rng(3)
    runs = 200
    for harm in (0.05, 0.1, 0.2, 0.4):
        for rows in (93, ROWS_A_DAY):
            yield power(f"{harm:g} nats, simulated, {rows} rows a day", partial(simulated_days, rng, 28, harm, rows), runs)
    champion = models.refits[TRAINED_UNTIL]
    for share in (0.1, 1.0):

        def draw(share: float = share) -> tuple[Floats, npt.NDArray[np.int64]]:
            rows, labels = sample(models, rng, 28, share)
            return clipped_log_loss(labels, models.broken[rows]) - clipped_log_loss(labels, champion[rows]), models.flights.day[rows]

        yield power(f"delays in seconds and shares in per cent, flights, {share:.0%} of rows", draw, runs)


def power(what: str, draw: Callable[[], tuple[Floats, npt.NDArray[np.int64]]], runs: int) -> str:
    """How many of the runs are found within 2, 4, 7 and 28 days: with one day needed, with two, and when bets are on days' means."""
    days: dict[str, list[float]] = {"1": [], "2": [], "means": []}
    labels = []
    for _ in range(runs):
        values, day = draw()
        numbers = np.unique(day)
        for needed in (1, 2):
            test = first_harm(values, day, needed)
            days[str(needed)].append(test.blocks if test.harmful else np.inf)
            if needed == 2 and test.harmful_after is not None:
                labels.append(test.harmful_after)
        by_day = HarmTest(blocks_needed=1)
        for number in numbers:
            by_day = by_day.observe([values[day == number].mean()], block=int(number))
        days["means"].append(by_day.harmful_after or np.inf)
    shares = [" / ".join(f"{100 * np.mean(np.array(found) <= within):.0f}" for within in (2, 4, 7, 28)) for found in days.values()]
    middle = f"{np.median(labels):,.0f}" if len(labels) > runs / 2 else "not found in half"
    return f"| {what} | {shares[0]} % | {shares[1]} % | {shares[2]} % | {middle} |"


def simulated_weeks(rng: np.random.Generator, weeks: int, rows: int, moved: float = 0.0, memory: float = 0.0) -> Floats:
    """Histograms of 64 bins, tilted by the luck of each week, which may last."""
    luck = rng.normal(0, 0.1, weeks)
    for week in range(1, weeks):
        luck[week] = memory * luck[week - 1] + np.sqrt(1 - memory**2) * luck[week]
    shares = np.exp(np.outer(luck + moved, np.linspace(-1, 1, 64)))
    return np.array([rng.multinomial(rows, one / one.sum()) for one in shares], dtype=np.float64)


def drift_healthy(models: Models, weekly: list[Floats]) -> Iterator[Rate]:
    rng = np.random.default_rng(4)
    features, runs = len(weekly), 100
    for what, rows, memory, promised in (
        ("26 simulated features, 39 weeks", 6_000, 0.0, 0.05),
        ("the same at half the traffic", 3_000, 0.0, 0.05),
        ("the same at twice the traffic", 12_000, 0.0, 0.05),
        ("the same at a twelfth of the traffic", 500, 0.0, None),
        ("the same where a week's luck lasts (correlation 0.5)", 6_000, 0.5, None),
    ):
        hits = 0
        for _ in range(runs):
            hits += any(
                changed_at(evidence(all_weeks[:13], all_weeks[13:]), features) is not None
                for all_weeks in (
                    simulated_weeks(rng, 52, 6_000, memory=memory)
                    if rows == 6_000
                    else np.vstack([simulated_weeks(rng, 13, 6_000), simulated_weeks(rng, 39, rows)])
                    for _ in range(features)
                )
            )
        yield Rate(what, promised, hits, runs, "" if promised else "these weeks are not exchangeable")
    hits = 0
    for _ in range(runs):
        order = rng.permutation(52)
        hits += any(changed_at(evidence(counts[order[:13]], counts[order[13:]]), features) is not None for counts in weekly)
    yield Rate(f"the flights' {features} features, weeks shuffled", 0.05, hits, runs)


def binned(flights: Flights) -> list[Floats]:
    """Weekly counts of each feature, ``(52, bins)``: 64 bins from quantiles of the first quarter, and one for missing values."""
    week, weekly = flights.day // 7, []
    for column in flights.features.T:
        known = column[(week < 13) & ~np.isnan(column)]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, 65)[1:-1]))
        bins = np.where(np.isnan(column), len(edges) + 1, np.searchsorted(edges, column, "right"))
        table = np.zeros((53, len(edges) + 2))
        np.add.at(table, (week, bins), 1)
        weekly.append(table[:52])
    return weekly


def drift_found(models: Models, weekly: list[Floats]) -> str:
    found = {}
    for name, counts in zip(models.flights.names, weekly, strict=True):
        week = changed_at(evidence(counts[:13], counts[13:]), len(weekly))
        if week is not None:
            found[name] = week + 1
    return ", ".join(f"`{name}` in week {week}" for name, week in sorted(found.items(), key=lambda item: item[1]))


def drift_power() -> Iterator[str]:
    rng = np.random.default_rng(5)
    for calm in (0, 20):
        for moved in (0.2, 0.3, 0.6):
            weeks = []
            for _ in range(100):
                run = np.vstack([simulated_weeks(rng, calm, 6_000), simulated_weeks(rng, 19, 6_000, moved)][0 if calm else 1 :])
                at = changed_at(evidence(simulated_weeks(rng, 13, 6_000), run), 26)
                weeks.append(np.inf if at is None else at + 1 - calm)
            within = " / ".join(f"{100 * np.mean(np.array(weeks) <= limit):.0f}" for limit in (4, 8, 19))
            yield f"| a shift of {moved / 0.1:.0f} standard deviations of a week's luck, from week {calm + 1} on | {within} % |"


def performance(models: Models) -> Iterator[Rate]:
    rng = np.random.default_rng(6)
    runs = 300
    for memory in (0.0, 0.5):
        for what, span, reference, window, looks in (
            ("days shuffled, 28 for reference, windows of 28", 1, 28, 28, 9),
            ("weeks shuffled, 12 for reference, windows of 4", 7, 12, 4, 9),
        ):
            hits = 0
            for _ in range(runs):
                days = np.empty((reference + looks * window) * span)
                days[0] = rng.normal()
                for day in range(1, len(days)):
                    days[day] = memory * days[day - 1] + np.sqrt(1 - memory**2) * rng.normal()
                hits += alarms(0.45 + 0.1 * days.reshape(-1, span).mean(axis=1), reference, window, looks)
            dependence = f"each day like the last (correlation {memory:g})" if memory else "independent days"
            yield Rate(f"simulated, {dependence}: {what}", 0.05, hits, runs)
    losses, day = loss(models, models.refits[TRAINED_UNTIL]), models.flights.day
    weeks = [np.flatnonzero((day >= TRAINED_UNTIL + 7 * week) & (day < TRAINED_UNTIL + 7 * week + 7)) for week in range(35)]
    hits, auc_hits, auc_runs = 0, 0, 100
    for run in range(runs):
        order = rng.permutation(32)
        hits += alarms(np.array([losses[weeks[week]].mean() for week in order]), 12, 4, 5)
        if run < auc_runs:
            auc_hits += auc_alarms(models, [weeks[week] for week in order])
    yield Rate("flights, weeks shuffled, 12 for reference, 5 windows of 4: log loss", 0.05, hits, runs)
    yield Rate("the same: AUC", 0.05, auc_hits, auc_runs)


def alarms(blocks: Floats, reference: int, window: int, looks: int) -> bool:
    names = np.arange(reference + window)
    return any(
        look_at_mean(np.r_[blocks[:reference], blocks[one.start : one.stop]], names, names >= reference, looks=looks).word == "worse"
        for one in complete_windows(reference, reference + looks * window, window)
    )


def auc_alarms(models: Models, weeks: list[npt.NDArray[np.intp]]) -> bool:
    scores = models.refits[TRAINED_UNTIL]
    for window in complete_windows(12, 32, 4):
        chosen = [*weeks[:12], *weeks[window.start : window.stop]]
        rows, blocks = np.concatenate(chosen), np.repeat(np.arange(16), [len(one) for one in chosen])
        if look_at_auc(models.labels[rows], scores[rows], blocks, blocks >= 12, looks=5).word == "worse":
            return True
    return False


def regret() -> Iterator[Rate]:
    rng = np.random.default_rng(7)
    for what, looks, shared, runs in (
        ("one look after 28 days", [28], 1, 1_000),
        ("9 looks at disjoint windows, said to be 9", range(28, 253, 28), 9, 400),
        ("the same, each said to be the only one", range(28, 253, 28), 1, 400),
        ("a look every day, each said to be the only one", range(14, 253), 1, 100),
    ):
        hits = 0
        for _ in range(runs):
            values, day = simulated_days(rng, 252, 0.0, 20)
            hits += any(
                paired_regret(values[last - 560 : last], np.zeros(560), day[last - 560 : last], looks=shared).word == "worse"
                for last in (20 * max(until, 28) for until in looks)
            )
        yield Rate(f"an equal model, 252 simulated days: {what}", 0.025 if shared == len(looks) else None, hits, runs)


def regret_found(models: Models) -> Iterator[str]:
    frozen = loss(models, models.refits[TRAINED_UNTIL])
    for until in (212, 273, 334):
        rows = models.flights.days(until, until + 28)
        found = paired_regret(frozen[rows], loss(models, models.refits[until])[rows], models.flights.day[rows], looks=3)
        assert found.mean is not None
        yield (
            f"| day {until} to {until + 27} | {found.word} | {found.mean.estimate:+.4f} ({found.mean.low:+.4f} to {found.mean.high:+.4f}) "
            f"| {found.per_block:+.1f} | {found.total:+.0f} | {found.blocks} days, {found.rows:,} rows |"
        )


HEAD = "| | promised | came | runs | |\n|---|---|---|---|---|"


def main() -> None:
    began = time.perf_counter()
    models = fit_models(load())
    weekly = binned(models.flights)
    sections: list[tuple[str, str, Callable[[], Iterator[object]]]] = [
        ("The gate", HEAD, lambda: gate(models)),
        ("The guard, when nothing is wrong", HEAD, lambda: guard_healthy(models)),
        (
            "The guard, when the candidate is harmful: found within 2 / 4 / 7 / 28 days",
            "| | one day may decide | two days needed | bets on days' means | labels (two days, median) |\n|---|---|---|---|---|",
            lambda: guard_harm(models),
        ),
        ("Drift, when nothing changed: any feature, in a whole run", HEAD, lambda: drift_healthy(models, weekly)),
        ("Drift, found within 4 / 8 / 19 weeks", "| one of 26 features | |\n|---|---|", drift_power),
        ("The performance alert, in a whole run", HEAD, lambda: performance(models)),
        ("Paired regret of equal models, ever *worse*", HEAD, regret),
        (
            "Paired regret of a model of the flights that was frozen on day 120, against a refit",
            "| 28 days | | nats a row (95 % for the three together) | nats a day | total | |\n|---|---|---|---|---|---|",
            lambda: regret_found(models),
        ),
    ]
    written = []
    for title, head, rows in sections:
        written += [f"\n### {title}\n", head]
        print(f"\n{title}\n{head}", flush=True)
        for row in rows():
            written.append(str(row))
            print(row, flush=True)
    ordered = drift_found(models, weekly)
    written.append(f"\nDrift on the flights as they were, January to March against the 39 weeks after: {ordered}.")
    versions = ", ".join(f"{name} {version(name)}" for name in ("clew-ml", "numpy", "scipy", "scikit-learn"))
    machine = (
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )
    written.append(f"\n± is one standard error. {time.perf_counter() - began:.0f} seconds on {machine}; {versions}.")
    print("\n".join(written[-2:]))
    page = PAGE.read_text()
    before, after = page.partition(BEGIN)[0], page.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(written) + f"\n\n{END}{after}")


if __name__ == "__main__":
    sys.exit(main())
