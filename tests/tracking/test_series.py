import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.errors import Invalid
from clew.tracking.series import Points, decode_points, downsample, encode_points, join

numbers = st.integers(-(2**62), 2**62)
points = st.lists(st.tuples(numbers, numbers, st.floats(width=64)), max_size=200).map(
    lambda rows: Points(*(np.array([row[i] for row in rows], dtype) for i, dtype in enumerate((np.int64, np.int64, np.float64))))
)


def same(left: Points, right: Points) -> bool:
    pairs = ((left.steps, right.steps), (left.times, right.times), (left.values.view(np.int64), right.values.view(np.int64)))
    return all(np.array_equal(one, other) for one, other in pairs)


@given(points)
def test_a_chunk_gives_back_the_very_bits(written: Points) -> None:
    assert same(decode_points(encode_points(written)), written)


@given(points, points)
def test_chunks_join_in_order(one: Points, other: Points) -> None:
    joined = join([one, other])
    assert same(Points(joined.steps[: len(one)], joined.times[: len(one)], joined.values[: len(one)]), one)
    assert len(joined) == len(one) + len(other)


@pytest.mark.parametrize("chunk", [b"", b"\x01", b"\x02\x00\x00\x00\x00", encode_points(Points(*(np.arange(5),) * 2, np.arange(5.0)))[:-3]])
def test_a_damaged_chunk_is_refused(chunk: bytes) -> None:
    with pytest.raises(Invalid):
        decode_points(chunk)


@given(st.lists(st.tuples(st.integers(-50, 500), st.floats(allow_infinity=False)), min_size=1, max_size=300), st.integers(1, 50))
def test_downsampling_agrees_with_brute_force(rows: list[tuple[int, float]], buckets: int) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    steps, values = np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows])
    sampled = downsample(Points(steps, steps * 10, values), buckets)
    assert len(sampled.steps) <= buckets
    if len(rows) <= buckets:
        assert sampled.steps.tolist() == steps.tolist()
        return
    edges = [*np.ceil(np.linspace(steps[0], steps[-1] + 1, buckets + 1)[:-1]).astype(int).tolist(), int(steps[-1]) + 1]
    expected = []
    for low, high in itertools.pairwise(edges):
        inside = [(step, value) for step, value in rows if low <= step < high]
        if inside:
            known = [value for _, value in inside if not math.isnan(value)]
            expected.append((*inside[-1], min(known, default=math.nan), max(known, default=math.nan)))
    found = list(zip(sampled.steps.tolist(), sampled.last.tolist(), sampled.minimum.tolist(), sampled.maximum.tolist(), strict=True))
    np.testing.assert_array_equal(np.array(found), np.array(expected))


def test_a_peak_of_a_million_points_is_kept() -> None:
    values = np.zeros(1_000_000)
    values[123_456] = 7.0
    sampled = downsample(Points(np.arange(1_000_000), np.arange(1_000_000), values), 1_000)
    assert sampled.maximum.max() == 7.0
    assert len(sampled.steps) == 1_000
    assert sampled.steps[-1] == 999_999


def test_points_out_of_order_are_sorted_by_step_and_ties_stay() -> None:
    found = Points(np.array([3, 1, 3, 2]), np.array([1, 2, 3, 4]), np.array([0.0, 1.0, 2.0, 3.0])).by_step()
    assert found.steps.tolist() == [1, 2, 3, 3]
    assert found.values.tolist() == [1.0, 3.0, 0.0, 2.0]
