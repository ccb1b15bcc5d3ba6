"""Functions of views, in a file of their own, as a worker's process imports them."""

import polars as pl


def station_weather(weather: pl.LazyFrame) -> pl.LazyFrame:
    return weather.select("station", "hour", "wind", "gust", windy=pl.col("wind") > 10)


def without_known(weather: pl.LazyFrame) -> pl.LazyFrame:
    return weather.select("station", hour=pl.col("hour").dt.truncate("2h"), wind="wind")


def daily_rank(weather: pl.LazyFrame) -> pl.LazyFrame:
    """Not additive: each row looks at all of the station's rows before it."""
    return weather.select("station", "hour", highest=pl.col("wind").cum_max().over("station", order_by="hour"))


def textual(weather: pl.LazyFrame) -> pl.LazyFrame:
    return weather.select("station", "hour", mood=pl.lit("fine"))


def failing(weather: pl.LazyFrame) -> pl.LazyFrame:
    raise RuntimeError("no weather today")


def calendar(request: pl.LazyFrame) -> pl.LazyFrame:
    return request.select(hour=pl.col("departs").dt.hour(), distance="distance")


def relative(pace: pl.LazyFrame, request: pl.LazyFrame) -> pl.LazyFrame:
    return pl.concat([pace, request], how="horizontal").select(per_flown=pl.col("distance") / (pl.col("flown_2h") + 1))


def busy_hour(pace: pl.LazyFrame, request: pl.LazyFrame) -> pl.LazyFrame:
    """Makes a number of a missing one."""
    return pl.concat([pace, request], how="horizontal").select(hour=pl.col("flown_1d").fill_null(0), distance="distance")


def shrinking(request: pl.LazyFrame) -> pl.LazyFrame:
    return request.select(pl.col("distance").sum())
