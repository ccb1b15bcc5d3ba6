"""Rows online: what a request reads is what the datasets say was known then, through pushes, files, crashes and reverts."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
import view_functions
from small_airline import (
    CALENDAR,
    LANDINGS,
    PACE,
    SCHEDULE,
    START,
    TRAINING,
    WEATHER,
    Airline,
    flights,
    landing_rows,
    schedule_rows,
    weather_rows,
    weather_view,
)

from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.catalog.schema import DefinitionDraft, VersionRef
from clew.datasets import service as datasets
from clew.definitions import FunctionRef, ViewUse, definition_digest, to_document
from clew.errors import BuildFailed, Conflict, Invalid, Unavailable
from clew.feature_store import pushing
from clew.feature_store.function_worker import FunctionWorker
from clew.feature_store.online import open_store, view_key
from clew.feature_store.reader import FeatureReader, stored_views
from clew.feature_store.reading import load_functions, recompute, scan_version
from clew.feature_store.schema import PushResult, UsedView, training_set_details
from clew.feature_store.service import catch_up, list_pins, pin_views, push_rows, refresh_online, revert_view, unpin_views
from clew.sdk.ingest import ingest_frame
from clew.storage.blobs import Manifest, ManifestFile

ASKED = ["departs", "flight", "carrier", "station", "distance"]


def served(airline: Airline, name: str = "training") -> tuple[UsedView, ...]:
    return training_set_details(airline.backend.call(catalog.resolve, name)).views


def pin(airline: Airline, views: Sequence[UsedView]) -> PushResult:
    refs = [VersionRef(use.view, use.number) for use in stored_views(views)]
    return airline.backend.call(pin_views, owner="endpoint:late", views=refs)


def online_key(airline: Airline, version: str) -> bytes:
    found = airline.backend.call(catalog.resolve, version)
    return view_key("test", found.name, str(found.details["online_key"]))


def reader_of(airline: Airline, views: tuple[UsedView, ...]) -> FeatureReader:
    store = open_store(airline.backend.settings.online_url)
    return FeatureReader(views, store, project=airline.backend.project, time="departs", functions=load_functions(views))


def requests(frame: pl.DataFrame) -> list[dict[str, Any]]:
    return [row | {"departs": row["departs"].isoformat()} for row in frame.select(ASKED).to_dicts()]


def push(airline: Airline, name: str, frame: pl.DataFrame) -> PushResult:
    return airline.backend.call(push_rows, name=name, rows=frame.to_dicts())


def assert_no_skew(airline: Airline, frame: pl.DataFrame, views: tuple[UsedView, ...], reader: FeatureReader | None = None) -> None:
    """What is read online equals what is computed anew from the datasets."""
    read = (reader or reader_of(airline, views)).read(requests(frame))
    offline = recompute(airline.backend, frame, "departs", views, load_functions(views))
    assert read.names == tuple(offline.columns)
    np.testing.assert_allclose(read.matrix, offline.fill_null(np.nan).to_numpy(), rtol=1e-6, equal_nan=True)


def test_online_features_equal_those_computed_anew_after_the_back_fill(airline: Airline) -> None:
    airline.build()
    views = served(airline)
    result = pin(airline, views)
    assert (result.views, result.waiting) == (["pace@1", "traffic@1", "station_weather@1"], [])
    recent = airline.between(START + timedelta(days=1))
    assert recent.height > 50
    assert_no_skew(airline, recent, views)


def test_a_day_of_pushes_in_whatever_pieces_has_no_skew(airline: Airline) -> None:
    airline.build()
    views = served(airline)
    pin(airline, views)
    reader = reader_of(airline, views)
    late = {"schedule": schedule_rows(airline.later("published")), "landings": landing_rows(airline.later("landed"))}
    late["weather"] = weather_rows(72).filter(pl.col("hour").dt.epoch("us") >= int(airline.border.timestamp() * 1e6))
    column = {"schedule": "published", "landings": "landed", "weather": "reported"}
    for row in airline.later("departs").sort("departs").iter_slices(1):
        at = row["departs"].dt.epoch("us")[0]
        for name, frame in late.items():
            came = pl.col(column[name]).dt.epoch("us") <= at
            if frame.filter(came).height:
                assert not push(airline, name, frame.filter(came).sample(fraction=1, shuffle=True, seed=at % 1000)).waiting
            late[name] = frame.filter(~came)
        assert_no_skew(airline, row, views, reader)


def test_a_push_is_idempotent_and_readable_when_it_returns(airline: Airline) -> None:
    airline.build()
    views = served(airline)
    pin(airline, views)
    reader = reader_of(airline, views)
    one = landing_rows(airline.later("landed")).head(1)
    asked = airline.frame.head(1).with_columns(departs=one["landed"][0], carrier=pl.lit(one["carrier"][0]))
    before = reader.read(requests(asked)).matrix[0][reader.names.index("flown_2h")]
    first, again = push(airline, "landings", one), push(airline, "landings", one)
    assert (first.added, first.known, first.views) == (1, 0, ["pace@1"])
    assert (again.added, again.known) == (0, 1)
    assert reader.read(requests(asked)).matrix[0][reader.names.index("flown_2h")] == before + 1


def test_a_row_known_later_is_held_until_then(airline: Airline) -> None:
    airline.build()
    views = served(airline)
    pin(airline, views)
    row = {"station": "EWR", "hour": airline.border, "wind": 99.0, "gust": None, "reported": airline.border + timedelta(minutes=40)}
    assert airline.backend.call(push_rows, name="weather", rows=[row]).views == ["station_weather@1"]
    reader = reader_of(airline, views)
    wind = reader.names.index("wind")

    def asked(minutes: int) -> float:
        at = (airline.border + timedelta(minutes=minutes)).isoformat()
        return float(reader.read([{"departs": at, "carrier": "UA", "station": "EWR", "distance": 1.0}]).matrix[0][wind])

    assert asked(39) != 99.0
    assert asked(40) == 99.0
    assert asked(120) == 99.0
    assert np.isnan(asked(121))  # past the ttl of two hours


def test_an_older_row_does_not_overwrite_a_newer(airline: Airline) -> None:
    airline.build()
    views = served(airline)
    pin(airline, views)
    for hour, wind in ((1, 50.0), (0, 5.0)):
        at = airline.border + timedelta(hours=hour)
        row = {"station": "EWR", "hour": at, "wind": wind, "gust": None, "reported": at}
        airline.backend.call(push_rows, name="weather", rows=[row])
    reader = reader_of(airline, views)
    asked = {"departs": (airline.border + timedelta(hours=2)).isoformat(), "carrier": "UA", "station": "EWR", "distance": 1.0}
    assert reader.read([asked]).matrix[0][reader.names.index("wind")] == 50.0


def test_rows_whose_push_died_after_the_append_arrive_with_the_next(airline: Airline, monkeypatch: pytest.MonkeyPatch) -> None:
    airline.build()
    views = served(airline)
    pin(airline, views)
    rows = landing_rows(airline.later("landed")).head(6)
    with monkeypatch.context() as dying:
        dying.setattr(pushing, "push", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            push(airline, "landings", rows.head(3))
    airline.backend.call(datasets.cut_tail, name="landings")  # the rows moved into a version meanwhile
    push(airline, "landings", rows[3:4])
    asked = airline.frame.filter(pl.col("departs").dt.epoch("us") >= int(airline.border.timestamp() * 1e6)).head(20)
    assert_no_skew(airline, asked, views)
    with monkeypatch.context() as dying:
        dying.setattr(pushing, "push", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            push(airline, "landings", rows[4:6])
    push(airline, "landings", rows[4:6])  # the client tries again: all rows are known, and still they come
    assert_no_skew(airline, asked, views)


def test_ingested_files_come_online_with_a_refresh(airline: Airline) -> None:
    airline.build()
    views = served(airline)
    pin(airline, views)
    airline.ingest(LANDINGS, landing_rows(airline.later("landed")))
    airline.ingest(SCHEDULE, schedule_rows(airline.later("published")))
    airline.ingest(WEATHER, weather_rows(72))
    for name in ("landings", "schedule", "weather"):
        assert not airline.backend.call(refresh_online, name=name).waiting
    assert_no_skew(airline, airline.later("departs"), views)


def test_a_push_goes_to_every_pinned_version_and_unpinned_ones_are_deleted(airline: Airline) -> None:
    airline.build()
    first = served(airline)
    pin(airline, first)
    changed = replace(PACE, over=("3h", "1d"))
    airline.view(changed)
    second = training_set_details(airline.assemble(replace(TRAINING, name="wider"))).views
    pin(airline, second)
    result = push(airline, "landings", landing_rows(airline.later("landed")))
    assert result.views == ["pace@1", "pace@2"]
    for views in (first, second):
        assert_no_skew(airline, airline.later("departs").head(30), views)
    left = airline.backend.call(unpin_views, owner="endpoint:late", keep=[VersionRef(use.view, use.number) for use in second])
    assert ("pace", 1) not in {(one.view, one.number) for one in left.items}
    assert airline.backend.call(list_pins).items == left.items
    store = open_store(airline.backend.settings.online_url)
    assert store.count(online_key(airline, "pace@1")) == 0
    assert store.count(online_key(airline, "pace@2")) > 0


def test_versions_of_one_definition_have_their_online_rows_in_common_until_the_last_is_unpinned(airline: Airline) -> None:
    airline.build()
    first = served(airline)
    pin(airline, first)
    push(airline, "landings", landing_rows(airline.later("landed")).head(20))
    airline.backend.call(datasets.cut_tail, "landings")
    airline.view(PACE)
    second = training_set_details(airline.assemble(replace(TRAINING, name="newer"))).views
    old, new = (next(use.number for use in views if use.view == "pace") for views in (first, second))
    assert (old, new) == (1, 2)
    store, key = open_store(airline.backend.settings.online_url), online_key(airline, "pace@1")
    assert online_key(airline, "pace@2") == key
    before = store.count(key)
    assert set(pin(airline, second).views) >= {"pace@1", "pace@2"}
    assert store.count(key) == before, "a version of the same definition brought rows of its own"
    result = push(airline, "landings", landing_rows(airline.later("landed")).tail(5))
    assert result.views == ["pace@1", "pace@2"]
    assert store.count(key) == before + 5
    for views in (first, second):
        assert_no_skew(airline, airline.later("departs").head(30), views)
    airline.backend.call(unpin_views, owner="endpoint:late", keep=[VersionRef("pace", 2)])
    assert store.count(key) == before + 5
    airline.backend.call(unpin_views, owner="endpoint:late", keep=[])
    assert store.count(key) == 0


def test_a_view_whose_function_fails_waits_and_loses_nothing(airline: Airline) -> None:
    airline.build()
    failing = weather_view(view_functions.failing)
    airline.view(failing, function=view_functions.station_weather)  # it could be built, and fails from now on
    airline.assemble(replace(TRAINING, name="fragile", features=(ViewUse("failing", {}), ViewUse("pace", {}))))
    views = served(airline, "fragile")
    assert pin(airline, views).views == ["pace@1", "failing@1"]  # of the rows that it was made of, its function need not run again
    pushed = push(airline, "weather", weather_rows(72).tail(1))
    assert (pushed.added, pushed.views) == (1, [])
    assert [one.view for one in pushed.waiting] == ["failing@1"]
    assert "no weather today" in pushed.waiting[0].reason
    assert [one.view for one in airline.backend.call(catch_up).waiting] == ["failing@1"]


def test_a_function_that_is_not_additive_is_run_on_all_rows(airline: Airline) -> None:
    airline.build()
    airline.view(weather_view(view_functions.daily_rank, ttl=None))
    airline.assemble(replace(TRAINING, name="ranked", features=(ViewUse("daily_rank", {}),)))
    views = served(airline, "ranked")
    pin(airline, views)
    push(airline, "weather", weather_rows(72).filter(pl.col("hour").dt.epoch("us") >= int(airline.border.timestamp() * 1e6)))
    assert_no_skew(airline, airline.later("departs").head(20), views)


def test_missing_says_what_is_answered_past_the_ttl(airline: Airline) -> None:
    airline.build()
    asked = airline.later("departs").tail(20)  # a day after the last report
    for missing, expected in (("hold", None), (-1.0, -1.0), (None, float("nan"))):
        definition = replace(weather_view(), name=f"weather_{str(missing).strip('-').replace('.', '_')}", missing=missing)
        airline.view(definition)
        airline.assemble(replace(TRAINING, name="t" + definition.name, features=(ViewUse(definition.name, {}),)))
        views = served(airline, "t" + definition.name)
        pin(airline, views)
        assert_no_skew(airline, asked, views)
        read = reader_of(airline, views).read(requests(asked))
        stationed = asked["station"].is_not_null().to_numpy()
        winds = read.matrix[:, 0][stationed]
        assert (
            (np.isfinite(winds) & (winds != -1)).all()
            if expected is None
            else np.array_equal(winds, np.full(len(winds), expected), equal_nan=True)
        )
        assert read.views[0].missing == tuple(bool(one) for one in ~stationed) if missing == "hold" else all(read.views[0].missing)


def read_with_truth(airline: Airline, frame: pl.DataFrame, views: tuple[UsedView, ...]) -> tuple[Any, Any, Any]:
    """What is read, the truth, and for each cell whether its view said that it was asked too early."""
    found = reader_of(airline, views).read(requests(frame))
    truth = recompute(airline.backend, frame, "departs", views, load_functions(views)).fill_null(np.nan).to_numpy()
    early = [one.early for use, one in zip(views, found.views, strict=True) for _ in use.columns]
    return found.matrix, truth, np.array(early).T


def test_a_request_of_long_ago_is_answered_right_or_with_nothing_and_says_so(airline: Airline) -> None:
    old = flights(seed=3).with_columns(pl.col("departs", "landed", "published") - pl.duration(days=10), pl.col("flight") + 1_000)
    airline.ingest(LANDINGS, landing_rows(old))
    airline.ingest(SCHEDULE, schedule_rows(old))
    airline.build()
    views = served(airline)
    pin(airline, views)
    asked = pl.concat([old, airline.between(START)])
    read, truth, early = read_with_truth(airline, asked, views)
    right = np.isclose(read, truth, rtol=1e-6, equal_nan=True)
    assert (right | (early & np.isnan(read))).all()
    assert not right[: old.height].all()  # of ten days, only four are kept
    assert right[old.height :].all()
    assert not early[old.height :].any()


def test_slightly_late_requests_are_exact_while_rows_are_pushed_and_forgotten(airline: Airline) -> None:
    airline.build()
    views = served(airline)
    pin(airline, views)
    later = flights(400, seed=4).with_columns(pl.col("departs", "landed", "published") + pl.duration(days=5), pl.col("flight") + 2_000)
    for part in later.sort("landed").iter_slices(50):
        push(airline, "landings", landing_rows(part))
    for frame in (airline.frame, later):
        read, truth, early = read_with_truth(airline, frame, views)
        pace = np.arange(read.shape[1]) < len(views[0].columns)
        right = np.isclose(read, truth, rtol=1e-6, equal_nan=True)
        assert (right | (early & np.isnan(read)))[:, pace].all()
    last_days = later.filter(pl.col("departs") > later["landed"].max() - timedelta(days=3))
    read, truth, early = read_with_truth(airline, last_days, views)
    assert not early[:, pace].any()


def test_what_a_function_of_the_request_makes_of_rows_that_are_not_kept_is_nothing(airline: Airline) -> None:
    old = flights(seed=3).with_columns(pl.col("departs", "landed", "published") - pl.duration(days=10), pl.col("flight") + 1_000)
    airline.ingest(LANDINGS, landing_rows(old))
    airline.build()
    views = served(airline)
    pin(airline, views)
    calendar = replace(views[3], inputs=(views[0],))
    store = open_store(airline.backend.settings.online_url)
    reader = FeatureReader((calendar,), store, project="test", time="departs", functions={"calendar": view_functions.busy_hour})
    found = reader.read(requests(pl.concat([old.head(1), airline.between(START).tail(1)])))
    assert np.isnan(found.matrix[0]).all()
    assert np.isfinite(found.matrix[1]).all()
    assert [found.views[0].names(place) for place in (0, 1)] == [["calendar", "calendar (before its online rows)"], []]


# ── reverts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_revert_brings_definition_data_and_online_rows_back_together_and_back_again(airline: Airline) -> None:
    backend = airline.backend

    def apply(definition: Any) -> None:
        draft = DefinitionDraft("feature_view", "pace", definition_digest(definition), to_document(definition))
        backend.call(catalog.apply_definitions, drafts=[draft])

    apply(PACE)
    airline.view(PACE)
    old_rows = scan_version(backend, "pace", 1).collect()
    airline.ingest(LANDINGS, landing_rows(airline.later("landed")))
    changed = replace(PACE, over=("5h",))
    apply(changed)
    airline.view(changed)

    reverted = backend.call(revert_view, name="pace", number=1)
    assert (reverted.version.number, reverted.of, reverted.version.why) == (3, 1, "reverted to pace@1")
    assert backend.call(catalog.resolve, "pace").number == 3
    assert backend.call(catalog.get_definition, "feature_view", "pace").digest == definition_digest(PACE)
    assert scan_version(backend, "pace", 3).collect().equals(old_rows)
    assert reverted.online_rows > 0

    again = backend.call(revert_view, name="pace", number=2)
    assert again.version.number == 4
    assert backend.call(catalog.get_definition, "feature_view", "pace").digest == definition_digest(changed)
    with pytest.raises(Conflict, match="newest version already"):
        backend.call(revert_view, name="pace", number=4)


def test_a_revert_while_the_online_store_is_away_says_so_and_is_ended_by_the_next(airline: Airline) -> None:
    airline.view(PACE)
    airline.view(replace(PACE, over=("5h",)))
    nowhere = LocalBackend(replace(airline.backend.settings, online_url="redis://127.0.0.1:1/0"))
    for _ in range(2):  # and does not make a version each time
        with pytest.raises(Unavailable):
            nowhere.call(revert_view, name="pace", number=1)
    nowhere.dispose()
    reverted = airline.backend.call(revert_view, name="pace", number=1)
    assert (reverted.version.number, reverted.of) == (3, 1)
    assert reverted.online_rows > 0
    assert airline.backend.call(catalog.resolve, "pace").number == 3


# ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"carrier": ...}, "row 2 lacks 'carrier', the entity of pace"),
        ({"departs": ...}, "row 2 lacks 'departs', the event time"),
        ({"distance": ...}, "row 2 lacks 'distance', the field of calendar"),
        ({"departs": "2013-04-01T09:00:00"}, "row 2: 'departs' is '2013-04-01T09:00:00', and must be a time with its offset"),
        ({"departs": "tomorrow"}, "row 2: 'departs' is 'tomorrow'"),
        ({"departs": None}, "row 2: 'departs' is None"),
        ({"carrier": 7}, "row 2: carrier=7 can't name the entity of pace: must be text"),
        ({"distance": "far"}, "row 2: 'distance' is 'far', and calendar takes Float64"),
    ],
)
def test_a_bad_request_is_told_its_row_and_field(airline: Airline, change: dict[str, Any], words: str) -> None:
    airline.build()
    pin(airline, served(airline))
    reader = reader_of(airline, served(airline))
    good = requests(airline.frame.head(1))[0]
    bad = {name: value for name, value in (good | change).items() if value is not ...}
    with pytest.raises(Invalid) as refused:
        reader.read([good, bad])
    assert refused.value.message.startswith(words)
    assert refused.value.details["row"] == 2


def test_an_entity_that_nobody_has_seen_or_that_is_null_has_empty_windows(airline: Airline) -> None:
    airline.build()
    views = served(airline)
    pin(airline, views)
    asked = airline.frame.tail(2).with_columns(carrier=pl.Series(["ZZ", None]), station=pl.lit(None, pl.String))
    assert_no_skew(airline, asked, views)
    read = reader_of(airline, views).read(requests(asked))
    assert read.matrix[:, read.names.index("flown_1d")].tolist() == [0.0, 0.0]
    assert np.isnan(read.matrix[:, read.names.index("late_1d")]).all()
    assert [one.missing for one in read.views] == [(True, True)] * 3 + [(False, False)]


def test_requests_of_the_past_after_those_of_the_present_are_answered_right(airline: Airline) -> None:
    airline.build()
    views = served(airline)
    pin(airline, views)
    reader = reader_of(airline, views)
    ordered = airline.between(START + timedelta(hours=12)).sort("departs")
    for frame in (ordered.tail(5), ordered.head(5), ordered.tail(5)):
        assert_no_skew(airline, frame, views, reader)


def test_a_reader_without_the_function_of_a_request_view_says_so(airline: Airline) -> None:
    airline.build()
    with pytest.raises(Invalid, match="function of calendar is not at hand"):
        FeatureReader(served(airline), open_store(airline.backend.settings.online_url), project="test", time="departs")
    assert CALENDAR.request


def test_catching_up_brings_what_a_dead_process_left(airline: Airline, monkeypatch: pytest.MonkeyPatch) -> None:
    airline.build()
    views = served(airline)
    pin(airline, views)
    with monkeypatch.context() as dying:
        dying.setattr(pushing, "push", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            push(airline, "landings", landing_rows(airline.later("landed")))
    assert airline.backend.call(catch_up).views == ["pace@1"]
    assert airline.backend.call(catch_up).views == []
    assert_no_skew(airline, airline.later("departs").head(30), views)


def test_a_dataset_begun_anew_leaves_none_of_its_old_rows_online(airline: Airline) -> None:
    airline.build()
    views = served(airline)
    pin(airline, views)
    reader = reader_of(airline, views)
    asked = airline.between(START + timedelta(days=1))
    assert_no_skew(airline, asked, views, reader)
    half = landing_rows(airline.frame).filter(pl.col("flight") % 2 == 0)
    ingest_frame(airline.backend, LANDINGS, half, source="again", replace=True)
    assert_no_skew(airline, asked, views, reader)


def test_a_request_feature_beyond_float32_is_refused_with_its_row(airline: Airline) -> None:
    airline.build()
    views = served(airline)
    pin(airline, views)
    asked = requests(airline.later("departs").head(2))
    asked[1]["distance"] = -1e300
    with pytest.raises(Invalid, match=r"^row 1: 'distance' of calendar is -1e\+300, more than a feature holds: they are float32"):
        reader_of(airline, views).read(asked)


def test_rows_that_the_store_lost_are_not_answered_without_and_are_brought_back(airline: Airline) -> None:
    airline.build()
    airline.view(replace(weather_view(view_functions.daily_rank), inputs=("station_weather",)))
    views = served(airline)
    kept = [*(VersionRef(use.view, use.number) for use in stored_views(views)), VersionRef("daily_rank", 1)]
    assert not airline.backend.call(pin_views, owner="endpoint:late", views=kept).waiting
    reader, store = reader_of(airline, views), open_store(airline.backend.settings.online_url)
    asked = airline.later("departs").head(30)
    assert_no_skew(airline, asked, views, reader)
    assert reader.hindrances() == []
    rows = store.count(online_key(airline, "daily_rank@1"))
    with store.writing() as writer:
        for view in kept:
            writer.drop(online_key(airline, str(view)))
    push(airline, "landings", landing_rows(airline.later("landed")).head(5))  # which must not make it seem whole
    with pytest.raises(Unavailable, match=r"the online rows of pace are not all there"):
        reader.read(requests(asked))
    assert "are not all there" in reader.hindrances()[0]
    assert airline.backend.call(catch_up).views == ["pace@1", "traffic@1", "daily_rank@1", "station_weather@1"]
    assert_no_skew(airline, asked, views, reader)
    assert store.count(online_key(airline, "daily_rank@1")) == rows > 0


def test_a_views_function_comes_from_its_source_snapshot_where_its_file_is_gone(airline: Airline, tmp_path: Path) -> None:
    airline.build()
    content = Path(view_functions.__file__).read_bytes()
    blob = airline.backend.upload(content)
    manifest = Manifest((ManifestFile("features/view_functions_then.py", blob.digest, blob.size_bytes),))
    source = airline.backend.upload(msgspec.json.encode(manifest)).digest
    gone = FunctionRef("view_functions_then", "station_weather", str(tmp_path / "features" / "view_functions_then.py"))
    definition = replace(weather_view(), name="weather_then", function=gone)
    draft = DefinitionDraft("feature_view", definition.name, definition_digest(definition), to_document(definition))
    airline.backend.call(catalog.apply_definitions, drafts=[draft], source=source)
    airline.view(definition, function=view_functions.station_weather)
    airline.assemble(replace(TRAINING, name="then", features=(ViewUse("weather_then", {}),)))
    assert pin(airline, served(airline, "then")).views == ["weather_then@1"]


def test_a_worker_that_dies_is_said_and_started_anew(tmp_path: Path) -> None:
    (tmp_path / "deadly.py").write_text(
        "import os\ndef view(rows):\n    print('hello')\n    os._exit(3) if os.path.exists('die') else None\n    return rows\n"
    )
    worker = FunctionWorker(FunctionRef("deadly", "view", str(tmp_path / "deadly.py")), tmp_path)
    rows = pl.DataFrame({"x": [1, 2]})
    assert worker(rows).equals(rows)  # and what it prints does not disturb
    (tmp_path / "die").touch()
    with pytest.raises(BuildFailed, match="ended before it answered"):
        worker(rows)
    (tmp_path / "die").unlink()
    assert worker(rows).equals(rows)
    worker.close()
