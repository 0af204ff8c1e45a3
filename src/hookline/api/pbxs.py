"""`/v1/pbxs`: a PBX's company, licence, presence events and retention."""

from typing import Annotated, Final
from urllib.parse import unquote

from fastapi import APIRouter, Body, Path, Query, Response
from pydantic import Field
from starlette.routing import Match
from starlette.types import Scope

from hookline.api.bounded_body import JsonRoute
from hookline.api.dependencies import Admin, Manager, ServicesDep
from hookline.api.openapi.examples import PBX_DESCRIPTION
from hookline.api.parameters import DEFAULT_LIMIT, Cursor, Limit, decode_cursor, page_of
from hookline.api.responses import (
    NOT_MODIFIED,
    WITH_ETAG,
    IfMatch,
    IfNoneMatch,
    failures,
    version_tag,
    versions_in,
)
from hookline.integrations.fields import PRINTABLE, CompanyId, PbxSerial
from hookline.integrations.pbxs import PbxPage, PbxRecord, WantedPbxs
from hookline.integrations.requests import PbxLicence, PbxPut

_ANY_SERIAL: Final = "0"  # stands in for one that has a slash while a route is looked for


class _PbxRoute(JsonRoute):
    """A route whose last segment is any serial, one with a slash in it too, sent as %2F.

    Starlette matches the decoded path, in which that would be two segments.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether a request is for this route, and what its path says."""
        before, _, last = scope["raw_path"].rpartition(b"/")
        serial = unquote(last)
        if "/" not in serial:
            return super().matches(scope)
        found, told = super().matches({**scope, "path": f"{unquote(before)}/{_ANY_SERIAL}"})
        if found is not Match.NONE:
            told["path_params"]["pbx"] = serial
        return found, told


router = APIRouter(prefix="/v1/pbxs", tags=["PBX records"], route_class=_PbxRoute)

PbxPath = Annotated[PbxSerial, Path(description="The PBX's serial.")]


@router.get("", responses=failures(403, 422))
async def list_pbxs(  # noqa: PLR0913 - each is a parameter of the query
    *,
    caller: Manager,
    services: ServicesDep,
    company: Annotated[CompanyId | None, Query(description="Only those of this company.")] = None,
    license: Annotated[  # noqa: A002 - the parameter's name in the API
        PbxLicence | None, Query(description="Only those with this licence.")
    ] = None,
    search: Annotated[
        Annotated[str, Field(min_length=1, max_length=64), PRINTABLE] | None,
        Query(
            description="Only those with this in their serial or their company's id, whatever"
            " the case.",
            examples=["0001"],
        ),
    ] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> PbxPage:
    """List PBX records, those that were described last first.

    Only PBXs inside the key's scope are listed.
    """
    wanted = WantedPbxs(company, license, search)
    listing = ("pbxs", company, license, search)
    found = await services.pbxs.page(
        caller, wanted, before=decode_cursor(listing, cursor), limit=limit + 1
    )
    shown, following = page_of(listing, found, limit, lambda each: each.sequence)
    return PbxPage(items=[each.record for each in shown], next=following)


@router.put("/{pbx}", responses=WITH_ETAG | failures(400, 403, 412, 413, 415, 422))
async def put_pbx(  # noqa: PLR0913 - each is a part of the request
    *,
    caller: Admin,
    services: ServicesDep,
    pbx: PbxPath,
    description: Annotated[PbxPut, Body(openapi_examples=PBX_DESCRIPTION)],
    response: Response,
    if_match: IfMatch,
    if_none_match: IfNoneMatch,
) -> PbxRecord:
    """Describe a PBX.

    Holds for the next accepted event: `presenceEvents` lets a Collaboration PBX send presence
    events, and `company` says whose the PBX is. Where that makes it another company's, integrations
    of the old company on it are disabled with the reason `moved`, which both companies see, and
    what waits for them ends as skipped. Described as the old company's again, they are enabled.

    `retentionDays` is for the PBX's own events, with their deliveries and attempts: what is older
    is removed within an hour, but for what is not delivered yet. A company's is set at each of
    its PBXs.
    """
    put = await services.pbxs.put(caller, pbx, description, if_match, versions_in(if_none_match))
    response.headers["ETag"] = version_tag(put.version)
    return put.record


@router.get(
    "/{pbx}",
    response_model=PbxRecord,
    responses=WITH_ETAG | NOT_MODIFIED | failures(403, 404, 422),
)
async def get_pbx(
    *,
    caller: Manager,
    services: ServicesDep,
    pbx: PbxPath,
    response: Response,
    if_none_match: IfNoneMatch,
) -> PbxRecord | Response:
    """Read what is known of a PBX.

    A manager reads its own PBX, or those of its company.
    """
    found = await services.pbxs.read(caller, pbx)
    tag = version_tag(found.version)
    if tag in if_none_match or "*" in if_none_match:
        return Response(status_code=304, headers={"ETag": tag})
    response.headers["ETag"] = tag
    return found.record


@router.delete("/{pbx}", status_code=204, responses=failures(403, 404, 412, 422))
async def delete_pbx(caller: Admin, services: ServicesDep, pbx: PbxPath, if_match: IfMatch) -> None:
    """Delete the record of a PBX.

    From then on it is no company's: the company's keys may not send its events, the company's
    managers do not see its integrations, and the company's events without a PBX no longer go
    there. Its integrations stay, and go on getting its own events.
    """
    await services.pbxs.delete(caller, pbx, if_match)
