"""`/metrics`: how the service fares, for Prometheus."""

from typing import Any, Final

from fastapi import APIRouter, Response

from hookline.api.parameters import StrictRoute
from hookline.api.services import ServicesDep
from hookline.metrics.exposition import CONTENT_TYPE

router = APIRouter(tags=["Health"], route_class=StrictRoute)

_TEXT: Final[dict[int | str, dict[str, Any]]] = {  # Any: as FastAPI declares it
    200: {
        "description": "Every metric in Prometheus' text format.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


@router.get("/metrics", response_class=Response, responses=_TEXT)
async def get_metrics(services: ServicesDep) -> Response:
    """Tell in numbers how the service fares.

    In Prometheus' text format, for a whole `hookline serve`, however many processes it has. No
    number says whose it is. While the database is away, what only it knows is left out.
    """
    return Response(await services.metrics.text(), media_type=CONTENT_TYPE)
