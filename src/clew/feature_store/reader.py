"""Features of a request, read online at the request's own time: what serving does for every row, in some tens of microseconds."""

import operator
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from clew.clock import to_micros
from clew.definitions import FeaturesDefinition, WindowsDefinition, from_document
from clew.errors import ClewError, Invalid
from clew.feature_store.bounds import limits_of
from clew.feature_store.evaluation import micros_of
from clew.feature_store.functions import ViewFunction, apply_to_request, request_frame_schema
from clew.feature_store.online import News, OnlineStore, Wanted, not_filled, view_key
from clew.feature_store.online_rows import OnlineRows
from clew.feature_store.recent import RecentEvents, Value
from clew.feature_store.schema import UsedView
from clew.feature_store.windows import WindowFunction

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FeatureReader", "Features", "ViewReading", "asked_too_early", "check_range", "stored_views"]

_MAX_ENTITIES = 100_000
_NAN = float("nan")
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class ViewReading:
    """What one view answered: of which version, and for which of the rows it had nothing of its own to say.

    Rows that are ``early``, which are ``missing`` too, asked about a time of which the store does not keep all: what would need it is NaN.
    """

    view: str
    number: int
    missing: tuple[bool, ...]
    early: tuple[bool, ...] = ()

    def names(self, place: int) -> list[str]:
        """What an answer lists as missing for a row; nothing where the view had something to say."""
        if not self.missing[place]:
            return []
        return [self.view, asked_too_early(self.view)] if self.early and self.early[place] else [self.view]


def asked_too_early(view: str) -> str:
    """What is listed beside a view that was asked about a time before its online rows: its NaN is no word about the data."""
    return f"{view} (before its online rows)"


@dataclass(frozen=True, slots=True)
class Features:
    """``matrix`` is float32 of shape ``(n_rows, n_features)``, NaN where there is no value; ``names`` are its columns."""

    matrix: npt.NDArray[np.float32]
    names: tuple[str, ...]
    views: tuple[ViewReading, ...]
    times: tuple[int, ...]
    """The rows' event times in microseconds."""


def check_range(values: "npt.NDArray[np.float64]", names: Sequence[str], of: str = "") -> None:
    """Raise ``Invalid`` for a finite value that a float32 can't hold, naming its row, from 0, and its column ``(n_rows, n_names)``."""
    beyond = np.isfinite(values) & (np.abs(values) > _LARGEST)
    if beyond.any():
        row, place = (int(one) for one in np.argwhere(beyond)[0])
        raise Invalid(
            f"row {row}: {names[place]!r}{of} is {values[row, place]:g}, more than a feature holds: they are float32, up to {_LARGEST:.4g}",
            row=row,
            field=names[place],
        )


class FeatureReader:
    """Reads the features of requests for one model version: the views of its training set, in their order.

    Thread-safe. It holds the entities that were asked about in memory and asks the store what is new of them, so an answer holds
    every event whose push has returned. All views of all rows of a request are asked about at once. ``functions`` are those of the
    request's views, by view.
    """

    def __init__(
        self, views: Sequence[UsedView], store: OnlineStore, *, project: str, time: str, functions: Mapping[str, ViewFunction] | None = None
    ) -> None:
        self.names = tuple(name for use in views for name in use.columns)
        self.time = time
        self._store = store
        self._lock = threading.Lock()
        self._stored: dict[int, _StoredView] = {}
        self._views = tuple(views)
        for use in (*views, *(one for parent in views for one in parent.inputs)):
            if use.details.kind != "request":
                self._stored[id(use)] = _StoredView(use, project)
        self._limits = limits_of(views)
        self._limits_of_taken = {id(one): limits_of([one]) for parent in views for one in parent.inputs}
        self._functions = dict(functions or {})
        self._schemas: dict[str, dict[str, pl.DataType]] = {}
        for use in views:
            definition = from_document(use.details.definition)
            if isinstance(definition, FeaturesDefinition) and use.details.kind == "request":
                if use.view not in self._functions:
                    raise Invalid(f"the function of {use.view} is not at hand; serving needs the source of the version that it serves")
                self._schemas[use.view] = request_frame_schema(definition)
        fields = {time: "event time"}
        for stored in self._stored.values():
            fields = dict.fromkeys(stored.fields, f"entity of {stored.view}") | fields
        for view, schema in self._schemas.items():
            fields = dict.fromkeys(schema, f"field of {view}") | fields
        self.fields = fields
        """What a request must name, and what for."""

    def read(self, rows: Sequence[Mapping[str, Any]]) -> Features:
        """The features of some requests, flat rows as JSON has them. Raises ``Invalid`` naming row (from 1) and field.

        Raises ``OutOfBounds`` with view, column, value and bounds where a feature breaks those that its view declares, also one that only
        a view of the request takes; its rows count from 0, as do those of the ``Invalid`` for a computed feature beyond float32.

        Raises ``Unavailable`` while the store does not answer, or lacks the rows of a view.
        """
        times = [self._time_of(row, place) for place, row in enumerate(rows, 1)]
        asked = [(identity, stored, stored.entities_of(rows)) for identity, stored in self._stored.items()]
        with self._lock:
            wanted = [(stored, one) for _, stored, entities in asked for one in stored.wanted(entities, times)]
            news = self._store.news([one for _, one in wanted])
            for (stored, one), new in zip(wanted, news, strict=True):
                stored.take(one, new)
            answers = {identity: stored.answer(entities, times) for identity, stored, entities in asked}
        nothing = (False,) * len(rows)
        matrix = np.empty((len(rows), len(self.names)), np.float32)
        readings, at = [], 0
        for use in self._views:
            width = len(use.columns)
            if width:
                if id(use) in answers:
                    values, missing, early = answers[id(use)]
                    matrix[:, at : at + width] = values
                else:
                    computed = self._compute(use, rows, answers)
                    check_range(computed, use.columns, f" of {use.view}")
                    matrix[:, at : at + width] = computed
                    missing = early = nothing
                    for taken in use.inputs:
                        if any(answers[id(taken)][2]):  # the function may make anything of a NaN, even a number
                            missing = early = tuple(map(operator.or_, early, answers[id(taken)][2]))
                            matrix[np.array(early), at : at + width] = _NAN
                at += width
                readings.append(ViewReading(use.view, use.number, missing, early))
        self._limits.check(matrix)
        return Features(matrix, self.names, tuple(readings), tuple(times))

    def hindrances(self) -> list[str]:
        """What keeps the reader from answering just now, in words; empty where nothing does."""
        try:
            for stored in self._stored.values():
                progress = self._store.progress(stored.key)
                if progress is None or not progress.current:
                    raise not_filled(stored.key)
        except ClewError as error:
            return [error.message]
        return []

    def _time_of(self, row: Mapping[str, Any], place: int) -> int:
        for field, what in self.fields.items():
            if field not in row:
                raise Invalid(f"row {place} lacks {field!r}, the {what}; give null where there is no value", row=place, field=field)
        try:
            return _instant(row[self.time])
        except (TypeError, ValueError, OverflowError, Invalid) as error:
            raise Invalid(
                f"row {place}: {self.time!r} is {row[self.time]!r}, and must be a time with its offset, such as 2013-04-01T09:00:00-04:00",
                row=place,
                field=self.time,
            ) from error

    def _compute(self, use: UsedView, rows: Sequence[Mapping[str, Any]], answers: "Mapping[int, _Answers]") -> "npt.NDArray[np.float64]":
        import polars as pl

        definition = from_document(use.details.definition)
        assert isinstance(definition, FeaturesDefinition)  # a view of the request is one
        request = _frame(use.view, rows, self._schemas[use.view])
        stored = []
        for one in use.inputs:
            names = [column.name for column in one.details.columns]
            values = np.array(answers[id(one)][0], np.float64).reshape(-1, len(names))
            self._limits_of_taken[id(one)].check(values)
            stored.append(pl.DataFrame(values, schema=names).fill_nan(None))
        made = apply_to_request(definition, self._functions[use.view], stored, request)
        # Not by an expression, which would be a query of its own and cost more than the function.
        return np.column_stack([np.array(made[column.name].to_numpy(), np.float64) for column in use.details.columns])


_Answers = tuple[list[list[float]], tuple[bool, ...], tuple[bool, ...]]
"""Of some rows: the features, which were missing, and which of those asked too early."""


class _StoredView:
    """One view's entities in memory, kept up with the store."""

    def __init__(self, use: UsedView, project: str) -> None:
        details = use.details
        self.view = use.view
        self.online = OnlineRows(details)
        self.fields = tuple(use.by[one.name] for one in details.entity)
        self.key = view_key(project, use.view, details.online_key)
        self._held: dict[bytes, _Held] = {}
        self._complete_from: int | None = None  # for entities that the store does not know
        self._width = len(details.columns)
        definition = from_document(details.definition)
        self._spans: list[tuple[int, list[tuple[WindowFunction, int]]]] = []
        self._reach: int | None = None
        self._ttl: int | None = None
        missing = getattr(definition, "missing", None)
        self._hold = missing == "hold"
        self._fill = float(missing) if missing is not None and not self._hold else _NAN
        if isinstance(definition, WindowsDefinition):
            place = {name: number for number, name in enumerate(self.online.values)}
            wanted = [(one.function, place.get(one.column or "", 0)) for one in definition.aggregates.values()]
            self._spans = [(micros_of(span), wanted) for span in definition.over]
            self._empty = [0.0 if one.function in ("count", "sum") else self._fill for one in definition.aggregates.values()] * len(
                definition.over
            )
            self._reach = max(width for width, _ in self._spans)
        else:
            self._empty = [self._fill] * self._width
            self._ttl = micros_of(definition.ttl) if isinstance(definition, FeaturesDefinition) and definition.ttl else None
            self._reach = None if self._hold or self._ttl is None else self._ttl + 1

    def entities_of(self, rows: Sequence[Mapping[str, Any]]) -> list[bytes | None]:
        """The rows' entities. Raises ``Invalid`` naming the row whose fields can't name one."""
        return [self._entity_of(row, place) for place, row in enumerate(rows, 1)]

    def wanted(self, entities: Sequence[bytes | None], times: Sequence[int]) -> list[Wanted]:
        """What to ask the store about each entity, so that all these times can be answered."""
        earliest: dict[bytes, int] = {}
        for entity, time in zip(entities, times, strict=True):
            if entity is not None:
                earliest[entity] = min(time, earliest.get(entity, time))
        if len(self._held) + len(earliest) > _MAX_ENTITIES:
            self._held.clear()
        return [self._wanted(entity, time) for entity, time in earliest.items()]

    def _wanted(self, entity: bytes, time: int) -> Wanted:
        # A request of the past may follow one of the present, so a little more is loaded than this one needs.
        since = None if self._reach is None else time - 2 * self._reach
        held = self._held.get(entity)
        if held is None or not held.reaches(None if self._reach is None else time - self._reach):
            return Wanted(self.key, entity, since)
        return Wanted(self.key, entity, since, held.state, held.since if held.newest is None else held.newest)

    def take(self, wanted: Wanted, news: News) -> None:
        """Bring an entity in memory up to what the store has of it."""
        if not news.state:  # the store doesn't know it; kept in memory, made-up names would push out the others
            self._held.pop(wanted.entity, None)
            self._complete_from = news.complete_from
            return
        if news.anew:
            self._held[wanted.entity] = _Held(RecentEvents(self.online.whole), b"", None, set(), wanted.since)
        held = self._held[wanted.entity]
        held.complete_from = news.complete_from
        for event in news.events:
            if event.position in held.at_newest:
                continue
            if event.time != held.newest:
                held.newest = event.time
                held.at_newest.clear()
            held.at_newest.add(event.position)
            known, values = self.online.unpack(event.payload)
            held.recent.add(event.time, known, values)
        held.state = news.state
        if self._reach is None or wanted.since is None or len(held.recent) <= 64:
            return
        if (held.recent.first_time or 0) < wanted.since - 2 * self._reach:
            held.since = wanted.since
            held.recent.forget_before(wanted.since)

    def answer(self, entities: Sequence[bytes | None], times: Sequence[int]) -> _Answers:
        """The features of each entity at its time, for which rows there were none, and which of these asked too early."""
        values, missing, early = [], [], []
        for entity, time in zip(entities, times, strict=True):
            held = None if entity is None else self._held.get(entity)
            found = None if held is None else self._windows(held.recent, time) if self._spans else self._last(held.recent, time)
            complete_from, beyond = self._complete_from if held is None else held.complete_from, False
            if complete_from is not None and self._reach is not None and time - self._reach < complete_from and entity is not None:
                found, beyond = self._as_far_as_known(found, held, time, complete_from)
            values.append(self._empty if found is None else found)
            missing.append(found is None or beyond)
            early.append(beyond)
        return values, tuple(missing), tuple(early)

    def _as_far_as_known(
        self, found: list[float] | None, held: "_Held | None", time: int, complete_from: int
    ) -> tuple[list[float] | None, bool]:
        """What was found, without what would need events from before those that are there, and whether anything would."""
        if not self._spans:
            last = None if held is None else held.recent.last(time)
            if time - (self._ttl or 0) >= complete_from or (last is not None and last[0] >= complete_from):
                return found, False
            return [_NAN] * self._width, True
        answers = self._empty if found is None else found
        width = len(answers) // len(self._spans)
        known = [time - span + 1 >= complete_from for span, _ in self._spans for _ in range(width)]
        if all(known):
            return found, False
        return [value if is_known else _NAN for value, is_known in zip(answers, known, strict=True)], True

    def _entity_of(self, row: Mapping[str, Any], place: int) -> bytes | None:
        try:
            return self.online.entity_bytes([row[field] for field in self.fields])
        except (TypeError, ValueError, AttributeError) as error:
            named = ", ".join(f"{field}={row[field]!r}" for field in self.fields)
            raise Invalid(f"row {place}: {named} can't name the entity of {self.view}: {error}", row=place, field=self.fields[0]) from error

    def _windows(self, recent: RecentEvents, time: int) -> list[float] | None:
        answers: list[Value] = []
        for width, wanted in self._spans:
            answers += recent.window(time, width, wanted)
        if not any(answers) and self._all_empty(recent, time):
            return None
        return [self._fill if answer is None else float(answer) for answer in answers]

    def _all_empty(self, recent: RecentEvents, time: int) -> bool:
        return recent.window(time, self._reach or 0, [("count", 0)]) == [0]

    def _last(self, recent: RecentEvents, time: int) -> list[float] | None:
        found = recent.last(time)
        if found is None or (self._ttl is not None and not self._hold and time - found[0] > self._ttl):
            return None
        return [_NAN if value is None else float(value) for value in found[1]]


@dataclass(slots=True)
class _Held:
    """An entity in memory: as of which state, its newest time and the events at it, and from which time on (``None``: the first)."""

    recent: RecentEvents
    state: bytes
    newest: int | None
    at_newest: set[bytes]
    since: int | None
    complete_from: int | None = None

    def reaches(self, time: int | None) -> bool:
        return self.since is None or (time is not None and self.since <= time)


def stored_views(views: Sequence[UsedView]) -> list[UsedView]:
    """The views that have rows online, those that views of the request take among them, each version once."""
    found = {(use.view, use.number): use for use in views if use.details.kind != "request"}
    for use in views:
        found |= {(one.view, one.number): one for one in use.inputs if one.details.kind != "request"}
    return list(found.values())


def _instant(value: Any) -> int:  # Any: a request's field
    if isinstance(value, str):
        return to_micros(datetime.fromisoformat(value))
    if isinstance(value, datetime):
        return to_micros(value)
    raise TypeError("must be a time")


def _frame(view: str, rows: Sequence[Mapping[str, Any]], schema: "Mapping[str, pl.DataType]") -> "pl.DataFrame":
    """The request's fields in their declared types. Raises ``Invalid`` naming row and field."""
    import polars as pl

    columns = []
    for name, dtype in schema.items():
        values = [row[name] for row in rows]
        try:
            if isinstance(dtype, pl.Datetime):
                instants = pl.Series(name, [None if value is None else _instant(value) for value in values], dtype=pl.Int64)
                zoned = instants.cast(pl.Datetime("us", dtype.time_zone))  # the instant in UTC is what the column holds, in any zone
                columns.append(zoned if dtype.time_unit == "us" else zoned.dt.cast_time_unit(dtype.time_unit))
            elif dtype.is_float():
                columns.append(pl.Series(name, [None if value is None else _number(value) for value in values], dtype=dtype))
            else:
                columns.append(pl.Series(name, values, dtype=dtype, strict=True))
        except (TypeError, ValueError, OverflowError, Invalid, pl.exceptions.PolarsError) as error:
            place = next((number for number, value in enumerate(values, 1) if not _fits(value, dtype)), 1)
            raise Invalid(
                f"row {place}: {name!r} is {values[place - 1]!r}, and {view} takes {dtype} there", row=place, field=name
            ) from error
    return pl.DataFrame(columns)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("must be a number")
    return float(value)


def _fits(value: Any, dtype: "pl.DataType") -> bool:
    import polars as pl

    if value is None:
        return True
    try:
        if isinstance(dtype, pl.Datetime):
            _instant(value)
        elif dtype.is_float():
            _number(value)
        else:
            pl.Series([value], dtype=dtype, strict=True)
    except (TypeError, ValueError, OverflowError, Invalid, pl.exceptions.PolarsError):
        return False
    return True
