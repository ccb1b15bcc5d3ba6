"""What every online store must do. Subclass ``OnlineStoreConformance`` in a test and give it a ``store`` fixture over an empty store."""

import random
import threading

import pytest

from clew.errors import Invalid
from clew.feature_store.online import OnlineStore, view_key

__all__ = ["OnlineStoreConformance"]

_VIEW = view_key("flights", "carrier_delays", 1)
_OTHER = view_key("flights", "carrier_delays", 11)


def _tag(number: int) -> bytes:
    return number.to_bytes(8, "big")


class OnlineStoreConformance:
    """The port's contract as tests."""

    def test_events_are_read_in_order_of_time_and_from_a_time_on(self, store: OnlineStore) -> None:
        with store.writing() as writer:
            for time in (10, -5, 0, 5):
                writer.put(_VIEW, b"UA", time, _tag(0), b"%d" % time)
        with store.reading() as snapshot:
            assert [(event.time, event.payload) for event in snapshot.events(_VIEW, b"UA")] == [
                (-5, b"-5"),
                (0, b"0"),
                (5, b"5"),
                (10, b"10"),
            ]
            assert [event.time for event in snapshot.events(_VIEW, b"UA", since=5)] == [5, 10]
            assert snapshot.count(_VIEW) == 4

    def test_the_same_event_again_is_one_event_and_another_payload_replaces_it(self, store: OnlineStore) -> None:
        with store.writing() as writer:
            assert writer.put(_VIEW, b"UA", 1, _tag(1), b"x")
            assert not writer.put(_VIEW, b"UA", 1, _tag(1), b"x")
            assert writer.put(_VIEW, b"UA", 1, _tag(2), b"y")
            assert writer.put(_VIEW, b"UA", 1, _tag(1), b"z")
        with store.reading() as snapshot:
            assert [event.payload for event in snapshot.events(_VIEW, b"UA")] == [b"z", b"y"]

    def test_an_entity_does_not_hold_the_events_of_one_whose_name_it_begins(self, store: OnlineStore) -> None:
        with store.writing() as writer:
            for entity in (b"A", b"AA", b"", b"A\0"):
                writer.put(_VIEW, entity, 1, _tag(0), entity)
        with store.reading() as snapshot:
            for entity in (b"A", b"AA", b"", b"A\0"):
                assert [event.payload for event in snapshot.events(_VIEW, entity)] == [entity]

    def test_a_reader_that_follows_heads_holds_what_the_store_holds(self, store: OnlineStore) -> None:
        chance = random.Random(7)
        expected: dict[tuple[int, int], bytes] = {}
        held: dict[bytes, bytes] = {}
        sequence = -1
        for _ in range(300):
            key, payload = (chance.randrange(40), chance.randrange(3)), b"%d" % chance.randrange(2)
            expected[key] = payload
            with store.writing() as writer:
                writer.put(_VIEW, b"UA", key[0], _tag(key[1]), payload)
            if chance.random() < 0.5:
                continue
            with store.reading() as snapshot:
                head = snapshot.head(_VIEW, b"UA")
                assert head is not None
                if sequence < head.reordered_at:
                    held = {event.position: event.payload for event in snapshot.events(_VIEW, b"UA")}
                else:
                    newest = max(event.time for event in snapshot.events(_VIEW, b"UA") if event.position in held)
                    held |= {event.position: event.payload for event in snapshot.events(_VIEW, b"UA", since=newest)}
                sequence = head.sequence
            assert [held[position] for position in sorted(held)] == [expected[one] for one in sorted(expected)]

    def test_a_view_that_was_dropped_and_filled_again_is_read_anew(self, store: OnlineStore) -> None:
        with store.writing() as writer:
            writer.put(_VIEW, b"UA", 5, _tag(0), b"old")
        with store.reading() as snapshot:
            before = snapshot.head(_VIEW, b"UA")
        with store.writing() as writer:
            writer.drop(_VIEW)
            writer.put(_VIEW, b"UA", 5, _tag(0), b"new")
        with store.reading() as snapshot:
            after = snapshot.head(_VIEW, b"UA")
        assert before is not None
        assert after is not None
        assert before.sequence < after.reordered_at or before.sequence > after.sequence

    def test_versions_of_a_view_are_apart(self, store: OnlineStore) -> None:
        with store.writing() as writer:
            for view in (_VIEW, _OTHER):
                writer.put(view, b"UA", 1, _tag(0), b"x")
                writer.set_note(view, b"note")
            assert writer.drop(_VIEW) > 0
        with store.reading() as snapshot:
            assert (snapshot.events(_VIEW, b"UA"), snapshot.head(_VIEW, b"UA"), snapshot.note(_VIEW), snapshot.count(_VIEW)) == (
                [],
                None,
                None,
                0,
            )
            assert (len(snapshot.events(_OTHER, b"UA")), snapshot.note(_OTHER)) == (1, b"note")

    def test_the_oldest_events_can_be_forgotten(self, store: OnlineStore) -> None:
        with store.writing() as writer:
            for time in range(6):
                writer.put(_VIEW, b"UA", time, _tag(0), b"")
            assert writer.forget(_VIEW, b"UA", 4, 3) == 3
            assert writer.forget(_VIEW, b"UA", 4, 3) == 1
            assert writer.forget(_VIEW, b"UA", 4, 3) == 0
        with store.reading() as snapshot:
            assert [event.time for event in snapshot.events(_VIEW, b"UA")] == [4, 5]

    def test_a_transaction_that_raises_leaves_nothing(self, store: OnlineStore) -> None:
        def fail() -> None:
            with store.writing() as writer:
                writer.put(_VIEW, b"UA", 1, _tag(0), b"x")
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        with store.reading() as snapshot:
            assert snapshot.head(_VIEW, b"UA") is None

    def test_a_snapshot_does_not_move_while_it_is_read(self, store: OnlineStore) -> None:
        with store.reading() as snapshot:
            assert snapshot.events(_VIEW, b"UA") == []

            def write() -> None:
                with store.writing() as writer:
                    writer.put(_VIEW, b"UA", 1, _tag(0), b"x")

            thread = threading.Thread(target=write)
            thread.start()
            thread.join(30)
            assert snapshot.events(_VIEW, b"UA") == []
        with store.reading() as snapshot:
            assert len(snapshot.events(_VIEW, b"UA")) == 1

    def test_writers_of_several_threads_wait_for_each_other(self, store: OnlineStore) -> None:
        def write(thread: int) -> None:
            for number in range(25):
                with store.writing() as writer:
                    writer.put(_VIEW, b"UA", number, _tag(thread), b"")

        threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        with store.reading() as snapshot:
            assert len(snapshot.events(_VIEW, b"UA")) == 100

    def test_a_key_that_is_too_long_is_refused(self, store: OnlineStore) -> None:
        with store.writing() as writer, pytest.raises(Invalid):
            writer.put(_VIEW, b"x" * 300, 1, _tag(0), b"")
