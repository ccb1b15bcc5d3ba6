"""The online store, in LMDB: real files, real processes."""

import multiprocessing
import time as clock
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clew.errors import NotFound
from clew.feature_store.online import LmdbStore, OnlineStore, Wanted, open_store, position_of, time_of, view_key
from clew.testing.online_stores import OnlineStoreConformance, open_view, read

VIEW = view_key("flights", "carrier_delays", "1")


def tag(number: int) -> bytes:
    return number.to_bytes(8, "big")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[OnlineStore]:
    opened = open_store(f"lmdb://{tmp_path / 'online'}")
    yield opened
    assert isinstance(opened, LmdbStore)
    opened.close()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from([b"A", b"AA", b"B"]), st.integers(-3, 6), st.integers(0, 2), st.sampled_from([b"x", b"y"]))))
def test_a_reader_that_reads_on_holds_what_the_store_holds(store: OnlineStore, puts: list[tuple[bytes, int, int, bytes]]) -> None:
    """Whatever the order of arrival: read on while in order, anew once that changed."""
    with store.writing() as writer:
        writer.drop(VIEW)
    open_view(store, VIEW)
    expected: dict[bytes, dict[bytes, bytes]] = {b"A": {}, b"AA": {}, b"B": {}}
    held: dict[bytes, tuple[bytes, int | None, dict[bytes, bytes]]] = {entity: (b"", None, {}) for entity in expected}
    for entity, time, number, payload in puts:
        with store.writing() as writer:
            writer.put(VIEW, entity, time, tag(number), payload)
        expected[entity][position_of(time, tag(number))] = payload
        state, newest, events = held[entity]
        (news,) = store.news([Wanted(VIEW, entity, None, state, newest)])
        events = ({} if news.anew else events) | {event.position: event.payload for event in news.events}
        held[entity] = (news.state, time_of(max(events)), events)
        assert events == expected[entity]


def test_a_process_has_one_store_and_another_process_reads_what_it_wrote(tmp_path: Path) -> None:
    url = f"lmdb://{tmp_path / 'online'}"
    store = open_store(url)
    assert open_store(url) is store
    open_view(store, VIEW)
    with store.writing() as writer:
        writer.put(VIEW, b"UA", 1, tag(0), b"from the parent")
    for method in ("fork", "spawn"):
        context = multiprocessing.get_context(method)
        answers = context.SimpleQueue()
        child = context.Process(target=_read_and_write, args=(url, method.encode(), answers))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert answers.get() == b"from the parent"
    assert {payload for _, payload in read(store, VIEW, b"UA")} == {b"from the parent", b"fork", b"spawn"}


def _read_and_write(url: str, payload: bytes, answers: "multiprocessing.SimpleQueue[bytes]") -> None:
    store = open_store(url)
    answers.put(read(store, VIEW, b"UA")[0][1])
    with store.writing() as writer:
        writer.put(VIEW, b"UA", 2, payload.ljust(8), payload)


class TestLmdb(OnlineStoreConformance):
    """The shipped contract over LMDB."""


def test_an_unknown_store_is_refused() -> None:
    with pytest.raises(NotFound, match="lmdb"):
        open_store("memcached://localhost")


def test_a_small_push_takes_well_under_a_millisecond(store: OnlineStore) -> None:
    started = clock.perf_counter()
    for batch in range(50):
        with store.writing() as writer:
            for number in range(16):
                writer.put(VIEW, b"UA", batch * 16 + number, tag(number), bytes(32))
    assert (clock.perf_counter() - started) / 50 < 0.02  # some 200 µs on an idle machine; loose, so that a busy one doesn't fail
