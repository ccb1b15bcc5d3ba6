"""The reference says what the code says."""

import importlib
import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest
from starlette.routing import Route
from typer.testing import CliRunner

import clew
from clew import settings
from clew.cli import app
from clew.serving.app import Front, create_app
from clew.serving.prediction_log import PredictionLog
from clew.serving.statistics import Statistics

DOCS = Path(__file__).parents[2] / "docs"
PACKAGE = Path(clew.__file__).parent
_HEADING = re.compile(r"^###? `clew (.+)`$")
_OPTION = re.compile(r"^- ((?:`-[^`]*`(?:, )?)+)")


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["python.md", "http.md", "commands.md", "settings.md"])
def test_the_reference_is_as_new_as_the_code(page: str) -> None:
    assert (DOCS / "reference" / page).read_text("utf-8") == load().PAGES[page](), "run `make reference`"


def held() -> list[type]:
    reference = load()
    own = [one for one in (getattr(clew, name) for name in clew.__all__) if inspect.isclass(one) and not issubclass(one, Exception)]
    return own + [getattr(importlib.import_module(home), name) for home, names in reference.HELD.items() for name in names]


def test_whatever_one_calls_on_an_object_is_described() -> None:
    """No member of a class that users hold lacks its words: they are what the page shows of it."""
    reference = load()
    silent = [f"{kind.__name__}.{key}" for kind in held() for key in reference.members(kind) if not inspect.getdoc(getattr(kind, key))]
    silent += [
        kind.__name__ for kind in held() if not kind.__doc__ or kind.__doc__.startswith(f"{kind.__name__}(")
    ]  # a dataclass's own words
    assert silent == []


def options() -> list[tuple[str, str]]:
    found, command = [], ""
    for line in (DOCS / "reference" / "commands.md").read_text("utf-8").splitlines():
        if heading := _HEADING.match(line):
            command = heading[1]
        elif option := _OPTION.match(line):
            found += [(command, name) for name in re.findall(r"`([^`]+)`", option[1])]
    return found


@pytest.mark.parametrize("command", sorted({command for command, _ in options()}))
def test_every_option_on_the_page_is_one_that_the_command_takes(command: str) -> None:
    told = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"})
    assert told.exit_code == 0
    taken = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", told.stdout))
    assert {option for its, option in options() if its == command} <= taken


def test_every_variable_that_is_read_is_a_setting_on_the_page() -> None:
    read = {name for path in PACKAGE.rglob("*.py") for name in re.findall(r"CLEW_[A-Z_]*[A-Z]", path.read_text("utf-8"))}
    assert read == set(settings.VARIABLES)


def test_every_path_of_the_serving_process_is_on_the_page(tmp_path: Path) -> None:
    predictions = PredictionLog(tmp_path)
    routes = create_app(Front(predictions, Statistics())).routes
    predictions.close()
    page = (DOCS / "reference" / "http.md").read_text("utf-8")
    assert [route.path for route in routes if isinstance(route, Route) and f" {route.path}`" not in page] == []
