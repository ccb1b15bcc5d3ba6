"""What every online store must do. Subclass ``OnlineStoreConformance`` in a test and give it a ``store`` fixture over an empty store."""

import random
import threading

import pytest

from clew.errors import Invalid, Unavailable
from clew.feature_store.online import News, OnlineStore, Progress, Wanted, position_of, view_key

__all__ = ["OnlineStoreConformance", "open_view", "read"]

_VIEW = view_key("flights", "carrier_delays", "1")
_OTHER = view_key("flights", "carrier_delays", "11")


def open_view(store: OnlineStore, *views: bytes) -> None:
    """Let views be read, as they are once they were filled."""
    for view in views:
        with store.writing() as writer:
            writer.advance(view, 0, 1, store.life(view))


def read(store: OnlineStore, view: bytes, entity: bytes, since: int | None = None) -> list[tuple[int, bytes]]:
    """Time and payload of an entity's events."""
    (news,) = store.news([Wanted(view, entity, since)])
    return [(event.time, event.payload) for event in news.events]


def _tag(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _progress(store: OnlineStore, view: bytes) -> tuple[int, int]:
    found = store.progress(view)
    assert found is not None
    assert found.current
    return found.sequence, found.dataset


class OnlineStoreConformance:
    """The port's contract as tests."""

    def test_events_are_read_in_order_of_time_and_from_a_time_on(self, store: OnlineStore) -> None:
        open_view(store, _VIEW)
        with store.writing() as writer:
            for time in (10, -5, 0, 5):
                writer.put(_VIEW, b"UA", time, _tag(0), b"%d" % time)
        assert read(store, _VIEW, b"UA") == [(-5, b"-5"), (0, b"0"), (5, b"5"), (10, b"10")]
        assert read(store, _VIEW, b"UA", since=5) == [(5, b"5"), (10, b"10")]
        assert read(store, _VIEW, b"UA", since=11) == []
        assert store.count(_VIEW) == 4

    def test_times_are_exact_over_their_whole_range(self, store: OnlineStore) -> None:
        open_view(store, _VIEW)
        times = [-(1 << 63), -(1 << 62) - 1, -(1 << 62), -1, 0, 1, (1 << 53) + 1, (1 << 53) + 2, (1 << 62) + 1, (1 << 63) - 1]
        with store.writing() as writer:
            for time in random.Random(1).sample(times, len(times)):
                writer.put(_VIEW, b"UA", time, _tag(0), b"%d" % time)
        assert read(store, _VIEW, b"UA") == [(time, b"%d" % time) for time in times]
        for place, time in enumerate(times):
            assert read(store, _VIEW, b"UA", since=time) == [(time, b"%d" % time) for time in times[place:]]

    def test_any_bytes_are_an_entity_and_a_payload(self, store: OnlineStore) -> None:
        open_view(store, _VIEW)
        every = bytes(range(256))
        names = [b"\r\n", b"\0", b"\xff\xfe", b"*3\r\n$3\r\n", b"{x}", b" ", every[:200], b"\xc3\xa9"]
        with store.writing() as writer:
            for number, name in enumerate(names):
                writer.put(_VIEW, name, 1, b"\xff\0\r\n\xff\0\r\n", every)
                writer.put(_VIEW, name, 2, _tag(number), b"")
        for name in names:
            assert read(store, _VIEW, name) == [(1, every), (2, b"")]

    def test_the_same_event_again_is_one_event_and_another_payload_replaces_it(self, store: OnlineStore) -> None:
        open_view(store, _VIEW)
        with store.writing() as writer:
            writer.put(_VIEW, b"UA", 1, _tag(1), b"x")
        (before,) = store.news([Wanted(_VIEW, b"UA")])
        with store.writing() as writer:
            writer.put(_VIEW, b"UA", 1, _tag(1), b"x")
            writer.put(_VIEW, b"UA", 1, _tag(1), b"x")
        assert store.news([Wanted(_VIEW, b"UA", state=before.state, newest=1)]) == [News(before.state, False, [])]
        with store.writing() as writer:
            writer.put(_VIEW, b"UA", 1, _tag(2), b"y")
            writer.put(_VIEW, b"UA", 1, _tag(1), b"z")
        (after,) = store.news([Wanted(_VIEW, b"UA", state=before.state, newest=1)])
        assert (after.anew, [event.payload for event in after.events]) == (True, [b"z", b"y"])
        assert store.count(_VIEW) == 2

    def test_an_entity_does_not_hold_the_events_of_one_whose_name_it_begins(self, store: OnlineStore) -> None:
        open_view(store, _VIEW)
        with store.writing() as writer:
            for entity in (b"A", b"AA", b"", b"A\0"):
                writer.put(_VIEW, entity, 1, _tag(0), entity)
        for entity in (b"A", b"AA", b"", b"A\0"):
            assert read(store, _VIEW, entity) == [(1, entity)]

    def test_a_reader_that_reads_on_holds_what_the_store_holds(self, store: OnlineStore) -> None:
        open_view(store, _VIEW)
        chance = random.Random(7)
        expected: dict[bytes, bytes] = {}
        held: dict[bytes, bytes] = {}
        state, newest, read_on = b"", None, 0
        for number in range(300):
            time, tag = number // 4 + chance.choice([0, 0, 0, -3]), _tag(chance.randrange(3))
            expected[position_of(time, tag)] = payload = b"%d" % chance.randrange(2)
            with store.writing() as writer:
                writer.put(_VIEW, b"UA", time, tag, payload)
            if chance.random() < 0.5:
                continue
            (news,) = store.news([Wanted(_VIEW, b"UA", None, state, newest)])
            read_on += not news.anew
            held = ({} if news.anew else held) | {event.position: event.payload for event in news.events}
            state, newest = news.state, max([newest or 0, *(event.time for event in news.events)])
            assert held == expected
        assert read_on > 10

    def test_what_came_in_order_is_read_on_and_what_did_not_is_read_anew(self, store: OnlineStore) -> None:
        open_view(store, _VIEW)
        with store.writing() as writer:
            writer.put(_VIEW, b"UA", 5, _tag(0), b"")
        (first,) = store.news([Wanted(_VIEW, b"UA")])
        assert first.anew
        with store.writing() as writer:
            writer.put(_VIEW, b"UA", 5, _tag(1), b"")
            writer.put(_VIEW, b"UA", 7, _tag(0), b"")
        (second,) = store.news([Wanted(_VIEW, b"UA", None, first.state, 5)])
        assert (second.anew, [event.time for event in second.events]) == (False, [5, 5, 7])
        with store.writing() as writer:
            writer.put(_VIEW, b"UA", 6, _tag(0), b"")
        (third,) = store.news([Wanted(_VIEW, b"UA", None, second.state, 7)])
        assert (third.anew, [event.time for event in third.events]) == (True, [5, 5, 6, 7])

    def test_a_view_that_was_dropped_and_filled_again_is_read_anew(self, store: OnlineStore) -> None:
        open_view(store, _VIEW)
        with store.writing() as writer:
            writer.put(_VIEW, b"UA", 5, _tag(0), b"old")
            writer.put(_VIEW, b"AA", 5, _tag(0), b"old")
        before = store.news([Wanted(_VIEW, b"UA"), Wanted(_VIEW, b"AA")])
        with store.writing() as writer:
            writer.put(_VIEW, b"UA", 6, _tag(0), b"lost")
            writer.drop(_VIEW)
            writer.put(_VIEW, b"UA", 5, _tag(0), b"new")
            writer.advance(_VIEW, 0, 2, store.life(_VIEW))
        held = zip((b"UA", b"AA"), before, strict=True)
        after = store.news([Wanted(_VIEW, entity, None, news.state, 5) for entity, news in held])
        assert [(news.anew, [event.payload for event in news.events]) for news in after] == [(True, [b"new"]), (True, [])]

    def test_versions_of_a_view_are_apart(self, store: OnlineStore) -> None:
        open_view(store, _VIEW, _OTHER)
        with store.writing() as writer:
            for view in (_VIEW, _OTHER):
                writer.put(view, b"UA", 1, _tag(0), b"x")
        with store.writing() as writer:
            writer.drop(_VIEW)
        assert (store.progress(_VIEW), store.count(_VIEW)) == (None, 0)
        assert (read(store, _OTHER, b"UA"), _progress(store, _OTHER)) == ([(1, b"x")], (0, 1))
        open_view(store, _VIEW)
        assert read(store, _VIEW, b"UA") == []

    def test_a_view_that_was_not_filled_is_not_read(self, store: OnlineStore) -> None:
        open_view(store, _OTHER)
        with store.writing() as writer:
            writer.put(_VIEW, b"UA", 1, _tag(0), b"x")
            writer.advance(_VIEW, 7)
        assert store.progress(_VIEW) is None
        with pytest.raises(Unavailable, match="the online rows of carrier_delays are not all there"):
            store.news([Wanted(_OTHER, b"UA"), Wanted(_VIEW, b"UA")])

    def test_progress_only_advances(self, store: OnlineStore) -> None:
        life = store.life(_VIEW)
        for sequence, dataset, expected in [(5, 2, (5, 2)), (9, None, (9, 2)), (4, None, (9, 2)), (3, 3, (9, 3))]:
            with store.writing() as writer:
                writer.advance(_VIEW, sequence, dataset, life)
            assert store.progress(_VIEW) == Progress(*expected)

    def test_the_oldest_events_can_be_forgotten(self, store: OnlineStore) -> None:
        open_view(store, _VIEW)
        with store.writing() as writer:
            for time in range(-2, 4):
                writer.put(_VIEW, b"UA", time, _tag(0), b"")
        for left in (3, 2, 2):
            with store.writing() as writer:
                writer.forget(_VIEW, b"UA", 2, 3)
                writer.forget(_VIEW, b"AA", 2, 3)
            assert [time for time, _ in read(store, _VIEW, b"UA")] == list(range(4 - left, 4))

    def test_it_says_from_when_on_an_entitys_events_are_all_there(self, store: OnlineStore) -> None:
        def complete_from(*entities: bytes) -> list[int | None]:
            return [news.complete_from for news in store.news([Wanted(_VIEW, entity) for entity in entities])]

        open_view(store, _VIEW)
        with store.writing() as writer:
            for time in range(-2, 4):
                writer.put(_VIEW, b"UA", time, _tag(0), b"")
            writer.put(_VIEW, b"AA", 3, _tag(0), b"")
        assert complete_from(b"UA", b"AA", b"nobody") == [None, None, None]
        for before, expected in ((-2, None), (0, 0), (-1, 0), (9, 2)):
            with store.writing() as writer:
                writer.forget(_VIEW, b"UA", before, 2)
                writer.forget(_VIEW, b"nobody", before, 2)
            assert complete_from(b"UA", b"AA", b"nobody") == [expected, None, None]
        with store.writing() as writer:  # an older one again, and forgotten again
            writer.put(_VIEW, b"UA", -9, _tag(0), b"")
            writer.forget(_VIEW, b"UA", -8, 1)
        assert complete_from(b"UA") == [2]
        for since, of_all in ((1, [2, 1, 1]), (7, [7, 7, 7]), (5, [7, 7, 7]), (None, [7, 7, 7])):
            with store.writing() as writer:
                writer.advance(_VIEW, 0, 1, store.life(_VIEW), since)
            assert complete_from(b"UA", b"AA", b"nobody") == of_all
        with store.writing() as writer:
            writer.advance(_VIEW, 1)
        assert complete_from(b"AA") == [7]
        with store.writing() as writer:
            writer.drop(_VIEW)
            writer.put(_VIEW, b"UA", 3, _tag(0), b"")
            writer.advance(_VIEW, 0, 1, store.life(_VIEW), -5)
        assert complete_from(b"UA", b"AA") == [-5, -5]

    def test_a_transaction_that_raises_leaves_nothing(self, store: OnlineStore) -> None:
        open_view(store, _VIEW)

        def fail() -> None:
            with store.writing() as writer:
                writer.put(_VIEW, b"UA", 1, _tag(0), b"x")
                writer.advance(_VIEW, 9)
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        assert read(store, _VIEW, b"UA") == []
        assert _progress(store, _VIEW) == (0, 1)

    def test_a_transaction_is_seen_whole_or_not_at_all(self, store: OnlineStore) -> None:
        open_view(store, _VIEW, _OTHER)
        done = threading.Event()

        def write() -> None:
            try:
                for number in range(100):
                    with store.writing() as writer:
                        writer.put(_VIEW, b"UA", number, _tag(0), b"")
                        writer.put(_OTHER, b"AA", -number, _tag(0), b"")
            finally:
                done.set()

        thread = threading.Thread(target=write)
        thread.start()
        while not done.is_set():
            one, other = store.news([Wanted(_VIEW, b"UA"), Wanted(_OTHER, b"AA")])
            assert len(one.events) == len(other.events)
        thread.join(60)
        assert len(read(store, _OTHER, b"AA")) == 100

    def test_writers_of_several_threads_wait_for_each_other(self, store: OnlineStore) -> None:
        open_view(store, _VIEW)

        def write(thread: int) -> None:
            for number in range(25):
                with store.writing() as writer:
                    writer.put(_VIEW, b"UA", number, _tag(thread), b"")
                    writer.advance(_VIEW, 25 * thread + number)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(read(store, _VIEW, b"UA")) == 100
        assert _progress(store, _VIEW) == (99, 1)

    def test_a_transaction_may_be_large_and_an_answer_too(self, store: OnlineStore) -> None:
        open_view(store, _VIEW)
        order = random.Random(3).sample(range(20_000), 20_000)
        with store.writing() as writer:
            for number in order:
                writer.put(_VIEW, b"%d" % (number % 7), number, _tag(0), b"%d" % number)
        assert store.count(_VIEW) == 20_000
        found = store.news([Wanted(_VIEW, b"%d" % entity, since=10_000) for entity in (6, 0, 8)])
        assert [len(news.events) for news in found] == [len(range(10_002, 20_000, 7)), len(range(10_003, 20_000, 7)), 0]

    def test_a_key_that_is_too_long_is_refused(self, store: OnlineStore) -> None:
        with pytest.raises(Invalid), store.writing() as writer:
            writer.put(_VIEW, b"x" * 300, 1, _tag(0), b"")

    def test_a_store_says_what_it_is(self, store: OnlineStore) -> None:
        assert store.describe()
