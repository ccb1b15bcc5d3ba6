"""What the docs show is run: examples in docstrings, and each tutorial from its first line to its last in an empty folder.

In a tutorial, a fence ``python title=name.py`` is written to that file, ``python`` is run, ``sh`` is run by bash and must succeed. A fence
``text`` only shows.
"""

import doctest
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import clew

PACKAGE = Path(clew.__file__).parent
ROOT = PACKAGE.parents[1]
SHOWN = sorted(str(path.relative_to(PACKAGE.parent)) for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text())
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^```(\w+)(?: title=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("path", SHOWN)
def test_examples_in_docstrings_are_true(path: str) -> None:
    module = importlib.import_module(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_works_from_its_first_line_to_its_last(tutorial: Path, tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    for language, title, code in _FENCE.findall(tutorial.read_text()):
        if title:
            (tmp_path / title).write_text(code)
        elif language in ("python", "sh"):
            command = [sys.executable, "-c", code] if language == "python" else ["bash", "-euo", "pipefail", "-c", code]
            done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=170)
            assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = [target for target in _LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert broken == []
