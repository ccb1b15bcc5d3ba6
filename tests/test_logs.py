"""One format for the server and the serving process, and libraries that are quiet while all is well."""

import json
import logging
from collections.abc import Iterator

import pytest

from clew.logs import set_up_logging


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    names = ("alembic", "httpx", "uvicorn", "clew.server.requests")
    levels = [logging.getLogger(name).level for name in names]
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in zip(names, levels, strict=True):
        logging.getLogger(name).setLevel(before)


def test_a_line_is_one_json_object_with_what_was_said_beside_it(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("json")
    try:
        raise ValueError("no wind")
    except ValueError:
        logging.getLogger("clew.serving").exception("a request failed", extra={"endpoint": "late"})
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["logger"], line["message"], line["endpoint"]) == ("error", "clew.serving", "a request failed", "late")
    assert "ValueError: no wind" in line["traceback"]


def test_libraries_are_heard_when_something_is_wrong_only(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("json")
    for library in ("alembic.runtime.plugins", "uvicorn.error", "httpx"):
        logging.getLogger(library).info("setting up")
        logging.getLogger(library).warning("%s is odd", library)
    heard = [json.loads(line)["message"] for line in capsys.readouterr().err.splitlines()]
    assert heard == ["alembic.runtime.plugins is odd", "uvicorn.error is odd", "httpx is odd"]


def test_a_person_sees_requests_on_demand_only(capsys: pytest.CaptureFixture[str]) -> None:
    for verbose in (False, True):
        set_up_logging("text", verbose=verbose)
        logging.getLogger("clew.server.requests").info("GET /", extra={"status": 200, "milliseconds": 1.2})
    shown = capsys.readouterr().err
    assert shown.count("GET /") == 1
    assert shown.endswith("GET /  200  1 ms\n")
