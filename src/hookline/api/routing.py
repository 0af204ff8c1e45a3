"""Finds a request's route: by its exact path in one look-up, else as FastAPI's router does."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from fastapi import Request, Response
from fastapi.middleware.asyncexitstack import AsyncExitStackMiddleware
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

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
