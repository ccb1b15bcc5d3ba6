"""A throw-away project: the user's own definitions in a test, and nothing else is touched."""

import importlib
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

import clew
from clew import backend as backends
from clew.backend import LocalBackend
from clew.errors import NotFound, Refused
from clew.testing import project

START = datetime(2024, 1, 1, tzinfo=UTC)
HOURS = [START + timedelta(hours=hour) for hour in range(24 * 30)]
ROWS = pl.DataFrame({"trip": range(len(HOURS)), "at": HOURS, "line": "T1", "size": [float(hour % 7) for hour in range(len(HOURS))]})


FILE = """
import clew
import polars as pl
from sklearn.linear_model import LogisticRegression

@clew.dataset(key="trip", time="at", bounds={"size": (0, 100)})
def trams(file):
    return pl.scan_csv(file, try_parse_dates=True)

@clew.dataset(key="trip", time="at")
def arrivals(file):
    return pl.read_parquet(file).select("trip", "at", late=pl.col("size") > 3)

seen = clew.windows("seen", trams, entity=clew.entity("line"), over="3h", size=clew.mean("size"))
rows = clew.training_set("rows", trams, label=arrivals["late"], label_within="1h", features=[seen])

@clew.model(rows)
def late(training: clew.TrainingData):
    clew.log(rows=len(training))
    return LogisticRegression().fit(training.X, training.y)
"""


@pytest.fixture
def declared(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A user's own file, imported as a test of his would import it."""
    folder = tmp_path_factory.mktemp("code")
    (folder / "trams_under_test.py").write_text(FILE)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "trams_under_test", raising=False)
    return importlib.import_module("trams_under_test")


def test_a_whole_graph_is_built_in_the_folder_and_nowhere_else(
    declared: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv("CLEW_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("CLEW_HOME", str(elsewhere / "home"))
    with project(tmp_path / "trial") as trial:
        assert trial.ingest(declared.trams, ROWS).number == 1
        ROWS.write_parquet(tmp_path / "arrivals.parquet")
        trial.ingest(declared.arrivals, tmp_path / "arrivals.parquet")
        made = trial.build(declared.late)
        assert declared.rows.preview(rows=4)["size_3h"].to_list() == [0.0, 0.5, 1.0, 2.0]
        assert (made.ref.name, made.number, made.run.metrics["rows"]) == ("late", 1, len(HOURS) - 1)
        assert declared.late.at(1).load().coef_.shape == (1, 1)
        with clew.run("inside") as run:
            run.log(loss=1)
        assert clew.get_run(run.id).metrics == {"loss": 1.0}
    assert list(elsewhere.iterdir()) == []
    assert list((tmp_path / "trial").rglob("*.toml")) == []


def test_bounds_hold_and_rules_are_not_inferred_from_a_few_rows(declared: ModuleType, tmp_path: Path) -> None:
    with project(tmp_path) as trial:
        trial.ingest(declared.trams, ROWS.head(3))
        trial.ingest(declared.trams, ROWS.slice(3, 3).with_columns(line=pl.lit("T9")))
        with pytest.raises(Refused, match="size"):
            trial.ingest(declared.trams, ROWS.slice(6, 1).with_columns(size=-1.0))
        assert declared.trams.at(2).scan().collect().height == 6


def test_the_backend_of_before_is_the_current_one_afterwards(local_backend: LocalBackend, tmp_path: Path) -> None:
    with project(tmp_path / "one") as one:
        assert backends.current() is one.backend
        with pytest.raises(NotFound):
            clew.get("anything")
    assert backends.current() is local_backend


def test_opened_again_it_is_the_same_project_and_another_folder_is_another(declared: ModuleType, tmp_path: Path) -> None:
    for _ in range(2):
        with project(tmp_path / "one") as trial:
            assert trial.ingest(declared.trams, ROWS.head(3)).number == 1
    with project(tmp_path / "two"), pytest.raises(NotFound):
        declared.trams.at(1)
