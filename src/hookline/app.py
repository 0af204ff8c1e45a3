"""The HTTP application: routers, problems and documents, over services that somebody else opens."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from hookline import __version__
from hookline.api import (
    deliveries,
    event_types,
    events,
    filters,
    integrations,
    jobs,
    keys,
    pages,
    pbxs,
    stream,
    system,
)
from hookline.api.dependencies import Services
from hookline.api.middleware import Routing, SecurityHeaders, TracedRequests
from hookline.api.openapi import document_of, operation_id, text_of
from hookline.api.problems import ProblemResponses
from hookline.api.rate_limits import PacedRefusals
from hookline.tracing import Tracing

ServicesFactory = Callable[[], AbstractAsyncContextManager[Services]]

# In the order of the document.
_ROUTERS = (
    event_types.router,
    integrations.router,
    filters.router,
    pbxs.router,
    events.ingest,
    events.router,
    deliveries.router,
    stream.router,
    jobs.replays,
    jobs.erasures,
    keys.router,
    system.router,
    system.probes,
    pages.router,
)

_CORS: dict[str, Any] = {  # Any: the middleware's options
    "allow_methods": ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
    "allow_headers": (
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "If-Match",
        "If-None-Match",
        "Last-Event-ID",
    ),
    "expose_headers": ("Allow", "ETag", "Location", "Retry-After"),
    "max_age": 600,
}


class _Application(FastAPI):
    """FastAPI with our own OpenAPI document, and only the middlewares that our routes need."""

    cors_origins: Sequence[str] = ()
    tracing: Tracing | None = None

    def openapi(self) -> dict[str, Any]:  # Any: a JSON document
        return document_of(self)

    def build_middleware_stack(self) -> ASGIApp:
        """Wrap the router; every request passes all of this, the busiest operations too."""
        routing = PacedRefusals(Routing(self.routes, self.router))
        app: ASGIApp = SecurityHeaders(ProblemResponses(routing))
        if self.cors_origins:
            app = CORSMiddleware(app, allow_origins=self.cors_origins, **_CORS)
        if self.tracing is not None:
            app = TracedRequests(app, self.tracing)
        return app


def create_app(
    services_factory: ServicesFactory,
    *,
    cors_origins: Sequence[str] = (),
    tracing: Tracing | None = None,
    routers: Sequence[APIRouter] = _ROUTERS,
) -> FastAPI:
    """Return the application; its lifespan opens the services and closes them.

    Pages of `cors_origins` may call it from a browser; with none, no other origin's pages can.
    With `tracing` each request is a span.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with services_factory() as services:
            app.state.services = services
            yield

    app = _Application(
        title="Hookline",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # FastAPI's own, unused
        separate_input_output_schemas=False,
    )
    app.cors_origins = cors_origins
    app.tracing = tracing
    for router in routers:
        for route in router.routes:
            app.router.routes.append(_named(route))
    return app


def create_monitoring_app(services_factory: ServicesFactory) -> FastAPI:
    """Return what a process without the API answers: `/livez`, `/readyz` and `/metrics`."""
    return create_app(services_factory, routers=(system.probes,))


def _named(route: BaseRoute) -> BaseRoute:
    if isinstance(route, APIRoute):
        route.operation_id = operation_id(route)
    return route


def openapi_document() -> str:
    """Return the OpenAPI document as text, without opening anything."""
    return text_of(document_of(create_app(_nothing)))


def _nothing() -> AbstractAsyncContextManager[Services]:
    raise RuntimeError("This application was made for its document alone.")
