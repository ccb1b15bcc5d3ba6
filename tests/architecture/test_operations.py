"""What holds of every operation, read off the registry."""

import inspect
import re

import msgspec
import pytest

from clew.operations import Operation, load_all

OPERATIONS = load_all()
PROJECTLESS = {"access.create_project", "access.list_projects"}


@pytest.fixture(params=OPERATIONS, ids=lambda item: item.name)
def operation(request: pytest.FixtureRequest) -> Operation:
    found: Operation = request.param
    return found


def test_names_are_unique() -> None:
    names = [item.name for item in OPERATIONS]
    assert sorted(names) == sorted(set(names))


def test_it_lives_in_a_project(operation: Operation) -> None:
    assert operation.path.startswith("/projects/{project}") or operation.name in PROJECTLESS


def test_its_permission_names_what_it_does(operation: Operation) -> None:
    assert re.fullmatch(r"[a-z_]+\.[a-z_]+", operation.permission)


def test_its_method_fits_its_kind(operation: Operation) -> None:
    if operation.method == "GET":
        assert operation.kind == "read", "a GET is repeated by browsers and proxies; it must change nothing"
    else:
        assert operation.method in {"POST", "PUT", "PATCH", "DELETE"}


def test_its_path_and_its_signature_agree(operation: Operation) -> None:
    assert set(operation.path_parameters) - {"project"} <= set(operation.parameters)


def test_what_it_takes_and_gives_can_travel(operation: Operation) -> None:
    kinds = [kind for kind, _ in operation.parameters.values()]
    msgspec.json.schema_components([*kinds, operation.returns], ref_template="#/{name}")
    assert operation.returns is not inspect.Parameter.empty
