"""The online store in Redis, ``redis://host:6379/0``: shared by servers and serving processes on several machines.

Redis has neither snapshots nor a rollback. So a look at any number of entities is one script, and a transaction is gathered here and
sent as one: both happen at one moment of the server, in one round trip. The keys of a project carry one hash tag and stand together:

==============================================  =====================================================================================
``clew:{project}/view@1f…:of:<entity>``         sorted set of the entity's events: position and payload, all of score 0, so in order of bytes
``clew:{project}/view@1f…:heads``               hash by entity: changes so far, the last out of order, newest time, newest forgotten
``clew:{project}/view@1f…:progress``            hash: appended row, dataset's version, since when and in which life the view was filled
``clew:{project}:life``                         random, gone when the database was flushed
``clew:{project}:done:<transaction>``           for five minutes, so that a transaction whose answer was lost is not done twice
==============================================  =====================================================================================

A server that was started again may have come back without its last writes. Its own run therefore belongs to what a reader holds and
to a view's progress: what came from another run is read anew, and a view that was filled in another run is not read until it was
filled again.
"""

import secrets
import time as clock
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

from clew.errors import Invalid, MissingDependency, StorageFull, Unavailable
from clew.feature_store.online import (
    TAG_BYTES,
    News,
    OnlineEvent,
    Progress,
    Wanted,
    check_key,
    forget_store,
    not_filled,
    position_of,
    time_bytes,
    time_of,
)

if TYPE_CHECKING:
    import redis

__all__ = ["RedisStore"]

_READ_SECONDS = 1.0  # a request waits for it
_WRITE_SECONDS = 30.0
_REST_SECONDS = 1.0
_POSITION_BYTES = 8 + TAG_BYTES
_OLDEST = 7

_LIFE = """
local life = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') .. ':' .. (redis.call('GET', KEYS[1]) or '')
"""

# Not declared as free of writes, though it is: a replica, which may lag, refuses what may write.
_NEWS = f"""#!lua flags=allow-oom
{_LIFE}
local at = 0
local function take() at = at + 1 return ARGV[at] end
local views, since_of = {{}}, {{}}
for number = 1, tonumber(take()) do
  views[number] = take()
  local filled = redis.call('HMGET', views[number] .. ':progress', 'life', 'since')
  if filled[1] ~= life then return number end
  since_of[number] = filled[2] or ''
end
local found = {{life}}
while at < #ARGV do
  local number = tonumber(take())
  local view, entity, held_life, held, newest, since = views[number], take(), take(), take(), take(), take()
  local head = redis.call('HGET', view .. ':heads', entity)
  if head then
    local sequence, reordered, after = string.match(head, '^(%d+) (%d+) ()')
    local anew = held_life ~= life or tonumber(held) < tonumber(reordered) or tonumber(held) > tonumber(sequence)
    local events = {{}}
    if anew or held ~= sequence then
      events = redis.call('ZRANGE', view .. ':of:' .. entity, anew and since or newest, '+', 'BYLEX')
    end
    found[#found + 1] = {{sequence, anew and 1 or 0, events, since_of[number], string.sub(head, after + 8)}}
  else
    found[#found + 1] = {{'', 1, {{}}, since_of[number], ''}}
  end
end
return found
"""

# Times are compared as numbers: Lua compares text by the server's locale.
_COMMIT = f"""#!lua
redis.call('SET', KEYS[1], ARGV[1], 'NX')
{_LIFE}
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
if ARGV[3] ~= '' and ARGV[3] ~= life then return 1 end
redis.call('SET', KEYS[2], '', 'EX', 300)
local start, at = tonumber(ARGV[2]), 3
local function take() at = at + 1 return ARGV[at] end
local function later(one, other)
  local high, low = struct.unpack('>I4I4', one)
  local other_high, other_low = struct.unpack('>I4I4', other)
  return high > other_high or (high == other_high and low > other_low)
end

local function change_entity(view, entity)
  local events, fresh = view .. ':of:' .. entity, {{}}
  local head = redis.call('HGET', view .. ':heads', entity)
  local sequence, reordered, last, forgotten = start, start + 1, nil, ''
  if head then
    local after
    sequence, reordered, after = string.match(head, '^(%d+) (%d+) ()')
    sequence, reordered, last, forgotten = tonumber(sequence), tonumber(reordered), string.sub(head, after, after + 7), string.sub(head, after + 8)
  end
  local function flush()
    if #fresh > 0 then redis.call('ZADD', events, unpack(fresh)) end
    fresh = {{}}
  end
  for _ = 1, tonumber(take()) do
    local change = take()
    local time, event = string.sub(change, 2, 9), string.sub(change, 2)
    if string.sub(change, 1, 1) == '-' then
      flush()
      local old = redis.call('ZRANGE', events, '-', '(' .. time, 'BYLEX', 'LIMIT', 0, string.sub(change, 10))
      if #old > 0 then
        redis.call('ZREMRANGEBYRANK', events, 0, #old - 1)
        local newest = string.sub(old[#old], 1, 8)
        if forgotten == '' or later(newest, forgotten) then forgotten = newest end
      end
    else
      local old
      if last and not later(time, last) then
        flush()
        local position = string.sub(event, 1, {_POSITION_BYTES})
        old = redis.call('ZRANGE', events, '[' .. position, '+', 'BYLEX', 'LIMIT', 0, 1)[1]
        if old and string.sub(old, 1, {_POSITION_BYTES}) ~= position then old = nil end
      end
      if old ~= event then
        if old then redis.call('ZREM', events, old) end
        fresh[#fresh + 1] = 0
        fresh[#fresh + 1] = event
        if #fresh >= 2000 then flush() end
        sequence = sequence + 1
        if old or (last and later(last, time)) then reordered = sequence else last = time end
      end
    end
  end
  flush()
  local changed = last and string.format('%.0f %.0f ', sequence, reordered) .. last .. forgotten
  if changed and changed ~= head then redis.call('HSET', view .. ':heads', entity, changed) end
end

local function advance(progress, sequence, dataset, since)
  local known, filled, known_since = unpack(redis.call('HMGET', progress, 'sequence', 'life', 'since'))
  if known and tonumber(known) > tonumber(sequence) then sequence = known end
  if known_since and known_since ~= '' and (since == '' or later(known_since, since)) then since = known_since end
  if dataset ~= '' then
    redis.call('HSET', progress, 'sequence', sequence, 'dataset', dataset, 'life', life, 'since', since)
  elseif filled == life then
    redis.call('HSET', progress, 'sequence', sequence)
  end
end

local function change_view(view)
  if take() == '1' then
    for _, entity in ipairs(redis.call('HKEYS', view .. ':heads')) do redis.call('UNLINK', view .. ':of:' .. entity) end
    redis.call('DEL', view .. ':heads', view .. ':progress')
  end
  for _ = 1, tonumber(take()) do change_entity(view, take()) end
  for _ = 1, tonumber(take()) do advance(view .. ':progress', take(), take(), take()) end
end

while at < #ARGV do change_view(take()) end
return 0
"""

_PROGRESS = f"""#!lua flags=allow-oom
{_LIFE}
local known = redis.call('HMGET', ARGV[1] .. ':progress', 'sequence', 'dataset', 'life')
return {{known[1], known[2], known[3] == life and 1 or 0}}
"""

_BEGIN = f"""#!lua
redis.call('SET', KEYS[1], ARGV[1], 'NX')
{_LIFE}
return life
"""


class RedisStore:
    """Events in a database of a Redis or Valkey server, 7 or newer, that evicts nothing."""

    def __init__(self, url: str, *, durability: str = "process") -> None:
        # Durability is the server's own affair; what it lost is noticed and filled again.
        self._shown = _shown(url)
        self._reading = _Server(url, self._shown, _READ_SECONDS)
        self._writing = _Server(url, self._shown, _WRITE_SECONDS)

    def news(self, wanted: Sequence[Wanted]) -> list[News]:
        if not wanted:
            return []
        views = list(dict.fromkeys(one.view for one in wanted))
        numbers = {view: number for number, view in enumerate(views, 1)}
        arguments: list[bytes | int] = [len(views), *map(_key, views)]
        for one in wanted:
            life, _, sequence = one.state.rpartition(b" ")
            arguments += numbers[one.view], one.entity, life, sequence, _from(one.newest), _from(one.since)
        answer = self._reading.run(_NEWS, [_life_key(views[0])], arguments)
        if isinstance(answer, int):
            raise not_filled(views[answer - 1])
        life, *found = answer
        return [
            News(b"%b %b" % (life, sequence) if sequence else b"", bool(anew), _events(members), _complete_from(since, forgotten))
            for sequence, anew, members, since, forgotten in found
        ]

    def progress(self, view: bytes) -> Progress | None:
        sequence, dataset, current = self._reading.run(_PROGRESS, [_life_key(view)], [_key(view)])
        return None if sequence is None else Progress(int(sequence), int(dataset), bool(current))

    def life(self, view: bytes) -> bytes:
        self._fit()
        life: bytes = self._writing.run(_BEGIN, [_life_key(view)], [secrets.token_hex(8)])
        return life

    @contextmanager
    def writing(self) -> Iterator["_Transaction"]:
        transaction = _Transaction()
        yield transaction
        for keys, arguments in transaction.scripts():
            if self._writing.run(_COMMIT, keys, arguments):
                raise Unavailable(f"the online store at {self._shown} began anew while rows were brought to it; they are brought again")

    def count(self, view: bytes) -> int:
        counted: int = self._writing.ask(lambda client: _count(client, _key(view)))
        return counted

    def describe(self) -> str:
        facts = self._fit()
        limit = f" of {facts['maxmemory_human']}" if facts["maxmemory"] else ""
        named = "Valkey" if facts.get("server_name") == "valkey" else "Redis"
        version = facts.get("valkey_version", facts["redis_version"])
        return f"{named} {version} at {self._shown}, {facts['used_memory_human']}{limit} in use"

    def close(self) -> None:
        forget_store(self)
        self._reading.close()
        self._writing.close()

    def _fit(self) -> dict[str, Any]:  # Any: INFO's fields, as the client reads them
        """What the server says of itself. Raises ``Unavailable`` where it is too old, or would drop features when memory runs out."""
        facts: dict[str, Any] = self._reading.ask(lambda client: {**client.info("server"), **client.info("memory")})
        version = str(facts["redis_version"])
        if int(version.partition(".")[0]) < _OLDEST:
            raise Unavailable(f"the online store at {self._shown} is Redis {version}; Clew needs {_OLDEST} or newer")
        policy = str(facts["maxmemory_policy"])
        if policy.startswith("allkeys"):
            raise Unavailable(
                f"the online store at {self._shown} drops rows when its memory is full, and answers would be wrong: set its "
                f"maxmemory-policy from {policy} to noeviction",
                policy=policy,
            )
        return facts


@dataclass
class _Changes:
    """What a transaction does to one view: drop it, change entities, note its progress; in this order."""

    dropped: bool = False
    entities: dict[bytes, list[bytes]] = field(default_factory=dict)
    advances: list[tuple[int, int | None, int | None]] = field(default_factory=list)

    def arguments(self, view: bytes) -> Iterator[bytes | int]:
        yield from (_key(view), int(self.dropped), len(self.entities))
        for entity, changes in self.entities.items():
            yield entity
            yield len(changes)
            yield from changes
        yield len(self.advances)
        for sequence, dataset, since in self.advances:
            yield from (sequence, b"" if dataset is None else dataset, b"" if since is None else time_bytes(since))


class _Transaction:
    """Gathers what is to be done. Changes of different entities don't touch, so those of each stand together."""

    def __init__(self) -> None:
        self._views: dict[bytes, _Changes] = {}
        self._life = b""

    def put(self, view: bytes, entity: bytes, time: int, tag: bytes, payload: bytes) -> None:
        self._of(view, entity).append(b"+" + position_of(time, tag) + payload)

    def forget(self, view: bytes, entity: bytes, before: int, limit: int) -> None:
        self._of(view, entity).append(b"-" + time_bytes(before) + b"%d" % limit)

    def advance(self, view: bytes, sequence: int, dataset: int | None = None, life: bytes = b"", since: int | None = None) -> None:
        self._views.setdefault(view, _Changes()).advances.append((sequence, dataset, since))
        self._life = life or self._life

    def drop(self, view: bytes) -> None:
        self._views[view] = _Changes(dropped=True)

    def scripts(self) -> Iterator[tuple[list[bytes], list[bytes | int | str]]]:
        """Keys and arguments of the transaction's script; one for each project, of which there is one in all that Clew does."""
        for project in dict.fromkeys(map(_tag, self._views)):
            # A random start: who held an entity before its view was dropped must not take new events for those that it knows.
            arguments: list[bytes | int | str] = [secrets.token_hex(8), secrets.randbits(48), self._life]
            for view, changes in self._views.items():
                if _tag(view) == project:
                    arguments += changes.arguments(view)
            yield [project + b":life", project + b":done:" + secrets.token_hex(8).encode()], arguments

    def _of(self, view: bytes, entity: bytes) -> list[bytes]:
        check_key(view, entity)
        return self._views.setdefault(view, _Changes()).entities.setdefault(entity, [])


class _Server:
    """Connections to one server, with one patience; what the client raises, as Clew's errors."""

    def __init__(self, url: str, shown: str, timeout_seconds: float) -> None:
        try:
            import redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ModuleNotFoundError as error:
            raise MissingDependency("the online store in Redis needs its client: pip install 'clew-ml[redis]'") from error
        self._shown = shown
        self._resting_until = 0.0
        self._seconds = timeout_seconds
        # Once more at once, for a connection that was closed just as it was used; whoever asked decides about waiting for a server.
        again = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
        try:
            pool = redis.ConnectionPool.from_url(
                url, socket_timeout=timeout_seconds, socket_connect_timeout=_READ_SECONDS, retry=again, protocol=2
            )
            self._client = redis.Redis.from_pool(pool)
        except ValueError:  # its words repeat a part of the URL, which may be the password
            raise Invalid(f"CLEW_ONLINE_URL can't be used: an option after {shown} is wrong") from None
        self._digests: dict[str, str] = {}

    def run(self, script: str, keys: Sequence[bytes], arguments: Sequence[bytes | int | str]) -> Any:  # Any: what the script answers
        import redis

        def run(client: "redis.Redis") -> Any:
            digest = self._digests.get(script)
            if digest is not None:
                try:
                    return client.evalsha(digest, len(keys), *keys, *arguments)
                except redis.exceptions.NoScriptError:  # the server began anew
                    pass
            self._digests[script] = str(client.script_load(script))
            return client.evalsha(self._digests[script], len(keys), *keys, *arguments)

        return self.ask(run)

    def ask(self, question: Any) -> Any:  # Any: a callable of the client, and what it answers
        import redis

        if clock.monotonic() < self._resting_until:
            raise Unavailable(f"the online store at {self._shown} did not answer in time; it is asked again in a moment")
        try:
            return question(self._client)
        except redis.RedisError as error:
            self._translate(error)

    def _translate(self, error: "redis.RedisError") -> NoReturn:
        import redis

        if isinstance(error, redis.exceptions.OutOfMemoryError):
            raise StorageFull(
                f"the memory of the online store at {self._shown} is full; nothing of this call was kept. Raise its maxmemory, then try again"
            ) from error
        if isinstance(error, redis.TimeoutError):
            # A server that takes connections and says nothing must not hold up every request for the whole of its patience.
            self._resting_until = clock.monotonic() + _REST_SECONDS
            raise Unavailable(f"the online store at {self._shown} did not answer within {self._seconds:g} s") from error
        if isinstance(error, redis.AuthenticationError | redis.exceptions.AuthorizationError):
            raise Unavailable(f"the online store at {self._shown} refused the user or the password of CLEW_ONLINE_URL") from error
        if isinstance(error, redis.ConnectionError):
            raise Unavailable(f"the online store at {self._shown} does not answer: {error}") from error
        if isinstance(error, redis.ResponseError):  # a replica, a script of another that takes too long, a right that is missing
            raise Unavailable(f"the online store at {self._shown} refused: {error}") from error
        raise error

    def close(self) -> None:
        self._client.connection_pool.disconnect()


def _shown(url: str) -> str:
    """The URL without user, password and options, which may hold secrets."""
    parts = urlsplit(url)
    try:
        port = parts.port or 6379
    except ValueError:  # its words repeat what stands there
        raise Invalid("CLEW_ONLINE_URL can't be used: its port is no number") from None
    database = parts.path.strip("/") or "0"
    if not database.isdecimal():
        raise Invalid(f"CLEW_ONLINE_URL can't be used: the database of a Redis server is a number, not {database!r}")
    host = parts.hostname or "localhost"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}/{database}"


def _tag(view: bytes) -> bytes:
    return b"clew:{" + view.partition(b"/")[0] + b"}"


def _key(view: bytes) -> bytes:
    return _tag(view) + b"/" + view.partition(b"/")[2].rstrip(b"\0")


def _life_key(view: bytes) -> bytes:
    return _tag(view) + b":life"


def _complete_from(filled_since: bytes, forgotten: bytes) -> int | None:
    """From which time on events are all there: since when the view was filled, and after the last one that was forgotten."""
    if not forgotten:
        return time_of(filled_since) if filled_since else None
    after = time_of(forgotten) + 1
    return max(after, time_of(filled_since)) if filled_since else after


def _from(time: int | None) -> bytes:
    return b"-" if time is None else b"[" + time_bytes(time)


def _events(members: Sequence[bytes]) -> list[OnlineEvent]:
    return [OnlineEvent(time_of(member), member[:_POSITION_BYTES], member[_POSITION_BYTES:]) for member in members]


def _count(client: "redis.Redis", view: bytes) -> int:
    entities = {entity for entity, _ in client.hscan_iter(view + b":heads", count=1_000)}
    pipeline = client.pipeline(transaction=False)
    for entity in entities:
        pipeline.zcard(view + b":of:" + entity)
    return sum(pipeline.execute())
