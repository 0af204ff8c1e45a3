"""`/v1/keys`: administrators make, list and revoke API keys."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Path, Query

from hookline.api.auth import Admin
from hookline.api.bounded_body import GuardedRoute
from hookline.api.examples import NEW_KEY
from hookline.api.key_schemas import ApiKey, ApiKeyCreate, ApiKeyCreated, ApiKeyPage
from hookline.api.pagination import DEFAULT_LIMIT, Cursor, Limit, decode_cursor, encode_cursor
from hookline.api.responses import failures
from hookline.api.services import ServicesDep
from hookline.domain.access import Role
from hookline.errors import FieldProblem, InvalidInput
from hookline.integrations.fields import CompanyId, PbxSerial
from hookline.integrations.keys import KeyRecord, KeyState, WantedKeys

router = APIRouter(prefix="/v1/keys", tags=["Keys"], route_class=GuardedRoute)


@router.post("", status_code=201, responses=failures(400, 403, 413, 415, 422))
async def create_key(
    *,
    _caller: Admin,
    services: ServicesDep,
    new: Annotated[ApiKeyCreate, Body(openapi_examples=NEW_KEY)],
) -> ApiKeyCreated:
    """Make a key.

    The answer holds the key, and nothing shows it again. It opens from now on, in every process. A
    backend that gives its frontend's sessions keys of their own makes `manager` keys with a near
    `expiresAt`. Whoever is not sure that an answer came makes another key and revokes the first.
    """
    if new.expires_at is not None and new.expires_at <= datetime.now(UTC):
        raise InvalidInput(FieldProblem("expiresAt", "This is past; name a moment to come."))
    made = await services.key_records.create(
        new.role, pbx=new.pbx, company=new.company, name=new.name, expires_at=new.expires_at
    )
    return ApiKeyCreated(**_shown(made.record).model_dump(), key=made.key)


@router.get("", responses=failures(403, 422))
async def list_keys(  # noqa: PLR0913 - each is a parameter of the query
    *,
    _caller: Admin,
    services: ServicesDep,
    role: Annotated[Role | None, Query(description="Only those with this role.")] = None,
    pbx: Annotated[PbxSerial | None, Query(description="Only those bound to this PBX.")] = None,
    company: Annotated[
        CompanyId | None, Query(description="Only those bound to this company.")
    ] = None,
    state: Annotated[
        KeyState | None, Query(description="Only those that are valid, expired or revoked.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = DEFAULT_LIMIT,
) -> ApiKeyPage:
    """List keys, newest first.

    Expired and revoked ones are listed for as long as events are kept. No key can be shown again.
    """
    wanted = WantedKeys(role, pbx, company, state)
    listing = ("keys", role and role.value, pbx, company, state and state.value)
    found = await services.key_records.page(
        wanted, before=decode_cursor(listing, cursor), limit=limit + 1
    )
    shown = found[:limit]
    following = encode_cursor(listing, shown[-1].id) if len(found) > limit else None
    return ApiKeyPage(items=[_shown(record) for record in shown], next=following)


@router.delete("/{keyId}", status_code=204, responses=failures(403, 404, 409, 422))
async def revoke_key(
    _caller: Admin,
    services: ServicesDep,
    key_id: Annotated[UUID, Path(alias="keyId", description="The key's id.")],
) -> None:
    """Revoke a key.

    It opens nothing from now on, in any process, and stays listed as `revoked`. A key may revoke
    itself. Revoking it again changes nothing. The admin key that the service's settings name is a
    409: set another one there first.
    """
    await services.key_records.revoke(key_id)


def _shown(record: KeyRecord) -> ApiKey:
    return ApiKey(
        id=record.id,
        hint=record.hint,
        role=record.role,
        pbx=record.pbx,
        company=record.company,
        name=record.name,
        state=record.state(datetime.now(UTC)),
        created_at=record.created_at,
        expires_at=record.expires_at,
        revoked_at=record.revoked_at,
        last_used_at=record.last_used_at,
    )
