"""What a plan says of a declaration that changed."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import clew
from clew.backend import LocalBackend
from clew.bounds import Bounds
from clew.clock import from_micros
from clew.definitions import AnyDefinition, FeaturesDefinition, FunctionRef, kind_of
from clew.errors import OutOfBounds
from clew.fields import written_fields
from clew.pipelines.planning import difference
from clew.pipelines.schema import BuildRecord, StepKey
from clew.sdk import declarations, verbs
from clew.sdk.features import Windows
from clew.sdk.ingest import ingest_frame

VIEW: dict[str, Any] = {"ttl": "3h", "missing": None, "bounds": {"temp": (-60, 140)}}


def key_of(definition: AnyDefinition) -> StepKey:
    return StepKey(written_fields(definition), {"f": "1"}, {}, {}, "3.11")


def a_view(**changes: Any) -> FeaturesDefinition:
    values = VIEW | changes
    reference = FunctionRef("m", "v", "m.py")
    return FeaturesDefinition("v", ("weather",), ("origin",), "hour", values["ttl"], values["missing"], {}, reference, values["bounds"])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"bounds": {"temp": (-60, 120)}}, "bounds.temp (-60, 140) → (-60, 120)"),
        ({"bounds": {}}, "bounds.temp (-60, 140) → None"),
        ({"bounds": {"temp": (-60, 140), "wind": (0, None)}}, "bounds.wind None → (0, None)"),
        ({"ttl": "6h"}, "ttl 3h → 6h"),
        ({"missing": 0.0}, "missing None → 0"),
        ({"missing": "hold", "ttl": "6h"}, "ttl 3h → 6h; missing None → hold"),
    ],
)
def test_the_fields_of_a_declaration_that_changed_are_named(changes: dict[str, Any], says: str) -> None:
    record = BuildRecord("v", 1, key_of(a_view()), {}, None, 0.0, from_micros(0))
    assert difference(record, key_of(a_view(**changes)), Path()) == f"definition: {says}"


@pytest.fixture(autouse=True)
def _declared() -> Iterator[None]:
    yield
    declarations.forget()


def declare(bounds: Bounds | None) -> Windows:
    declarations.forget()

    @clew.dataset(key="id", time="at")
    def events(file: str) -> pl.LazyFrame:
        return pl.scan_parquet(file)

    return clew.windows("seen", events, entity=clew.entity("thing"), over="1d", size=clew.mean("size", bounds=bounds))


def test_changed_bounds_make_a_view_stale_and_a_build_keeps_to_them(local_backend: LocalBackend) -> None:
    view = declare(None)
    start = datetime(2013, 1, 1, tzinfo=UTC)
    rows = pl.DataFrame({"id": range(9), "thing": ["a"] * 9, "at": [start + timedelta(hours=hour) for hour in range(9)], "size": [1.0] * 9})
    events = declarations.declared("dataset", "events")
    assert events is not None and kind_of(events.definition) == "dataset"
    ingest_frame(local_backend, events.definition, rows)  # type: ignore[arg-type]  # a dataset, as asserted
    assert view.build(executor="in_process").number == 1
    assert "nothing differs" in view.why()
    view = declare((0, 0.5))
    assert view.why() == 'seen is stale: definition: size mean("size") → mean("size", bounds=(0, 0.5))'
    with pytest.raises(OutOfBounds, match=r"'size_1d' of seen must be between 0 and 0\.5, and is 1 at thing=a, at=2013-01-01"):
        view.build(executor="in_process")
    view = declare((0, 1))
    assert view.build(executor="in_process").number == 2
    assert verbs.why("seen") == "seen: nothing differs from seen@2"
