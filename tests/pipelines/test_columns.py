"""A wrong column name is said before anything is built."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import clew
from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.errors import Invalid
from clew.sdk import declarations, verbs
from clew.sdk.ingest import ingest_frame

START = datetime(2013, 1, 1, tzinfo=UTC)
HOURS = [START + timedelta(hours=hour) for hour in range(48)]
STARTS = pl.DataFrame({"trip": range(48), "starts": HOURS, "line": ["T1"] * 48, "stops": [9] * 48})
ENDS = pl.DataFrame({"trip": range(48), "ends": HOURS, "line": ["T1"] * 48, "late": [True, False] * 24})
NAMES = {
    "key": "trip", "time": "starts", "entity": "line", "aggregate": "late", "by": "line", "label": "late", "field": "stops", "bounds": "stops",
}  # fmt: skip


def declare(**changed: str) -> None:
    """Two datasets, windows looked up by a column, a view of the request, and a training set of them all."""
    names = NAMES | changed
    declarations.forget()

    @clew.dataset(key=names["key"], time=names["time"], bounds={names["bounds"]: (0, None)})
    def departures(file: Path) -> pl.LazyFrame:
        return pl.scan_parquet(file)

    @clew.dataset(key="trip", time="ends")
    def arrivals(file: Path) -> pl.LazyFrame:
        return pl.scan_parquet(file)

    seen = clew.windows("seen", arrivals, entity=clew.entity(names["entity"]), over="6h", late=clew.mean(names["aggregate"]))

    @clew.features(request={names["field"]: pl.Int64})
    def asked(request: pl.LazyFrame) -> pl.LazyFrame:
        return request.select(pl.all().alias("asked"))

    clew.training_set(
        "rows", departures, label=arrivals[names["label"]], label_within="1h", features=[seen.by(names["by"], prefix="of_"), asked]
    )


def ingest(backend: LocalBackend) -> None:
    declare()
    for name, rows in (("departures", STARTS), ("arrivals", ENDS)):
        dataset: Any = declarations.declared("dataset", name)
        ingest_frame(backend, dataset.definition, rows)


@pytest.mark.parametrize(
    ("part", "wrong", "says"),
    [
        ("key", "trips", r"departures: the key is 'trips', which departures@1 does not have; near it \w+ trip"),
        ("time", "start", r"departures: the time is 'start', which departures@1 does not have; near it \w+ starts"),
        ("bounds", "stop", r"departures: a column with bounds is 'stop', which departures@1 does not have; near it \w+ stops"),
        ("aggregate", "lates", r"seen: the column of late=clew\.mean\(…\) is 'lates', which arrivals@1 does not have; near it \w+ late"),
        ("entity", "lines", r"seen: the entity is 'lines', which arrivals@1 does not have; near it \w+ line"),
        ("by", "lin", r"rows: the column that seen is looked up by is 'lin', which departures@1 does not have; near it \w+ line"),
        ("label", "delay", r"rows: the label is 'delay', which arrivals@1 does not have; there are ends, late, line, trip"),
        ("field", "stopps", r"rows: a field of the request for asked is 'stopps', which departures@1 does not have; near it \w+ stops"),
    ],
)
def test_a_column_that_is_not_there_is_named_with_the_nearest_and_nothing_is_built(
    local_backend: LocalBackend, part: str, wrong: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ingest(local_backend)
    declare(**{part: wrong})
    for verb in (verbs.plan, verbs.build):
        with pytest.raises(Invalid, match=says):
            verb("rows")
    assert [asset.name for asset in local_backend.call(catalog.list_assets).items if asset.latest] == ["arrivals", "departures"]
    capsys.readouterr()
    verbs.apply()
    assert f"which {'arrivals' if part in ('aggregate', 'entity', 'label') else 'departures'}@1 does not have" in capsys.readouterr().err


def test_what_is_right_is_built_and_what_has_no_rows_yet_says_nothing(
    local_backend: LocalBackend, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(aggregate="nonsense", label="nonsense")
    verbs.apply()
    assert [step.state for step in verbs.plan("rows").steps if step.kind == "dataset"] == ["waits", "waits"]
    assert capsys.readouterr().err == ""
    ingest(local_backend)
    capsys.readouterr()
    assert verbs.build("rows", executor="in_process").number == 1
    assert capsys.readouterr().err == ""


def test_all_wrong_names_are_said_at_once_and_of_another_asset_none(local_backend: LocalBackend) -> None:
    ingest(local_backend)
    declare(aggregate="lates", label="lates", field="stop")
    with pytest.raises(
        Invalid, match=r"3 columns are named that are not there(?s:.*)`clew ingest arrivals --replace <file>` reads"
    ) as raised:
        verbs.plan("rows")
    assert [one["column"] for one in raised.value.details["columns"]] == ["lates", "lates", "stop"]
    assert verbs.plan("departures").steps[0].state == "source"
