"""Profiles add up: whatever way rows are cut into pieces, the pieces' profiles make the profile of the whole."""

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clew.datasets.profile import ColumnProfile, Profile, decode, encode, fitting, merge, profile, quantile
from clew.errors import Invalid, NotFound

START = datetime(2013, 1, 1, tzinfo=UTC)


def of(values: Any, dtype: Any = None, reference: Any = None) -> ColumnProfile:
    """The profile of one column ``x``."""
    frame = pl.DataFrame({"x": pl.Series(values, dtype=dtype, strict=False)})
    return profile(frame, None if reference is None else Profile(0, (reference,)))["x"]


def counted(profile: Profile) -> list[Any]:
    """All but the moments, which are floats and round."""
    return [(one.name, one.bins, one.rows, one.nulls, one.nans, one.infinite, one.counts, one.rest) for one in profile.columns]


# ── adding up ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.floats(width=32)),
        st.one_of(st.none(), st.integers(-3, 3)),
        st.one_of(st.none(), st.text(max_size=3), st.just("x" * 300)),
        st.one_of(st.none(), st.booleans()),
        st.one_of(st.none(), st.datetimes(timezones=st.just(UTC))),
    ),
    max_size=60,
)
SCHEMA = {"number": pl.Float64, "few": pl.Int64, "text": pl.String, "flag": pl.Boolean, "time": pl.Datetime("us", "UTC")}
DRAWN = np.random.default_rng(0).normal(size=500)
REFERENCE = profile(
    pl.DataFrame(
        {
            "number": DRAWN,
            "few": np.arange(500) % 5 - 2,
            "text": [("a", "b", "", "x" * 300)[place % 4] for place in range(500)],
            "flag": DRAWN > 1,
            "time": [START + timedelta(days=10 * place) for place in range(500)],
        },
        schema=SCHEMA,
    )
)


def rows(drawn: list[Any]) -> pl.DataFrame:
    return pl.DataFrame(drawn, schema=SCHEMA, orient="row")


@settings(deadline=None, max_examples=60)
@given(ROWS, ROWS, ROWS)
def test_profiles_of_pieces_merge_to_that_of_the_whole_in_any_order(one: list[Any], two: list[Any], three: list[Any]) -> None:
    a, b, c = (profile(rows(part), REFERENCE) for part in (one, two, three))
    whole = profile(rows(one + two + three), REFERENCE)
    assert counted(merge(merge(a, b), c)) == counted(merge(a, merge(b, c))) == counted(whole)
    assert merge(a, b) == merge(b, a)
    for column in whole.columns:
        assert sum(column.counts) + column.rest.total + column.missing == column.rows == len(one + two + three)
        merged = merge(merge(a, b), c)[column.name].moments
        assert (column.moments is None) == (merged is None)
        if column.moments and merged:
            least, greatest = column.moments.minimum, column.moments.maximum
            assert (merged.count, merged.minimum, merged.maximum) == (column.moments.count, least, greatest)
            reach = max(abs(least), abs(greatest))
            assert merged.mean == pytest.approx(column.moments.mean, rel=1e-12, abs=1e-12 * reach)
            if column.moments.squared is not None and merged.squared is not None:
                assert merged.squared == pytest.approx(column.moments.squared, rel=1e-9, abs=1e-9 * reach**2)


def test_moments_are_those_of_numpy_also_where_the_mean_is_far_from_zero() -> None:
    values = np.random.default_rng(1).normal(1e9, 2.0, 300_000)
    moments = of(values).moments
    assert moments is not None
    assert moments.mean == pytest.approx(values.mean(), rel=1e-14)
    assert moments.variance == pytest.approx(values.var(ddof=1), rel=1e-9)
    assert moments.deviation == pytest.approx(values.std(ddof=1), rel=1e-9)
    assert (moments.minimum, moments.maximum) == (values.min(), values.max())


def test_values_too_large_to_be_squared_have_a_mean_and_no_variance() -> None:
    moments = of([1e308, 1.5e308] * 10).moments
    assert moments is not None
    assert moments.mean == pytest.approx(1.25e308)
    assert moments.variance is None
    assert decode(encode(Profile(20, (of([1e308, 1.5e308] * 10),))))["x"].moments == moments


def test_other_bins_are_refused_by_name() -> None:
    one, other = (profile(pl.DataFrame({"x": DRAWN + shift, "y": ["a"] * 500})) for shift in (0.0, 1.0))
    with pytest.raises(Invalid, match=r"^x: counted in different bins; profile both sets of rows with the same reference"):
        merge(one, other)
    with pytest.raises(Invalid, match="only one of the two profiles has x"):
        merge(one, Profile(500, one.columns[1:]))


def test_many_new_values_are_followed_within_the_stated_error() -> None:
    random = np.random.default_rng(2)
    reference = of(["known"] * 30)
    pieces = [random.zipf(1.2, 20_000).clip(max=50_000).astype(str) for _ in range(5)]
    merged = None
    for piece in pieces:
        one = Profile(len(piece), (of(piece, reference=reference),))
        merged = one if merged is None else merge(merged, one)
    assert merged is not None
    rest = merged["x"].rest
    values, counts = np.unique(np.concatenate(pieces), return_counts=True)
    truth = dict(zip(values.tolist(), counts.tolist(), strict=True))
    named = dict(rest.heaviest)
    assert (rest.total, len(named) <= 200, rest.error > 0) == (100_000, True, True)
    assert rest.error <= rest.total / 201
    assert all(named.get(value, 0) <= count <= named.get(value, 0) + rest.error for value, count in truth.items())
    assert rest.heaviest[0][0] == "1"


# ── bins ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_number_has_64_bins_with_the_same_share_of_the_reference() -> None:
    column = of(np.random.default_rng(3).lognormal(sigma=3, size=300_000))
    assert len(column.counts) == 64
    assert all(0.8 < count / (300_000 / 64) < 1.2 for count in column.counts)


def test_counts_are_those_of_a_binary_search() -> None:
    values = np.random.default_rng(4).normal(size=200_000).round(2)
    column = of(values, reference=of(DRAWN))
    expected = np.bincount(np.searchsorted(column.bins.edges, values, side="right"), minlength=len(column.counts))
    assert list(column.counts) == expected.tolist()


def test_the_same_rows_have_the_same_bins_every_time() -> None:
    values = np.random.default_rng(5).normal(size=100_000)
    assert of(values) == of(values)


@pytest.mark.parametrize("values", [np.arange(240) % 24, (np.arange(240) % 24) / 8, np.arange(240, dtype=np.uint8) % 2])
def test_few_numbers_are_categories(values: np.ndarray[Any, Any]) -> None:
    column = of(values)
    assert column.bins.kind == "category"
    assert set(column.counts) == {240 // len(set(values.tolist()))}
    assert column.moments is not None
    assert column.moments.mean == pytest.approx(values.mean())


def test_a_handful_of_measurements_is_no_category() -> None:
    assert of([0.1, 0.2, 0.7, 1.1]).bins.kind == "number"


def test_a_value_that_holds_much_of_the_rows_has_a_bin_of_its_own() -> None:
    rain = np.where(np.arange(10_000) % 10 == 0, np.linspace(0.01, 30, 10_000), 0.0)
    column = of(rain)
    assert 9_000 in column.counts
    assert of([0.0, 1e-30], reference=column).counts[column.counts.index(9_000)] == 1


@pytest.mark.parametrize(
    "values", [np.arange(100_000) % 1_000 / 100, np.where(np.arange(9_999) % 3 == 0, 0.1, DRAWN[0] + np.arange(9_999))]
)
def test_features_served_as_float32_fall_into_the_bins_of_the_float64_reference(values: np.ndarray[Any, Any]) -> None:
    column = of(values)
    assert of(values.astype(np.float32), reference=column).counts == column.counts


def test_categories_are_the_same_as_integers_floats_and_float32() -> None:
    hours = of(np.arange(240) % 24)
    assert of((np.arange(240) % 24).astype(np.float32), reference=hours).counts == hours.counts
    tenths = of(np.arange(240) % 24 / 10)
    assert of((np.arange(240) % 24 / 10).astype(np.float32), reference=tenths).counts == tenths.counts
    flags = of([True, False, False])
    assert flags.bins.values == ("false", "true")
    assert of([1.0, 0.0, 2.0], reference=flags).counts == (1, 1)
    assert of([1.0, 0.0, 2.0], reference=flags).rest.heaviest == (("2", 1),)


def test_the_two_hundred_commonest_values_have_a_bin() -> None:
    values = [f"value {place}" for place in range(300) for _ in range(place)]
    column = of(values)
    assert len(column.bins.values) == 200
    assert column.bins.values[0] == "value 299"
    assert column.rest.total == sum(range(100))
    assert dict(column.rest.heaviest)["value 99"] == 99
    assert column.rest.error == 0


def test_names_that_are_all_different_are_not_kept() -> None:
    column = of([f"person {place}" for place in range(5_000)])
    assert (column.bins.values, column.rest.heaviest, column.rest.total, column.rest.error) == ((), (), 5_000, 1)


# ── every kind of column ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_null_and_nan_are_missing_and_told_apart() -> None:
    column = of([1.0, None, math.nan, None, 2.0])
    assert (column.nulls, column.nans, column.missing, sum(column.counts)) == (2, 1, 3, 2)
    assert column.moments is not None
    assert (column.moments.count, column.moments.mean) == (2, 1.5)


def test_infinities_are_in_the_outer_bins_and_not_in_the_mean() -> None:
    column = of([-math.inf, math.inf, math.inf, 0.5], reference=of(DRAWN))
    assert (column.counts[0], column.counts[-1], column.infinite) == (1, 2, 3)
    assert column.moments is not None
    assert (column.moments.mean, column.moments.maximum) == (0.5, 0.5)
    assert of([math.inf]).moments is None
    assert all(math.isfinite(edge) for edge in of([math.inf] * 99 + DRAWN.tolist()).bins.edges)


@pytest.mark.parametrize("values", [[7] * 50, [7.5] * 3, ["a"] * 9, [True]])
def test_a_constant_column_has_one_bin_that_is_full(values: list[Any]) -> None:
    column = of(values)
    assert sorted(column.counts)[-1] == len(values)
    assert sum(column.counts) == len(values)
    assert of(values, reference=column).counts == column.counts


@pytest.mark.parametrize("dtype", [pl.Float64, pl.Int8, pl.String, pl.Boolean, pl.Datetime("us", "UTC"), pl.Null, pl.List(pl.Int64)])
def test_a_column_without_a_value_is_all_missing(dtype: Any) -> None:
    column = of([None] * 3, dtype)
    assert (column.missing, sum(column.counts), column.moments) == (3, 0, None)
    assert merge(Profile(3, (column,)), Profile(3, (column,)))["x"].missing == 6


def test_a_reference_without_values_still_counts_those_that_come() -> None:
    assert of([1.0, 2.0], reference=of([None], pl.Float64)).counts == (2,)
    assert of(["a"], reference=of([None], pl.String)).rest.heaviest == (("a", 1),)
    assert of([3.5], reference=of([None], pl.Null)).rest.heaviest == (("3.5", 1),)
    assert of([None], pl.Null, reference=of(DRAWN)).nulls == 1


def test_no_rows_have_a_profile() -> None:
    empty = profile(pl.DataFrame(schema=SCHEMA), REFERENCE)
    assert empty.rows == 0
    assert counted(merge(empty, REFERENCE)) == counted(REFERENCE)
    assert profile(pl.DataFrame()).columns == ()


@pytest.mark.parametrize("dtype", [pl.Datetime("ms", "UTC"), pl.Datetime("us", "UTC"), pl.Datetime("ns", "America/New_York")])
def test_times_are_microseconds_in_utc_whatever_their_zone_and_unit(dtype: Any) -> None:
    times = [START + timedelta(hours=place) for place in range(500)]
    column = of(pl.Series(times).cast(dtype))
    assert column.bins.kind == "time"
    assert column.moments is not None
    assert column.moments.minimum == START.timestamp() * 1e6
    reference = of(times)
    assert (column.bins.edges, column.counts) == (reference.bins.edges, reference.counts)
    assert of(pl.Series([times[-1]]).cast(dtype), reference=reference).counts[-1] == 1


def test_dates_durations_and_times_of_day_are_ordered_too() -> None:
    days = of([date(2013, 1, 1) + timedelta(days=place) for place in range(500)])
    assert days.bins.kind == "time"
    assert days.moments is not None
    assert days.moments.minimum == START.timestamp() * 1e6
    spans = of([timedelta(seconds=place) for place in range(500)])
    assert spans.moments is not None
    assert (spans.bins.kind, spans.moments.maximum) == ("number", 499e6)
    hours = of([time(place % 24) for place in range(500)])
    assert (hours.bins.kind, hours.bins.values[0]) == ("category", "0")
    assert of([time(1), time(1)], reference=hours).counts[hours.bins.values.index("3600000000")] == 2


def test_decimals_are_numbers() -> None:
    prices = [Decimal(place) / 100 for place in range(1_000)]
    column = of(prices, pl.Decimal(10, 2))
    assert column.bins.kind == "number"
    assert column.moments is not None
    assert column.moments.mean == pytest.approx(4.995)
    assert of([float(price) for price in prices], reference=column).counts == column.counts


@pytest.mark.parametrize("dtype", [pl.Int64, pl.UInt64])
def test_large_integers_are_counted_to_a_floats_precision(dtype: Any) -> None:
    column = of([2**62 + 1_024 * place for place in range(1_000)], dtype)
    assert sum(column.counts) == 1_000
    assert column.counts[-1] < 20


def test_categoricals_and_enums_are_text() -> None:
    text = of(["b", "a", "a"])
    for dtype in (pl.Categorical, pl.Enum(["a", "b", "never"])):
        assert of(["b", "a", "a"], dtype).counts == text.counts == (2, 1)


def test_long_texts_are_kept_by_their_beginning_and_digest() -> None:
    long = ["é" * 5_000, "é" * 5_000, "é" * 4_999 + "x"]
    column = of(long)
    assert column.counts == (2, 1)
    assert all(len(value) < 100 and value.startswith("é" * 64 + "… #") for value in column.bins.values)
    assert of(long[2:], reference=column).counts == (0, 1)


def test_lists_structs_and_bytes_are_there_or_missing() -> None:
    for values in ([[1], None], [{"a": 1}, None], [b"1", None]):
        column = of(values)
        assert (column.bins.kind, column.nulls, column.rest.total) == ("other", 1, 1)


# ── references ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_column_of_another_kind_than_the_references_is_refused_by_name() -> None:
    with pytest.raises(Invalid, match="x is String, and a number in the reference"):
        of(["a"], reference=of(DRAWN))
    with pytest.raises(Invalid, match=r"x is List\(Int64\), and a category in the reference"):
        of([[1]], reference=of(["a"]))
    with pytest.raises(Invalid, match="x is Float64, and a time in the reference"):
        of([1.5], reference=of([START]))
    with pytest.raises(Invalid, match="the rows lack x, which the reference has; they have y"):
        profile(pl.DataFrame({"y": [1]}), profile(pl.DataFrame({"x": [1]})))


def test_what_does_not_fit_can_be_left_out_of_a_reference() -> None:
    reference = profile(pl.DataFrame({"same": DRAWN, "gone": DRAWN, "text now": DRAWN}))
    later = pl.DataFrame({"same": [1], "text now": ["a"], "new": [2.5]})
    fit = fitting(reference, later)
    assert [column.name for column in fit.columns] == ["same"]
    found = profile(later, fit)
    assert found["same"].bins == reference["same"].bins
    assert sum(found["new"].counts) == 1


def test_frames_and_scans_have_the_same_profile(tmp_path: Any) -> None:
    frame = pl.DataFrame({f"x{place}": np.random.default_rng(place).normal(size=300_000) for place in range(30)})
    frame.write_parquet(tmp_path / "rows.parquet")  # more than one group of columns
    assert profile(pl.scan_parquet(tmp_path / "rows.parquet")) == profile(frame)


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_document_says_its_format_and_comes_back_whole() -> None:
    document = encode(REFERENCE)
    assert decode(document) == REFERENCE
    with pytest.raises(Invalid, match="a profile in format 99, and this Clew reads format 1"):
        decode(document.replace(b'"format":1', b'"format":99'))


def test_quantiles_are_right_to_within_a_bin() -> None:
    values = np.random.default_rng(6).lognormal(size=50_000)
    column = of(values)
    for share in (0.05, 0.5, 0.95):
        low, high = np.quantile(values, [share - 1 / 64, share + 1 / 64])
        found = quantile(column, share)
        assert found is not None
        assert low <= found <= high
    assert (quantile(column, 0.0), quantile(column, 1.0)) == (values.min(), values.max())
    assert quantile(of(["a"]), 0.5) is None


def test_a_column_that_is_not_there_is_asked_for_by_name() -> None:
    with pytest.raises(NotFound, match="the profile has no column 'y'; it has number, few, text, flag, time"):
        REFERENCE["y"]


def test_times_of_a_zone_with_clock_changes_stay_instants() -> None:
    zone = ZoneInfo("America/New_York")
    twice = [datetime(2013, 11, 3, 1, 30, tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
    column = of(pl.Series(twice).dt.convert_time_zone("America/New_York"))
    assert column.moments is not None
    assert column.moments.maximum - column.moments.minimum == 3.6e9
