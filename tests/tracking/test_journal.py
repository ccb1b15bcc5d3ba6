import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import msgspec
import pytest

from clew.errors import Invalid, StorageFull
from clew.tracking.frames import HEADER, POINT, Kind, holds_nul
from clew.tracking.journal import Journal, JournalHeader, dead_journals, read_header

HEADER_OF_TEST = JournalHeader("writer_1", "run_1", "test", "here", owner=True, pid=1, host="h")

WRITE_AND_DIE = """
import os, signal, sys
from pathlib import Path
from clew.tracking.journal import Journal, JournalHeader
journal = Journal.create(Path(sys.argv[1]), JournalHeader("writer_1", "run_1", "test", "here", True, os.getpid(), "h"))
for step in range(int(sys.argv[2])):
    journal.point("loss", step / 2, step)
os.kill(os.getpid(), signal.SIGKILL)
"""


def points(journal: Journal) -> list[tuple[int, int, float]]:
    unpacked = [POINT.unpack(item.payload) for item in journal.frames() if item.kind is Kind.POINT]
    return [(name, step, value) for name, step, _, value in unpacked]


def test_every_point_survives_kill_9_once_the_call_has_returned(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WRITE_AND_DIE, str(tmp_path), "50000"], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    [path] = dead_journals(tmp_path)
    journal = Journal.adopt(path)
    assert journal is not None
    assert points(journal) == [(0, step, step / 2) for step in range(50_000)]
    journal.close(delete=True)
    assert dead_journals(tmp_path) == []


def test_a_living_writers_journal_is_not_adopted(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, HEADER_OF_TEST)
    assert Journal.adopt(journal.path) is None
    journal.close()
    adopted = Journal.adopt(journal.path)
    assert adopted is not None
    assert adopted.header == read_header(journal.path) == HEADER_OF_TEST
    adopted.close()


def test_a_torn_end_is_wiped_and_written_over(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, HEADER_OF_TEST)
    journal.point("loss", 1.0, 1)
    end = journal.end
    journal.append(Kind.PARAMS, b'{"long": "' + b"x" * 500 + b'"}')
    journal.close()
    with journal.path.open("r+b") as file:  # as a writer leaves it that dies in the middle of a frame
        file.seek(4096 + end + HEADER.size + 20)
        file.write(bytes(600))
    adopted = Journal.adopt(journal.path)
    assert adopted is not None
    assert adopted.end == end
    adopted.point("loss", 2.0, None)
    assert points(adopted) == [(0, 1, 1.0), (0, 0, 2.0)]
    adopted.close()


def test_a_journal_grows_past_its_first_room(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, HEADER_OF_TEST)
    for step in range(10_000):
        journal.point("loss", float(step), None)
    assert len(points(journal)) == 10_000
    taken = b""
    while piece := journal.read(len(taken), 1_000):
        assert len(piece) <= 1_000
        taken += piece
    assert len(taken) == journal.end
    journal.close()


def test_a_full_disk_is_an_error_and_tears_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.create(tmp_path, HEADER_OF_TEST)

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageFull):
        journal.append(Kind.PARAMS, bytes(100_000))
    monkeypatch.undo()
    journal.point("loss", 1.0, 7)
    assert points(journal) == [(0, 7, 1.0)]
    journal.close()


@pytest.mark.parametrize(
    ("name", "value", "step", "words"),
    [("loss", "high", 1, "a number"), ("loss", 1.0, 1.5, "whole number"), ("", 1.0, 1, "can't name"), ("loss", None, None, "a number"),
     ("x" * 300, 1.0, 1, "can't name"), ("loss", 1.0, 2**70, "loss"), ("a\0b", 1.0, 1, "can't name"), ("\ud800", 1.0, 1, "can't name")],
    ids=lambda value: ascii(value)[:12],
)  # fmt: skip
def test_what_is_no_point_is_refused_by_name_and_keeps_the_journal_whole(
    tmp_path: Path, name: str, value: object, step: object, words: str
) -> None:
    journal = Journal.create(tmp_path, HEADER_OF_TEST)
    with pytest.raises(Invalid, match=words):
        journal.point(name, value, step)  # type: ignore[arg-type]
    journal.point("other", 1.0, 3)
    assert [(step, value) for _, step, value in points(journal)] == [(3, 1.0)]
    journal.close()


def test_a_closed_journal_takes_nothing_more(tmp_path: Path) -> None:
    journal = Journal.create(tmp_path, HEADER_OF_TEST)
    journal.point("loss", 1.0, 1)
    journal.close()
    with pytest.raises(Invalid, match="has ended"):
        journal.point("loss", 1.0, 2)


# ── CLEW_DURABILITY=full ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Disk:
    """Counts what is flushed, and flushes it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.flushed: list[int] = []
        self._flush = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self.flush)

    def flush(self, file: int) -> None:
        self.flushed.append(file)
        self._flush(file)


def test_a_journal_is_flushed_only_where_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    journal = Journal.create(tmp_path, HEADER_OF_TEST)
    journal.point("loss", 1.0, 1)
    journal.settle()
    journal.close()
    assert disk.flushed == []


def test_a_durable_journal_is_flushed_once_for_all_that_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    journal = Journal.create(tmp_path, HEADER_OF_TEST, durable=True)
    for name in ("loss", "auc", "rate"):
        journal.point(name, 1.0, 1)
    assert disk.flushed == []
    journal.settle()
    journal.settle()
    assert len(disk.flushed) == 1
    journal.point("loss", 2.0, 2)
    journal.close()
    assert len(disk.flushed) == 2, "what is left behind for another process is on the disk"


def test_threads_that_wait_together_share_a_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.create(tmp_path, HEADER_OF_TEST, durable=True)
    begun, go, flushes, flush = threading.Event(), threading.Event(), [], os.fdatasync

    def slow(file: int) -> None:
        flushes.append(journal.end)
        begun.set()
        assert go.wait(30)
        flush(file)

    monkeypatch.setattr(os, "fdatasync", slow)

    def log(step: int) -> None:
        journal.point("loss", float(step), step)
        journal.settle()

    threads = [threading.Thread(target=log, args=(step,)) for step in range(8)]
    threads[0].start()
    assert begun.wait(30)
    for thread in threads[1:]:
        thread.start()
    while len(points(journal)) < 8:
        pass
    go.set()
    for thread in threads:
        thread.join()
    assert len(flushes) == 2, "the first thread's, and one for the seven that came while it was under way"
    assert flushes[1] == journal.end
    journal.close()


# ── what no database keeps ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", ["a\0b", "\ud800", {"a\0": 1}, 10**5_000], ids=["nul", "half a pair", "nul in a name", "5,000 digits"])
def test_a_parameter_that_no_database_keeps_is_refused_before_it_is_written(tmp_path: Path, value: object) -> None:
    journal = Journal.create(tmp_path, HEADER_OF_TEST)
    with pytest.raises(Invalid, match="params of a run can't be kept"):
        journal.document(Kind.PARAMS, {"v": value})
    assert journal.end == 0
    journal.close()


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\\u0000"], ids=["nul", "half a pair", "six characters"])
def test_the_text_of_an_error_is_kept_as_well_as_it_can_be(tmp_path: Path, text: str) -> None:
    journal = Journal.create(tmp_path, HEADER_OF_TEST)
    journal.document(Kind.END, {"error": text})
    [item] = journal.frames()
    assert not holds_nul(item.payload)
    assert msgspec.json.decode(item.payload)["error"] == {"a\0b": "a\\x00b", "\ud800": "\\ud800", "\\u0000": "\\u0000"}[text]
    journal.close()
