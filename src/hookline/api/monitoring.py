"""`/livez` and `/readyz`: for whatever restarts processes and sends them requests."""

from fastapi import APIRouter, Response

from hookline.api.parameters import StrictRoute
from hookline.api.schemas import Liveness, ReadinessCheck, ReadinessReport
from hookline.api.services import ServicesDep

router = APIRouter(tags=["Health"], route_class=StrictRoute)


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
