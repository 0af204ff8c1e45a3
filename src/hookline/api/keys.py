"""`/v1/keys`: administrators make, list and revoke API keys; a key is in one answer alone."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Path, Query
from pydantic import Field

from hookline.api.bounded_body import JsonRoute
from hookline.api.dependencies import Admin, AnyRole, ServicesDep
from hookline.api.openapi.examples import NEW_KEY
from hookline.api.parameters import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    Timestamp,
    decode_cursor,
    existing_id,
    page_of,
)
from hookline.api.responses import failures
from hookline.domain.access import LONGEST_NAME, Role
from hookline.errors import FieldProblem, InvalidInput
from hookline.integrations.fields import (
    PRINTABLE,
    CompanyId,
    Document,
    PbxSerial,
    RequestDocument,
    TimestampField,
)
from hookline.integrations.keys import KeyRecord, KeyState, WantedKeys

KeyName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_NAME,
        description="What the key is for, to recognise it in lists and in what it changed.",
        examples=["CRM frontend"],
    ),
    PRINTABLE,
]


class ApiKeyCreate(RequestDocument):
    """A key to make. A manager key names one PBX or one company, an admin key neither."""

    role: Role = Field(
        description="`admin`: everything. `manager`: integrations and deliveries of one PBX or one "
        "company. `ingest`: sends events, for one PBX, one company or all."
    )
    pbx: PbxSerial | None = Field(None, description="The PBX that the key is bound to.")
    company: CompanyId | None = Field(None, description="The company that the key is bound to.")
    name: KeyName | None = None
    expires_at: Timestamp | None = Field(
        None,
        description="From when on it opens nothing; left out: never. A moment to come.",
        examples=["2126-01-31T12:00:00Z"],
    )


class ApiKey(Document):
    """What is known of a key. The key itself is not: it is kept as a hash."""

    id: UUID = Field(description="The key's id, to revoke it by.")
    hint: str = Field(
        description="The key's first characters, to recognise it by.", examples=["hk_Xa3f"]
    )
    role: Role = Field(description="What the key may do.")
    pbx: PbxSerial | None = Field(description="The PBX that it is bound to.")
    company: CompanyId | None = Field(description="The company that it is bound to.")
    name: KeyName | None
    state: KeyState = Field(description="Whether it opens anything: only a `valid` key does.")
    created_at: TimestampField = Field(description="When it was made.")
    expires_at: TimestampField | None = Field(description="When it expires; `null`: never.")
    revoked_at: TimestampField | None = Field(description="When it was revoked.")
    last_used_at: TimestampField | None = Field(
        description="When it was last used, to the minute; `null`: never."
    )


class ApiKeyCreated(ApiKey):
    """A key that was just made."""

    key: str = Field(
        description="The key, in this answer alone: nobody can show it again.",
        examples=["hk_Xa3fPq0cYb2m7eQnVtJw5sKz9uLd1oRhGi4xTy6BEcA"],
        pattern="^hk_[A-Za-z0-9_-]{32,128}$",
    )


class ApiKeyPage(Document):
    """One page of keys, newest first."""

    items: list[ApiKey] = Field(description="The page's keys.")
    next: str | None = Field(description="The `cursor` of the next page; `null` on the last one.")


router = APIRouter(prefix="/v1/keys", tags=["Keys"], route_class=JsonRoute)


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
    shown, following = page_of(listing, found, limit, lambda each: each.id)
    return ApiKeyPage(items=[_shown(record) for record in shown], next=following)


@router.get("/current", responses=failures(422))
async def get_current_key(caller: AnyRole, services: ServicesDep) -> ApiKey:
    """Read what is known of the key that this request was sent with.

    Every role may: a frontend shows by it whose data it shows, and until when its session lasts.
    """
    return _shown(await services.key_records.read(caller.key_id))


@router.delete("/{keyId}", status_code=204, responses=failures(403, 404, 409, 422))
async def revoke_key(
    _caller: Admin,
    services: ServicesDep,
    key_id: Annotated[
        str,
        Path(
            alias="keyId",
            description="The key's id.",
            json_schema_extra={"format": "uuid"},
        ),
    ],
) -> None:
    """Revoke a key.

    It opens nothing from now on, in any process, and stays listed as `revoked`. A key may revoke
    itself. Revoking it again changes nothing. The admin key that the service's settings name is a
    409: set another one there first.
    """
    await services.key_records.revoke(existing_id(key_id, "key"))


def _shown(record: KeyRecord) -> ApiKey:
    return ApiKey.model_construct(  # as it is kept: one odd row must not hide all others
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
