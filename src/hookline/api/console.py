"""`/console/`: the console's files, as the build left them in the package.

Each address below that names no file is a page of the console's own, and gets its one document.
"""

import re
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Header
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from hookline.errors import NotFound

router = APIRouter(include_in_schema=False)

FILES: Final = Path(__file__).parents[1] / "console"
_INDEX: Final = "index.html"
_FILE: Final = re.compile(r"(?:assets/)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9]+)+")
_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_ENCODINGS: Final = {"br": ".br", "gzip": ".gz"}  # the best one first

# Styles may stand inline, as the component library sets them; scripts may not.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
}
_FOREVER: Final = {"Cache-Control": "public, max-age=31536000, immutable"}  # named by content
_ASK_AGAIN: Final = {"Cache-Control": "no-cache"}
_NOT_BUILT: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hookline</title>
<h1>The console is not built</h1>
<p>Run <code>make console</code> in the checkout; the service need not be restarted.
The API works without it, and is described at <a href="/docs">/docs</a>.</p>
</html>
"""


@router.get("/console")
def console_without_slash() -> RedirectResponse:
    """Lead to the console, whose addresses are relative to a folder."""
    return RedirectResponse("/console/", status_code=308)


@router.get("/console/{path:path}")
def console(
    path: Annotated[str, PathParameter(max_length=1000)],
    accept_encoding: Annotated[str, Header()] = "",
) -> Response:
    """Return one of the console's files, or its document for a page's address."""
    if not (FILES / _INDEX).is_file():
        return HTMLResponse(_NOT_BUILT, status_code=503, headers=_ASK_AGAIN)
    if not path.startswith("assets/") and not (_FILE.fullmatch(path) and (FILES / path).is_file()):
        return _sent(_INDEX, accept_encoding, _ASK_AGAIN)
    if not _FILE.fullmatch(path) or not (FILES / path).is_file():
        raise NotFound("There is no such file; load the page again.")
    return _sent(path, accept_encoding, _FOREVER if path.startswith("assets/") else _ASK_AGAIN)


def _sent(name: str, accepted: str, caching: dict[str, str]) -> FileResponse:
    """Return a file, compressed where the build has a copy that the browser takes."""
    offered = {part.split(";")[0].strip() for part in accepted.split(",")}
    headers = _HEADERS | caching
    kind = _TYPES.get(Path(name).suffix)
    for encoding, suffix in _ENCODINGS.items():
        copy = FILES / f"{name}{suffix}"
        if encoding in offered and copy.is_file():
            return FileResponse(
                copy, media_type=kind, headers=headers | {"Content-Encoding": encoding}
            )
    return FileResponse(FILES / name, media_type=kind, headers=headers)
