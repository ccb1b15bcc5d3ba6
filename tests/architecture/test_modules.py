"""What holds of every module: its public names, its size, its imports."""

import ast
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import clew

PACKAGE = Path(clew.__file__).parent
ROOT = PACKAGE.parents[1]
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "static" not in path.parts)
NAMES = [str(path.relative_to(PACKAGE)) for path in MODULES]
OPTIONAL = {"psycopg", "ray", "redis", "pandas", "pytest"}
"""Imported in one place each, where the absence is answered with the command that installs it."""


def tree_of(name: str) -> ast.Module:
    return ast.parse((PACKAGE / name).read_text())


@pytest.mark.parametrize("name", NAMES)
def test_all_says_what_is_public(name: str) -> None:
    tree = tree_of(name)
    listed = {
        item.value
        for node in tree.body
        if isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
        for item in getattr(node.value, "elts", [])
    }
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    assigned = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node in tree.body
        for alias in node.names
    }
    # The face lists what it re-exports lazily; Alembic reads revisions; commands are reached through COMMANDS.
    if name == "__init__.py" or "versions/" in name or name.endswith("commands.py"):
        return
    public = {found for found in defined if not found.startswith("_")}
    assert public <= listed, f"{sorted(public - listed)} look public and are not in __all__"
    assert listed <= defined | assigned | imported, f"{sorted(listed - defined - assigned - imported)} are in __all__ and not there"


@pytest.mark.parametrize("name", NAMES)
def test_no_module_is_a_drawer(name: str) -> None:
    assert Path(name).stem not in {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
    assert len((PACKAGE / name).read_text().splitlines()) <= 600


@pytest.mark.parametrize("name", [name for name in NAMES if Path(name).name in ("service.py", "commands.py")])
def test_signatures_that_are_read_at_run_time_are_not_postponed(name: str) -> None:
    assert "from __future__ import annotations" not in (PACKAGE / name).read_text()


def test_every_import_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [item for group in ("postgres", "ray", "redis", "s3") for item in project["optional-dependencies"][group]]
    declared = {_distribution(item) for item in [*project["dependencies"], *extras]}
    found = packages_distributions()
    missing = {}
    for name in NAMES:
        for node in ast.walk(tree_of(name)):
            modules = [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for top in {module.partition(".")[0] for module in modules} - {"clew"} - OPTIONAL - set(sys.stdlib_module_names):
                if not {_normal(item) for item in found.get(top, [top])} & declared:
                    missing[top] = name
    assert missing == {}


def _distribution(requirement: str) -> str:
    for end in "[<>=!~; ":
        requirement = requirement.partition(end)[0]
    return _normal(requirement)


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")
