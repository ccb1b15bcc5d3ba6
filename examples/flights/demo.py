"""The demo: real flights from raw files to served answers, and from an answer back to the code. ``make demo`` runs it."""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from ledger import Ledger
from recipes import copy_of_example

if TYPE_CHECKING:
    from rich.progress import TaskID

HERE = Path(__file__).resolve().parent
HOME = HERE / ".clew"
MARKER = HOME / "made-by-the-demo"
ZONE = ZoneInfo("America/New_York")
sys.path.insert(0, str(HERE))


def free_port(preferred: int) -> int:
    """The preferred port where it is free, else any: the demo must not fail because something else runs."""
    from clew import ports

    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", preferred))
        except OSError:
            return ports.free_port()
        return preferred


def fresh_home() -> None:
    """An empty folder for the demo; only one that an earlier demo made is removed."""
    if HOME.exists():
        if not MARKER.exists() and any(HOME.iterdir()):
            sys.exit(f"{HOME} holds a project that the demo did not make; move it away first")
        shutil.rmtree(HOME)
    HOME.mkdir(parents=True)
    MARKER.touch()


class Story:
    """Prints what happens, and keeps where the time went."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(highlight=False)
        self.spent: list[tuple[str, float]] = []

    @contextmanager
    def chapter(self, number: int, title: str) -> Iterator[None]:
        self.console.print(f"\n[bold]{number}. {title}[/bold]", soft_wrap=True)
        began = time.perf_counter()
        yield
        self.spent.append((title, time.perf_counter() - began))
        self.console.print(f"   [dim]{self.spent[-1][1]:.1f} s[/dim]")

    def say(self, text: str) -> None:
        self.console.print(f"   {text}", soft_wrap=True)

    def where_time_went(self) -> None:
        from rich.table import Table

        table = Table("chapter", "seconds", title="Where the time went", title_justify="left", box=None)
        for title, seconds in self.spent:
            table.add_row(title, f"{seconds:.1f}")
        table.add_row("[bold]all[/bold]", f"[bold]{sum(seconds for _, seconds in self.spent):.1f}[/bold]")
        self.console.print()
        self.console.print(table)


def start_server(port: int, serving_port: int) -> "subprocess.Popen[bytes]":
    """``clew up`` on the demo's folder, as a person would start it."""
    log = (HOME / "up.log").open("wb")
    command = [sys.executable, "-m", "clew.cli", "up", "--port", str(port), "--serving-port", str(serving_port)]
    return subprocess.Popen(command, cwd=HERE, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)


def wait_until_ready(url: str, process: "subprocess.Popen[bytes]", seconds: float = 60) -> None:
    import httpx

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"`clew up` ended with {process.returncode}:\n{(HOME / 'up.log').read_text()}")
        try:
            if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    sys.exit(f"`clew up` was not ready after {seconds:.0f} s:\n{(HOME / 'up.log').read_text()}")


def stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()


class Bars:
    """Shows a build: a bar for what has parts, a line for what was done."""

    def __init__(self, story: Story) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("   {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        self.bars = Progress(*columns, console=story.console, transient=True)
        self._tasks: dict[str, TaskID] = {}

    def started(self, step: str, total: int | None = None) -> None:
        self._tasks[step] = self.bars.add_task(step, total=total or 1, note="")

    def advanced(self, step: str, message: str = "") -> None:
        self.bars.update(self._tasks[step], advance=1, note=message)

    def finished(self, step: str, outcome: str) -> None:
        if step in self._tasks:
            self.bars.remove_task(self._tasks.pop(step))
        self.bars.console.print(f"   [dim]{step}[/dim]  {outcome}", soft_wrap=True)


def ingest(story: Story, folder: Path, flights: ModuleType) -> None:
    """January to March, checked by rules that a person has reviewed; a broken file is refused."""
    from clew import ClewError

    for month in ("2013-01", "2013-02", "2013-03"):
        made = [
            flights.schedule.ingest(folder / f"flights-{month}.csv"),
            flights.landings.ingest(folder / f"flights-{month}.csv"),
            flights.weather.ingest(folder / f"weather-{month}.csv"),
        ]
        story.say(f"{month}: " + ", ".join(f"{version.name}@{version.number}" for version in made))
    story.say("the rules were inferred from January, reviewed, and stand in expectations/*.toml; they hold for every file")
    again = flights.landings.ingest(folder / "flights-2013-03.csv")
    story.say(f"the same file again is the same version: landings@{again.number}")
    broken = folder / "flights-2013-03-broken.csv"
    lines = (folder / "flights-2013-03.csv").read_text("utf-8").splitlines()[:200]
    place = lines[0].split(",").index("origin")
    for row in (17, 42):
        fields = lines[row].split(",")
        fields[place] = "XYZ"
        lines[row] = ",".join(fields)
    broken.write_text("\n".join(lines) + "\n", "utf-8")
    try:
        flights.schedule.ingest(broken)
    except ClewError as error:
        story.say(f"a file with a broken column is refused, and nothing of it is stored:\n[yellow]{error}[/yellow]")
    else:
        sys.exit("the broken file was taken")
    finally:
        broken.unlink()


def build(story: Story, flights: ModuleType) -> None:
    """Views, training set, 16 trials in parallel processes, gate, refit; and the second build that does nothing."""
    bars = Bars(story)
    with bars.bars:
        version = flights.late.build(progress=bars)
    if version.state != "ready":
        sys.exit(f"the build ended with {version!r}: {version.state_reason}")
    began = time.perf_counter()
    again = flights.late.build()
    story.say(f"a second build finds {again.name}@{again.number} in {time.perf_counter() - began:.1f} s: {flights.late.why()}")


def changed_helper(story: Story) -> None:
    """What a changed helper would rebuild, asked of a copy of the example in a process of its own."""
    recipe = copy_of_example(HOME / "changed")
    text = recipe.read_text("utf-8").replace('hour=pl.col("departs").dt.hour()', 'hour=pl.col("departs").dt.hour() + 1')
    recipe.write_text(text, "utf-8")
    command = [sys.executable, "-m", "clew.cli", "plan", "late", "--json"]
    done = subprocess.run(command, cwd=recipe.parent, env=os.environ | {"CLEW_HOME": str(HOME)}, capture_output=True, text=True, check=True)
    steps = json.loads(done.stdout)["steps"]
    stale = [step["name"] for step in steps if step["state"] == "stale"]
    reason = next(step["reason"] for step in steps if step["state"] == "stale")
    story.say(f"with one line of [bold]calendar[/bold] changed, a build would make {', '.join(stale)} again ({reason}), and nothing else")


def look_at_model(story: Story, flights: ModuleType) -> None:
    """What was registered, and how it was judged."""
    import clew

    champion = flights.late.at("champion")
    check = champion.details["verification"]
    story.say(f"late@{champion.number} is {champion.why}")
    story.say(
        f"its ONNX export answers as the original within {check['largest_difference']:.1e} on {check['rows']:,} real rows, "
        f"{check['rows_with_missing']:,} with gaps"
    )
    judged = champion.details["refit_of"]
    for verdict in (clew.get(f"late@{judged['number']}") if judged else champion).verdicts():
        story.say(f"gate {verdict.gate}: [bold]{verdict.word}[/bold], {verdict.reason}")
        for one in verdict.figures["report"]["missing_views"]:
            if one["log_loss_without"] is not None:
                story.say(
                    f"   [dim]without {one['view']} its log loss is {one['log_loss_without']:.3f} where it is {one['log_loss']:.3f}[/dim]"
                )


def deploy(story: Story, flights: ModuleType) -> None:
    """Put the gated version behind the endpoint, and wait until the serving process answers with it."""
    status = flights.service.deploy("champion", wait_seconds=60)
    if not status.flipped:
        sys.exit(f"no serving process took over {status.route.ref} within a minute:\n{(HOME / 'up.log').read_text()[-4000:]}")
    story.say(f"the endpoint late answers with {status.route.ref} (route {status.route.epoch}); its alias champion moved with it")


class Replayer:
    """The client process that replays, span after span; its progress as a bar, and what happens meanwhile as lines above it."""

    def __init__(self, story: Story, url: str, serving_url: str) -> None:
        self._story, self._url, self._serving_url = story, url, serving_url
        self._goes_on = False
        self.counts: Counter[str] = Counter()
        self.ledger = Ledger(url)

    def replay(self, start: datetime, end: datetime, every: int) -> dict[str, float]:
        """Replay to ``end``; what the client counted in this span."""
        command = [
            sys.executable, str(HERE / "replay.py"), "--url", self._url, "--endpoint-url", self._serving_url,
            "--start", start.isoformat(), "--end", end.isoformat(), "--every", str(every), *(["--goes-on"] if self._goes_on else []),
        ]  # fmt: skip
        bars = Bars(self._story)
        counts: dict[str, float] = {}
        with bars.bars, subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True) as client:
            bars.started("replaying", (end - start).days)
            assert client.stdout is not None
            for line in client.stdout:
                counts = json.loads(line)
                bars.advanced("replaying", f"{counts['day']}: {counts['requests']:,} requests, {counts['failed']} failed")
                for told in self.ledger.news():
                    bars.bars.console.print(f"   {told}", soft_wrap=True)
        if client.returncode != 0:
            sys.exit(f"the replay ended with {client.returncode}; {counts.get('failed', 'some')} requests failed")
        self._goes_on = True
        self.counts.update({name: value for name, value in counts.items() if name != "day"})
        return counts


def look_at_answers(story: Story, flights: ModuleType, start: datetime, end: datetime) -> None:
    """April's figures, skew by replay, and one prediction walked back."""
    story.say(str(flights.service.performance(start, end)))
    skew = flights.service.skew(start, end)
    story.say(str(skew))
    answer = flights.service.answers(limit=1)[0]
    story.say(f"$ clew explain {answer.prediction_id}")
    lines = str(flights.service.explain(answer.prediction_id)).splitlines()
    story.console.print("\n".join(f"   [dim]{line}[/dim]" for line in lines), soft_wrap=True)
    if not skew.none:
        sys.exit("training and serving disagree")


def switch_under_load(story: Story, flights: ModuleType, requests: list[dict[str, object]]) -> None:
    """Revert a view and back, and switch the route, while requests go on without a failure."""
    import threading

    import clew

    stop_asking = threading.Event()
    answered: dict[str, int] = {}
    failures: list[str] = []

    def ask() -> None:
        place = 0
        while not stop_asking.is_set():
            try:
                for prediction in flights.service.predict([requests[place % len(requests)]]):
                    answered[prediction.model] = answered.get(prediction.model, 0) + 1
            except Exception as error:  # the demo counts failures, whatever they are
                failures.append(str(error))
            place += 1

    champion = flights.late.at("champion")
    judged = champion.details["refit_of"]["number"]
    asking = threading.Thread(target=ask)
    asking.start()
    try:
        view = flights.carrier_delays
        before = clew.get("carrier_delays").number
        after = view.build().number
        story.say(f"the landings that came are cut into a version, and carrier_delays@{after} is built over it")
        for number in (before, after):
            made = view.revert(number)
            story.say(f"clew revert carrier_delays@{number}: definition, data and online rows together, as carrier_delays@{made.number}")
        flights.service.deploy(judged, ungated=True, now=True, reason="the demo shows a switch under load")
        time.sleep(0.5)  # some answers by this version, to be seen in the count
        flights.service.rollback(reason="back to the refit")
        time.sleep(0.5)
    finally:
        stop_asking.set()
        asking.join()
    story.say(
        f"the route switched to late@{judged} and back under load: "
        + ", ".join(f"{count:,} by {model}" for model, count in sorted(answered.items()))
    )
    now = flights.late.at("champion")
    if now.number != champion.number:
        sys.exit(f"the alias champion stands at late@{now.number} after the rollback, not at late@{champion.number}")
    story.say(f"the alias followed it there and back; failed requests: {len(failures)}")
    if failures:
        sys.exit(f"requests failed during the switch; the first: {failures[0]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exit", action="store_true", help="leave at the end instead of keeping the page open")
    parser.add_argument("--until", default="2013-05-01", help="the day at which the replay ends, from 2 April 2013 to 1 January 2014")
    parser.add_argument("--later", type=int, default=24, help="from May on ask about every n-th flight; the week of the sabotage about all")
    parser.add_argument("--every", type=int, default=4, help="ask about every n-th flight; 1 asks about all")
    options = parser.parse_args()
    os.chdir(HERE)
    os.environ["CLEW_HOME"] = str(HOME)
    fresh_home()
    story = Story()
    start = datetime(2013, 4, 1, 4, 30, tzinfo=ZONE)  # before the first departure, and past the hour at which a month's retraining falls
    end = datetime.fromisoformat(options.until).replace(tzinfo=ZONE)
    port = free_port(7340)
    url, serving_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{(serving_port := free_port(port + 1))}"
    with story.chapter(0, "Start: `clew up` on an empty folder, and the flights of 2013 as monthly files"):
        from source_data import fetch

        folder = fetch(HERE / "data")
        server = start_server(port, serving_port)
        wait_until_ready(url, server)
        os.environ["CLEW_URL"] = url  # from here on this process and its children speak HTTP to the server, as from another machine
        story.say(f"the page is at [bold]{url}[/bold]; what follows appears there live")
    try:
        tell(story, folder, start, end, url, serving_url, options.every, options.later)
        story.where_time_went()
        story.console.print(f"\nThe page stays open at [bold]{url}[/bold] until Ctrl-C." if not options.exit else "\nDone.")
        if not options.exit:
            signal.pause()
    except KeyboardInterrupt:
        story.console.print("\nStopping.")
    finally:
        stop(server)


def tell(story: Story, folder: Path, start: datetime, end: datetime, url: str, serving_url: str, every: int, later: int) -> None:
    """The chapters, in order; everything goes through the public SDK, to the server."""
    import flights
    from year import the_year

    import clew

    with story.chapter(1, "Ingest: January to March, each file a version"):
        clew.replay(start)
        ingest(story, folder, flights)
    with story.chapter(2, "Features, training set, 16 trials, gate and refit: `clew build late`"):
        build(story, flights)
        changed_helper(story)
    with story.chapter(3, "The model: registered, verified, judged"):
        look_at_model(story, flights)
    with story.chapter(4, "Deploy to the endpoint `late`"):
        deploy(story, flights)
    replayer = Replayer(story, url, serving_url)
    april = min(end, datetime(2013, 5, 1, tzinfo=ZONE))
    with story.chapter(5, f"Replay April in event time: every {every}th flight is asked, landings arrive as they happened"):
        counts = replayer.replay(start, april, every)
        per_request = counts["seconds_asking"] / max(counts["requests"], 1)
        story.say(
            f"{counts['requests']:,} requests answered, none failed, {per_request * 1e3:.1f} ms each over HTTP; {counts['rows']:,} rows arrived"
        )
    with story.chapter(6, "Look: how good was it, does serving agree with training, what made this answer"):
        look_at_answers(story, flights, start, april)
    with story.chapter(7, "Revert a view and switch the route under load"):
        import replay as client

        asked = [row for _, rows in client.instants(folder, april - timedelta(days=1), april, 20) for row in rows]
        switch_under_load(story, flights, asked)
    if end > april:
        the_year(story, replayer, flights, april, end, later)


if __name__ == "__main__":
    main()
