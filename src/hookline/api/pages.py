"""Pages for people, served by this server alone: the API explained, and the console.

`/docs` is Swagger UI, whose files come from the package fastapi-offline, of which nothing else is
used. `/console/` has the console's files as the build left them in the package: each address below
it that names no file is a page of the console's own, and gets its one document.
"""

import re
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

from fastapi import APIRouter, Header, Request
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from hookline.api.openapi import printed
from hookline.api.parameters import StrictRoute
from hookline.api.problems import INTERNAL, KINDS, OF_HTTP, OF_TRANSPORT, Kind
from hookline.errors import NO_SUCH_ADDRESS, NotFound

router = APIRouter(include_in_schema=False)

_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_DOCS_HEADERS = {
    "Content-Security-Policy": _DOCS_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_SWAGGER_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
_START = """\
SwaggerUIBundle({
  url: "/v1/openapi.json", dom_id: "#docs", deepLinking: true, displayRequestDuration: true,
  docExpansion: "list", defaultModelsExpandDepth: 0, validatorUrl: null,
});
"""
_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
{body}
</html>
"""
_DOCS = """\
<div id="docs"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>"""
_PROBLEM = """\
<main class="swagger-ui"><div class="wrapper">
<h1>{title}</h1>
<p>Status {status} &middot; <code>/problems/{name}</code></p>
<p>{meaning}</p>
<p>Each answer's <code>detail</code> says what to do in its case.</p>
<p><a href="/docs">All of the API</a></p>
</div></main>"""

CONSOLE_FILES: Final = Path(__file__).parents[1] / "console"
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
_CONSOLE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_CONSOLE_HEADERS: Final = {
    "Content-Security-Policy": _CONSOLE_POLICY,
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

_EXPLAINED: dict[str, tuple[Kind, str]] = {
    **{kind.name: (kind, cause.__doc__ or "") for cause, kind in KINDS.items()},
    **{kind.name: (kind, "The request does not fit the address.") for kind in OF_HTTP.values()},
    **{kind.name: (kind, meaning) for kind, meaning in OF_TRANSPORT.values()},
    INTERNAL.name: (INTERNAL, "The service's log says why."),
}


async def openapi_document(request: Request) -> Response:
    """Return the OpenAPI document of this version."""
    return Response(printed(request.app), media_type="application/json")


router.add_api_route("/v1/openapi.json", openapi_document, route_class_override=StrictRoute)


@router.get("/docs")
async def docs() -> HTMLResponse:
    """Show the API, to read and to try."""
    return HTMLResponse(_PAGE.format(title="Hookline API", body=_DOCS), headers=_DOCS_HEADERS)


@router.get("/docs/start.js")
async def start() -> Response:
    """Start Swagger UI; a file of its own, so that no inline script has to be allowed."""
    return Response(_START, media_type="text/javascript", headers=_DOCS_HEADERS)


@router.get("/docs/{name}")
async def asset(name: Annotated[str, PathParameter(max_length=100)]) -> FileResponse:
    """Return one of Swagger UI's files."""
    if name not in _SWAGGER_FILES:
        raise NotFound(NO_SUCH_ADDRESS)
    return FileResponse(_assets() / name, media_type=_SWAGGER_FILES[name], headers=_DOCS_HEADERS)


@router.get("/problems/{name}")
async def problem_explained(name: Annotated[str, PathParameter(max_length=100)]) -> HTMLResponse:
    """Explain one kind of problem, where its `type` leads to."""
    found = _EXPLAINED.get(name)
    if found is None:
        raise NotFound("There is no such kind of problem.")
    kind, meaning = found
    body = _PROBLEM.format(
        title=escape(kind.title), status=kind.status, name=kind.name, meaning=escape(meaning)
    )
    return HTMLResponse(_PAGE.format(title=escape(kind.title), body=body), headers=_DOCS_HEADERS)


def _assets() -> Path:
    """Find the files without importing the package, which would bring code that isn't needed."""
    spec = find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        raise NotFound("Swagger UI's files are not installed; read /v1/openapi.json instead.")
    return Path(spec.origin).parent / "static"


@router.get("/console")
async def console_without_slash() -> RedirectResponse:
    """Lead to the console, whose addresses are relative to a folder."""
    return RedirectResponse("/console/", status_code=308)


@router.get("/console/{path:path}")
def console(
    path: Annotated[str, PathParameter(max_length=1000)],
    accept_encoding: Annotated[str, Header()] = "",
) -> Response:
    """Return one of the console's files, or its document for a page's address."""
    if not (CONSOLE_FILES / _INDEX).is_file():
        return HTMLResponse(_NOT_BUILT, status_code=503, headers=_ASK_AGAIN)
    if not path.startswith("assets/") and not (
        _FILE.fullmatch(path) and (CONSOLE_FILES / path).is_file()
    ):
        return _sent(_INDEX, accept_encoding, _ASK_AGAIN)
    if not _FILE.fullmatch(path) or not (CONSOLE_FILES / path).is_file():
        raise NotFound("There is no such file; load the page again.")
    return _sent(path, accept_encoding, _FOREVER if path.startswith("assets/") else _ASK_AGAIN)


def _sent(name: str, accepted: str, caching: dict[str, str]) -> FileResponse:
    """Return a file, compressed where the build has a copy that the browser takes."""
    offered = {part.split(";")[0].strip() for part in accepted.split(",")}
    headers = _CONSOLE_HEADERS | caching
    kind = _TYPES.get(Path(name).suffix)
    for encoding, suffix in _ENCODINGS.items():
        copy = CONSOLE_FILES / f"{name}{suffix}"
        if encoding in offered and copy.is_file():
            return FileResponse(
                copy, media_type=kind, headers=headers | {"Content-Encoding": encoding}
            )
    return FileResponse(CONSOLE_FILES / name, media_type=kind, headers=headers)
