"""A dataset's life on both databases: ingested, appended to, cut, compared; refused whole, and found whole after a death."""

import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.datasets import service
from clew.datasets.reading import scan_version
from clew.datasets.schema import Append, AppendedRow, Growth
from clew.definitions import DatasetDefinition, definition_digest
from clew.errors import Conflict, Invalid, NotFound, Refused
from clew.fingerprints import Code
from clew.sdk.ingest import Ingested, ingest_frame

LANDINGS = DatasetDefinition("landings", ("flight",), "landed", None, None)
START = datetime(2013, 1, 1, 14, tzinfo=UTC)


def rows(*flights: int, delay: float = 5.0, start: datetime = START) -> pl.DataFrame:
    landed = pl.Series([start + timedelta(minutes=flight) for flight in flights], dtype=pl.Datetime("us", "UTC"))
    columns = {"flight": pl.Series(flights, dtype=pl.Int64), "landed": landed.dt.convert_time_zone("America/New_York")}
    return pl.DataFrame(columns).with_columns(delay=pl.lit(delay))


def ingest(backend: LocalBackend, frame: pl.DataFrame, definition: DatasetDefinition = LANDINGS, **options: Any) -> Ingested:
    return ingest_frame(backend, definition, frame, source="a.csv", **options)


def append(backend: LocalBackend, frame: pl.DataFrame) -> Append:
    context = backend.context(backend.project)
    return context.run_write(lambda inside: service.append_rows(inside, "landings", frame.to_dicts()))


def flights(backend: LocalBackend, number: int, *, include_tail: bool = False) -> list[int]:
    return scan_version(backend, "landings", number, include_tail).collect()["flight"].to_list()


def newest(backend: LocalBackend) -> int:
    return backend.call(catalog.resolve, "landings").number


# ── ingesting ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_version_holds_the_rows_before_and_the_new_ones(backend: LocalBackend) -> None:
    first = ingest(backend, rows(1, 2)).growth
    second = ingest(backend, rows(2, 3)).growth
    assert (first.version.number, first.added, first.known) == (1, 2, 0)
    assert (second.version.number, second.added, second.known, second.rows) == (2, 1, 1, 3)
    assert second.version.why == "data: 1 rows from a.csv"
    assert (flights(backend, 1), flights(backend, 2)) == ([1, 2], [1, 2, 3])


def test_the_same_file_again_is_the_same_version(backend: LocalBackend) -> None:
    one = ingest(backend, rows(1, 2)).growth
    again = ingest(backend, rows(2, 1)).growth
    assert (again.version, again.added, again.known, again.new) == (one.version, 0, 2, False)


def test_the_same_rows_in_other_pieces_have_the_same_digest(backend: LocalBackend) -> None:
    ingest(backend, rows(1, 2))
    pieces = ingest(backend, rows(3)).growth.version
    whole = ingest(backend, rows(3, 2, 1), replace_definition("other")).growth.version
    assert whole.content_digest == pieces.content_digest


def replace_definition(name: str, **changes: Any) -> DatasetDefinition:
    return replace(LANDINGS, name=name, **changes)


def test_zones_and_types_are_given_back(backend: LocalBackend) -> None:
    frame = rows(1, 2).with_columns(kind=pl.Series(["a", "b"], dtype=pl.Categorical), small=pl.Series([1, 2], dtype=pl.UInt16))
    ingest(backend, frame)
    assert_frame_equal(scan_version(backend, "landings", 1).collect(), frame)
    assert scan_version(backend, "landings", 1).collect()["landed"].dt.hour().to_list() == [9, 9]


def test_a_version_says_what_it_holds(backend: LocalBackend) -> None:
    ingest(backend, rows(1, 2).with_columns(delay=pl.Series([None, float("nan")], dtype=pl.Float64)))
    found = backend.call(service.dataset_version, "landings", 1)
    delay = next(column for column in found.details.columns if column.name == "delay")
    assert (found.details.rows, delay.nulls, delay.minimum, delay.distinct) == (2, 1, None, 1)
    assert (found.details.time_min, found.details.time_max) == (START + timedelta(minutes=1), START + timedelta(minutes=2))
    assert found.details.columns[1].zone == "America/New_York"
    preview = backend.call(service.preview_rows, "landings", 1, limit=1)
    assert (preview.rows, preview.total) == ([[1, "2013-01-01T09:01:00-05:00", None]], 2)


def test_a_changed_row_is_a_conflict_and_nothing_is_stored(backend: LocalBackend) -> None:
    ingest(backend, rows(1, 2))
    head = backend.tables.head("test/datasets/landings")
    with pytest.raises(Conflict, match=r"1 of 2 rows of a.csv .* row 1 \(2\) differs in delay"):
        ingest(backend, pl.concat([rows(2, delay=9.0), rows(3)]))
    assert (newest(backend), backend.tables.head("test/datasets/landings")) == (1, head)


BOUNDED = replace(LANDINGS, bounds={"delay": (-120, 3000)})


def test_a_row_outside_the_declared_bounds_is_refused_and_nothing_is_stored(backend: LocalBackend) -> None:
    with pytest.raises(Refused) as first:
        ingest(backend, pl.concat([rows(1), rows(2, delay=3000.5)]), BOUNDED)
    assert "delay: must be between -120 and 3000, as bounds= declares; broken in row 2 (3000.5)" in first.value.message
    assert backend.tables.head("test/datasets/landings") is None
    ingest(backend, rows(1, 2, delay=3000.0), BOUNDED)
    with pytest.raises(Refused, match=r"broken in row 1 \(-121.0\)"):
        ingest(backend, rows(3, delay=-121.0), BOUNDED)
    with pytest.raises(Refused) as appended:
        append(backend, pl.concat([rows(3), rows(4, delay=3001.0)]))
    assert appended.value.message == (
        "row 2 of landings: 'delay' is 3001.0, and must be between -120 and 3000, as bounds= declares; no row is stored"
    )
    assert (newest(backend), flights(backend, 1, include_tail=True)) == (1, [1, 2])


def test_the_server_refuses_what_a_client_did_not_check(backend: LocalBackend, tmp_path: Path) -> None:
    rows(1, delay=9000.0).write_parquet(tmp_path / "rows.parquet")
    staged = backend.upload(tmp_path / "rows.parquet").digest
    with pytest.raises(Refused, match="delay: must be between -120 and 3000"):
        backend.call(service.commit_ingest, "landings", definition=BOUNDED, definition_digest="d", staged=staged)


def test_changed_bounds_are_a_version_that_says_so_and_hold_for_the_rows_that_come(backend: LocalBackend) -> None:
    ingest(backend, rows(1, delay=50.0))
    growth = ingest(backend, rows(1, delay=50.0), replace(LANDINGS, bounds={"delay": (None, 100)})).growth
    assert (growth.version.number, growth.version.why) == (2, "code: the bounds of delay changed; the rows are the same")
    with pytest.raises(Refused, match="must be at most 100, as bounds= declares"):
        append(backend, rows(2, delay=101.0))
    append(backend, rows(2, delay=100.0))
    cut = backend.call(service.cut_tail, "landings").version
    assert service.details_of(cut).bounds == {"delay": (None, 100.0)}
    with pytest.raises(Refused, match="must be at most 100"):
        append(backend, rows(3, delay=101.0))


def test_the_file_of_expectations_leaves_the_range_to_the_declared_bounds(backend: LocalBackend) -> None:
    made = ingest(backend, rows(1, 2), BOUNDED).expectations
    assert made is not None
    assert "between" not in made.read_text("utf-8").partition("[columns.delay]")[2]


def test_starting_anew_forgets_the_rows_and_keeps_the_versions(backend: LocalBackend) -> None:
    ingest(backend, rows(1, 2))
    append(backend, rows(3))
    anew = ingest(backend, rows(1, delay=7.0).with_columns(extra=pl.lit("x")), replace=True).growth
    assert flights(backend, anew.version.number) == [1]
    assert flights(backend, anew.version.number - 1) == [1, 2, 3]
    assert append(backend, rows(3).with_columns(extra=pl.lit("y"))).added == 1
    assert flights(backend, anew.version.number, include_tail=True) == [1, 3]


def test_starting_anew_does_not_go_back_to_an_old_version(backend: LocalBackend) -> None:
    ingest(backend, rows(1))
    ingest(backend, rows(2))
    with pytest.raises(Conflict, match="these rows are landings@1 already, and landings@2 came after it"):
        ingest(backend, rows(1), replace=True)
    assert flights(backend, ingest(backend, rows(3)).growth.version.number) == [1, 2, 3]


def test_a_changed_key_asks_to_start_anew(backend: LocalBackend) -> None:
    ingest(backend, rows(1, 2))
    changed = replace_definition("landings", key=("flight", "landed"))
    with pytest.raises(Conflict, match="the key of landings is now"):
        ingest(backend, rows(3), changed)
    assert ingest(backend, rows(3), changed, replace=True).growth.rows == 1


def test_a_changed_function_makes_a_version_of_the_same_rows(backend: LocalBackend) -> None:
    one = ingest(backend, rows(1, 2), code=Code("sha256:a", {"read": "a"})).growth.version
    other = ingest(backend, rows(1, 2), code=Code("sha256:b", {"read": "b"})).growth.version
    assert (other.number, other.content_digest) == (2, one.content_digest)
    assert other.why.startswith("code: ")
    assert flights(backend, 2) == [1, 2]


def test_another_kind_of_asset_keeps_its_name(backend: LocalBackend) -> None:
    def claim(context: Any) -> None:
        catalog.add_version(context, kind="model", name="landings", definition_digest="d", content_digest="c", why="", details={})

    backend.context("test").run_write(claim)
    with pytest.raises(Conflict, match="'landings' is a model in this project"):
        ingest_over(backend, rows(1))
    assert backend.tables.head("test/datasets/landings") is None


def ingest_over(backend: LocalBackend, frame: pl.DataFrame, **changes: Any) -> Growth:
    """Straight to the operation, as a client that checks nothing itself would."""
    import io

    file = io.BytesIO()
    frame.write_parquet(file)
    given: dict[str, Any] = {
        "definition": LANDINGS,
        "definition_digest": definition_digest(LANDINGS),
        "staged": backend.upload(file.getvalue()).digest,
    }
    return backend.call(service.commit_ingest, "landings", **(given | changes))


def test_the_operation_checks_again_what_a_client_should_have(backend: LocalBackend) -> None:
    with pytest.raises(Refused, match="the key must name one row"):
        ingest_over(backend, rows(1, 1))
    with pytest.raises(Invalid, match="the address names 'landings'"):
        ingest_over(backend, rows(1), definition=replace_definition("other"))
    with pytest.raises(NotFound, match="was staged"):
        ingest_over(backend, rows(1), staged="sha256:" + "0" * 64)
    with pytest.raises(Invalid, match="is not Parquet"):
        ingest_over(backend, rows(1), staged=backend.upload(b"no parquet").digest)
    assert backend.call(service.list_datasets).items == []


# ── expectations ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_rules_are_inferred_once_and_then_enforced(backend: LocalBackend) -> None:
    first = ingest(backend, rows(1, 2, 3))
    assert first.expectations is not None
    assert "[columns.delay]    # seen: 5 to 5" in first.expectations.read_text()
    with pytest.raises(Refused) as raised:
        ingest(backend, pl.concat([rows(4), rows(5, delay=3000.0)]))
    assert "delay: must be between 0 and 20; broken in row 2 (3000.0)" in raised.value.message
    assert newest(backend) == 1
    first.expectations.write_text(first.expectations.read_text().replace("between = [0, 20]", "between = [0, 9999]"))
    second = ingest(backend, rows(5, delay=3000.0))
    assert second.expectations is None
    assert second.growth.version.number == 2
    rules = backend.call(service.dataset_version, "landings", 2).details.expectations
    assert rules is not None
    assert rules.columns["delay"].between == (0, 9999)
    with pytest.raises(Refused, match=r"'delay' is 10000\.0, and must be between 0 and 9999; no row is stored"):
        append(backend, rows(6, delay=10_000.0))


def test_refused_rows_leave_no_expectations_behind(backend: LocalBackend) -> None:
    with pytest.raises(Refused):
        ingest(backend, rows(1, 1))
    assert not (backend.settings.root / "expectations").exists()


# ── the tail ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_appended_rows_are_read_at_once_and_cut_into_a_version(backend: LocalBackend) -> None:
    ingest(backend, rows(1, 2))
    done = append(backend, rows(3, 4))
    assert [(item.sequence, item.row["flight"]) for item in done.rows] == [(1, 3), (2, 4)]
    assert done.rows[0].row["landed"].utcoffset() == timedelta(hours=-5)
    assert flights(backend, 1, include_tail=True) == [1, 2, 3, 4]
    assert flights(backend, 1) == [1, 2]
    assert backend.call(service.dataset_version, "landings", 1).tail_rows == 2
    cut = backend.call(service.cut_tail, "landings")
    assert (cut.version.number, cut.added, cut.rows, cut.version.why) == (2, 2, 4, "data: 2 appended rows")
    assert flights(backend, 2, include_tail=True) == [1, 2, 3, 4]
    assert flights(backend, 1, include_tail=True) == [1, 2, 3, 4]
    assert backend.call(service.list_datasets).items[0].tail_rows == 0


def test_appending_is_idempotent_by_key(backend: LocalBackend) -> None:
    ingest(backend, rows(1, 2))
    assert append(backend, rows(2, 3, 3)).added == 1
    assert append(backend, rows(3)) == Append((), 1)
    backend.call(service.cut_tail, "landings")
    assert append(backend, rows(1, 2, 3)).added == 0
    assert backend.call(service.cut_tail, "landings").new is False


@pytest.mark.parametrize("cut", [False, True])
def test_a_key_of_a_file_that_is_appended_later_than_all_of_it_stays_one_row(backend: LocalBackend, cut: bool) -> None:
    ingest(backend, rows(1, 2, 3))
    if cut:
        append(backend, rows(4))
        backend.call(service.cut_tail, "landings")
    corrected = rows(2, start=START + timedelta(days=1))
    with pytest.raises(Conflict, match=r"flight=2 was ingested before with other values; no row is stored"):
        append(backend, pl.concat([rows(9, start=START + timedelta(days=1)), corrected]))
    assert append(backend, rows(9, start=START + timedelta(days=1))).known == 0
    assert sorted(flights(backend, newest(backend), include_tail=True)) == [1, 2, 3, *([4] if cut else []), 9]


@pytest.mark.parametrize("known", ["ingested", "appended", "cut", "in the same call"])
def test_an_appended_row_that_changes_a_known_one_is_a_conflict(backend: LocalBackend, known: str) -> None:
    ingest(backend, rows(1, 2))
    if known in ("appended", "cut"):
        append(backend, rows(3))
    if known == "cut":
        backend.call(service.cut_tail, "landings")
    changed = {"ingested": rows(2, delay=9.0), "in the same call": pl.concat([rows(5), rows(5, delay=9.0)])}.get(known, rows(3, delay=9.0))
    waiting = backend.call(service.list_datasets).items[0].tail_rows
    with pytest.raises(Conflict, match="flight="):
        append(backend, pl.concat([rows(4), changed]))
    assert backend.call(service.list_datasets).items[0].tail_rows == waiting


def test_an_ingest_takes_the_appended_rows_in(backend: LocalBackend) -> None:
    ingest(backend, rows(1))
    append(backend, rows(2, 3))
    grown = ingest(backend, rows(3, 4)).growth
    assert (flights(backend, 2), grown.added, grown.known) == ([1, 2, 3, 4], 3, 1)
    assert grown.version.why == "data: 1 rows from a.csv and 2 appended rows"
    append(backend, rows(5))
    with pytest.raises(Conflict, match="differs in delay"):
        ingest(backend, rows(5, delay=1.0))


def test_a_stream_is_caught_up_with_by_sequence(backend: LocalBackend) -> None:
    ingest(backend, rows(1))
    done = append(backend, rows(2, 3, 4))
    with backend.context("test").reading() as inside:
        assert service.read_tail(inside, "landings", after=1) == list(done.rows[1:])
        assert [item.sequence for item in service.read_tail(inside, "landings", limit=2)] == [1, 2]
    backend.call(service.cut_tail, "landings")
    assert [item.sequence for item in append(backend, rows(5)).rows] == [4]
    page = backend.call(service.tail_page, "landings", 1, limit=3)
    assert ([item.sequence for item in page.items], page.next_cursor) == ([1, 2, 3], "3")
    assert page.items[0] == AppendedRow(1, {"flight": 2, "landed": 1357048920000000, "delay": 5.0})


@pytest.mark.parametrize("verb", ["append", "cut"])
def test_a_dataset_without_a_version_has_no_columns_to_append_to(backend: LocalBackend, verb: str) -> None:
    with pytest.raises(NotFound, match="no version yet"):
        append(backend, rows(1)) if verb == "append" else backend.call(service.cut_tail, "landings")


def test_a_bad_row_keeps_the_good_ones_out(backend: LocalBackend) -> None:
    ingest(backend, rows(1))
    with pytest.raises(Invalid, match="row 2 of landings lacks delay"):
        backend.context("test").run_write(
            lambda inside: service.append_rows(inside, "landings", [*rows(2).to_dicts(), {"flight": 3, "landed": START}])
        )
    assert flights(backend, 1, include_tail=True) == [1]


# ── comparing ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_diff_counts_rows_and_columns(backend: LocalBackend) -> None:
    ingest(backend, rows(1, 2, 3))
    ingest(backend, pl.concat([rows(2), rows(3, delay=9.0), rows(4)]).with_columns(extra=pl.lit(1)), replace=True)
    diff = backend.call(service.diff_versions, "landings", 1, 2)
    assert (diff.added, diff.removed, diff.changed, diff.unchanged) == (1, 1, 1, 1)
    assert (diff.added_examples, diff.removed_examples, diff.changed_examples) == ([[4]], [[1]], [[3]])
    assert {column.name: column.changed_rows for column in diff.columns} == {"flight": 0, "landed": 0, "delay": 1, "extra": 0}
    assert [column.name for column in diff.columns if column.before is None] == ["extra"]


def test_a_model_is_not_read_as_a_dataset(backend: LocalBackend) -> None:
    def add(context: Any) -> None:
        catalog.add_version(context, kind="model", name="late", definition_digest="d", content_digest="c", why="", details={})

    backend.context("test").run_write(add)
    with pytest.raises(Invalid, match="late@1 is a model, not a dataset"):
        backend.call(service.dataset_version, "late", 1)


# ── two at once, and death ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_writers_at_once_lose_nothing(backend: LocalBackend) -> None:
    ingest(backend, rows(0))
    errors: list[Exception] = []

    def work(first: int) -> None:
        try:
            for flight in range(first, first + 3):
                ingest_over(backend, rows(flight))
                append(backend, rows(1000 + flight))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(first,)) for first in (10, 20, 30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    backend.call(service.cut_tail, "landings")
    expected = [0, *(first + step for first in (10, 20, 30, 1010, 1020, 1030) for step in range(3))]
    assert sorted(flights(backend, newest(backend))) == expected


DIES = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
import polars as pl
from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.datasets import growth, service
from clew.settings import load_settings

def die(*args, **kwargs):
    print("dying", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

folder, database, point, staged = sys.argv[1:]
backend = LocalBackend(replace(load_settings(Path(folder), {}), project="test", database_url=database))
module, name = {"before the table": (type(backend.tables), "append"), "before the row": (growth, "_verified"),
                "inside the row's transaction": (growth.tail, "mark_cut")}[point]
setattr(module, name, die)
from clew.definitions import DatasetDefinition, definition_digest
definition = DatasetDefinition("landings", ("flight",), "landed", None, None)
backend.call(service.commit_ingest, "landings", definition=definition, definition_digest=definition_digest(definition), staged=staged)
"""


@pytest.mark.parametrize("point", ["before the table", "before the row", "inside the row's transaction"])
def test_a_writer_killed_on_its_way_leaves_nothing_half_visible(backend: LocalBackend, tmp_path: Path, point: str) -> None:
    ingest(backend, rows(1, 2))
    append(backend, rows(3))
    rows(4, delay=66.0).write_parquet(tmp_path / "staged.parquet")
    staged = backend.upload(tmp_path / "staged.parquet").digest
    command = [sys.executable, "-c", DIES, str(tmp_path), backend.settings.database_url, point, staged]
    killed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (killed.returncode, killed.stdout) == (-9, "dying\n"), killed.stderr
    assert newest(backend) == 1
    assert flights(backend, 1, include_tail=True) == [1, 2, 3]
    grown = ingest_over(backend, rows(4, 5)).version
    assert flights(backend, grown.number) == [1, 2, 3, 4, 5]
    assert scan_version(backend, "landings", grown.number).collect()["delay"].unique().to_list() == [5.0]


def test_a_first_ingest_that_died_does_not_ride_along(backend: LocalBackend) -> None:
    backend.tables.append("test/datasets/landings", rows(666), expected_head=None)
    ingest(backend, rows(1))
    assert flights(backend, 1) == [1]
