"""What the operations promise, on both databases, with frames as a journal holds them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from clew import clock
from clew.backend import LocalBackend
from clew.errors import ClewError, Conflict, Invalid, NotFound
from clew.tracking import search
from clew.tracking.frames import OUTPUT, POINT, Kind, frame
from clew.tracking.schema import metric_chunks
from clew.tracking.series import decode_points, join
from clew.tracking.service import get_run, ingest_frames, list_experiments, list_runs, metric_points, metric_series, run_log

STARTED = datetime(2026, 1, 1, tzinfo=UTC)


def document(kind: Kind, /, **values: Any) -> bytes:
    return frame(kind, msgspec.json.encode(values))


def start(minute: int = 0, **values: Any) -> bytes:
    return document(Kind.START, started_at=STARTED + timedelta(minutes=minute), **values)


def curve(name: str, values: list[float], *, number: int = 0, first_step: int = 0) -> bytes:
    points = (frame(Kind.POINT, POINT.pack(number, first_step + at, 1_000 * at, value)) for at, value in enumerate(values))
    return frame(Kind.NAME, name.encode()) + b"".join(points)


def make(backend: LocalBackend, run_id: str, minute: int = 0, *, params: dict[str, Any] | None = None, metrics: dict[str, float] | None = None,
         tags: dict[str, str] | None = None, end: str | None = "finished", **values: Any) -> None:  # fmt: skip
    frames = start(minute, **values) + document(Kind.PARAMS, **(params or {})) + document(Kind.TAGS, **(tags or {}))
    for number, (name, value) in enumerate((metrics or {}).items()):
        frames += curve(name, [value], number=number)
    if end is not None:
        frames += document(Kind.END, status=end, ended_at=STARTED + timedelta(minutes=minute, seconds=30))
    backend.call(ingest_frames, run_id, f"w_{run_id}", 0, frames)


def found(backend: LocalBackend, text: str | None = None, order: str = "started") -> list[str]:
    return [row.id for row in backend.call(list_runs, text, order).items]


def test_frames_are_taken_once_however_often_and_wherever_they_are_cut(backend: LocalBackend) -> None:
    first, second = start(title="t") + curve("loss", [3.0, 2.0]), frame(Kind.POINT, POINT.pack(0, 2, 9, 1.0))
    send = lambda offset, frames: backend.call(ingest_frames, "run_1", "w", offset, frames).offset  # noqa: E731
    assert send(0, first) == len(first)
    assert send(0, first) == len(first), "a lost answer is not a second effect"
    assert send(0, first + second) == len(first + second), "what is new of a longer batch is taken"
    assert send(len(first), second) == len(first + second)
    summary = backend.call(get_run, "run_1").metrics["loss"]
    assert (summary.count, summary.last, summary.minimum, summary.maximum, summary.step) == (3, 1.0, 1.0, 3.0, 2)


def test_a_gap_is_refused_and_says_where_to_go_on(backend: LocalBackend) -> None:
    first = start()
    backend.call(ingest_frames, "run_1", "w", 0, first)
    with pytest.raises(Conflict, match="missing") as caught:
        backend.call(ingest_frames, "run_1", "w", len(first) + 8, b"later")
    assert caught.value.details["expected"] == len(first)


@pytest.mark.parametrize(
    ("frames", "error"),
    [
        (start() + b"\x01\x02\x03\x04garbage", Invalid),
        (start() + curve("loss", [1.0])[:-3], Invalid),
        (start() + frame(Kind.POINT, POINT.pack(5, 0, 0, 1.0)), Invalid),
        (start() + document(Kind.END, status="fantastic", ended_at=STARTED), Invalid),
        (start() + document(Kind.END, status="finished", ended_at="2026-01-01T00:00:00"), Invalid),
        (start() + document(Kind.PARAMS, **{"n" * 300: 1}), Invalid),
        (start() + document(Kind.TAGS, a="nul\0"), Invalid),
        (start() + frame(Kind.NAME, b"loss") + frame(Kind.POINT, POINT.pack(0, 0, 2**62, 1.0)), Invalid),
        (start() + frame(Kind.NAME, b""), Invalid),
        (start() + frame(Kind.OUTPUT, b"short"), Invalid),
        (start() + document(Kind.ARTIFACT, name="a", digest="sha256:" + "0" * 64, size_bytes=1, at=STARTED), Invalid),
        (start() + frame(Kind.PARAMS, b"[1]"), Invalid),
        (document(Kind.PARAMS, a=1), NotFound),
        (b"", NotFound),
    ],
    ids=[
        "garbage",
        "torn",
        "unnamed",
        "status",
        "zone",
        "long",
        "nul",
        "time",
        "name",
        "output",
        "artifact",
        "list",
        "unknown run",
        "heartbeat of an unknown run",
    ],
)
def test_damaged_frames_are_refused_whole(backend: LocalBackend, frames: bytes, error: type[ClewError]) -> None:
    with pytest.raises(error):
        backend.call(ingest_frames, "run_1", "w", 0, frames)
    assert found(backend) == []
    assert backend.call(ingest_frames, "run_1", "w", 0, start()).offset == len(start())


def test_a_run_of_another_project_is_not_there(backend: LocalBackend) -> None:
    from clew.access import service as access

    make(backend, "run_1", metrics={"auc": 0.7})
    backend.call(access.create_project, "other")
    backend.project = "other"
    for call in (lambda: backend.call(get_run, "run_1"), lambda: backend.call(metric_series, "run_1"), lambda: backend.call(run_log, "run_1"),
                 lambda: backend.call(metric_points, "run_1", "auc")):  # fmt: skip
        with pytest.raises(NotFound):
            call()
    with pytest.raises(Conflict, match="another"):
        backend.call(ingest_frames, "run_1", "w_run_1", 0, start())
    with pytest.raises(Conflict, match="another"):
        backend.call(ingest_frames, "run_1", "w_new", 0, start())
    assert found(backend) == []


FOUND = [
    ("metrics.auc > 0.7", "b c"),
    ("metrics.auc > 0.7 and params.lr < 0.2", "b"),
    ("metrics.auc <= 0.7 or params.kind = 'forest'", "a c"),
    ("not metrics.auc > 0.7", "a d"),
    ("metrics.auc exists", "a b c"),
    ("params.deep = true", "b"),
    ("params.kind ~ 'FOR'", "c"),
    ("tags.team = 'risk'", "a"),
    ("tags.team != 'risk'", "b"),
    ("status = 'failed'", "c"),
    ("status in ('failed', 'finished') and not title ~ 'beta'", "a c"),
    ("experiment = 'e1'", "a b"),
    ("parent = 'a'", "b"),
    ("started >= '2026-01-01T00:02:00Z'", "c d"),
    ("ended exists and duration >= 30", "a b c"),
    ("title ~ '%'", ""),
]


def test_a_filter_finds_the_runs_that_it_describes(backend: LocalBackend) -> None:
    make(backend, "a", 0, metrics={"auc": 0.6}, params={"lr": 0.1}, tags={"team": "risk"}, title="alpha", experiment="e1")
    make(
        backend,
        "b",
        1,
        metrics={"auc": 0.8},
        params={"lr": 0.1, "deep": True},
        tags={"team": "ads"},
        title="beta",
        experiment="e1",
        parent="a",
    )
    make(backend, "c", 2, metrics={"auc": 0.9}, params={"lr": 0.3, "kind": "forest"}, title="gamma", end="failed")
    make(backend, "d", 3, end=None)
    assert {text: found(backend, text) for text, _ in FOUND} == {text: expected.split() for text, expected in FOUND}


def test_a_metric_is_found_and_ordered_by_its_lowest_and_highest_value_too(backend: LocalBackend) -> None:
    for run_id, values in (("run_a", [0.5, 0.2, 0.4]), ("run_b", [0.6, 0.3]), ("run_c", [0.25])):
        backend.call(ingest_frames, run_id, f"w_{run_id}", 0, start(title=run_id) + curve("loss", values))
    assert found(backend, order="minimum.loss") == ["run_a", "run_c", "run_b"]
    assert found(backend, order="-maximum.loss") == ["run_b", "run_a", "run_c"]
    assert found(backend, "minimum.loss < 0.26 and maximum.loss > 0.3") == ["run_a"]
    rows = {row.id: row for row in backend.call(list_runs).items}
    assert (rows["run_a"].minimum, rows["run_a"].maximum) == ({"loss": 0.2}, {"loss": 0.5})
    assert rows["run_c"].minimum == {}, "one value alone is the lowest, the highest and the last"


def test_a_comparison_of_unlike_things_is_refused(backend: LocalBackend) -> None:
    unlike = ["metrics.auc > 'high'", "metrics.auc ~ 1", "started > 'yesterday'", "started > '2026-01-01T00:00:00'", "duration > 'x'"]
    for text in unlike:
        with pytest.raises(Invalid):
            backend.call(list_runs, text)


ORDERS = ["started", "-started", "metrics.auc", "-metrics.auc", "params.lr", "-duration", "status", "-experiment", "tags.t"]


def test_pages_follow_the_order_and_miss_and_repeat_nothing(backend: LocalBackend) -> None:
    for number in range(11):
        metrics = {"auc": (number * 7 % 5) / 10} if number % 3 else {}
        make(
            backend,
            f"r{number:02}",
            number % 4,
            metrics=metrics,
            params={"lr": number % 2},
            experiment=f"e{number % 2}" if number % 4 else None,
        )
    for order in ORDERS:
        whole = found(backend, None, order)
        assert sorted(whole) == [f"r{number:02}" for number in range(11)], order
        assert paged(backend, order) == whole, order
    values = [row.metrics.get("auc") for row in backend.call(list_runs, None, "-metrics.auc").items]
    present = [value for value in values if value is not None]
    assert values == sorted(present, reverse=True) + [None] * (len(values) - len(present)), "runs without the metric come last"


def paged(backend: LocalBackend, order: str) -> list[str]:
    identifiers: list[str] = []
    cursor = None
    while True:
        page = backend.call(list_runs, None, order, cursor, 3)
        identifiers += [row.id for row in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return identifiers


def test_a_silent_run_is_lost_until_it_is_heard_again(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    make(backend, "a", end=None)
    assert backend.call(get_run, "a").run.status == "running"
    later = clock.wall_now() + search.LOST_AFTER + timedelta(seconds=1)
    monkeypatch.setattr(search, "wall_now", lambda: later)
    assert backend.call(get_run, "a").run.status == "lost"
    assert found(backend, "status = 'lost'") == ["a"]
    monkeypatch.undo()
    backend.call(ingest_frames, "a", "w_a", 0, b"")
    assert backend.call(get_run, "a").run.status == "running"


def test_a_curve_keeps_all_points_over_many_shipments_in_few_chunks(backend: LocalBackend) -> None:
    content, expected = start(), []
    backend.call(ingest_frames, "a", "w", 0, content)
    offset = len(content)
    for batch in range(12):
        values = [float(batch * 1_000 + at) for at in range(1_000)]
        frames = curve("loss", values, first_step=batch * 1_000)
        frames = frames if batch == 0 else frames[len(frame(Kind.NAME, b"loss")) :]
        offset = backend.call(ingest_frames, "a", "w", offset, frames).offset
        expected += values
    chunks = backend.call(metric_points, "a", "loss")
    assert join([decode_points(chunk) for chunk in chunks]).values.tolist() == expected
    with backend.database.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(metric_chunks)) <= 4
    [series] = backend.call(metric_series, "a", ["loss"], 100)
    assert (series.count, len(series.steps)) == (12_000, 100)
    assert (series.minimum[0], series.last[-1], series.maximum[-1]) == (0.0, 11_999.0, 11_999.0)


def test_values_that_are_no_numbers_are_kept_in_the_curve_and_left_out_of_the_summary(backend: LocalBackend) -> None:
    backend.call(ingest_frames, "a", "w", 0, start() + curve("loss", [1.0, float("nan"), float("inf"), 2.0, float("nan")]))
    summary = backend.call(get_run, "a").metrics["loss"]
    assert (summary.last, summary.minimum, summary.maximum, summary.count) == (None, 1.0, 2.0, 5)
    [series] = backend.call(metric_series, "a")
    assert series.last == [1.0, None, None, 2.0, None]


def test_output_is_read_in_parts_and_says_when_it_is_complete(backend: LocalBackend) -> None:
    pieces = [frame(Kind.OUTPUT, OUTPUT.pack(1 + at % 2, 0, at) + f"line {at}\n".encode()) for at in range(5)]
    content = start() + b"".join(pieces)
    backend.call(ingest_frames, "a", "w", 0, content)
    log = backend.call(run_log, "a", 0, 3)
    assert ([piece.text for piece in log.pieces], log.pieces[1].stream, log.complete) == (
        ["line 0\n", "line 1\n", "line 2\n"],
        "stderr",
        False,
    )
    rest = backend.call(run_log, "a", log.next_after)
    assert ([piece.text for piece in rest.pieces], rest.complete) == (["line 3\n", "line 4\n"], False)
    backend.call(ingest_frames, "a", "w", len(content), document(Kind.END, status="finished", ended_at=STARTED))
    assert backend.call(run_log, "a", rest.next_after).complete


def test_experiments_are_listed_with_the_newest_first(backend: LocalBackend) -> None:
    for minute, name in enumerate(["one", "two", "one", None]):
        make(backend, f"r{minute}", minute, experiment=name)
    assert [(item.name, item.runs) for item in backend.call(list_experiments)] == [(None, 1), ("one", 2), ("two", 1)]


def test_names_of_the_project_do_not_leak_into_an_unknown_metric(backend: LocalBackend) -> None:
    make(backend, "a", metrics={"auc": 0.5})
    with pytest.raises(NotFound, match="it has auc"):
        backend.call(metric_points, "a", "loss")
    assert replace(backend.call(get_run, "a").run, params={}).metrics == {"auc": 0.5}


def test_many_writers_at_once_lose_nothing_and_repeat_nothing(backend: LocalBackend) -> None:
    def write(run_id: str) -> None:
        content, offset = start(title=run_id), 0
        for batch in range(10):
            content += (
                curve("loss", [float(batch)] * 50) if batch == 0 else curve("loss", [float(batch)] * 50)[len(frame(Kind.NAME, b"loss")) :]
            )
            offset = backend.call(ingest_frames, run_id, f"w_{run_id}", offset, content[offset:]).offset
        backend.call(ingest_frames, run_id, f"w_{run_id}", offset, document(Kind.END, status="finished", ended_at=STARTED))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, [f"r{number}" for number in range(6)]))
    rows = backend.call(list_runs, "status = 'finished'").items
    assert sorted(row.id for row in rows) == [f"r{number}" for number in range(6)]
    assert {backend.call(get_run, row.id).metrics["loss"].count for row in rows} == {500}
