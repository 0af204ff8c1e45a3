"""Middlewares that every request passes, and the look-up of its route behind them.

Security headers, for browsers and for proxies on the way: no sniffed types, no framing, nothing
loaded unless the response is a page with a policy of its own, no referrer to other sites. Of the
API's responses: keep no copy. Spans follow the semantic conventions for HTTP servers.

What routes tell the server about their connection is an ASGI extension: where the server offers
it, it holds a weak reference to the connection.
"""

import re
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Any, Final, Protocol

from fastapi import Request, Response
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hookline.api.cpu_shares import tenant_of
from hookline.domain.access import Principal
from hookline.tracing import Tracing, fail, trace_context

Headers = list[tuple[bytes, bytes]]

_NO_SNIFF: Final = (b"x-content-type-options", b"nosniff")
_NO_PAGE: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
OF_API: Final[Headers] = [(b"cache-control", b"no-store"), _NO_SNIFF, _NO_PAGE]
_OF_PAGES: Final[Headers] = [_NO_SNIFF, _NO_PAGE, (b"referrer-policy", b"no-referrer")]


class SecurityHeaders:
    """Middleware that adds the headers to each response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, with more headers."""
        of_api = scope["path"].startswith("/v1/")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = message.get("headers", ())
                message["headers"] = [*own, *OF_API] if of_api else _completed(own)
            await send(message)

        await self._app(scope, receive, send_with_headers)


def _completed(own: Headers) -> Headers:
    """Return a page's own headers, and of ours those that it does not set."""
    named = {name.lower() for name, _ in own}
    return [*own, *(header for header in _OF_PAGES if header[0] not in named)]


_UNTRACED: Final = frozenset({"/livez", "/readyz", "/metrics"})  # asked all the time, by machines
_LONGEST_TRACEPARENT: Final = 55  # characters of a traceparent of version 00
_LONGEST_TRACESTATE: Final = 512  # characters, as many as the standard asks to pass on


class TracedRequests:
    """Middleware in whose spans everything else happens."""

    def __init__(self, app: ASGIApp, tracing: Tracing) -> None:
        self._app = app
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, inside a span that the caller's is the parent of."""
        if scope["type"] != "http" or scope["path"] in _UNTRACED:
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
                route = camel(getattr(scope.get("route"), "path_format", "")) or None
                if route is None and status != HTTPStatus.NOT_FOUND:
                    route = path  # routes without parameters are found by their paths
                if route is not None:
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)
                span.set_attribute("http.response.status_code", status)
                if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                    fail(span, str(status))


def camel(name: str) -> str:
    """Return a snake_case name, or a route's path, in camelCase, as the API is documented."""
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def _parent(scope: Scope) -> str | None:
    """Return the caller's trace context; one that is too long or given twice is none."""
    sent = [value for name, value in scope["headers"] if name == b"traceparent"]
    if len(sent) != 1 or len(sent[0]) > _LONGEST_TRACEPARENT:
        return None
    state = b",".join(value for name, value in scope["headers"] if name == b"tracestate")
    told = state.decode("latin-1") if len(state) <= _LONGEST_TRACESTATE else None
    return trace_context(sent[0].decode("latin-1"), told)


_HEAD: Final = "hookline.head"  # in the scope of a request that is answered as GET's would be
Endpoint = Callable[[Request], Awaitable[Response]]


class RawRoute(APIRoute):
    """A route that hands the request to its endpoint, and sends the response that comes back.

    FastAPI documents it, and parses nothing: for what reads its request itself.
    """

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:  # noqa: ANN401 - FastAPI's
        super().__init__(path, endpoint, **options)
        self.app = _responding(endpoint)


class Routing:
    """The application behind the middlewares: every route, those without parameters first.

    HEAD is answered wherever GET is, by the same route; the server sends no body then.
    """

    def __init__(self, routes: Iterable[BaseRoute], otherwise: ASGIApp) -> None:
        self._otherwise = AsyncExitStackMiddleware(
            otherwise
        )  # FastAPI's handlers look for its stack
        self._exact: dict[tuple[str, str], ASGIApp] = {
            (method, route.path): _app_of(route)
            for route in routes
            if isinstance(route, APIRoute) and not route.param_convertors
            for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the route that the request is for."""
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET", _HEAD: True}
        if scope["path"].endswith("\n"):  # Starlette's patterns end in $, which would let it pass
            raise HTTPException(HTTPStatus.NOT_FOUND)
        app = self._exact.get((scope["method"], scope["path"]), self._otherwise)
        await app(scope, receive, send)


def asks_for_head(scope: Scope) -> bool:
    """Whether the request is a HEAD: an answer that lasts must end at its head."""
    return _HEAD in scope


def _app_of(route: APIRoute) -> ASGIApp:
    return route.app if isinstance(route, RawRoute) else AsyncExitStackMiddleware(route.app)


def _responding(endpoint: Endpoint) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        response = await endpoint(Request(scope, receive))
        await response(scope, receive, send)

    return app


EXTENSION: Final = "hookline.connection"
_CALLER: Final = "hookline.caller"  # in the scope of a request whose key is valid


class Connection(Protocol):
    """One connection of the server."""

    def authenticated(self, tenant: str, /) -> None:
        """Note that a request with a valid key of this tenant came in here."""

    def lasts(self) -> None:
        """Note that the answer has no end of its own: once the client has closed, it ends."""

    @property
    def ended(self) -> bool:
        """Whether nobody will read an answer."""


def note_caller(scope: Scope, caller: Principal) -> None:
    """Note whose request it is; tell the server, where it wants to know, that the key is valid."""
    scope.setdefault("state", {})[_CALLER] = caller  # what a copy of the scope shares
    if (connection := _connection_of(scope)) is not None:
        connection.authenticated(tenant_of(caller))


def caller_of(scope: Scope) -> Principal | None:
    """Return whose request it is, as far as it is known."""
    caller: Principal | None = scope.get("state", {}).get(_CALLER)
    return caller


def is_connected(scope: Scope) -> bool:
    """Whether somebody may still read the answer, as far as the server tells."""
    connection = _connection_of(scope)
    return connection is None or not connection.ended


def note_lasting(scope: Scope) -> None:
    """Tell the server, where it wants to know, that this request's answer lasts."""
    if (connection := _connection_of(scope)) is not None:
        connection.lasts()


def _connection_of(scope: Scope) -> Connection | None:
    reference: Callable[[], Connection | None] | None
    reference = scope.get("extensions", {}).get(EXTENSION)
    return None if reference is None else reference()
