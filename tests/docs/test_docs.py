"""What the docs show is run: examples in docstrings, and each tutorial from its first line to its last in an empty folder.

In a tutorial, a fence with ``title=name.py`` is written to that file, ``python`` is run, ``sh`` is run by bash and must succeed. A fence
``sh background`` is ``clew up``, which runs to the tutorial's end. A fence ``text`` only shows. The ports of ``clew up`` are moved to
free ones, so that nothing else on the machine is in the way.
"""

import doctest
import importlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

import clew
from clew.ports import free_port

PACKAGE = Path(clew.__file__).parent
ROOT = PACKAGE.parents[1]
SHOWN = sorted(str(path.relative_to(PACKAGE.parent)) for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text())
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"^```(\w+)(?: title=(\S+)| (background))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_START_SECONDS = 60
_LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#]+)(?:#[^)]*)?\)")


@pytest.mark.parametrize("path", SHOWN)
def test_examples_in_docstrings_are_true(path: str) -> None:
    module = importlib.import_module(path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


@pytest.mark.timeout(900)
@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_works_from_its_first_line_to_its_last(tutorial: Path, tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CLEW_")}
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    api, serving = free_port(), free_port()
    with ExitStack() as until_the_end:
        for language, title, background, shown in _FENCE.findall(tutorial.read_text()):
            code = shown.replace(":7340", f":{api}").replace(":7341", f":{serving}")
            if title:
                (tmp_path / title).write_text(shown)
            elif background:
                assert code == "clew up\n"
                command = [sys.executable, "-m", "clew.cli", "up", "--port", str(api), "--serving-port", str(serving)]
                until_the_end.enter_context(running(command, tmp_path, environ, f"http://127.0.0.1:{api}/readyz"))
            elif language in ("python", "sh"):
                command = [sys.executable, "-c", code] if language == "python" else ["bash", "-euo", "pipefail", "-c", code]
                done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=400)
                assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"


@contextmanager
def running(command: list[str], folder: Path, environ: dict[str, str], ready: str) -> Iterator[None]:
    """The command, until the block ends; the block begins once its address answers."""
    log = folder / "background.log"
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=file, stderr=file)
    try:
        end = time.monotonic() + _START_SECONDS
        while not answers(ready):
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=2).is_success
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = [target for target in _LINK.findall(page.read_text()) if not (page.parent / target).exists()]
    assert broken == []
