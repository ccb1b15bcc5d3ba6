"""How a server and a serving process log: one format for both, a JSON object a line, or words at a terminal."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

__all__ = ["REQUESTS", "JsonLines", "set_up_logging"]

REQUESTS = "clew.server.requests"
"""The logger of requests: a line each, which a person at a terminal sees only on demand."""

_STANDARD = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_TALKATIVE = ("alembic", "httpx", "uvicorn")
"""Libraries that say at each start what they are; what goes wrong in them is heard."""


class JsonLines(logging.Formatter):
    """One JSON object a line: what log collectors read. ``extra`` fields stand beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD and value is not None}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _Words(logging.Formatter):
    """A line for a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        status, milliseconds = getattr(record, "status", ""), getattr(record, "milliseconds", None)
        tail = f"  {status}  {milliseconds:.0f} ms" if milliseconds is not None else ""
        text = f"{datetime.fromtimestamp(record.created, UTC).astimezone():%H:%M:%S}  {record.getMessage()}{tail}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def set_up_logging(style: str, *, verbose: bool = False) -> None:
    """``style`` is ``json``, ``text`` or ``auto``: text at a terminal, where requests show with ``verbose``; else JSON."""
    as_text = style == "text" or (style == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Words() if as_text else JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger(REQUESTS).setLevel(logging.INFO if verbose or not as_text else logging.WARNING)
    for name in _TALKATIVE:
        library = logging.getLogger(name)
        library.setLevel(logging.WARNING)
        library.handlers.clear()  # uvicorn brings its own where somebody has run it with its own settings before
        library.propagate = True
