"""An answer is in the log before it leaves, and stays there through the death of its writer."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.errors import Invalid, StorageFull
from clew.serving.prediction_log import (
    Address,
    PredictionLog,
    decode_id,
    encode_id,
    is_finished,
    read_frame,
    read_segment,
    remove_spares,
    segment_paths,
)

SMALL = 4_096


def everything(folder: Path) -> list[bytes]:
    return [payload for path in segment_paths(folder).values() for _, payload in read_segment(path)]


def ids(folder: Path) -> list[str]:
    return [encode_id(a.segment, a.offset, a.check) for path in segment_paths(folder).values() for a, _ in read_segment(path)]


def test_what_is_appended_is_found_by_its_id_and_read_in_order(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    first = log.append([b"one", b"two"])
    second = log.append([b"three"])
    assert [read_frame(tmp_path, decode_id(prediction)) for prediction in first + second] == [b"one", b"two", b"three"]
    assert everything(tmp_path) == [b"one", b"two", b"three"]
    assert ids(tmp_path) == first + second
    log.close()


@given(st.integers(0, 2**63), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_an_id_holds_its_address(segment: int, offset: int, check: int) -> None:
    assert decode_id(encode_id(segment, offset, check)) == Address(segment, offset, check)


@pytest.mark.parametrize("text", ["", "p_", "late@7", "p_" + "u" * 26, "p_" + "0" * 25, "x_" + "0" * 26])
def test_any_other_text_is_no_id(text: str) -> None:
    with pytest.raises(Invalid, match="no prediction id"):
        decode_id(text)


def test_an_id_with_another_check_finds_nothing(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    address = decode_id(log.append([b"one"])[0])
    assert read_frame(tmp_path, Address(address.segment, address.offset, address.check ^ 1)) is None
    assert read_frame(tmp_path, Address(address.segment, 1 << 31, address.check)) is None
    assert read_frame(tmp_path, Address(address.segment + 1, address.offset, address.check)) is None
    log.close()


def test_a_full_segment_is_followed_by_another(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, segment_bytes=SMALL)
    payloads = [bytes([number]) * 500 for number in range(30)]
    found = [log.append([payload])[0] for payload in payloads]
    assert len(segment_paths(tmp_path)) > 3
    assert sorted(everything(tmp_path)) == sorted(payloads)
    assert [read_frame(tmp_path, decode_id(prediction)) for prediction in found] == payloads
    log.close()


def test_a_segment_is_finished_when_its_writer_went_on_or_closed(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, segment_bytes=SMALL)
    for _ in range(10):
        log.append([b"x" * 1_000])
    *former, last = segment_paths(tmp_path).values()
    assert [is_finished(path) for path in former] == [True] * len(former)
    assert not is_finished(last)
    log.close()
    assert is_finished(last)


def test_two_writers_have_segments_of_their_own(tmp_path: Path) -> None:
    logs = [PredictionLog(tmp_path), PredictionLog(tmp_path)]
    for number in range(10):
        logs[number % 2].append([b"%d" % number])
    assert sorted(everything(tmp_path)) == [b"%d" % number for number in range(10)]
    assert len(segment_paths(tmp_path)) == 2
    for log in logs:
        log.close()


def test_answers_that_no_segment_can_hold_are_refused_and_the_log_goes_on(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, segment_bytes=SMALL)
    with pytest.raises(Invalid, match="send fewer rows"):
        log.append([b"x" * SMALL])
    log.append([b"small"])
    assert everything(tmp_path) == [b"small"]
    log.close()


def test_a_torn_last_frame_is_not_read(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.append([b"whole"])
    address = decode_id(log.append([b"torn by a dying writer"])[0])
    log.close()
    with (next(iter(segment_paths(tmp_path).values()))).open("r+b") as file:
        file.seek(address.offset + 12)
        file.write(b"\0" * 10)
    assert everything(tmp_path) == [b"whole"]


WRITER = """
import sys
from pathlib import Path
from clew.serving.prediction_log import PredictionLog
log = PredictionLog(Path(sys.argv[1]), segment_bytes=65_536)
number = 0
while True:
    number += 1
    (prediction,) = log.append([b"answer %d" % number])
    sys.stdout.write(prediction + "\\n")
    sys.stdout.flush()
"""


def test_every_answer_that_left_is_in_the_log_after_kill_9(tmp_path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    answered = [writer.stdout.readline().strip() for _ in range(3_000)]
    os.kill(writer.pid, signal.SIGKILL)
    answered += [line.strip() for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    writer.wait()
    writer.stdout.close()
    payloads = [read_frame(tmp_path, decode_id(prediction)) for prediction in answered]
    assert payloads == [b"answer %d" % number for number in range(1, len(answered) + 1)]
    assert 0 <= len(everything(tmp_path)) - len(answered) <= 1, "at most the one answer that had not left"
    assert all(is_finished(path) for path in segment_paths(tmp_path).values())
    assert list(tmp_path.glob(".*.spare"))
    remove_spares(tmp_path)
    assert not list(tmp_path.glob(".*.spare"))


FULL = """
import resource, sys
from pathlib import Path
from clew.errors import StorageFull
from clew.serving.prediction_log import PredictionLog, segment_paths, read_segment
folder = Path(sys.argv[1])
log = PredictionLog(folder, segment_bytes=8_192)
resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
kept = 0
try:
    for number in range(100):
        log.append([b"x" * 1_000])
        kept += 1
except StorageFull:
    pass
else:
    sys.exit("the log did not notice")
read = sum(1 for path in segment_paths(folder).values() for _ in read_segment(path))
assert read == kept, (read, kept)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
log.append([b"there is room again"])
print("kept", kept)
"""


def test_a_full_disk_refuses_the_answer_keeps_what_was_given_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("kept")
    assert everything(tmp_path)[-1] == b"there is room again"


def test_a_log_that_finds_no_room_at_all_does_not_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, offset: int, length: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StorageFull, match="full"):
        PredictionLog(tmp_path)
    assert list(tmp_path.iterdir()) == []
