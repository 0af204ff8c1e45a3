"""`/livez`, `/readyz` and `/metrics`: for orchestrators, load balancers and Prometheus."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import TypeAliasType

from hookline.api.parameters import StrictRoute
from hookline.api.services import Check, ServicesDep
from hookline.db.errors import means_away
from hookline.db.migrate import is_current, newest_revision
from hookline.dispatch.engine import Engine
from hookline.integrations.fields import Document
from hookline.metrics.exposition import CONTENT_TYPE

router = APIRouter(tags=["Health"], route_class=StrictRoute)


class Liveness(Document):
    """The process is alive."""

    status: Literal["alive"] = Field(description="Always `alive`: who answers is.")


class ReadinessCheck(Document):
    """One thing that must be well before requests make sense."""

    name: str = Field(description="What was looked at.", examples=["database"])
    ok: bool = Field(description="Whether it is well.")
    detail: str = Field(description="What was found, for an operator.")


ReadinessStatus = TypeAliasType(
    "ReadinessStatus",
    Annotated[Literal["ready", "not ready"], Field(description="`ready` if every check is well.")],
)


class ReadinessReport(Document):
    """Whether this process should be sent requests."""

    status: ReadinessStatus
    checks: list[ReadinessCheck] = Field(description="What was looked at.")


@router.get("/livez")
async def get_liveness() -> Liveness:
    """Tell that the process is alive.

    Asks nothing else; a process that doesn't answer wants to be restarted.
    """
    return Liveness(status="alive")


@router.get(
    "/readyz",
    responses={503: {"model": ReadinessReport, "description": "Something is not well."}},
)
async def get_readiness(services: ServicesDep, response: Response) -> ReadinessReport:
    """Tell whether the process can work.

    Looks at the database, its migrations and the delivery engine.
    """
    checks = [
        ReadinessCheck(name=check.name, ok=check.ok, detail=check.detail)
        for check in await services.readiness.checks()
    ]
    ready = all(check.ok for check in checks)
    response.status_code = 200 if ready else 503
    return ReadinessReport(status="ready" if ready else "not ready", checks=checks)


_TEXT: Final[dict[int | str, dict[str, Any]]] = {  # Any: as FastAPI declares it
    200: {
        "description": "Every metric in Prometheus' text format.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }
}


@router.get("/metrics", response_class=Response, responses=_TEXT)
async def get_metrics(services: ServicesDep) -> Response:
    """Read Prometheus metrics.

    In Prometheus' text format, for a whole `hookline serve`, however many processes it has. No
    number says whose it is. While the database is away, what only it knows is left out.
    """
    return Response(await services.metrics.text(), media_type=CONTENT_TYPE)


_READY_TIMEOUT = 2.0  # seconds; a balancer asks again soon


class DatabaseAndEngine:
    """Knows whether this process can do its work; see `api.services.Readiness`."""

    def __init__(self, records: AsyncEngine, engine: Engine | None) -> None:
        self._records = records
        self._engine = engine

    async def checks(self) -> Sequence[Check]:
        """Ask the database, its migrations and the engine."""
        checks = list(await self._database())
        if self._engine is not None:
            alive = self._engine.alive
            checks.append(Check("engine", alive, "delivering" if alive else "stopped"))
        return checks

    async def _database(self) -> Sequence[Check]:
        try:
            async with asyncio.timeout(_READY_TIMEOUT):
                current = await is_current(self._records)
        except Exception as error:
            if not means_away(error):
                raise
            away = "cannot be reached"
            return Check("database", False, away), Check("migrations", False, away)  # noqa: FBT003 - its second field says what it is
        wanted = newest_revision()
        return (
            Check("database", True, "answers"),  # noqa: FBT003 - as above
            Check("migrations", current, f"at {wanted}" if current else f"not at {wanted}"),
        )
