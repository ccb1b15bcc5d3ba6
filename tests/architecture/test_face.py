"""The public face: few names, light to import, none that a package shadows."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import clew
from clew.cli import COMMANDS

PACKAGE = Path(clew.__file__).parent
HEAVY = {
    "polars",
    "numpy",
    "pandas",
    "pyarrow",
    "sqlalchemy",
    "sklearn",
    "optuna",
    "onnx",
    "onnxruntime",
    "deltalake",
    "obstore",
    "ray",
    "scipy",
    "lmdb",
}


def imported_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join(name for name in sys.modules if '.' not in name))"
    return set(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split())


def test_importing_clew_imports_nothing_heavy() -> None:
    assert imported_by("import clew") & HEAVY == set()


def test_importing_clew_is_quick() -> None:
    script = "import time; began = time.perf_counter(); import clew; print(time.perf_counter() - began)"
    spent = min(float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout) for _ in range(3))
    assert spent < 0.15


def test_the_list_of_commands_imports_nothing_heavy() -> None:
    code = "from clew.cli import app\nimport contextlib, io\n"
    code += "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): app(['--help'])"
    assert imported_by(code) & HEAVY == set()


def test_every_public_name_is_there() -> None:
    assert [name for name in clew.__all__ if not hasattr(clew, name)] == []


def test_checkers_see_the_same_names_as_python() -> None:
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.asname for node in guarded.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert seen == set(clew.__all__)


def test_no_public_name_is_shadowed_by_a_package() -> None:
    packages = {module.name for module in pkgutil.iter_modules([str(PACKAGE)])} - {"testing"}
    assert packages & set(clew.__all__) == set()


def test_there_are_about_forty_public_names() -> None:
    assert len(clew.__all__) <= 45


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_the_list_says(name: str) -> None:
    assert name in importlib.import_module(COMMANDS[name][0]).COMMANDS
