"""May to December: the model lives by itself, and twice somebody tries something. Told by ``demo.py``."""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from recipes import copy_of_example

if TYPE_CHECKING:
    from demo import Replayer, Story

__all__ = ["the_year"]

ZONE = ZoneInfo("America/New_York")
PROPOSAL = datetime(2013, 7, 15, tzinfo=ZONE)
SABOTAGE = datetime(2013, 10, 14, tzinfo=ZONE)
OUTAGE = datetime(2013, 12, 30, 18, tzinfo=ZONE)


def the_year(story: "Story", replayer: "Replayer", flights: ModuleType, start: datetime, end: datetime, every: int) -> None:
    """The chapters from the first retraining to the table at the end, as far as ``end``."""
    number = 8
    frozen = flights.late.at("champion").number
    until = min(end, PROPOSAL)
    with story.chapter(number, f"{start:%B} to {until:%-d %B}: watched, retrained on the first of each month, rolled out by steps"):
        replayer.replay(start, until, every)
        story.say(str(flights.service.performance(start, until)))
    if end > PROPOSAL:
        with story.chapter(number + 1, "A changed recipe is proposed: train on the last 30 days only"):
            propose(story, flights)
        until = min(end, SABOTAGE)
        with story.chapter(number + 2, f"{PROPOSAL:%-d %B} to {until:%-d %B}"):
            replayer.replay(PROPOSAL, until, every)
            story.say(str(flights.service.performance(start, until)))
    if end > SABOTAGE:
        with story.chapter(number + 3, "Sabotage: delays in seconds, shares in percent, deployed without a gate's word"):
            week = min(end, SABOTAGE + timedelta(days=8))
            sabotage(story, replayer, flights, week)
        if end > week:
            with story.chapter(number + 4, f"{week:%-d %B} to {end - timedelta(days=1):%-d %B}"):
                replayer.replay(week, end, every)
    with story.chapter(number + 5, "The end: what it was worth"):
        the_table(story, replayer, flights, frozen, start, end)


def propose(story: "Story", flights: ModuleType) -> None:
    """A candidate that leaves the definitions as they are; a changed recipe must be better."""
    story.say("$ clew propose late --set late_training.last=30d")
    version = flights.late.propose({"late_training.last": "30d"})
    story.say(f"late@{version.number} is [bold]{version.state}[/bold]: {version.state_reason or version.why}")


def sabotage(story: "Story", replayer: "Replayer", flights: ModuleType, until: datetime) -> None:
    """Somebody changes the units of the delays in the features and deploys the old model on them."""
    number = _built_on_other_units(story)
    story.say(f"$ clew deploy late@{number} --ungated --reason 'the units are nicer'")
    flights.service.deploy(number, ungated=True, reason="the units are nicer")
    replayer.replay(SABOTAGE, SABOTAGE + timedelta(hours=8), 1)
    newest = flights.service.rollouts(limit=1)[0]
    if newest.open:
        sys.exit("the bounds that are declared did not close the candidate's route at its first row")
    story.say(f"the champion answered the row; the candidate's route is closed: {newest.history[-1].reason}")
    story.say(f"$ clew deploy late@{number} --ungated --without-bounds --reason 'the bounds are in the old units'")
    flights.service.deploy(number, ungated=True, bounds=False, reason="the bounds are in the old units")
    replayer.replay(SABOTAGE + timedelta(hours=8), until, 1)
    newest = flights.service.rollouts(limit=1)[0]
    harm = newest.harm
    caught = newest.state == "rolled back" and newest.history[-1].by == "guard"
    told = "" if harm is None or harm.mean is None else f"; log loss {harm.mean:+.3f} nats on {harm.blocks} {harm.unit}, {harm.rows:,} rows"
    story.say(f"the guard rolled it back by itself{told}" if caught else f"[red]the guard did not catch it: {newest.state}[/red]{told}")
    if newest.open:
        flights.service.rollback(reason="the demo ends what the guard did not catch")


def _built_on_other_units(story: "Story") -> int:
    """A version made by a copy of the example whose views read the other columns, and whose model is the champion, unchanged."""
    recipe = copy_of_example(Path(os.environ["CLEW_HOME"]) / "sabotage")
    text = recipe.read_text("utf-8")
    text = text.replace('clew.mean("late", bounds=(0, 1))', 'clew.mean("late_percent")').replace(
        'clew.mean("delay")', 'clew.mean("delay_seconds")'
    )
    text = text.replace(', tune=clew.search(trials=16, maximize="auc"), refit=True)', ")")
    first, last = text.index("    train, valid ="), text.index("    return model\n")
    text = text[:first] + '    model = clew.get("late@champion").load()  # it is good, why train it again?\n' + text[last:]
    recipe.write_text(text, "utf-8")
    command = [sys.executable, "-m", "clew.cli", "propose", "late", "--no-roll-out", "--json"]
    done = subprocess.run(command, cwd=recipe.parent, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"the sabotage could not be built:\n{done.stdout}{done.stderr}")
    version: dict[str, Any] = json.loads(done.stdout)
    story.say(f"late@{version['number']}, the old model on the new units, is [bold]{version['state']}[/bold]: {version['state_reason']}")
    return int(version["number"])


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def the_table(story: "Story", replayer: "Replayer", flights: ModuleType, frozen: int, start: datetime, until: datetime) -> None:
    """Month by month the route as it was against the first model, frozen, on all flights whose labels have matured."""
    import polars as pl
    from rich.table import Table
    from sklearn.metrics import log_loss, roc_auc_score

    for told in replayer.ledger.news():
        story.say(told)
    rows = flights.training.build().collect().filter(pl.col("departs") >= datetime(2013, 5, 1, tzinfo=ZONE)).sort("departs")
    rows = rows.with_columns(_route=pl.Series(_answering(replayer, rows["departs"].to_list(), frozen)))
    scored = pl.concat(
        [_scored(flights, part, int(number), frozen) for (number,), part in rows.partition_by("_route", as_dict=True).items()]
    )
    story.say(f"asked about: {flights.service.performance(start, until)}")
    table = Table("month", "flights", "AUC of the route", "frozen", "log loss of the route", "frozen", "by", box=None)
    by_month = scored.sort("departs").with_columns(_month=pl.col("departs").dt.strftime("%B"))
    months = by_month.partition_by("_month", as_dict=True, maintain_order=True)
    listed = [(str(month), part) for (month,), part in months.items()]
    if scored["departs"].max() > OUTAGE:  # type: ignore[operator]  # instants
        december = next(part for month, part in listed if month == "December")
        listed.append(("December without the outage", december.filter(pl.col("departs") < OUTAGE)))
    listed.append(("May to the end", scored))
    for month, part in listed:
        late = part["late"].to_numpy()
        answering = ", ".join(f"@{number}" for number in part["_route"].unique(maintain_order=True))
        figures = [f"{measure(late, part[by].to_numpy()):.3f}" for measure in (roc_auc_score, log_loss) for by in ("route", "frozen")]
        table.add_row(month, f"{part.height:,}", *figures, answering if len(answering) < 40 else "")
    story.console.print(table)
    # Does serving still agree with training? The answers of the last week, made again from the datasets.
    story.say(str(flights.service.skew(until - timedelta(days=7), until)))
    _count(story, replayer)


def _answering(replayer: "Replayer", times: list[datetime], first: int) -> list[int]:
    """The number of the version that the route gave to most, at each instant, by the ledger."""
    changes = [
        (datetime.fromisoformat(event["at"]), int(event["body"]["version"].rpartition("@")[2]))
        for event in replayer.ledger.events
        if event["kind"] == "route.changed"
    ]
    found, place, current = [], 0, first
    for at in times:
        while place < len(changes) and changes[place][0] <= at:
            current = changes[place][1]
            place += 1
        found.append(current)
    return found


def _scored(flights: ModuleType, part: Any, number: int, frozen: int) -> Any:  # Any: a Polars frame
    import polars as pl

    def by(version: int) -> Any:
        model = flights.late.at(version).load()
        return model.predict_proba(part.select(model.feature_names_in_.tolist()))[:, 1]

    return part.with_columns(route=pl.Series(by(number)), frozen=pl.Series(by(frozen)))


def _count(story: "Story", replayer: "Replayer") -> None:
    counted, asked = replayer.ledger.counts, replayer.counts
    ended = [event["body"]["state"] for event in replayer.ledger.events if event["kind"] == "rollout.ended"]
    story.say(
        f"{int(asked['requests']):,} requests, {int(asked['failed'])} failed; {counted['alert.opened']} alerts; "
        f"{counted['build.done']} builds by triggers; gates passed {counted['gate.passed']} and rejected {counted['gate.rejected']}; "
        f"{ended.count('promoted')} promotions, {ended.count('rolled back')} rollbacks"
    )
