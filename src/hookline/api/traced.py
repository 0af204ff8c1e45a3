"""A span for each request, by the semantic conventions for HTTP servers."""

from http import HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hookline.tracing import Tracing, fail

_UNTOLD: Final = frozenset({"/livez", "/readyz", "/metrics"})  # asked all the time, by machines
_LONGEST: Final = 55  # characters of a traceparent of version 00


class TracedRequests:
    """Middleware in whose spans everything else happens."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, inside a span that the caller's is the parent of."""
        if scope["type"] != "http" or scope["path"] in _UNTOLD:
            await self._app(scope, receive, send)
            return
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        method, path = scope["method"], scope["path"]
        told = {"http.request.method": method, "url.scheme": scope["scheme"], "url.path": path}
        with self._tracing.serving(method, told, _parent(scope)) as span:
            try:
                await self._app(scope, receive, noting)
            finally:
                route = getattr(scope.get("route"), "path", None)
                if route is None and status != HTTPStatus.NOT_FOUND:
                    route = path  # routes without parameters are found by their paths
                if route is not None:
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)
                if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    fail(span, str(status))


def _parent(scope: Scope) -> str | None:
    sent = [value for name, value in scope["headers"] if name == b"traceparent"]
    if len(sent) != 1 or len(sent[0]) > _LONGEST:
        return None
    text: str = sent[0].decode("latin-1")
    return text
