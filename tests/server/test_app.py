"""Requests good and bad against a real server: what gets an answer, what gets a reason, and that it goes on serving."""

import json
import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import polars as pl
import pytest

from clew.access import service as access
from clew.backend import HttpBackend
from clew.catalog import service as catalog
from clew.catalog.schema import DefinitionDraft
from clew.errors import ClewError, Invalid, NotFound
from clew.storage.tables import Tables
from clew.testing.server import LiveServer, live_server

PROJECT = "/api/v1/projects/test"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("server"), "--no-serving") as found:
        yield found


@pytest.fixture(scope="module")
def client(server: LiveServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as found:
        yield found


@pytest.fixture(scope="module")
def backend(server: LiveServer) -> HttpBackend:
    return server.backend()


def error_of(answer: httpx.Response) -> dict[str, object]:
    found: dict[str, object] = answer.json()["error"]
    return found


def test_an_operation_gives_the_same_over_http(backend: HttpBackend) -> None:
    result = backend.call(
        catalog.apply_definitions,
        [DefinitionDraft(kind="dataset", name="landings", document={"key": ["flight"]}, digest="sha256:a")],
        source=None,
    )
    assert [change.change for change in result.changes] == ["added"]
    assert backend.call(catalog.get_definition, "dataset", "landings").document == {"key": ["flight"]}


def test_an_error_arrives_as_the_class_that_was_raised(backend: HttpBackend) -> None:
    with pytest.raises(NotFound, match="no dataset 'nothing' is defined"):
        backend.call(catalog.get_definition, "dataset", "nothing")


def test_an_instant_keeps_its_zone_on_the_way(backend: HttpBackend) -> None:
    backend.call(access.create_project, "replayed", clock="replay", event_time=datetime(2013, 4, 1, tzinfo=UTC))
    found = next(item for item in backend.call(access.list_projects).items if item.slug == "replayed")
    assert found.event_time == datetime(2013, 4, 1, tzinfo=UTC)


def test_a_lost_answer_is_not_a_second_effect(client: httpx.Client) -> None:
    send = {"url": "/api/v1/projects", "json": {"slug": "once"}, "headers": {"idempotency-key": "key_lost_answer"}}
    first, again = client.post(**send), client.post(**send)  # type: ignore[arg-type]
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()


@pytest.mark.parametrize("body", ["{bad", "[1, 2]", '"text"', "[" * 100_000, '{"slug": "a"', "\x00", '{"slug": NaN}'])
def test_a_malformed_body_is_a_400_that_says_what_is_wrong(client: httpx.Client, body: str) -> None:
    answer = client.post("/api/v1/projects", content=body)
    assert answer.status_code == 400
    assert error_of(answer)["code"] == "invalid"
    assert "body" in str(error_of(answer)["message"])


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "needs 'slug'"),
        ({"slug": 7}, "slug"),
        ({"slug": "ok", "colour": "red"}, "no parameter 'colour'"),
        ({"slug": "not a slug"}, "can't be a project"),
        ({"slug": "r", "clock": "replay", "event_time": "yesterday"}, "event_time"),
        ({"slug": "r", "clock": "sideways"}, "clock"),
    ],
)
def test_a_wrong_value_is_named(client: httpx.Client, body: dict[str, object], word: str) -> None:
    answer = client.post("/api/v1/projects", json=body)
    assert answer.status_code == 400
    assert word in str(error_of(answer)["message"])


@pytest.mark.parametrize(
    ("path", "word"),
    [("/api/v1/nothing", "openapi.json"), (f"{PROJECT}x/assets", "no project is named"), (f"{PROJECT}/blobs/sha256:0", "no blob")],
)
def test_what_is_not_there_is_a_404_that_says_where_to_look(client: httpx.Client, path: str, word: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert word in str(error_of(answer)["message"])


def test_who_asks_the_api_for_a_prediction_is_told_where_endpoints_answer(client: httpx.Client, server: LiveServer) -> None:
    answer = client.post("/endpoints/late/predict", json={"rows": []})
    assert answer.status_code == 503
    assert "clew serve" in str(error_of(answer)["message"])
    note = {"pid": os.getpid(), "host": "127.0.0.1", "port": 7451}
    (server.home / "serving.json").write_text(json.dumps(note))
    for path in ("/endpoints/late/predict", "/v2/models/late/infer"):
        answer = client.post(path, json={"rows": []})
        assert answer.status_code == 404
        assert f"endpoints answer at http://127.0.0.1:7451: POST http://127.0.0.1:7451{path}" in str(error_of(answer)["message"])
    (server.home / "serving.json").unlink()


def test_a_wrong_method_is_a_405(client: httpx.Client) -> None:
    assert client.delete("/api/v1/projects").status_code == 405


def test_an_unknown_query_parameter_is_named(client: httpx.Client) -> None:
    answer = client.get(f"{PROJECT}/events", params={"lmit": 3})
    assert answer.status_code == 400
    assert "lmit" in str(error_of(answer)["message"])


def test_a_body_of_100_mb_is_a_413_and_the_server_goes_on(client: httpx.Client) -> None:
    answer = client.post("/api/v1/projects", content=b"x" * 100_000_000)
    assert answer.status_code == 413
    assert error_of(answer)["code"] == "too_large"
    assert client.get("/healthz").status_code == 200


def test_a_body_that_hides_its_length_is_a_413_too(client: httpx.Client) -> None:
    answer = client.post("/api/v1/projects", content=(b"x" * 1_000_000 for _ in range(50)))
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example"},
        {"host": ""},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://localhost:1"},
    ],
)
def test_a_foreign_page_is_refused(client: httpx.Client, headers: dict[str, str]) -> None:
    answer = client.get("/api/v1/projects", headers=headers)
    assert answer.status_code == 403
    assert error_of(answer)["code"] == "forbidden"


def test_the_own_page_is_not_foreign(client: httpx.Client, server: LiveServer) -> None:
    assert client.get("/api/v1/projects", headers={"origin": server.url}).status_code == 200


def test_noise_on_the_socket_does_not_stop_the_server(client: httpx.Client, server: LiveServer) -> None:
    port = int(server.url.rpartition(":")[2])
    for noise in (
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /api/v1/projects HTTP/1.1\r\nContent-Length: 10\r\n\r\n{",
        b"",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
            line.sendall(noise)
    assert client.get("/healthz").status_code == 200


def test_a_blob_comes_back_as_it_went(backend: HttpBackend, client: httpx.Client) -> None:
    blob = backend.upload(b"clew" * 1_000)
    assert backend.download(blob.digest).read_bytes() == b"clew" * 1_000
    part = client.get(f"{PROJECT}/blobs/{blob.digest}", headers={"range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"clew")


def test_a_blob_is_read_only_through_the_project_that_owns_it(backend: HttpBackend, client: httpx.Client) -> None:
    blob = backend.upload(b"mine")
    backend.call(access.create_project, "other")
    assert client.get(f"/api/v1/projects/other/blobs/{blob.digest}").status_code == 404


def test_an_uploaded_page_can_not_run_in_the_browser(backend: HttpBackend, client: httpx.Client) -> None:
    blob = backend.upload(b"<script>alert(1)</script>")
    answer = client.get(f"{PROJECT}/blobs/{blob.digest}", params={"name": "report.html"})
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_table_version_comes_with_its_zones(server: LiveServer, backend: HttpBackend) -> None:
    instants = pl.Series("at", [datetime(2013, 3, 10, 7, tzinfo=UTC)]).dt.convert_time_zone("America/New_York")
    pin = Tables(server.settings.storage_url).append("test/datasets/landings", pl.DataFrame([instants]), expected_head=None)
    assert backend.scan(pin).collect()["at"].dtype == pl.Datetime("us", "America/New_York")


def test_another_projects_table_is_not_there(client: httpx.Client) -> None:
    assert client.get(f"{PROJECT}/tables/other/datasets/landings/0").status_code == 404


def test_events_arrive_live_and_from_where_one_left_off(server: LiveServer, backend: HttpBackend) -> None:
    def follow(after: str) -> tuple[list[str], httpx.Response]:
        with httpx.stream("GET", f"{server.url}{PROJECT}/live", params={"after": after}, timeout=10) as stream:
            lines = stream.iter_lines()
            backend.call(catalog.apply_definitions, [DefinitionDraft(kind="dataset", name=f"d{after}", document={}, digest="sha256:b")])
            found = []
            for line in lines:
                found.append(line)
                if line.startswith("data:") and f'"d{after}"' in line:
                    return found, stream
        raise AssertionError(found)

    follow("0")
    lines, _ = follow("1")
    sequences = [int(line[4:]) for line in lines if line.startswith("id: ")]
    assert sequences == sorted(set(sequences))
    assert sequences[0] == 2, "the first event was seen already"


def test_another_processes_write_is_announced(server: LiveServer) -> None:
    from clew.backend import LocalBackend

    script = LocalBackend(server.settings)
    with httpx.stream("GET", f"{server.url}{PROJECT}/live", timeout=10) as stream:
        lines = stream.iter_lines()
        next(line for line in lines if line.startswith("event: changed"))
        script.call(access.create_project, "made_by_a_script")
        assert next(line for line in lines if line.startswith("event: changed"))
    script.dispose()


def test_the_openapi_document_describes_every_operation(client: httpx.Client) -> None:
    document = client.get("/api/v1/openapi.json").json()
    entry = document["paths"]["/api/v1/projects"]["post"]
    assert entry["operationId"] == "access.create_project"
    assert entry["requestBody"]["content"]["application/json"]["schema"]["required"] == ["slug"]
    text = json.dumps(document)
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= set(document["components"]["schemas"])


def test_figures_and_health_are_there(client: httpx.Client) -> None:
    client.get("/api/v1/projects")
    assert 'clew_requests_total{operation="access.list_projects",status="200"}' in client.get("/metrics").text
    assert client.get("/readyz").json() == {"ready": True, "missing": []}
    assert client.get("/api/v1/server").json()["project"] == "test"


def test_every_address_that_is_no_api_is_the_page(client: httpx.Client) -> None:
    answer = client.get("/runs/run_1")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["x-frame-options"] == "DENY"


def test_a_path_can_not_climb_out_of_the_pages_folder(server: LiveServer) -> None:
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
        line.sendall(b"GET /../../../../../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: line.recv(65_536), b""))
    assert b"root:" not in answer


def raw(server: LiveServer, request: bytes) -> int:
    """The status of the answer to bytes that no client library would send; 0 when the connection was closed without one."""
    port = int(server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as line:
        line.sendall(request)
        answer = b"".join(iter(lambda: line.recv(65_536), b""))
    return int(answer.split(b" ", 2)[1]) if answer else 0


@pytest.mark.parametrize(
    "target",
    [
        b"/api/v1/projects/%FF%FE", b"/api/v1/projects/\xff\xfe", b"/api/v1/projects/%", b"/api/v1/projects/%zz", b"/api/v1/projects/%00",
        b"/api/v1/projects/%ED%A0%80", b"/api/v1/projects/test%2Fassets", b"/api/v1/projects/test/assets?limit=%FF", b"/api/v1/projects/test/assets?%",
        b"/api/v1/projects/test/blobs/%00", b"/api/v1/projects/test/blobs/sha256:" + b"0" * 64 + b"?name=%00%0d%0aset-cookie:x", b"/%00", b"/%FF", b"/..%2f..%2fetc%2fpasswd",
        b"/api/v1/projects/test/tables/test%2F%00/0", b"/api/v1/projects/test/tables/test/../x/99999999999999999999", b"/" + b"x" * 60_000,
        b"/api/v1/projects/test/live?after=%FF", b"/api/v1/projects/test/live?after=99999999999999999999999", b"/api/v1/projects/%00/live", b"*", b"//", b"http://[/",
    ],
)  # fmt: skip
def test_an_address_that_can_not_be_is_no_failure_of_the_server(server: LiveServer, client: httpx.Client, target: bytes) -> None:
    for method in (b"GET", b"PUT"):
        if method == b"GET" and b"/live?after=" in target:
            continue  # a stream without an end
        request = method + b" " + target + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        assert 0 < raw(server, request) < 500
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        b"Host: [bad", b"Host: 127.0.0.1:port", b"Origin: http://[", b"Origin: \xff", b"Cookie: \xff=\x80; =;", b"Idempotency-Key: \xff\xfe",
        b"Idempotency-Key: " + b"x" * 65, b"Idempotency-Key:", b"Content-Type: application/xml", b"Content-Encoding: gzip", b"Authorization: \xff",
        b"Last-Event-ID: x", b"Range: bytes=9999999999999999999999-",
    ],
)  # fmt: skip
def test_a_header_that_can_not_be_is_no_failure_of_the_server(server: LiveServer, client: httpx.Client, header: bytes) -> None:
    host = b"" if header.startswith(b"Host") else b"Host: 127.0.0.1\r\n"
    request = b"POST /api/v1/projects HTTP/1.1\r\n" + host + header + b"\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
    assert 0 < raw(server, request) < 500
    assert client.get("/healthz").status_code == 200


def test_the_live_stream_refuses_a_number_that_is_none(client: httpx.Client) -> None:
    for after in ("x", "9" * 30, "-1", "\x00"):
        with client.stream("GET", f"{PROJECT}/live", params={"after": after}) as answer:
            assert answer.status_code in (200, 400)


def test_the_log_is_one_json_object_a_line(server: LiveServer, client: httpx.Client) -> None:
    client.get(f"{PROJECT}/assets")
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line.startswith("{")]
    assert any(line["message"] == f"GET {PROJECT}/assets" and line["status"] == 200 for line in lines)


def test_no_server_is_said_in_words(server: LiveServer) -> None:
    away = HttpBackend(server.settings, "http://127.0.0.1:9")
    try:
        with pytest.raises(ClewError, match="clew up"):
            away.call(access.get_project)
    finally:
        away.dispose()


def test_a_cursor_of_ones_own_making_is_refused(backend: HttpBackend) -> None:
    with pytest.raises(Invalid):
        backend.call(catalog.list_assets, cursor="nonsense")
