import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.errors import Invalid
from clew.tracking.frames import MAX_PAYLOAD_BYTES, Kind, border, frame, read_frames, whole_end

frames = st.lists(st.tuples(st.sampled_from(Kind), st.binary(max_size=60)), max_size=12)


@given(frames, st.integers(0, 40))
def test_frames_are_read_back_in_order_and_zeros_end_them(written: list[tuple[Kind, bytes]], room: int) -> None:
    content = b"".join(frame(kind, payload) for kind, payload in written) + bytes(room)
    assert [(item.kind, item.payload) for item in read_frames(content)] == written
    assert whole_end(content) == len(content) - room


@given(frames.filter(bool), st.data())
def test_a_torn_frame_ends_the_journal_before_it(written: list[tuple[Kind, bytes]], data: st.DataObject) -> None:
    parts = [frame(kind, payload) for kind, payload in written]
    kept = sum(len(part) for part in parts[:-1])
    cut = data.draw(st.integers(1, len(parts[-1]) - 1))
    torn = b"".join(parts)[: kept + cut] + bytes(len(parts[-1]) - cut + 8)
    if torn[: len(b"".join(parts))] != b"".join(parts):  # a payload of zeros is whole without its last bytes
        assert whole_end(torn) == kept


def test_a_flipped_bit_ends_the_journal_before_it() -> None:
    first, second = frame(Kind.NAME, b"loss"), bytearray(frame(Kind.PARAMS, b'{"a": 1}'))
    second[-1] ^= 1
    assert whole_end(first + bytes(second)) == len(first)


def test_a_batch_ends_at_a_border_between_frames() -> None:
    content = frame(Kind.NAME, b"a" * 10) + frame(Kind.NAME, b"b" * 100) + frame(Kind.NAME, b"c")
    assert border(content, 20) == 18
    assert border(content, 5) == 18, "a frame that is longer than the limit goes alone"
    assert border(content, 1_000) == len(content)


def test_a_change_that_is_too_big_is_refused() -> None:
    with pytest.raises(Invalid, match="artifact"):
        frame(Kind.PARAMS, bytes(MAX_PAYLOAD_BYTES + 1))
