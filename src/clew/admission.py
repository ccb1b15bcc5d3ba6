"""Who may speak to a server of ours, the API or the serving process: on loopback whoever is on this machine, but no foreign web page;
elsewhere who has the token."""

import hmac
import ipaddress
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from clew.errors import ClewError, Forbidden, Unauthenticated

__all__ = ["COOKIE", "EVERY_ADDRESS", "Admission", "is_loopback"]

COOKIE = "clew_token"
EVERY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104 - named here to be recognised, and never a default
_OPEN_PATHS = {"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"}


def is_loopback(host: str) -> bool:
    """Whether a host is this machine. By address, not by prefix: ``127.0.0.1.example.org`` is a stranger's name."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # any other name
        return False


def _hostname(host: str) -> str:
    """The name in a ``Host`` header, without its port; empty for one that names nothing."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:  # half of an IPv6 address
        return ""


@dataclass(frozen=True)
class Admission:
    """ASGI middleware. ``token`` is ``None`` only for a server that listens on loopback.

    Without a token, ``Host`` must name this machine: else a page of a foreign site whose name was pointed at 127.0.0.1 could read
    everything (DNS rebinding). In both modes ``Origin``, which browsers add, must be the server itself.
    """

    app: ASGIApp
    token: str | None
    guarded: tuple[str, ...] = ("/",)
    """The beginnings of paths for which the token is demanded; the page's own files hold no secret."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _OPEN_PATHS:
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if self.token and self._presented_in_query(scope) is not None:
            await self._signed_in(scope, headers)(scope, receive, send)
            return
        try:
            scope["clew.actor"] = self._admit(scope, headers)
        except ClewError as error:
            headers_of_refusal = {"www-authenticate": "Bearer"} if error.status == 401 else None
            refusal = Response(msgspec.json.encode({"error": error.to_wire()}), error.status, headers_of_refusal, "application/json")
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _admit(self, scope: Scope, headers: Headers) -> str:
        """The actor. Raises ``Forbidden`` or ``Unauthenticated``."""
        host = headers.get("host", "")
        name = _hostname(host)
        if self.token is None and not is_loopback(name):
            raise Forbidden(
                f"this server answers on this machine only, not as {host!r}; start it with --host and a token to serve others", host=host
            )
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != host:  # an origin is scheme, host and port, and no more
            raise Forbidden(f"a page of {origin} may not call this server", origin=origin)
        if self.token is None:
            return "local"
        if not scope["path"].startswith(self.guarded):
            return "anonymous"
        if not any(hmac.compare_digest(found.encode(), self.token.encode()) for found in _presented(headers)):
            raise Unauthenticated("this server wants its token: set CLEW_TOKEN, or open the address with ?token=… that `clew up` printed")
        return "token"

    def _presented_in_query(self, scope: Scope) -> str | None:
        if scope["method"] != "GET" or scope["path"].startswith(self.guarded):
            return None
        return dict(parse_qsl(scope["query_string"].decode("latin-1"))).get("token")

    def _signed_in(self, scope: Scope, headers: Headers) -> RedirectResponse:
        """The page without the token in its address, and the token as a cookie that no script and no foreign page gets at."""
        presented = self._presented_in_query(scope) or ""
        rest = urlencode([(name, value) for name, value in parse_qsl(scope["query_string"].decode("latin-1")) if name != "token"])
        # One slash: with two, the rest would be another server's name.
        answer = RedirectResponse("/" + scope["path"].lstrip("/\\") + (f"?{rest}" if rest else ""), status_code=303)
        secure = scope["scheme"] == "https" or headers.get("x-forwarded-proto") == "https"
        answer.set_cookie(COOKIE, presented, httponly=True, samesite="strict", secure=secure, max_age=30 * 86_400)
        return answer


def _presented(headers: Headers) -> list[str]:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    found = [credentials.strip()] if scheme.lower() == "bearer" else []
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:  # a stranger's malformed cookie is no token
        cookie = None
    return [*found, cookie.value] if cookie else found
