"""Drives the flights of 2013 through a running Clew as they happened: schedules, weather and landings arrive, requests are asked.

A client of its own, in a process of its own: it knows the raw files, the public SDK and the endpoint's HTTP address. It also owns the
event clock of the project, so that a replayed month takes minutes and gives the answers that the real month would have got.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import flights
import httpx
import polars as pl
from prepare import NEW_YORK, read_flights, read_landings, read_weather
from source_data import fetch

import clew

ZONE = ZoneInfo(NEW_YORK)
KEY = ["departs", "carrier", "flight", "origin"]
LANDED = [*KEY, "dest", "tailnum", "landed", "delay", "late", "delay_seconds", "late_percent"]
ASKED = [*KEY, "dest", "tailnum", "distance"]


@dataclass
class Counts:
    """What a replay has done so far."""

    requests: int = 0
    failed: int = 0
    rows: int = 0
    seconds_asking: float = 0.0
    seconds_pushing: float = 0.0


def months_of(folder: Path, start: datetime, end: datetime) -> list[str]:
    """The months that a span touches and that there are files of, as ``2013-04``."""
    months = pl.date_range(start.date().replace(day=1), end.date(), "1mo", eager=True)
    return [f"{day:%Y-%m}" for day in months if (folder / f"flights-{day:%Y-%m}.csv").is_file()]


def arrivals(folder: Path, start: datetime, end: datetime, *, goes_on: bool = False) -> dict[str, pl.DataFrame]:
    """Per dataset the rows that become known up to ``end``, with ``_at``, the instant at which each does.

    Where a replay ``goes_on``, those known by its start are there already; a flight may land in the month after it departed, and is
    published in the one before.
    """
    months = months_of(folder, start - timedelta(days=1) if goes_on else start, end + timedelta(days=2))
    departures = pl.concat([read_flights(folder / f"flights-{month}.csv").collect() for month in months])
    landed = pl.concat([read_landings(folder / f"flights-{month}.csv").collect() for month in months])
    weather = pl.concat([read_weather(folder / f"weather-{month}.csv").collect() for month in months])
    schedule = departures.select(*KEY, "dest", "tailnum", "distance", "published", _at="published")
    known = {
        "schedule": schedule,
        "landings": landed.select(*LANDED, _at="landed"),
        "weather": weather.with_columns(_at="reported"),
    }
    fresh = (pl.col("_at") <= end) & ((pl.col("_at") > start) | pl.lit(not goes_on))
    return {name: rows.filter(fresh).sort("_at") for name, rows in known.items()}


def instants(folder: Path, start: datetime, end: datetime, every: int) -> Iterator[tuple[datetime, list[dict[str, object]]]]:
    """Each departure time of the span with the flights to ask about: every n-th of all, in order."""
    months = months_of(folder, start, end)
    departures = pl.concat([read_flights(folder / f"flights-{month}.csv").collect() for month in months]).sort(KEY)
    asked = departures.filter(pl.col("departs").is_between(start, end, closed="left")).gather_every(every)
    for (departs,), rows in asked.partition_by("departs", as_dict=True, maintain_order=True).items():
        yield departs, rows.select(ASKED).to_dicts()


class Feed:
    """Hands out the rows of each dataset once, as the event clock passes them."""

    def __init__(self, rows: dict[str, pl.DataFrame]) -> None:
        self._rows = {name: frame.drop("_at").to_dicts() for name, frame in rows.items()}
        self._at = {name: frame["_at"].to_list() for name, frame in rows.items()}
        self._next = dict.fromkeys(rows, 0)

    def append(self, now: datetime) -> int:
        """Append what has become known by ``now`` to its dataset; how many rows."""
        count = 0
        for name, rows in self._until(now):
            for part in range(0, len(rows), 2_000):
                getattr(flights, name).append(rows[part : part + 2_000])
            count += len(rows)
        return count

    def _until(self, now: datetime) -> Iterator[tuple[str, list[dict[str, object]]]]:
        for name, times in self._at.items():
            first = last = self._next[name]
            while last < len(times) and times[last] <= now:
                last += 1
            self._next[name] = last
            if last > first:
                yield name, self._rows[name][first:last]


def replay(
    endpoint_url: str, start: datetime, end: datetime, every: int, *, goes_on: bool = False, report_every: timedelta = timedelta(days=1)
) -> Counts:
    """Replay the span; one line of JSON a replayed day on standard output, for whoever watches."""
    folder = fetch(Path(__file__).parent / "data")
    clock, counts = clew.replay(start), Counts()
    feed = Feed(arrivals(folder, start, end, goes_on=goes_on))
    next_report = start + report_every
    due = clock.advance(start)

    def bring(until: datetime) -> None:
        """The rows known by then. What is due on the way sees what was known by its own time, and nothing later."""
        nonlocal due
        began = time.perf_counter()
        while due is not None and due <= until:
            counts.rows += feed.append(due)
            due = clock.advance(due)
        counts.rows += feed.append(until)
        counts.seconds_pushing += time.perf_counter() - began

    with httpx.Client(base_url=endpoint_url, timeout=30) as client:
        for now, asked in instants(folder, start, end, every):
            bring(now)
            began = time.perf_counter()
            for flight in asked:
                body = json.dumps({"rows": [flight | {"departs": flight["departs"].isoformat()}]})  # type: ignore[attr-defined]  # a datetime
                answer = client.post("/endpoints/late/predict", content=body, headers={"content-type": "application/json"})
                counts.requests += 1
                if answer.status_code != 200:
                    counts.failed += 1
                    print(json.dumps({"failed": answer.text, "flight": flight}, default=str), file=sys.stderr, flush=True)
            counts.seconds_asking += time.perf_counter() - began
            if now >= next_report:
                print(json.dumps({"day": next_report.date().isoformat(), **vars(counts)}), flush=True)
                next_report += report_every
        bring(end)
        clock.advance(end)
    print(json.dumps({"day": end.date().isoformat(), **vars(counts)}), flush=True)
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="the API's address")
    parser.add_argument("--endpoint-url", required=True, help="the serving process's address")
    parser.add_argument("--start", default="2013-04-01")
    parser.add_argument("--end", default="2013-05-01")
    parser.add_argument("--every", type=int, default=4, help="ask about every n-th flight")
    parser.add_argument("--goes-on", action="store_true", help="go on where an earlier replay ended")
    options = parser.parse_args()
    start, end = (datetime.fromisoformat(text).replace(tzinfo=ZONE) for text in (options.start, options.end))
    os.environ["CLEW_URL"] = options.url
    counts = replay(options.endpoint_url, start, end, options.every, goes_on=options.goes_on)
    sys.exit(1 if counts.failed else 0)


if __name__ == "__main__":
    main()
