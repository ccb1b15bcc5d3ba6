"""The face is typed: both checkers accept the example, and refuse the same lines of a file of mistakes."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest

from clew.catalog.schema import AssetVersion
from clew.sdk.versions import Version

ROOT = Path(__file__).parents[2]
MISTAKES = Path(__file__).with_name("expected_errors.py")
EXAMPLE = ROOT / "examples" / "flights" / "flights.py"


def mypy(file: Path) -> dict[int, str]:
    """What mypy says of a file, by line."""
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    found = re.findall(r"^(.+?):(\d+): error: (.+)$", done.stdout, re.MULTILINE)
    assert {(ROOT / name).resolve() for name, _, _ in found} <= {file.resolve()}, done.stdout
    return {int(line): words for _, line, words in found}


def pyright(file: Path) -> dict[int, str]:
    """What pyright says of a file, by line."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {item["range"]["start"]["line"] + 1: item["message"] for item in found if item["severity"] == "error"}


CHECKERS = pytest.mark.parametrize("check", [mypy, pyright])


@CHECKERS
def test_each_mistake_is_refused_where_it_stands_and_nothing_else(check: Callable[[Path], dict[int, str]]) -> None:
    lines = MISTAKES.read_text().splitlines()
    expected = {number: line.strip() for number, line in enumerate(lines, 1) if "  # E: " in line}
    found = check(MISTAKES)
    assert len(expected) > 20
    assert {line: words for line, words in expected.items() if line not in found} == {}, "accepted, and should not be"
    assert {line: words for line, words in found.items() if line not in expected} == {}, "refused, and should not be"


@CHECKERS
def test_the_example_is_accepted(check: Callable[[Path], dict[int, str]]) -> None:
    assert check(EXAMPLE) == {}


def test_a_version_is_typed_as_the_row_that_it_shows() -> None:
    hints = get_type_hints(AssetVersion)
    shown = {name: kind for name, kind in get_type_hints(Version).items() if name != "ref"}
    assert shown == {field.name: hints[field.name] for field in fields(AssetVersion) if field.name != "number"}
