import asyncio
from collections.abc import AsyncGenerator
from typing import cast

import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

from clew.backend import LocalBackend
from clew.server import live
from clew.server.live import Live


def test_the_database_is_watched_only_while_somebody_listens(backend: LocalBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    monkeypatch.setattr(live, "_probe", lambda _: lambda: looked.append(1) or len(looked))

    async def receive() -> dict[str, object]:
        await asyncio.Event().wait()
        raise AssertionError("the client stays")

    async def listen_and_leave() -> None:
        watched = Live(backend)
        watching = asyncio.create_task(watched.watch())
        watched.touch()
        await asyncio.sleep(0.2)
        assert looked == []
        path = {"project": "test"}
        request = Request({"type": "http", "headers": [], "query_string": b"", "path_params": path, "method": "GET", "path": "/"}, receive)
        answer = cast(StreamingResponse, await watched.stream(request))
        events = cast(AsyncGenerator[bytes], answer.body_iterator)
        told = [await anext(events) for _ in range(4)]
        assert b"event: changed\ndata: {}\n\n" in told
        assert looked
        await events.aclose()
        await asyncio.sleep(0.2)
        seen = len(looked)
        watched.touch()
        await asyncio.sleep(0.2)
        assert len(looked) == seen
        await watched.close()
        await asyncio.wait_for(watching, 5)

    asyncio.run(listen_and_leave())
