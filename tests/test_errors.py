"""Errors keep their class, message and details over the wire and between processes."""

import pickle

import pytest

from clew import errors


@pytest.mark.parametrize("name", [name for name in errors.__all__ if name not in ("from_wire", "Pruned")])
def test_an_error_survives_the_wire_and_a_process_border(name: str) -> None:
    error = getattr(errors, name)("what happened", value=7)
    for copy in (errors.from_wire(error.to_wire()), pickle.loads(pickle.dumps(error))):
        assert (type(copy), copy.message, copy.details) == (type(error), "what happened", {"value": 7})


def test_every_code_is_used_once() -> None:
    codes = [getattr(errors, name).code for name in errors.__all__ if name not in ("from_wire", "Pruned")]
    assert len(set(codes)) == len(codes)
