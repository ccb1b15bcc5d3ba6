"""The online store, in LMDB: real files, real processes."""

import multiprocessing
import time as clock
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clew.errors import NotFound
from clew.feature_store.online import LmdbStore, OnlineStore, open_store, view_key
from clew.testing.online_stores import OnlineStoreConformance

VIEW = view_key("flights", "carrier_delays", 1)


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
def test_a_reader_that_follows_heads_holds_what_the_store_holds(store: OnlineStore, puts: list[tuple[bytes, int, int, bytes]]) -> None:
    """Whatever the order of arrival: read forward while in order, anew once that changed."""
    with store.writing() as writer:
        writer.drop(VIEW)
    expected: dict[bytes, dict[tuple[int, int], bytes]] = {b"A": {}, b"AA": {}, b"B": {}}
    held: dict[bytes, tuple[int, dict[bytes, bytes]]] = {entity: (0, {}) for entity in expected}
    for entity, time, number, payload in puts:
        with store.writing() as writer:
            changed = writer.put(VIEW, entity, time, tag(number), payload)
        assert changed == (expected[entity].get((time, number)) != payload)
        expected[entity][time, number] = payload
        with store.reading() as snapshot:
            head = snapshot.head(VIEW, entity)
            assert head is not None
            sequence, events = held[entity]
            if head.reordered_at > sequence:
                events = {event.position: event.payload for event in snapshot.events(VIEW, entity)}
            elif head.sequence > sequence:
                newest = None if not events else int.from_bytes(max(events)[:8], "big") - (1 << 63)
                events |= {event.position: event.payload for event in snapshot.events(VIEW, entity, since=newest)}
            held[entity] = (head.sequence, events)
        assert [events[position] for position in sorted(events)] == [expected[entity][key] for key in sorted(expected[entity])]


def test_a_process_has_one_store_and_another_process_reads_what_it_wrote(tmp_path: Path) -> None:
    url = f"lmdb://{tmp_path / 'online'}"
    store = open_store(url)
    assert open_store(url) is store
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
    with store.reading() as snapshot:
        assert {event.payload for event in snapshot.events(VIEW, b"UA")} == {b"from the parent", b"fork", b"spawn"}


def _read_and_write(url: str, payload: bytes, answers: "multiprocessing.SimpleQueue[bytes]") -> None:
    store = open_store(url)
    with store.writing() as writer:
        answers.put(writer.events(VIEW, b"UA")[0].payload)
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
