"""Two servers on one database: one does what is done once, and the other takes over when it is killed."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from clew.testing.server import LiveServer, live_server

WaitFor = Callable[[Callable[[], object]], None]


@pytest.fixture
def two(tmp_path: Path, postgres_database: str) -> Iterator[list[LiveServer]]:
    """Two servers with a folder each, on one PostgreSQL."""
    with ExitStack() as both:
        servers = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            environ = {"CLEW_DATABASE_URL": postgres_database, "CLEW_STORAGE_URL": (tmp_path / "store").as_uri()}
            servers.append(both.enter_context(live_server(tmp_path / name, "--no-serving", environ=environ)))
        yield servers


def said(server: LiveServer) -> list[str]:
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    return [line["message"] for line in lines if line["logger"] == "clew.server.leading"]


@pytest.mark.postgres
def test_one_of_two_servers_leads_and_the_other_takes_over_when_it_is_killed(two: list[LiveServer], wait_for: WaitFor) -> None:
    one, other = two
    assert (said(one), said(other)) == (["this server leads"], ["another server leads"])
    one.kill()
    wait_for(lambda: said(other)[-1] == "this server leads")
    one.start()
    wait_for(lambda: said(one)[-1] == "another server leads")
