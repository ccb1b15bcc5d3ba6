"""The graph gives inputs first, and names what can't be built."""

from collections.abc import Iterator

import pytest

from clew.definitions import DatasetDefinition, FeaturesDefinition, FunctionRef
from clew.errors import Invalid, NotFound
from clew.pipelines.graph import Graph
from clew.sdk import declarations
from clew.sdk.assets import Asset


@pytest.fixture(autouse=True)
def nothing_declared() -> Iterator[None]:
    declarations.forget()
    yield
    declarations.forget()


def dataset(name: str) -> Asset:
    return Asset(DatasetDefinition(name, ("id",), "at", None, None))


def view(name: str, *inputs: str) -> Asset:
    return Asset(FeaturesDefinition(name, inputs, ("id",), "at", None, None, {}, FunctionRef("m", name, "m.py")))


def test_inputs_come_before_what_is_made_of_them_and_nothing_else_comes() -> None:
    graph = Graph.of([view("top", "left", "right"), view("right", "rows"), view("left", "rows"), dataset("rows"), dataset("other")])
    assert [asset.name for asset in graph.upstream("top")] == ["rows", "left", "right", "top"]
    assert graph.is_source("rows") and not graph.is_source("top")


def test_a_circle_is_named_step_by_step() -> None:
    with pytest.raises(Invalid, match="a → b → c → a"):
        Graph.of([view("a", "b"), view("b", "c"), view("c", "a")])


def test_an_input_that_nobody_declares_is_named_with_what_needs_it() -> None:
    with pytest.raises(Invalid, match="top is made of 'rows', which none of your files declares"):
        Graph.of([view("top", "rows")])


def test_an_unknown_target_names_those_that_there_are() -> None:
    with pytest.raises(NotFound, match="they declare rows, top"):
        Graph.of([view("top", "rows"), dataset("rows")]).upstream("late")
