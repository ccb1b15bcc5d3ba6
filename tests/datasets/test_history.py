"""Any order of ingests, appends, cuts and fresh starts keeps what a plain dictionary of rows would keep."""

import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.datasets import service
from clew.datasets.reading import scan_version
from clew.definitions import DatasetDefinition
from clew.errors import Conflict
from clew.sdk.ingest import ingest_frame
from clew.settings import load_settings

DECLARED = DatasetDefinition("d", ("k",), "t", None, None)
START = datetime(2013, 1, 1, tzinfo=UTC)
ROWS = st.dictionaries(st.integers(0, 12), st.sampled_from([1.0, 1.0, 1.0, 2.0]), min_size=1, max_size=5)
Rows = dict[int, float]


def frame_of(rows: Rows) -> pl.DataFrame:
    times = pl.Series([START + timedelta(hours=key) for key in rows], dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame({"k": pl.Series(list(rows), dtype=pl.Int64), "t": times, "x": pl.Series(list(rows.values()), dtype=pl.Float64)})


class History(RuleBasedStateMachine):
    """``stored`` and ``waiting`` are what the newest version and the tail should hold, ``versions`` what each version held when made."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.backend = LocalBackend(replace(load_settings(Path(self.folder.name), {}), project="test")).prepare()
        self.stored: Rows = {}
        self.waiting: Rows = {}
        self.versions: dict[int, Rows] = {}

    def teardown(self) -> None:
        if hasattr(self, "backend"):
            self.backend.dispose()
            self.folder.cleanup()

    def clashes(self, rows: Rows) -> bool:
        known = self.stored | self.waiting
        return any(known.get(key, value) != value for key, value in rows.items())

    def note(self, number: int) -> None:
        self.waiting = {}
        if number in self.versions:
            assert self.versions[number] == self.stored
        self.versions[number] = dict(self.stored)

    @rule(rows=ROWS)
    def ingest(self, rows: Rows) -> None:
        # The inferred rules are not what this is about.
        (self.backend.settings.root / "expectations" / "d.toml").unlink(missing_ok=True)
        if self.clashes(rows):
            try:
                ingest_frame(self.backend, DECLARED, frame_of(rows))
            except Conflict:
                return
            raise AssertionError("a changed row was taken in")
        growth = ingest_frame(self.backend, DECLARED, frame_of(rows)).growth
        self.stored |= self.waiting | rows
        self.note(growth.version.number)

    @precondition(lambda self: self.versions)
    @rule(rows=ROWS)
    def append(self, rows: Rows) -> None:
        def write() -> int:
            context = self.backend.context("test")
            return context.run_write(lambda inside: service.append_rows(inside, "d", frame_of(rows).to_dicts())).added

        if self.clashes(rows):
            try:
                write()
            except Conflict:
                return
            raise AssertionError("a changed row was appended")
        assert write() == len(rows.keys() - self.stored.keys() - self.waiting.keys())
        self.waiting |= {key: value for key, value in rows.items() if key not in self.stored}

    @precondition(lambda self: self.versions)
    @rule()
    def cut(self) -> None:
        growth = self.backend.call(service.cut_tail, "d")
        assert growth.new == bool(self.waiting)
        self.stored |= self.waiting
        self.note(growth.version.number)

    @precondition(lambda self: self.versions)
    @rule()
    def die_after_the_table(self) -> None:
        head = self.backend.tables.head("test/datasets/d")
        self.backend.tables.append("test/datasets/d", frame_of({999: 9.0}), expected_head=head)

    @precondition(lambda self: self.versions)
    @rule(rows=ROWS)
    def start_anew(self, rows: Rows) -> None:
        (self.backend.settings.root / "expectations" / "d.toml").unlink(missing_ok=True)
        try:
            growth = ingest_frame(self.backend, DECLARED, frame_of(rows), replace=True).growth
        except Conflict:  # the rows of an old version, as ``test_service`` says; what was appended may have been cut before
            assert rows in self.versions.values()
            newest = self.backend.call(catalog.resolve, "d").number
            self.stored |= self.waiting
            self.note(newest)
            return
        if self.waiting:
            self.versions[growth.version.number - 1] = self.stored | self.waiting
        self.stored = dict(rows)
        self.note(growth.version.number)

    @invariant()
    def what_is_read_is_what_was_written(self) -> None:
        if not getattr(self, "versions", None):
            return
        newest = self.backend.call(catalog.resolve, "d").number
        assert newest == max(self.versions)
        for number, rows in self.versions.items():
            read = scan_version(self.backend, "d", number).collect()
            assert dict(zip(read["k"], read["x"], strict=True)) == rows
            assert read.height == len(rows)
        read = scan_version(self.backend, "d", newest, include_tail=True).collect()
        assert dict(zip(read["k"], read["x"], strict=True)) == self.stored | self.waiting
        assert read.height == len(self.stored | self.waiting)


History.TestCase.settings = settings(
    max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)
TestHistory = History.TestCase
