"""Looking at the newest answers of a growing segment reads what is new, and finds what is asked for."""

from pathlib import Path

import pytest

from clew.serving import segment_index
from clew.serving.prediction_log import PredictionLog, segment_paths
from clew.serving.records import Record, encode_record
from clew.serving.segment_index import Entry, records_of


def a_record(second: int, endpoint: str = "late", epoch: int = 1) -> bytes:
    at = second * 1_000_000
    return encode_record(Record(at, at, endpoint, epoch, "late", 1, {"second": second}, b"", {}, [], 0.5, 1))


def seconds(folder: Path, wanted: "object" = None, *, newest_first: bool = False) -> list[int]:
    found = []
    for path in segment_paths(folder).values():
        found += [
            record.row["second"]
            for _, record in records_of(path, wanted if callable(wanted) else lambda entry: True, newest_first=newest_first)
        ]
    return found


@pytest.fixture
def log(tmp_path: Path) -> PredictionLog:
    return PredictionLog(tmp_path)


def test_what_is_written_after_a_look_is_found_by_the_next(log: PredictionLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log.append([a_record(1), a_record(2)])
    assert seconds(tmp_path) == [1, 2]
    log.append([a_record(3)])
    decoded: list[bytes] = []
    decode = segment_index.decode_record
    monkeypatch.setattr(segment_index, "decode_record", lambda payload: decoded.append(payload) or decode(payload))
    assert seconds(tmp_path, lambda entry: entry.event_time >= 3_000_000) == [3]
    assert len(decoded) == 2  # once for its entry, once for the answer: the first two are not read again


def test_entries_tell_endpoint_epoch_and_order(log: PredictionLog, tmp_path: Path) -> None:
    log.append([a_record(1), a_record(2, "other"), a_record(3, epoch=2)])

    def of_late(entry: Entry) -> bool:
        return entry.endpoint == "late"

    assert seconds(tmp_path, of_late) == [1, 3]
    assert seconds(tmp_path, of_late, newest_first=True) == [3, 1]
    assert seconds(tmp_path, lambda entry: entry.epoch == 2) == [3]


def test_a_torn_frame_at_the_end_is_read_when_it_is_whole(log: PredictionLog, tmp_path: Path) -> None:
    log.append([a_record(1)])
    assert seconds(tmp_path) == [1]
    (path,) = segment_paths(tmp_path).values()
    content = path.read_bytes()
    log.append([a_record(2)])
    whole = path.read_bytes()
    end = next(place for place in range(len(whole) - 1, 0, -1) if whole[place]) + 1
    path.write_bytes(whole[: end - 3] + content[end - 3 :])  # its last bytes are not there yet
    assert seconds(tmp_path) == [1]
    path.write_bytes(whole)
    assert seconds(tmp_path) == [1, 2]


def test_a_segment_that_was_compacted_has_nothing(log: PredictionLog, tmp_path: Path) -> None:
    log.append([a_record(1)])
    assert seconds(tmp_path) == [1]
    (path,) = segment_paths(tmp_path).values()
    path.unlink()
    assert list(records_of(path, lambda entry: True)) == []
