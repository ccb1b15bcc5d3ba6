"""How a view's events lie in the online store: which bytes name an entity, an event, and its values."""

import hashlib
import math
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from clew.clock import to_micros
from clew.definitions import FeaturesDefinition, WindowsDefinition, from_document, parse_dtype
from clew.errors import Invalid
from clew.feature_store.evaluation import micros_of
from clew.feature_store.functions import KNOWN, engine_for
from clew.feature_store.online import OnlineWriter
from clew.feature_store.recent import Value
from clew.feature_store.schema import FeatureViewDetails
from clew.feature_store.sources import is_whole

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Event", "OnlineRows", "entity_reader", "frame_events"]

_MAX_ENTITY_BYTES = 120
_FORGET_FOR_EACH = 3
_SLACK_MICROS = 3 * 86_400_000_000
"""How long events outlive their windows: requests may ask about times this far behind the newest event."""


class Event:
    """A row on its way to the store, its instants as microseconds."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.row = row
        self._tags: dict[tuple[str, ...], bytes] = {}

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Event":
        """Of a row whose instants are datetimes."""
        return cls({name: to_micros(value) if isinstance(value, datetime) else value for name, value in row.items()})

    def tag(self, key: tuple[str, ...]) -> bytes:
        """What tells the row from others by its key; made once for all the views that it goes to."""
        found = self._tags.get(key)
        if found is None:
            named = [value.isoformat() if isinstance(value, date) else value for value in map(self.row.__getitem__, key)]
            found = self._tags[key] = hashlib.blake2b(msgspec.msgpack.encode(named), digest_size=8).digest()
        return found


class OnlineRows:
    """Packs and unpacks one view version's events. Immutable."""

    def __init__(self, details: FeatureViewDetails) -> None:
        self.entity = tuple(one.name for one in details.entity)
        self.values = tuple(one.name for one in details.values)
        self.time = details.time or ""
        self.known = KNOWN if details.kind == "table" else details.known
        self.key = () if details.kind == "table" else details.key
        self.whole = tuple(is_whole(parse_dtype(one.dtype)) for one in details.values)
        self._entity_readers = tuple(entity_reader(parse_dtype(one.dtype)) for one in details.entity)
        self._struct = struct.Struct("<qQ" + "".join("q" if whole else "d" for whole in self.whole))
        self.reach = _reach(details)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that an event is made from, each once."""
        named = (*self.entity, self.time, *([self.known] if self.known else []), *self.values, *self.key)
        return tuple(dict.fromkeys(named))

    def entity_bytes(self, values: Sequence[Any]) -> bytes | None:  # Any: text, whole number, Boolean or day
        """The entity's name in the store; ``None`` where a part of it is null. Raises ``TypeError`` for one of another type."""
        if len(values) == 1:
            if values[0] is None:
                return None
            name: bytes = self._entity_readers[0](values[0])
        else:
            if any(value is None for value in values):
                return None
            name = msgspec.msgpack.encode([read(value) for read, value in zip(self._entity_readers, values, strict=True)])
        return name if len(name) <= _MAX_ENTITY_BYTES else b"#" + hashlib.blake2b(name, digest_size=32).digest()

    def pack(self, known: int, values: Iterable[Value]) -> bytes:
        present, bit = 0, 1
        packed: list[float | int] = []
        for value, whole in zip(values, self.whole, strict=True):
            if value is None or not math.isfinite(value):
                packed.append(0)
            else:
                present |= bit
                packed.append(int(value) if whole else value)
            bit <<= 1
        return self._struct.pack(known, present, *packed)

    def unpack(self, payload: bytes) -> tuple[int, Sequence[Value]]:
        """Known time and values."""
        known, present, *values = self._struct.unpack(payload)
        if present == (1 << len(values)) - 1:
            return known, values
        return known, [value if present >> place & 1 else None for place, value in enumerate(values)]

    def put(self, writer: OnlineWriter, view: bytes, event: Event) -> tuple[bytes, int] | None:
        """Add the event, if it has an entity; the entity and the time."""
        row = event.row
        entity = self.entity_bytes([row[name] for name in self.entity])
        time = row[self.time]
        if entity is None or time is None:
            return None
        known = time if self.known is None or row[self.known] is None else row[self.known]
        # For a view's table, entity, time and known time name a row; for windows its key does, since many may share an instant.
        tag = event.tag(self.key) if self.key else (known + (1 << 63)).to_bytes(8, "big")
        writer.put(view, entity, time, tag, self.pack(known, [row[name] for name in self.values]))
        return entity, time

    def put_on(self, writer: OnlineWriter, view: bytes, events: Iterable[Event], now: int) -> None:
        """Add the events of a stream, and forget very old ones of the same entities: as many as keep up with what is added, and more."""
        oldest: dict[bytes, int] = {}
        added: Counter[bytes] = Counter()
        for event in events:
            placed = self.put(writer, view, event)
            if placed is not None:
                entity, time = placed
                oldest[entity] = min(time, oldest.get(entity, time))
                added[entity] += 1
        if self.reach is not None:
            for entity, time in oldest.items():
                # Behind the events, too: the clock of a project whose data is of long ago is far ahead of all of it.
                writer.forget(view, entity, min(now, time) - self.reach, _FORGET_FOR_EACH * added[entity])


def entity_reader(dtype: "pl.DataType") -> Callable[[Any], bytes]:
    """From an entity's value, as JSON or Python has it, to the bytes that name it. Raises ``TypeError`` for one of another type."""
    import polars as pl

    def text(value: Any) -> bytes:
        if not isinstance(value, str):
            raise TypeError("must be text")
        return value.encode()

    def whole(value: Any) -> bytes:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError("must be a whole number")
        return b"%d" % value

    def boolean(value: Any) -> bytes:
        if not isinstance(value, bool):
            raise TypeError("must be true or false")
        return b"1" if value else b"0"

    def day(value: Any) -> bytes:
        return (date.fromisoformat(value) if isinstance(value, str) else value).isoformat().encode()

    if dtype == pl.Boolean:
        return boolean
    if dtype == pl.Date:
        return day
    return whole if dtype.is_integer() else text


def _reach(details: FeatureViewDetails) -> int | None:
    """How far behind the newest event a row is kept, in microseconds; ``None`` where a last value holds for ever."""
    definition = from_document(details.definition)
    if isinstance(definition, WindowsDefinition):
        return max(micros_of(span) for span in definition.over) + _SLACK_MICROS
    if isinstance(definition, FeaturesDefinition):
        return None if definition.ttl is None or definition.missing == "hold" else micros_of(definition.ttl) + _SLACK_MICROS
    raise Invalid(f"{definition.name} is no feature view")


def frame_events(rows: "pl.LazyFrame | pl.DataFrame", online: OnlineRows, since: int | None) -> list[Event]:
    """The rows from a time on, in its order."""
    import polars as pl

    engine = engine_for(rows.height) if isinstance(rows, pl.DataFrame) else "auto"
    schema = rows.collect_schema()
    times = [name for name in online.columns if isinstance(schema[name], pl.Datetime)]
    chosen = rows.lazy().select(online.columns).with_columns(pl.col(times).dt.epoch("us"))
    if since is not None:
        chosen = chosen.filter(pl.col(online.time) >= since)
    return [Event(row) for row in chosen.sort(online.time, maintain_order=True).collect(engine=engine).to_dicts()]
