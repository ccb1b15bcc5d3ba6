"""What a user's file declares: functions stay functions, importing touches nothing, mistakes are told at once."""

import ast
import importlib.util
import inspect
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import polars as pl
import pytest

import clew
from clew.definitions import (
    FeaturesDefinition,
    ModelDefinition,
    Space,
    WindowsDefinition,
    definition_digest,
    from_document,
    parse_dtype,
    to_document,
)  # fmt: skip
from clew.errors import Conflict, Invalid
from clew.sdk import declarations


def load(path: Path, source: str) -> ModuleType:
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


DATASET = """
import clew, polars as pl

@clew.dataset(key="id", time="at")
def rows(file: str) -> pl.LazyFrame:
    "Reads a file."
    return pl.scan_csv(file)
"""


def test_a_decorated_function_keeps_its_signature_and_docstring(tmp_path: Path) -> None:
    rows = load(tmp_path / "declared_one.py", DATASET).rows
    assert list(inspect.signature(rows).parameters) == ["file"]
    assert rows.__doc__ == "Reads a file."
    assert isinstance(rows("nowhere.csv"), pl.LazyFrame)


def test_a_declared_function_pickles_by_its_name(tmp_path: Path) -> None:
    rows = load(tmp_path / "declared_two.py", DATASET).rows
    assert pickle.loads(pickle.dumps(rows)) is rows


def test_importing_opens_no_database_and_makes_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text(DATASET)
    subprocess.run([sys.executable, "-c", "import file"], cwd=tmp_path, check=True, env={"PYTHONPATH": str(tmp_path)})
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == ["file.py"]


def test_importing_clew_loads_nothing_heavy() -> None:
    heavy = ["polars", "numpy", "sqlalchemy", "optuna", "sklearn", "starlette", "onnxruntime", "deltalake", "httpx", "pandas"]
    script = f"import sys, clew; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout.strip() == "[]"


def test_the_same_file_again_replaces_and_another_file_clashes(tmp_path: Path) -> None:
    declarations.forget()
    first = load(tmp_path / "declared_three.py", DATASET).rows
    again = load(tmp_path / "declared_three.py", DATASET).rows
    assert declarations.all_declared() == [again] and again is not first
    load(tmp_path / "declared_four.py", DATASET)
    with pytest.raises(Conflict, match=r"declared_three\.py and .*declared_four\.py"):
        declarations.all_declared()


def test_an_async_function_is_refused() -> None:
    with pytest.raises(Invalid, match="async"):

        @clew.dataset(key="id")
        async def rows(file: str) -> None: ...


@clew.dataset(key="id", time="at")
def events(file: str) -> pl.LazyFrame:
    return pl.scan_csv(file)


def training() -> Any:
    seen = clew.windows("seen", events, entity=clew.entity("id"), over="1d", n=clew.count())
    return clew.training_set("rows", events, label=events["y"], label_within="1d", holdout="7d", features=[seen])


def test_defaults_are_hyperparameters_and_the_seed_is_apart() -> None:
    @clew.model(training(), tune=clew.search(trials=2, maximize="auc"))
    def fit(data: Any, rate: Annotated[float, clew.log_uniform(0.1, 1)] = 0.5, depth: int = 3, *, seed: int = 7) -> int:
        return depth

    definition = fit.definition
    assert isinstance(definition, ModelDefinition)
    assert definition.parameters["rate"].space == Space("log_uniform", 0.1, 1)
    assert (definition.parameters["depth"].default, definition.seed) == (3, 7)
    assert set(definition.parameters) == {"rate", "depth"}


def test_a_seed_that_is_not_keyword_only_is_refused() -> None:
    with pytest.raises(Invalid, match="keyword-only"):

        @clew.model(training())
        def fit(data: Any, seed: int = 7) -> None: ...


def test_a_search_over_nothing_is_refused() -> None:
    with pytest.raises(Invalid, match="no parameter with a space"):

        @clew.model(training(), tune=clew.search(trials=2, maximize="auc"))
        def fit(data: Any, depth: int = 3) -> None: ...


@pytest.mark.parametrize(("low", "high"), [(1, 1), (2, 1), (0, 1)])
def test_an_empty_space_is_refused(low: float, high: float) -> None:
    with pytest.raises(Invalid):
        clew.log_uniform(low, high)


@pytest.mark.parametrize("over", ["7", "0d", "a week", ""])
def test_a_window_needs_a_duration(over: str) -> None:
    with pytest.raises(Invalid, match="no duration"):
        clew.windows("w", events, entity=clew.entity("id"), over=over, n=clew.count())


def test_windows_name_their_columns() -> None:
    view = clew.windows("w", events, entity=clew.entity("id"), over=["6h", "7d"], late=clew.mean("late"), n=clew.count())
    assert view.definition.columns == ("late_6h", "n_6h", "late_7d", "n_7d")


def test_a_definition_survives_its_document() -> None:
    view = clew.windows("w", events, entity=clew.entity("id"), over="1d", late=clew.mean("late", bounds=(0, 1)))
    document = to_document(view.definition)
    assert isinstance(from_document(document), WindowsDefinition)
    assert from_document(document) == view.definition


def test_bounds_are_declared_on_columns_features_and_aggregates_and_are_part_of_the_digest() -> None:
    def declared(**options: Any) -> tuple[Any, Any, Any]:
        @clew.dataset(key="id", time="at", bounds=options.get("columns"))
        def landings(file: str) -> pl.LazyFrame: ...

        @clew.features(landings, entity=clew.entity("id"), time="at", bounds=options.get("features"))
        def weather(landings: pl.LazyFrame) -> pl.LazyFrame: ...

        view = clew.windows("w", landings, entity=clew.entity("id"), over="1d", n=clew.count(bounds=options.get("aggregate")))
        return landings.definition, weather.definition, view.definition

    bounded = declared(columns={"delay": (-120, 3000)}, features={"temp": [-60, float("inf")]}, aggregate=(0, None))
    assert [bounded[0].bounds, bounded[1].bounds] == [{"delay": (-120.0, 3000.0)}, {"temp": (-60.0, None)}]
    assert bounded[2].aggregates["n"].bounds == (0.0, None)
    for with_bounds, without in zip(bounded, declared(), strict=True):
        assert from_document(to_document(with_bounds)) == with_bounds
        assert definition_digest(with_bounds) != definition_digest(without)


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ({"delay": (3000, -120)}, r"rows: bounds=\{'delay': \(3000, -120\)\}: the lower bound lies above the upper one"),
        ({"delay": (float("nan"), 1)}, "NaN is no bound"),
        ({"delay": ("low", "high")}, "'low' is no number"),
        ({"delay": 7}, "bounds are a pair"),
        ((0, 1), r"rows: bounds=\(0, 1\) names no column; write bounds=\{'column': \(0, 1\)\}"),
        ({"at": (0, 1)}, "rows bounds 'at', which is the (event )?time and no number"),
    ],
)
def test_bounds_that_cannot_be_meant_are_refused_at_the_decorator(bounds: Any, says: str) -> None:
    with pytest.raises(Invalid, match=says):

        @clew.dataset(key="id", time="at", bounds=bounds)
        def rows(file: str) -> pl.LazyFrame: ...

    with pytest.raises(Invalid, match=says):

        @clew.features(events, entity=clew.entity("id"), time="at", bounds=bounds)
        def rows(events: pl.LazyFrame) -> pl.LazyFrame: ...


def test_bounds_of_an_entity_and_of_a_window_are_refused_where_they_are_written() -> None:
    with pytest.raises(Invalid, match="bounds 'id', which is an entity and no number"):

        @clew.features(events, entity=clew.entity("id"), time="at", bounds={"id": (0, 1)})
        def view(events: pl.LazyFrame) -> pl.LazyFrame: ...

    with pytest.raises(Invalid, match=r"clew.mean\('late', bounds=\(1, 0\)\): the lower bound lies above"):
        clew.mean("late", bounds=(1, 0))


def test_what_a_view_answers_where_it_has_nothing_must_lie_within_its_bounds() -> None:
    with pytest.raises(Invalid, match="w answers -1 where there is no value, and 'late' must be between 0 and 1"):
        clew.windows("w", events, entity=clew.entity("id"), over="1d", missing=-1, late=clew.mean("late", bounds=(0, 1)))
    with pytest.raises(Invalid, match=r"view answers 999\.0 where there is no value, and 'temp' must be at most 140"):

        @clew.features(events, entity=clew.entity("id"), time="at", missing=999.0, bounds={"temp": (None, 140)})
        def view(events: pl.LazyFrame) -> pl.LazyFrame: ...

    # A count has no place for it: it is 0 where nothing lies in the window.
    clew.windows("w", events, entity=clew.entity("id"), over="1d", missing=-1, n=clew.count(bounds=(0, None)), late=clew.mean("late"))


def test_a_request_field_keeps_its_type_and_zone() -> None:
    @clew.features(request={"departs": pl.Datetime("us", "America/New_York"), "distance": pl.Float64})
    def calendar(request: pl.LazyFrame) -> pl.LazyFrame:
        return request

    assert isinstance(calendar.definition, FeaturesDefinition)
    assert parse_dtype(calendar.definition.request["departs"]) == pl.Datetime("us", "America/New_York")
    assert parse_dtype(calendar.definition.request["distance"]) == pl.Float64()


def test_a_view_plays_a_second_role_under_a_prefix() -> None:
    seen = clew.windows("seen", events, entity=clew.entity("id"), over="1d", n=clew.count())
    assert seen.by("other", prefix="other_").by == {"id": "other"}


def test_public_names_and_their_types_agree() -> None:
    tree = ast.parse(Path(clew.__file__).read_text())
    typed = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for statement in node.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    assert typed == set(clew.__all__)


def test_no_public_name_is_one_of_the_packages() -> None:
    packages = {path.name for path in Path(clew.__file__).parent.iterdir() if path.is_dir()} - {"testing"}
    assert packages.isdisjoint(clew.__all__)
