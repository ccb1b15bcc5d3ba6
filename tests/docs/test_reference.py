"""The reference says what the code says."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def load() -> object:
    spec = importlib.util.spec_from_file_location("make_reference", DOCS / "make_reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["python.md", "http.md", "commands.md"])
def test_the_reference_is_as_new_as_the_code(page: str) -> None:
    made = load().PAGES[page]()  # type: ignore[attr-defined]
    assert (DOCS / "reference" / page).read_text("utf-8") == made, "run `make reference`"
