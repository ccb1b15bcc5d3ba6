"""An existing system that answers as a version of the model: one POST a row, within its time, over connections that stay open.

All of it happens on the event loop, and whatever the other side does costs nothing but one of its own few connections for at most the
timeout: it is never waited for longer, its answer is read up to a limit, and no redirect is followed.
"""

import asyncio
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any

import msgspec

from clew.errors import ExternalFailed, ExternalTimeout, Unavailable
from clew.serving.requests import as_json
from clew.serving.schema import RouteDocument

if TYPE_CHECKING:
    import httpx

__all__ = ["LiveExternal", "Reply", "probability_in", "warm_up"]

_CONNECTIONS = 32
_ROWS_AT_ONCE = 8
"""Rows of one request that are asked at a time: one large request leaves connections to the others."""
_MOST_BYTES = 1 << 20
_KEPT_OPEN_SECONDS = 1.5
"""Less than services keep an idle connection (2 to 5 s are common): it is we who end it, so that no row is sent into one half closed."""
_encoder = msgspec.json.Encoder()


def warm_up() -> None:
    """Import what a first request loads, so that no row pays for it and no loop waits. Not to be called on an event loop."""
    import anyio

    anyio.run(anyio.sleep, 0)


@dataclass(frozen=True)
class Reply:
    """What the system said of one row: a probability, or why there is none."""

    probability: float | None
    latency_us: int
    failed: ExternalFailed | None = None


class LiveExternal:
    """One version that is an existing system. It belongs to one event loop; ``retire`` lets go of its connections."""

    def __init__(self, document: RouteDocument) -> None:
        assert document.external is not None  # the caller has looked
        self.document = document
        self.external = document.external
        self.name = f"{document.model}@{document.number}"
        self.views: dict[str, int] = {}
        self._path = self.external.answer.split(".") if self.external.answer else []
        self._headers = _headers(document)
        self._client: httpx.AsyncClient | None = self._connect()  # here, for its certificates take a while, and a loop does not wait
        self._asking = 0
        self._retired = False
        self._closing: asyncio.Task[None] | None = None

    def hindrances(self) -> list[str]:
        """None. A process that said it can't answer would be taken out of service with all that it serves besides."""
        return []

    async def ask(self, rows: Sequence[dict[str, Any]]) -> list[Reply]:
        """A reply for each row, in order; the failure of one names it as ``row``, and rows count from 0.

        Once the system could not be reached, or was too slow, the rest of them are not sent at all, and no row is named.
        """
        replies: list[Reply | None] = [None] * len(rows)
        waiting = iter(enumerate(rows))
        down: ExternalFailed | None = None

        async def work() -> None:
            nonlocal down
            for place, row in waiting:
                began = time.perf_counter_ns()
                if down is not None:
                    replies[place] = Reply(None, 0, down)
                    continue
                try:
                    probability, failed = await self._ask(client, row), None
                except _Down as error:
                    probability, failed = None, error.failed
                    down = error.failed
                except ExternalFailed as error:
                    probability, failed = None, type(error)(error.message, **error.details, row=place)
                replies[place] = Reply(probability, (time.perf_counter_ns() - began) // 1_000, failed)

        with self._opened() as client:
            if len(rows) == 1:
                await work()
            else:
                await asyncio.gather(*(work() for _ in range(min(len(rows), _ROWS_AT_ONCE))))
        return [reply for reply in replies if reply is not None]

    def retire(self) -> None:
        """It answers no new request. Those that are under way are answered, and then its connections are closed."""
        self._retired = True
        self._close_when_idle()

    async def wait_closed(self) -> None:
        """Until the connections of one that is retired are closed; at once where a request is still under way."""
        if self._closing is not None:
            await self._closing

    @contextmanager
    def _opened(self) -> "Iterator[httpx.AsyncClient]":
        if self._client is None:  # a request that began by the route before finds it closed
            self._client = self._connect()
        self._asking += 1
        try:
            yield self._client
        finally:
            self._asking -= 1
            self._close_when_idle()

    def _close_when_idle(self) -> None:
        if self._retired and not self._asking and self._client is not None:
            client, self._client = self._client, None
            self._closing = asyncio.get_running_loop().create_task(client.aclose())

    def _connect(self) -> "httpx.AsyncClient":
        import httpx

        return httpx.AsyncClient(
            headers=self._headers,
            timeout=None,  # noqa: S113 - httpx limits each read; `_ask` limits all of them together
            limits=httpx.Limits(max_connections=_CONNECTIONS, keepalive_expiry=_KEPT_OPEN_SECONDS),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # what it tells one row is nothing to the next
        )

    async def _ask(self, client: "httpx.AsyncClient", row: dict[str, Any]) -> float:
        """Raises ``ExternalFailed``; ``_Down`` where it is the system that fails and not its answer to this row."""
        import httpx

        limit_ms = self.external.timeout_ms
        try:
            async with (
                asyncio.timeout(limit_ms / 1_000),
                client.stream("POST", self.external.url, content=_encoder.encode(as_json(row))) as response,
            ):
                body = await self._body(response)
        except TimeoutError as error:
            raise _Down(self._failed(f"nothing came within {limit_ms:,} ms", ExternalTimeout)) from error
        except httpx.ConnectError as error:
            raise _Down(self._failed(f"it can't be reached ({error})")) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _Down(self._failed(f"the connection broke off ({type(error).__name__})")) from error
        try:
            return probability_in(body, self._path)
        except ValueError as error:
            raise self._failed(str(error)) from None

    async def _body(self, response: "httpx.Response") -> bytes:
        if response.is_redirect:
            raise self._failed(f"it answered {response.status_code}, a redirect, which is not followed")
        if not response.is_success:
            raise self._failed(f"it answered {response.status_code}")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise self._failed("its answer is compressed, which nobody had asked for")
        parts, received = [], 0
        async for part in response.aiter_raw():
            received += len(part)
            if received > _MOST_BYTES:
                raise self._failed(f"its answer is over {_MOST_BYTES:,} bytes")
            parts.append(part)
        return b"".join(parts)

    def _failed(self, why: str, kind: type[ExternalFailed] = ExternalFailed) -> ExternalFailed:
        host = self.external.host
        return kind(f"{self.name}, the existing system at {host}, gave no answer: {why}", version=self.name, host=host)


class _Down(Exception):
    """The system itself is at fault: to ask it for the next row at once would be to wait once more."""

    def __init__(self, failed: ExternalFailed) -> None:
        super().__init__(failed.message)
        self.failed = failed


def _headers(document: RouteDocument) -> dict[str, str]:
    """Raises ``Unavailable`` where the token is not there, or is none; its value stands in no message."""
    headers = {"content-type": "application/json", "accept": "application/json", "accept-encoding": "identity", "user-agent": "clew"}
    external = document.external
    if external is None or external.token_env is None:
        return headers
    token = os.environ.get(external.token_env, "")
    if not token:
        raise Unavailable(
            f"{document.model}@{document.number}, the existing system at {external.host}, wants a token: set {external.token_env} where the "
            "serving process starts, and start it again"
        )
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise Unavailable(
            f"what stands in {external.token_env} is no token: it has a space, a line's end or another character of that kind"
        )
    return {**headers, "authorization": f"Bearer {token}"}


def probability_in(body: bytes, path: Sequence[str]) -> float:
    """The number in [0, 1] to which a path leads in a JSON document. Raises ``ValueError`` in words about *it*, who wrote the document.

    >>> probability_in(b'{"predictions": [{"p": 0.25}]}', ["predictions", "0", "p"])
    0.25
    """
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        hint = ", for NaN and Infinity are not" if b"NaN" in body or b"Infinity" in body else ""
        raise ValueError(f"its answer is not JSON{hint}") from error
    for part in path:
        if isinstance(found, dict):
            found = found.get(part)
        elif isinstance(found, list) and part.isascii() and part.isdecimal() and len(part) < 10 and int(part) < len(found):
            found = found[int(part)]
        else:
            found = None
    shown = ".".join(path)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise ValueError(f"its answer has no number at {shown!r}" if path else "its answer is no number")
    if not 0 <= found <= 1:
        raise ValueError(f"it answered {found!r:.20}, and a probability lies in [0, 1]")
    return float(found)
