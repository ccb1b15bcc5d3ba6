"""Errors as answers: one shape, ``{"error": {code, message, details}}``, whatever went wrong."""

import logging

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from clew.errors import ClewError, Invalid, NotFound, TooLarge

__all__ = ["clew_error", "error_response", "http_error", "unexpected_error"]

_log = logging.getLogger("clew.server")


def error_response(error: ClewError, status: int | None = None) -> Response:
    headers = {"retry-after": "1"} if error.status == 503 else {}
    return Response(_encode(error), status or error.status, headers, media_type="application/json")


def _encode(error: ClewError) -> bytes:
    try:
        return msgspec.json.encode({"error": error.to_wire()})
    except (TypeError, ValueError):  # details that JSON can't hold must not hide the error itself
        return msgspec.json.encode({"error": {**error.to_wire(), "details": {name: repr(value) for name, value in error.details.items()}}})


def clew_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ClewError)
    if error.status >= 500:
        _log.warning("%s", error.message, extra={"code": error.code, "path": request.url.path})
    return error_response(error)


def http_error(request: Request, error: Exception) -> Response:
    """Starlette's own refusals: no such path, no such method."""
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 404:
        return error_response(NotFound(f"nothing is at {path}; /api/v1/openapi.json lists what is"))
    if error.status_code == 405:
        return error_response(Invalid(f"{path} does not take {request.method}"), status=405)
    if error.status_code == 413:
        return error_response(TooLarge("the body is too large"))
    return error_response(Invalid(error.detail), status=error.status_code)


def unexpected_error(request: Request, error: Exception) -> Response:
    """A defect of ours: the caller gets a number to quote, the log the traceback."""
    number = request.scope.get("clew.request_id", "")
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error, extra={"request_id": number})
    message = f"the server failed ({type(error).__name__}); its log has the reason under {number}"
    return error_response(ClewError(message, request_id=number))
