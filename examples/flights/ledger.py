"""What happened in the project, read from the server's events as any client may, and told in a line each."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx

__all__ = ["Ledger"]

_ZONE = ZoneInfo("America/New_York")


class Ledger:
    """Follows the events of the project. ``events`` are all that were read, ``counts`` how many of each kind there were."""

    def __init__(self, url: str, project: str = "flights") -> None:
        self._client = httpx.Client(base_url=f"{url}/api/v1/projects/{project}", timeout=30)
        self.events: list[dict[str, Any]] = []
        self.counts: Counter[str] = Counter()

    def news(self) -> Iterator[str]:
        """A line for each event since the last time that a person would want to hear of."""
        while page := self._page():
            for event in page:
                self.events.append(event)
                self.counts[event["kind"]] += 1
                told = _told(event)
                if told is not None:
                    at = datetime.fromisoformat(event["at"]).astimezone(_ZONE)
                    yield f"[dim]{at:%-d %b %H:%M}[/dim]  {told}"

    def _page(self) -> list[dict[str, Any]]:
        after = self.events[-1]["sequence"] if self.events else 0
        answer = self._client.get("/events", params={"after": after, "limit": 1_000})
        answer.raise_for_status()
        items: list[dict[str, Any]] = answer.json()["items"]
        return items


def _told(event: dict[str, Any]) -> str | None:
    kind, subject, body = event["kind"], event["subject"], event["body"]
    if kind == "trigger.fired":
        return f"{subject} asks for a build: {body['cause']}"
    if kind == "trigger.skipped":
        return f"{subject} asks for nothing: {body['reason']}"
    if kind == "trigger.paused":
        return f"[yellow]{subject} is paused: {body['reason']}[/yellow]"
    if kind == "build.done":
        return f"built: {body['outcome']}"
    if kind == "build.failed":
        return f"[red]the build of {subject} failed: {body['error']}[/red]"
    if kind == "rollout.started":
        return f"{body['version']} sets out behind {subject}: {body['step']}{', ungated' if body['ungated'] else ''}"
    if kind == "rollout.ended":
        colour = {"promoted": "green", "rolled back": "red"}.get(body["state"], "yellow")
        return f"[{colour}]{body['version']} is {body['state']}[/{colour}]: {body['reason']}"
    if kind == "alert.opened":
        return f"[yellow]alert[/yellow] of {subject}: {body.get('summary', '')}"
    if kind == "alert.resolved":
        return f"alert of {subject} is resolved: {body.get('summary', '')}"
    return None
