"""The web page: built files from ``static/``, and its entry for every other address, as the page routes by itself."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response

from clew.errors import NotFound

__all__ = ["STATIC", "page"]

STATIC = Path(__file__).parent / "static"
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "content-security-policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        "connect-src 'self' http://127.0.0.1:* http://localhost:*; worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'"
    ),
}
_NOT_BUILT = """<!doctype html><meta charset="utf-8"><title>Clew</title>
<body style="font: 15px/1.6 system-ui; max-width: 40em; margin: 15vh auto; padding: 0 1em; color-scheme: light dark">
<h1 style="font-weight: 600">The page is not built yet</h1>
<p>The server works: <a href="/api/v1/openapi.json">its operations</a>, <a href="/healthz">its health</a>,
<a href="/metrics">its figures</a>.</p>
<p>In a checkout, <code>make install</code> builds the page; a released package brings it along.</p>"""


async def page(request: Request) -> Response:
    """A built file, or the page's entry. Names with a hash in them never change and are kept by the browser."""
    path = request.path_params["path"]
    if path.startswith(("api/", "v2/")):
        raise NotFound(f"nothing is at /{path}; /api/v1/openapi.json lists what is")
    entry = STATIC / "index.html"
    if not entry.is_file():
        return HTMLResponse(_NOT_BUILT, headers=_HEADERS)
    file = _built(path)
    if file is None:
        if path.startswith("assets/"):
            raise NotFound(f"the page has no file {path!r}; it was rebuilt, load it again")
        return FileResponse(entry, headers={**_HEADERS, "cache-control": "no-cache"})
    kept = "public, max-age=31536000, immutable" if path.startswith("assets/") else "no-cache"
    return FileResponse(file, headers={**_HEADERS, "cache-control": kept})


def _built(path: str) -> Path | None:
    """The built file at a path; ``None`` for one that there is not, or can't be."""
    try:
        file = (STATIC / path).resolve()
        return file if file.is_relative_to(STATIC.resolve()) and file.is_file() else None
    except (ValueError, OSError):  # a NUL, or a name that no file system takes
        return None
