"""`/v1/pbxs`: a PBX's company, licence and presence events."""

from typing import Annotated

from fastapi import APIRouter, Body, Path

from hookline.api.auth import Admin, Manager
from hookline.api.deps import ServicesDep
from hookline.api.examples import PBX_DESCRIPTION
from hookline.api.guarded import GuardedRoute
from hookline.api.responses import failures
from hookline.integrations.fields import PbxSerial
from hookline.integrations.requests import PbxPut
from hookline.integrations.schemas import PbxRecord

router = APIRouter(prefix="/v1/pbxs", tags=["PBX records"], route_class=GuardedRoute)

PbxPath = Annotated[PbxSerial, Path(description="The PBX's serial.")]


@router.put("/{pbx}", responses=failures(400, 403, 413, 415, 422))
async def put_pbx(
    _caller: Admin,
    services: ServicesDep,
    pbx: PbxPath,
    description: Annotated[PbxPut, Body(openapi_examples=PBX_DESCRIPTION)],
) -> PbxRecord:
    """Describe a PBX.

    Holds for the next accepted event: `presenceEvents` lets a Collaboration PBX send presence
    events, and `company` says whose the PBX is.
    """
    return await services.pbxs.describe(pbx, description)


@router.get("/{pbx}", responses=failures(403, 404, 422))
async def get_pbx(caller: Manager, services: ServicesDep, pbx: PbxPath) -> PbxRecord:
    """Read what is known of a PBX.

    A manager reads its own PBX, or those of its company.
    """
    return await services.pbxs.read(caller, pbx)
