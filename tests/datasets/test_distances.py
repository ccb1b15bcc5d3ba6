"""Distances between profiles, held against scipy."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.special import rel_entr
from scipy.stats import ks_2samp

from clew.datasets.distances import FLOOR, Shift, cells, jensen_shannon, kolmogorov_smirnov, population_stability, shifts, total_variation
from clew.datasets.profile import Profile, profile
from clew.errors import Invalid

COUNTS = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=2, max_size=30).filter(
    lambda pairs: all(sum(side) for side in zip(*pairs, strict=True))
)
DISTANCES = [jensen_shannon, total_variation, population_stability, kolmogorov_smirnov]


@settings(deadline=None, max_examples=50)
@given(COUNTS)
def test_distances_are_those_of_scipy(pairs: list[tuple[int, int]]) -> None:
    one, other = (list(side) for side in zip(*pairs, strict=True))
    p, q = np.array(one) / sum(one), np.array(other) / sum(other)
    # scipy takes a root of a tiny negative number where the two are almost equal; squares are compared.
    expected = jensenshannon(p, q, base=2)
    assert jensen_shannon(one, other) ** 2 == pytest.approx(0.0 if math.isnan(expected) else expected**2, abs=1e-12)
    p_floored, q_floored = np.maximum(p, FLOOR), np.maximum(q, FLOOR)
    both_ways = (rel_entr(p_floored, q_floored) + rel_entr(q_floored, p_floored)).sum()
    assert population_stability(one, other) == pytest.approx(both_ways, abs=1e-12)
    assert total_variation(one, other) == pytest.approx(np.abs(p - q).sum() / 2)
    cell = np.arange(len(one))
    assert kolmogorov_smirnov(one, other) == pytest.approx(
        ks_2samp(np.repeat(cell, one), np.repeat(cell, other), method="asymp").statistic, abs=1e-12
    )


@settings(deadline=None, max_examples=50)
@given(COUNTS, st.integers(1, 9))
def test_distances_are_symmetric_bounded_and_free_of_scale(pairs: list[tuple[int, int]], scale: int) -> None:
    one, other = (list(side) for side in zip(*pairs, strict=True))
    for distance in DISTANCES:
        found = distance(one, other)
        assert found == pytest.approx(distance(other, one), abs=1e-12)
        assert found == pytest.approx(distance([scale * count for count in one], other), abs=1e-7)
        assert distance(one, one) == 0
        assert 0 <= found <= (math.inf if distance is population_stability else 1)


@pytest.mark.parametrize("distance", DISTANCES)
def test_what_can_not_be_compared_is_said(distance: Any) -> None:
    with pytest.raises(Invalid, match="counts over 2 cells can't be compared with counts over 3"):
        distance([1, 2], [1, 2, 3])
    with pytest.raises(Invalid, match="nothing was counted on one side"):
        distance([1, 2], [0, 0])


def moved(before: pl.DataFrame, after: pl.DataFrame) -> dict[str, Shift]:
    reference = profile(before)
    return {shift.name: shift for shift in shifts(reference, profile(after, reference))}


def test_missing_values_are_a_cell_of_their_own() -> None:
    drawn = np.random.default_rng(0).normal(size=1_000)
    holes = np.where(np.arange(1_000) % 4 == 0, np.nan, drawn)
    shift = moved(pl.DataFrame({"x": drawn}), pl.DataFrame({"x": holes}))["x"]
    assert (shift.missing_before, shift.missing_after) == (0.0, 0.25)
    assert shift.total_variation == pytest.approx(0.25, abs=0.02)
    assert shift.kolmogorov_smirnov is not None
    assert shift.kolmogorov_smirnov < 0.03
    gone = moved(pl.DataFrame({"x": drawn}), pl.DataFrame({"x": [None] * 9}, schema={"x": pl.Float64}))["x"]
    assert (gone.jensen_shannon, gone.kolmogorov_smirnov, gone.missing_after) == (1.0, None, 1.0)


def test_the_statistic_on_bins_is_the_exact_one_to_within_a_bin() -> None:
    random = np.random.default_rng(1)
    before, after = random.normal(size=20_000), random.normal(0.2, 1, size=20_000)
    shift = moved(pl.DataFrame({"x": before}), pl.DataFrame({"x": after}))["x"]
    exact = ks_2samp(before, after).statistic
    assert shift.kolmogorov_smirnov is not None
    assert exact - 1 / 64 <= shift.kolmogorov_smirnov <= exact


def test_the_farthest_comes_first_and_new_values_are_named() -> None:
    before = pl.DataFrame({"same": ["a", "b"] * 50, "moved": ["a", "b"] * 50, "number": range(100)})
    after = pl.DataFrame({"same": ["b", "a"] * 50, "moved": ["a", "d", "c", "d"] * 25, "number": range(100)})
    first, *others = moved(before, after).values()
    assert (first.name, first.new) == ("moved", ("d", "c"))
    assert {shift.name: shift.jensen_shannon for shift in others} == {"same": 0.0, "number": 0.0}
    assert first.kolmogorov_smirnov is None


def test_where_values_went_unnamed_none_is_called_new() -> None:
    before = pl.DataFrame({"x": [f"value {place}" for place in range(1_000)]})
    assert moved(before, pl.DataFrame({"x": ["other"] * 5}))["x"].new == ()


def test_no_rows_are_no_distance() -> None:
    frame = pl.DataFrame({"x": [1.0, 2.0]})
    shift = moved(frame, frame.clear())["x"]
    assert (shift.jensen_shannon, shift.missing_before, shift.missing_after) == (None, 0.0, None)


def test_columns_of_one_side_only_are_left_out_and_other_bins_are_refused() -> None:
    one, other = (profile(pl.DataFrame({name: np.arange(100.0), "both": ["a"] * 100})) for name in ("x", "y"))
    assert [shift.name for shift in shifts(one, other)] == ["both"]
    later = Profile(100, (profile(pl.DataFrame({"x": np.arange(50.0, 150.0)}))["x"],))
    with pytest.raises(Invalid, match="x: counted in different bins"):
        shifts(one, later)


def test_every_row_is_in_one_cell() -> None:
    column = profile(pl.DataFrame({"x": [1.0, None, float("nan"), float("inf"), 2.5]}))["x"]
    assert sum(cells(column)) == 5
