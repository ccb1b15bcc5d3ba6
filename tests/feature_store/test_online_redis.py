"""The online store in Redis: a real server, killed, started again, filled to the brim, and never believed when it may have lost rows."""

import logging
import multiprocessing
import signal
import sys
import time as clock
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis_server import PASSWORD, RedisServer, running_redis

from clew.errors import Invalid, MissingDependency, StorageFull, Unavailable
from clew.feature_store.online import OnlineStore, Progress, Wanted, open_store, view_key
from clew.feature_store.online_redis import RedisStore
from clew.server.doctor import examine
from clew.settings import load_settings
from clew.testing.online_stores import OnlineStoreConformance, open_view, read

VIEW = view_key("flights", "carrier_delays", "1")
TAG = bytes(8)


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """One that a test may do anything to."""
    with running_redis(tmp_path) as server:
        yield server


def opened(server: RedisServer) -> Iterator[OnlineStore]:
    store = open_store(server.url)
    yield store
    store.close()


@pytest.fixture
def store(server: RedisServer) -> Iterator[OnlineStore]:
    yield from opened(server)


def put(store: OnlineStore, time: int, payload: bytes = b"x", entity: bytes = b"UA") -> None:
    with store.writing() as writer:
        writer.put(VIEW, entity, time, TAG, payload)


class TestRedis(OnlineStoreConformance):
    """The shipped contract over Redis."""

    @pytest.fixture
    def store(self, shared_server: RedisServer) -> Iterator[OnlineStore]:
        with shared_server.client() as client:
            client.flushall()
        yield from opened(shared_server)


_OTHER = view_key("flights", "origin_delays", "2")
_CHANGES = st.one_of(
    st.tuples(
        st.just("put"), st.sampled_from([VIEW, _OTHER]), st.sampled_from([b"A", b"AA"]), st.integers(-2, 5), st.integers(0, 1), st.sampled_from([b"", b"x"])
    ),
    st.tuples(st.just("forget"), st.sampled_from([VIEW, _OTHER]), st.sampled_from([b"A", b"AA"]), st.integers(-2, 6), st.integers(1, 3)),
    st.tuples(st.just("advance"), st.sampled_from([VIEW, _OTHER]), st.integers(0, 9), st.none() | st.integers(1, 3)),
    st.tuples(st.just("drop"), st.sampled_from([VIEW, _OTHER])),
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(transactions=st.lists(st.lists(_CHANGES, max_size=6), max_size=12))
def test_whatever_is_done_redis_answers_as_lmdb_does(
    shared_server: RedisServer, tmp_path_factory: pytest.TempPathFactory, transactions: list[list[tuple[Any, ...]]]
) -> None:
    """The same transactions in both, and a reader of each that follows: the same events, and the same need to begin anew."""
    with shared_server.client() as client:
        client.flushall()
    redis_store, lmdb_store = open_store(shared_server.url), open_store(f"lmdb://{tmp_path_factory.mktemp('lmdb')}")
    entities = [(view, entity) for view in (VIEW, _OTHER) for entity in (b"A", b"AA")]
    held: dict[tuple[OnlineStore, bytes, bytes], tuple[bytes, int | None]] = {}
    for transaction in transactions:
        seen = []
        for store in (redis_store, lmdb_store):
            _apply(store, transaction)
            seen.append([[store.progress(view), store.count(view)] for view in (VIEW, _OTHER)])
            for view, entity in entities:
                if store.progress(view) is None:
                    with pytest.raises(Unavailable):
                        store.news([Wanted(view, entity)])
                    continue
                state, newest = held.get((store, view, entity), (b"", None))
                (news,) = store.news([Wanted(view, entity, 0, state, newest)])
                held[store, view, entity] = news.state, max([newest or -9, *(event.time for event in news.events)])
                seen[-1].append([news.anew, news.events])
        assert seen[0] == seen[1]
    redis_store.close()
    lmdb_store.close()


def _apply(store: OnlineStore, transaction: list[tuple[Any, ...]]) -> None:
    with store.writing() as writer:
        for what, view, *rest in transaction:
            if what == "put":
                entity, time, number, payload = rest
                writer.put(view, entity, time, number.to_bytes(8, "big"), payload)
            elif what == "forget":
                writer.forget(view, *rest)
            elif what == "advance":
                writer.advance(view, *rest, store.life(view) if rest[1] else b"")
            else:
                writer.drop(view)


def test_processes_share_what_each_of_them_wrote(server: RedisServer, store: OnlineStore) -> None:
    open_view(store, VIEW)
    put(store, 1, b"from the parent")
    for number, method in enumerate(("fork", "spawn"), 2):
        context = multiprocessing.get_context(method)
        answers = context.SimpleQueue()
        child = context.Process(target=_read_and_write, args=(server.url, number, method.encode(), answers))
        child.start()
        child.join(30)
        assert child.exitcode == 0
        assert answers.get() == (1, b"from the parent")
    assert [payload for _, payload in read(store, VIEW, b"UA")] == [b"from the parent", b"fork", b"spawn"]


def _read_and_write(url: str, number: int, payload: bytes, answers: "multiprocessing.SimpleQueue[tuple[int, bytes]]") -> None:
    store = open_store(url)
    answers.put(read(store, VIEW, b"UA")[0])
    put(store, number, payload)
    store.close()


def test_writers_of_several_processes_lose_nothing(server: RedisServer, store: OnlineStore) -> None:
    open_view(store, VIEW)
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(server.url, number)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert len(read(store, VIEW, b"UA")) == 300
    assert store.progress(VIEW) == Progress(299, 1)


def _write(url: str, number: int) -> None:
    store = open_store(url)
    for time in range(100):
        with store.writing() as writer:
            writer.put(VIEW, b"UA", time, number.to_bytes(8, "big"), b"")
            writer.advance(VIEW, 100 * number + time)
    store.close()


def test_a_look_is_one_round_trip_whatever_it_asks_about(server: RedisServer, store: OnlineStore) -> None:
    other = view_key("flights", "origin_delays", "3")
    open_view(store, VIEW, other)
    wanted = [Wanted(view, b"%d" % entity) for view in (VIEW, other) for entity in range(50)]
    store.news(wanted)
    with server.client() as client:
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]
        assert len(store.news(wanted)) == 100
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 1
        assert "cmdstat_keys" not in client.info("commandstats")


def test_a_server_that_is_away_is_unavailable_and_is_found_again(server: RedisServer, store: OnlineStore) -> None:
    open_view(store, VIEW)
    put(store, 1)
    server.kill()
    for ask in (lambda: read(store, VIEW, b"UA"), lambda: put(store, 2), lambda: store.progress(VIEW), store.describe):
        with pytest.raises(Unavailable, match=rf"the online store at redis://127\.0\.0\.1:{server.port}/0 does not answer"):
            ask()
    server.start()
    assert store.progress(VIEW) is None
    with pytest.raises(Unavailable, match="are not all there"):
        read(store, VIEW, b"UA")
    open_view(store, VIEW)
    assert read(store, VIEW, b"UA") == []


def test_a_server_that_takes_connections_and_says_nothing_does_not_hold_up_every_request(server: RedisServer, store: OnlineStore) -> None:
    open_view(store, VIEW)
    server.signal(signal.SIGSTOP)
    with pytest.raises(Unavailable, match="did not answer within 1 s"):
        read(store, VIEW, b"UA")
    with pytest.raises(Unavailable, match="it is asked again in a moment"):
        read(store, VIEW, b"UA")
    server.signal(signal.SIGCONT)
    assert _soon(store) == []


def _soon(store: OnlineStore) -> list[tuple[int, bytes]]:
    for _ in range(100):
        try:
            return read(store, VIEW, b"UA")
        except Unavailable:
            clock.sleep(0.1)
    raise AssertionError("it did not answer again within 10 s")


def test_rows_of_a_server_that_came_back_without_its_last_writes_are_not_believed(tmp_path: Path) -> None:
    """It was saved, went on, was killed, and came back as it was saved: the row between is gone, and nobody may miss that."""
    with running_redis(tmp_path, "--save", "3600 1000000") as server:
        store = open_store(server.url)
        open_view(store, VIEW)
        put(store, 1, b"saved")
        with server.client() as client:
            client.save()
        put(store, 2, b"lost")
        (held,) = store.news([Wanted(VIEW, b"UA")])
        server.kill()
        server.start()
        assert store.progress(VIEW) == Progress(0, 1, current=False)
        with pytest.raises(Unavailable, match="are not all there"):
            read(store, VIEW, b"UA")
        with store.writing() as writer:  # a push finds its way in, and does not vouch for what was lost
            writer.put(VIEW, b"UA", 3, TAG, b"new")
            writer.advance(VIEW, 3)
        assert store.progress(VIEW) == Progress(0, 1, current=False)
        with store.writing() as writer:
            writer.put(VIEW, b"UA", 2, TAG, b"again")
            writer.advance(VIEW, 3, 1, store.life(VIEW))
        (news,) = store.news([Wanted(VIEW, b"UA", None, held.state, 2)])
        assert (news.anew, [event.payload for event in news.events]) == (True, [b"saved", b"again", b"new"])
        store.close()


@pytest.mark.parametrize("loss", ["restart", "flush"])
def test_a_view_is_not_filled_in_two_lives(server: RedisServer, store: OnlineStore, loss: str) -> None:
    life = store.life(VIEW)
    put(store, 1, b"the first half")
    if loss == "restart":
        server.kill()
        server.start()
    else:
        with server.client() as client:
            client.flushall()
    with pytest.raises(Unavailable, match="began anew while rows were brought to it"):
        _finish(store, life)
    assert (store.progress(VIEW), store.count(VIEW)) == (None, 0)


def _finish(store: OnlineStore, life: bytes) -> None:
    with store.writing() as writer:
        writer.put(VIEW, b"UA", 2, TAG, b"the second half")
        writer.advance(VIEW, 0, 1, life)


def test_a_transaction_whose_answer_was_lost_is_done_once(server: RedisServer, store: OnlineStore) -> None:
    """The proof that it was done is kept beside what it did, so asking again changes nothing, whatever others did in between."""
    from clew.feature_store.online_redis import _COMMIT, _Transaction

    assert isinstance(store, RedisStore)
    open_view(store, VIEW)
    transaction = _Transaction()
    transaction.drop(VIEW)
    transaction.put(VIEW, b"UA", 1, TAG, b"old")
    transaction.advance(VIEW, 0, 1, store.life(VIEW))
    ((keys, arguments),) = transaction.scripts()
    store._writing.run(_COMMIT, keys, arguments)
    put(store, 2, b"of another")
    store._writing.run(_COMMIT, keys, arguments)
    assert [payload for _, payload in read(store, VIEW, b"UA")] == [b"old", b"of another"]


def test_full_memory_keeps_nothing_of_a_push_and_still_answers(server: RedisServer, store: OnlineStore) -> None:
    open_view(store, VIEW)
    put(store, 1)
    with server.client() as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(StorageFull, match="is full; nothing of this call was kept"):
            put(store, 2)
        assert read(store, VIEW, b"UA") == [(1, b"x")]
        client.config_set("maxmemory", 0)
    put(store, 2)
    assert len(read(store, VIEW, b"UA")) == 2


def test_a_server_that_drops_rows_when_memory_runs_out_is_refused(server: RedisServer, store: OnlineStore) -> None:
    with server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    for ask in (lambda: store.life(VIEW), store.describe):
        with pytest.raises(Unavailable, match="set its maxmemory-policy from allkeys-lru to noeviction"):
            ask()


def test_a_replica_which_may_lag_is_not_read(server: RedisServer, store: OnlineStore) -> None:
    open_view(store, VIEW)
    with server.client() as client:
        client.replicaof("127.0.0.1", 1)  # what becomes of a server whose place another has taken
        with pytest.raises(Unavailable, match="refused"):
            read(store, VIEW, b"UA")


def test_no_secret_of_the_address_is_said(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    store = open_store(server.url)
    said = [store.describe(), repr(store)]
    server.kill()
    with pytest.raises(Unavailable) as away:
        read(store, VIEW, b"UA")
    server.start()
    wrong = open_store(server.url.replace(PASSWORD, f"{PASSWORD}-not"))
    with pytest.raises(Unavailable, match="refused the user or the password") as refused:
        wrong.progress(VIEW)
    said += [str(away.value), str(away.value.details), str(refused.value), caplog.text]
    for address in (f"redis://:{PASSWORD}@h:port/0", f"redis://:{PASSWORD}@h/zero", f"redis://h/0?socket_timeout={PASSWORD}"):
        with pytest.raises(Invalid, match="CLEW_ONLINE_URL can't be used") as invalid:
            open_store(address)
        said.append(str(invalid.value))
        assert invalid.value.__cause__ is None
    assert PASSWORD not in " ".join(said)
    assert f"redis://127.0.0.1:{server.port}/0" in said[0]
    store.close()
    wrong.close()


def test_projects_of_one_server_are_apart(store: OnlineStore) -> None:
    other = view_key("freight", "carrier_delays", "1")
    open_view(store, VIEW, other)
    with store.writing() as writer:
        writer.put(VIEW, b"UA", 1, TAG, b"flights")
        writer.put(other, b"UA", 1, TAG, b"freight")
        writer.drop(view_key("fre", "carrier_delays", "1"))
    assert (read(store, VIEW, b"UA"), read(store, other, b"UA")) == ([(1, b"flights")], [(1, b"freight")])
    with store.writing() as writer:
        writer.drop(other)
    assert read(store, VIEW, b"UA") == [(1, b"flights")]


def test_a_dropped_view_leaves_no_key_behind(server: RedisServer, store: OnlineStore) -> None:
    open_view(store, VIEW)
    for entity in range(50):
        put(store, 1, entity=b"%d" % entity)
    with store.writing() as writer:
        writer.drop(VIEW)
    with server.client() as client:
        assert [key for key in client.scan_iter() if b"/carrier_delays" in key] == []


def test_a_user_with_the_rights_that_are_asked_for_can_do_everything(server: RedisServer) -> None:
    with server.client() as client:
        client.acl_setuser(
            "clew",
            enabled=True,
            passwords=["+other-secret"],
            keys=["clew:*"],
            categories=["+@read", "+@write", "+@scripting", "+@connection"],
            commands=["+info"],
        )
    store = open_store(server.url.replace(f":{PASSWORD}", "clew:other-secret").replace("/0", "/3"))
    open_view(store, VIEW)
    put(store, 1)
    with store.writing() as writer:
        writer.forget(VIEW, b"UA", 1, 3)
    assert (read(store, VIEW, b"UA"), store.count(VIEW), store.describe().startswith("Redis")) == ([(1, b"x")], 1, True)
    with store.writing() as writer:
        writer.drop(VIEW)
    store.close()


def test_without_the_client_the_command_that_installs_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(MissingDependency, match=r"pip install 'clew-ml\[redis\]'"):
        open_store("redis://127.0.0.1:1/7")  # an address that no other test has opened


def test_the_doctor_says_what_the_store_answers(server: RedisServer, tmp_path: Path) -> None:
    where = replace(load_settings(tmp_path, {}), online_url=server.url)
    (found,) = [one for one in examine(where) if one.what == "online store"]
    assert found.fine
    assert found.words.startswith("Redis ")
    assert f"at redis://127.0.0.1:{server.port}/0, " in found.words
    server.kill()
    (found,) = [one for one in examine(where) if one.what == "online store"]
    assert (found.fine, "does not answer" in found.words, PASSWORD in found.words) == (False, True, False)
    open_store(server.url).close()
