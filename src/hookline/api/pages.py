"""`/docs`, `/v1/openapi.json`, `/problems/…`: the API explained by this server alone.

Swagger UI's files come from the package fastapi-offline, of which nothing else is used.
"""

from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi import Path as PathParameter
from fastapi.responses import FileResponse, HTMLResponse, Response

from hookline.api.openapi import printed
from hookline.api.parameters import StrictRoute
from hookline.api.problems import INTERNAL, KINDS, OF_HTTP, OF_TRANSPORT, Kind
from hookline.errors import NotFound

router = APIRouter(include_in_schema=False)

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_FILES = {"swagger-ui.css": "text/css", "swagger-ui-bundle.js": "text/javascript"}
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
    return HTMLResponse(_PAGE.format(title="Hookline API", body=_DOCS), headers=_HEADERS)


@router.get("/docs/start.js")
async def start() -> Response:
    """Start Swagger UI; a file of its own, so that no inline script has to be allowed."""
    return Response(_START, media_type="text/javascript", headers=_HEADERS)


@router.get("/docs/{name}")
async def asset(name: Annotated[str, PathParameter(max_length=100)]) -> FileResponse:
    """Return one of Swagger UI's files."""
    if name not in _FILES:
        raise NotFound("There is nothing at this address.")
    return FileResponse(_assets() / name, media_type=_FILES[name], headers=_HEADERS)


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
    return HTMLResponse(_PAGE.format(title=escape(kind.title), body=body), headers=_HEADERS)


def _assets() -> Path:
    """Find the files without importing the package, which would bring code that isn't needed."""
    spec = find_spec("fastapi_offline")
    if spec is None or spec.origin is None:
        raise NotFound("Swagger UI's files are not installed; read /v1/openapi.json instead.")
    return Path(spec.origin).parent / "static"
