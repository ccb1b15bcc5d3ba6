"""Every operation, asked what nobody should ask: whatever is sent, the answer is the sender's to mend, never a failure of the server."""

import asyncio
import base64
import dataclasses
import inspect
import json
import sys
import types
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints
from urllib.parse import quote

import httpx
import msgspec
import numpy as np
import pytest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

sys.path.insert(0, str(Path(__file__).parents[1] / "feature_store"))  # pytest imports test files by path, and this one by name

from small_airline import LANDINGS, SCHEDULE, START, WEATHER, Airline, flights, landing_rows, schedule_rows, weather_rows

import clew
from clew import backend as backends
from clew.backend import LocalBackend
from clew.catalog import service as catalog
from clew.feature_store.reading import load_training_data
from clew.feature_store.schema import training_set_details
from clew.feature_store.service import push_rows
from clew.identifiers import new_id
from clew.operations import Operation, load_all
from clew.registry.saving import save_model
from clew.registry.schema import ModelDetails
from clew.registry.service import register_model
from clew.server.app import build_app
from clew.server.routes import PREFIX
from clew.serving.service import deploy_ungated
from clew.tracking.frames import OUTPUT, POINT, Kind, frame

pytestmark = pytest.mark.timeout(600)  # thousands of requests; about a minute a test on two cores that are free

DEEP, DEEPER = "a list nested 300 deep", "a list nested 50,000 deep"
HUGE, BROKEN, NAN = "a number of 5,000 digits", "bytes that are no UTF-8", "no number"
WRITTEN = {
    DEEP: b"[" * 300 + b"]" * 300, DEEPER: b"[" * 50_000 + b"]" * 50_000, HUGE: b"1" * 5_000, BROKEN: b'"\xff\xed\xa0\x80"', NAN: b"NaN",
}  # fmt: skip
"""Stand-ins for what ``json.dumps`` does not write."""
LONG = "x" * 20_000
HOSTILE: list[Any] = [
    None, True, -1, 2**31, 2**53, 2**63, -(2**63) - 1, 2**64, 10**400, HUGE, NAN, 1e308, "", " ", "\x00", "a\x00b", "\ud800", "é\U0001f600", LONG, [], {},
    [None], {"\x00": "\ud800"}, {LONG: LONG}, DEEP, DEEPER, BROKEN, "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "2013-01-01T00:00:00", "sha256:0", "../../x",
    "late@99999999999999999999", "late@\x00", "a@b@c:d", "0", "1e999", "-0", "Datetime(", "'",
]  # fmt: skip
"""Values of wrong types, out of any column's range, that no text column takes, or that no parser should follow to the end."""

NAMES = {
    "datasets": "schedule",
    "features": "pace",
    "models": "late",
    "endpoints": "late",
    "training_sets": "training",
    "assets": "schedule",
}


class Listening(LocalBackend):
    """Remembers with what each operation was called last."""

    def __init__(self, backend: LocalBackend) -> None:
        super().__init__(backend.settings)
        self.heard: dict[str, dict[str, Any]] = {}

    def run(self, operation: Operation, values: dict[str, Any], **options: Any) -> Any:
        self.heard[operation.name] = msgspec.to_builtins(values)
        return super().run(operation, values, **options)


@pytest.fixture
def world(backend: LocalBackend) -> Iterator[Listening]:
    """A project with something of every kind, so that a request is read to its end and not turned away at *not found*."""
    listening = Listening(backend)
    backends.use(listening)
    frame = flights(60)
    airline = Airline(listening, frame, START + timedelta(days=3))
    airline.ingest(SCHEDULE, schedule_rows(frame[:50]))
    airline.ingest(SCHEDULE, schedule_rows(frame[50:59]))
    airline.ingest(LANDINGS, landing_rows(frame))
    airline.ingest(WEATHER, weather_rows(48))
    training = airline.build().ref
    data = load_training_data(listening, training.name, training.number, "train")
    details = training_set_details(listening.call(catalog.get_version, training.name, training.number))
    model = make_pipeline(SimpleImputer(keep_empty_features=True), LogisticRegression(max_iter=2_000))
    saved = save_model(listening, model.fit(data.X.to_numpy(), np.asarray(data.y).astype(int)), data.X)
    made = ModelDetails(
        training, details.views, saved.signature, saved.flavor, saved.files, saved.onnx, saved.verification, "recipe", {}, {}, details.time_min,
        details.time_max, details.time_max,
    )  # fmt: skip
    listening.call(register_model, "late", "sha256:" + "d" * 64, saved.files, "a test", made)
    listening.call(deploy_ungated, "late", "late@1", "a test")
    listening.call(push_rows, "schedule", schedule_rows(frame[59:]).to_dicts())
    with clew.run("tried", params={"rate": 0.1}, capture=False) as run:
        run.log(loss=0.3, step=1)
    listening.heard["tracking.get_run"] = {"run_id": run.id}
    yield listening
    backends.use(None)
    listening.dispose()


def example(kind: Any) -> Any:  # Any: a type expression
    """A plain value that an annotation accepts."""
    origin, arguments = get_origin(kind), get_args(kind)
    if type(None) in arguments:
        return None
    if origin in (Union, types.UnionType):
        return example(arguments[0])
    if origin is Literal:
        return arguments[0]
    if origin in (list, tuple) or "Sequence" in str(origin):
        return [example(arguments[0])]
    if origin is dict:
        return {"x": example(arguments[1])}
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return {field.name: example(hints[field.name]) for field in dataclasses.fields(kind)}
    plain = {str: "x", int: 1, float: 1.0, bool: False, bytes: "AAAA", type(None): None, datetime: "2013-03-01T00:00:00Z"}
    return plain.get(kind, 1)


def valid(operation: Operation, heard: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Arguments that the operation can do something with: those of a call that was made, where there was one."""
    if operation.name in heard:
        return heard[operation.name]
    fixed = {
        "name": NAMES.get(operation.path.split("/")[3] if operation.path.count("/") > 2 else "", "x"),
        "number": 1,
        "asset": "schedule",
    }
    fixed |= {"model": "late", "reference": "late@1", "base": 1, "target": 1, "epoch": 1, **heard["tracking.get_run"]}
    return {
        name: fixed.get(name, example(kind)) for name, (kind, default) in operation.parameters.items() if default is inspect.Parameter.empty
    }


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The address of every value inside a document, from the whole inwards."""
    if at:
        yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*at, key))


def changed(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = changed(copy[at[0]], at[1:], new)
    return copy


def in_address(value: Any) -> str:
    """As a part of an address; half a character goes as the bytes that it would have."""
    text = value if isinstance(value, str) else json.dumps(value)
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def request_of(operation: Operation, values: dict[str, Any]) -> tuple[str, str, bytes]:
    rest, path = dict(values), operation.path.replace("{project}", "test")
    for name in operation.path_parameters:
        if name != "project":
            path = path.replace(f"{{{name}}}", in_address(rest.pop(name)))
    if operation.method == "GET":
        query = "&".join(f"{name}={in_address(value)}" for name, value in rest.items() if value is not None)
        return operation.method, f"{PREFIX}{path}?{query}", b""
    return operation.method, PREFIX + path, written(rest)


def written(document: Any) -> bytes:
    """The document as JSON, with what stands for worse than JSON in place."""
    body = json.dumps(document).encode()
    for word, real in WRITTEN.items():
        body = body.replace(json.dumps(word).encode(), real)
    return body


def spread(everywhere: list[tuple[Any, ...]]) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Each place with each hostile value; in a document of many places each with some, so that every value comes often."""
    step = 1 + len(everywhere) // 6
    for index, at in enumerate(everywhere):
        yield from ((at, hostile) for hostile in HOSTILE[index % step :: step])


def bad_requests(operation: Operation, heard: dict[str, dict[str, Any]]) -> Iterator[tuple[str, str, bytes]]:
    values = valid(operation, heard)
    yield request_of(operation, values)
    everywhere = [*places(values), *((name,) for name in operation.parameters if name not in values)]
    for at, hostile in spread(everywhere):
        yield request_of(operation, changed({at[0]: None} | values, at, hostile))


def client_of(backend: LocalBackend) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(build_app(backend), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1")


async def failures(backend: Listening) -> list[str]:
    found, heard = [], dict(backend.heard)
    async with client_of(backend) as client:
        for operation in load_all():
            for method, address, body in bad_requests(operation, heard):
                answer = await client.request(method, address, content=body, headers={"idempotency-key": new_id("key")})
                if answer.status_code >= 500:
                    found.append(f"{operation.name}: {address[:150]!r} {body[:300]!r} -> {answer.status_code} {answer.text[:400]}")
    return found


def test_no_operation_fails_by_what_it_is_asked(world: Listening) -> None:
    assert asyncio.run(failures(world)) == []


def tampered(cursor: str) -> Iterator[str]:
    """A cursor that a list gave, with each of its values changed or missing, and its text cut and spoilt."""
    yield from (cursor[:-1], cursor[1:], cursor + "A", cursor + "=", cursor.swapcase(), cursor * 100, "", "{}", "null")
    position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    bad = [*HOSTILE, {"a": 1}, 0.5, "9" * 400, "2013-03-01", ["x"]]
    bad = [value for value in bad if len(written(value)) < 40_000]  # a client builds no longer address
    for document in [
        *(changed(position, at, hostile) for at in places(position) for hostile in bad),
        {},
        [],
        None,
        {**position, "more": 1},
    ]:
        yield base64.urlsafe_b64encode(written(document)).decode().rstrip("=")
    for name in position:
        kept = {other: value for other, value in position.items() if other != name}
        yield base64.urlsafe_b64encode(json.dumps(kept).encode()).decode().rstrip("=")


def test_a_cursor_that_was_tampered_with_is_refused_or_gives_a_page_of_the_same_list(world: Listening) -> None:
    with clew.run("another", capture=False):
        pass
    lists = [item for item in load_all() if "cursor" in item.parameters]

    async def read() -> tuple[list[str], list[str]]:
        found, turned = [], []
        async with client_of(world) as client:
            for operation in lists:
                _, address, _ = request_of(operation, valid(operation, world.heard) | {"limit": 1})
                cursor = (await client.get(address)).json().get("next_cursor")
                if cursor is None:
                    continue
                turned.append(operation.name)
                for bad in tampered(cursor):
                    answer = await client.get(f"{address}&cursor={in_address(bad)}")
                    if answer.status_code not in (200, 400):
                        found.append(f"{operation.name} {bad!r:.200} -> {answer.status_code} {answer.text[:300]}")
        return found, turned

    found, turned = asyncio.run(read())
    assert found == []
    assert {"catalog.list_assets", "catalog.list_versions", "tracking.list_runs"} <= set(turned)


# ── the frames of a journal ─────────────────────────────────────────────────────────────────────────────────────────────────────────

AT = "2013-03-01T00:00:00Z"
DOCUMENTS: dict[Kind, dict[str, Any]] = {
    Kind.START: {"started_at": AT, "title": "t", "experiment": "e", "parent": None, "seed": 1},
    Kind.PARAMS: {"a": 1},
    Kind.TAGS: {"a": "b"},
    Kind.ARTIFACT: {"name": "a.txt", "digest": "sha256:" + "0" * 64, "size_bytes": 1, "at": AT},
    Kind.FACTS: {"git": {"commit": "a"}},
    Kind.END: {"status": "finished", "ended_at": AT, "error": None},
}
RAW = [
    *(frame(Kind.NAME, name) for name in (b"", b"\0", b"\xff", b"x" * 251, b"loss")),
    *(frame(Kind.OUTPUT, content) for content in (b"", b"\x09" * 30, OUTPUT.pack(1, 2**64 - 1, 0), OUTPUT.pack(1, 0, -1), OUTPUT.pack(1, 0, 2**62))),
    *(frame(Kind.NAME, b"loss") + frame(Kind.POINT, POINT.pack(*point)) for point in (
        (7, 0, 0, 1.0), (0, 2**63 - 1, 0, 1.0), (0, -(2**63), 0, 1.0), (0, 0, -1, 1.0), (0, 0, 2**62, 1.0), (0, 0, 0, float("nan")), (0, 0, 0, 1e308))),
    frame(Kind.POINT, b"short"), b"\0" * 100, b"no frame at all", frame(Kind.PARAMS, b"[]"), frame(Kind.PARAMS, b""),
]  # fmt: skip


def bad_frames() -> Iterator[bytes]:
    yield from RAW
    for kind, document in DOCUMENTS.items():
        many = {f"p{number}": number for number in range(70_000)}
        yield frame(kind, json.dumps(many).encode())
        for at, hostile in spread(list(places(document))):
            yield frame(kind, written(changed(document, at, hostile)))


def test_no_frame_fails_the_server(backend: LocalBackend) -> None:
    begin = frame(Kind.START, json.dumps(DOCUMENTS[Kind.START]).encode())

    async def send() -> list[str]:
        found = []
        async with client_of(backend) as client:
            for number, content in enumerate(bad_frames()):
                run = f"{PREFIX}/projects/test/runs/run_{number}"
                body = {"writer": f"writer_{number}", "offset": 0, "frames": base64.b64encode(begin + content).decode()}
                answers = [await client.post(f"{run}/frames", json=body)]
                if answers[0].is_success:
                    answers += [await client.get(run + part) for part in ("", "/series?names=loss", "/log")]
                found += [f"{content[:200]!r} -> {answer.url} {answer.text[:300]}" for answer in answers if answer.status_code >= 500]
        return found

    assert asyncio.run(send()) == []
