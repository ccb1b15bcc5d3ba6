"""The log read by people and compacted into a table: every answer once, whenever somebody is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from live_routes import a_route
from msgspec.structs import replace

from clew.backend import LocalBackend
from clew.catalog.schema import AssetVersion
from clew.errors import Conflict, NotFound
from clew.operations import Context
from clew.serving import answers, service
from clew.serving.prediction_log import PredictionLog, segment_paths
from clew.serving.records import Other, Record, encode_record
from clew.serving.schema import Candidate, routes
from clew.storage.tables import Tables

Register = Callable[..., AssetVersion]


def record(number: int, *, endpoint: str = "late", error: str | None = None) -> Record:
    return Record(
        1_000_000 + number, 5_000_000 + number, endpoint, 1, "late", 1, {"a": number, "at": "1970-01-01"}, b"\0\0\0\x3f" * 2, {"weather": 3},
        ["weather"], None if error else number / 100, 900, error,
    )  # fmt: skip


def write(backend: LocalBackend, numbers: range, **changed: str) -> list[str]:
    """Answers in a log that is closed: finished segments."""
    log = PredictionLog(answers.log_folder(backend.settings, backend.project), segment_bytes=8_192)
    identifiers = [log.append([encode_record(record(number, **changed))])[0] for number in numbers]
    log.close()
    return identifiers


def asked(backend: LocalBackend) -> list[int]:
    context = backend.context(backend.project)
    with context.reading() as inside:
        return [row["at"].microsecond for row in answers.all_answers(inside, "late").iter_rows(named=True)]


@pytest.fixture
def served(backend: LocalBackend, register: Register) -> LocalBackend:
    register(backend, "late", slope=1.0)
    backend.call(service.deploy_ungated, "late", "late@1", "a test")
    return backend


def test_compaction_moves_finished_segments_and_every_answer_is_found_as_before(served: LocalBackend) -> None:
    identifiers = write(served, range(100))
    before = [served.call(answers.get_prediction, identifier) for identifier in identifiers]
    done = served.call(answers.compact_predictions)
    assert (done.added, done.rows) == (100, 100)
    assert done.segments > 1
    assert segment_paths(answers.log_folder(served.settings, "test")) == {}
    assert [served.call(answers.get_prediction, identifier) for identifier in identifiers] == before
    again = served.call(answers.compact_predictions)
    assert (again.segments, again.rows) == (0, 100)


def test_an_open_segment_is_left_alone_and_read_beside_the_table(served: LocalBackend) -> None:
    write(served, range(10))
    served.call(answers.compact_predictions)
    log = PredictionLog(answers.log_folder(served.settings, "test"))
    log.append([encode_record(record(number)) for number in range(10, 20)])
    assert served.call(answers.compact_predictions).segments == 0
    assert asked(served) == list(range(20))
    log.close()
    assert served.call(answers.compact_predictions).rows == 20
    assert asked(served) == list(range(20))


def test_answers_are_paged_newest_first_over_log_and_table(served: LocalBackend) -> None:
    write(served, range(30))
    served.call(answers.compact_predictions)
    write(served, range(30, 50))
    write(served, range(100, 110), endpoint="other")
    seen, cursor = [], None
    while True:
        page = served.call(answers.latest_answers, "late", limit=7, cursor=cursor)
        seen += [item.row["a"] for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == list(range(49, -1, -1))


def test_answers_of_several_writers_are_in_one_order(served: LocalBackend) -> None:
    folder = answers.log_folder(served.settings, "test")
    logs = [PredictionLog(folder), PredictionLog(folder)]
    for number in range(20):
        logs[number % 2].append([encode_record(record(number))])
    assert [item.row["a"] for item in served.call(answers.latest_answers, "late").items] == list(range(19, -1, -1))
    for log in logs:
        log.close()


def test_an_answer_says_whether_the_candidate_of_its_route_gave_it_though_the_older_version(served: LocalBackend) -> None:
    candidate = Candidate(a_route(number=1).document, "salt", 0.1)

    def second_route(inside: Context) -> None:
        row = inside.db.execute(sa.select(routes)).one()._mapping
        document = row["document"] | {"number": 2}
        inside.db.execute(sa.insert(routes).values(**(dict(row) | {"epoch": 2, "document": document, "candidate": candidate})))

    served.context("test").run_write(second_route)
    log = PredictionLog(answers.log_folder(served.settings, "test"))
    by_candidate = replace(record(1), epoch=2, number=1, other=Other(2, b"", {}, [], 0.5, 800))
    by_champion = replace(record(2), epoch=2, number=2, other=Other(1, b"", {}, [], 0.5, 800))
    identifiers = [log.append([encode_record(one)])[0] for one in (record(0), by_candidate, by_champion)]
    log.close()
    found = [served.call(answers.get_prediction, identifier).by_candidate for identifier in identifiers]
    assert found == [False, True, False]
    assert [one.by_candidate for one in served.call(answers.latest_answers, "late").items] == found[::-1]


def test_an_answer_says_what_was_asked_and_an_error_what_went_wrong(served: LocalBackend) -> None:
    write(served, range(1))
    write(served, range(1, 2), error="invalid: row 0")
    wrong, right = served.call(answers.latest_answers, "late").items
    assert (right.probability, right.views, right.missing, right.truth.state, right.error) == (
        0.0,
        {"weather": 3},
        ("weather",),
        "none",
        None,
    )
    assert (wrong.probability, wrong.error) == (None, "invalid: row 0")


def test_an_unknown_prediction_is_not_found(served: LocalBackend) -> None:
    with pytest.raises(NotFound, match="no prediction"):
        served.call(answers.get_prediction, "p_" + "0" * 26)


def test_two_compactions_at_a_time_are_a_conflict(served: LocalBackend) -> None:
    folder = answers.log_folder(served.settings, "test")
    folder.mkdir(parents=True)
    with answers._alone(folder), pytest.raises(Conflict, match="compacts"):
        served.call(answers.compact_predictions)


KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from clew.backend import LocalBackend
from clew.serving import answers
from clew.settings import load_settings
from clew.storage.tables import Tables

home, url, where = sys.argv[1:]
def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)
if where == "before the commit":
    Tables.append = die
elif where == "before the row":
    answers._note = die
else:
    Path.unlink = die
settings = replace(load_settings(Path(home).parent, {}), project="test", database_url=url)
LocalBackend(settings).call(answers.compact_predictions)
"""


@pytest.mark.parametrize("where", ["before the commit", "before the row", "before the files go"])
@pytest.mark.parametrize("first", [True, False], ids=["no table yet", "a table"])
def test_a_compaction_killed_anywhere_loses_and_doubles_nothing(served: LocalBackend, where: str, first: bool) -> None:
    if not first:
        write(served, range(5))
        served.call(answers.compact_predictions)
    start = 0 if first else 5
    write(served, range(start, 20))
    url = served.settings.database_url
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(served.settings.home), url, where], capture_output=True, text=True, timeout=60
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert asked(served) == list(range(20)), "readers see every answer once before anybody tidies up"
    served.call(answers.compact_predictions)
    assert asked(served) == list(range(20))
    assert segment_paths(answers.log_folder(served.settings, "test")) == {}
    head = Tables(served.settings.storage_url).head("test/predictions")
    assert head is not None
    assert os.path.isdir(served.settings.home / "storage" / "tables" / "test" / "predictions")
