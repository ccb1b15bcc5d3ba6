"""Who is let in: by name of the machine on loopback, by the token elsewhere."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from clew.admission import COOKIE, Admission, is_loopback


async def say_who(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.scope.get("clew.actor", "nobody asked"))


def client(token: str | None, host: str = "127.0.0.1:7340") -> httpx.AsyncClient:
    app = Admission(Starlette(routes=[Route("/{path:path}", say_who)]), token, ("/api/", "/metrics"))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{host}")


def test_only_this_machine_is_loopback() -> None:
    assert [name for name in ("localhost", "127.0.0.1", "127.0.0.53", "::1") if not is_loopback(name)] == []
    strangers = ("127.0.0.1.evil.example", "evil.example", "0.0.0.0", "10.0.0.1", "localhost.evil.example", "")
    assert [name for name in strangers if is_loopback(name)] == []


@pytest.mark.parametrize("host", ["localhost:7340", "127.0.0.1:7340", "[::1]:7340"])
def test_this_machine_is_let_in_by_each_of_its_names(host: str) -> None:
    assert _get(client(None, host), "/api/v1/projects").text == "local"


def test_with_a_token_any_name_of_the_machine_will_do() -> None:
    answer = _get(client("secret", "clew.example"), "/api/v1/projects", authorization="Bearer secret")
    assert answer.text == "token"


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic secret", "secret", "Bearer secret2", "Bearer ключ"])
def test_anything_but_the_token_is_a_401(authorization: str) -> None:
    answer = _get(client("secret"), "/api/v1/projects", authorization=authorization.encode())
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "CLEW_TOKEN" in answer.json()["error"]["message"]


def test_a_browser_signs_in_by_the_address_and_keeps_a_cookie() -> None:
    signed = _get(client("secret"), "/runs?token=secret&sort=auc")
    assert (signed.status_code, signed.headers["location"]) == (303, "/runs?sort=auc")
    cookie = signed.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert _get(client("secret"), "/api/v1/projects", cookie=f"{COOKIE}=secret").text == "token"


def test_the_redirect_after_signing_in_stays_on_this_server() -> None:
    for slashes in ("//", "///", "/%5C"):
        answer = _get(client("secret"), f"http://127.0.0.1:7340{slashes}evil.example/?token=secret")
        assert answer.headers["location"] == "/evil.example/"


def test_a_foreign_page_gets_nothing_with_the_cookie_either() -> None:
    answer = _get(client("secret"), "/api/v1/projects", cookie=f"{COOKIE}=secret", origin="http://evil.example")
    assert answer.status_code == 403


def test_health_needs_no_token_and_figures_do() -> None:
    assert _get(client("secret"), "/healthz").status_code == 200
    assert _get(client("secret"), "/metrics").status_code == 401


def _get(found: httpx.AsyncClient, path: str, **headers: str | bytes) -> httpx.Response:
    import asyncio

    async def get() -> httpx.Response:
        async with found:
            return await found.get(path, headers=headers)  # type: ignore[arg-type]

    return asyncio.run(get())
