"""What a new integration is made of, whose it is, and how a repeated creation is answered.

With an Idempotency-Key the result is kept for 24 hours, encrypted, since it holds a secret; it is
written in the transaction of the creation. Creations take the revision's row before they look here,
so that of many copies at the same moment one creates and all others find its result.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from hookline.db.models import IdempotencyKey as KeyRow
from hookline.db.models import Integration as Row
from hookline.domain.access import Principal, Role
from hookline.domain.ids import new_uuid, new_webhook_secret
from hookline.domain.targets import Ordering
from hookline.errors import Conflict, DecryptionFailed, FieldProblem, Forbidden, InvalidInput
from hookline.integrations.checks import Checks
from hookline.integrations.encryption import encrypt_headers, secret_binding
from hookline.integrations.patch import host_name, switch
from hookline.integrations.requests import IntegrationCreate, SqsTransmissionCreate
from hookline.integrations.serializers import Integration, Listed
from hookline.security.secrets import KeyRing

KEPT_FOR: Final = timedelta(hours=24)  # results of requests with an Idempotency-Key


@dataclass(frozen=True, slots=True)
class Checked:
    """What of a new integration is kept in another form than it was given."""

    events: dict[str, str | list[str]]
    filter: str | None  # JSON text
    omit: list[str]


async def check_new(new: IntegrationCreate, checks: Checks) -> Checked:
    """Return what is to be kept; raise InvalidInput with every field that is wrong."""
    transmission = new.transmission
    await checks.url(transmission.type, transmission.url)
    if not isinstance(transmission, SqsTransmissionCreate):
        checks.headers(transmission.headers)
    checks.ordering(transmission.type, transmission.url, new.ordering)
    checks.groups("delivery", new.delivery)
    events = checks.events(new.events)
    pattern = checks.filter(new.filter)
    omit = checks.omit(new.omit)
    checks.raise_any()
    return Checked(events or {}, pattern, omit)


def row_of(
    new: IntegrationCreate, checked: Checked, integration_id: str, keyring: KeyRing, *, by: str
) -> Row:
    """Return the row of a checked integration; its tenancy and revision are to be added."""
    now = datetime.now(UTC)
    transmission = new.transmission
    if isinstance(transmission, SqsTransmissionCreate):
        secret, headers, key_id = transmission.secret_access_key, {}, transmission.access_key_id
    else:
        secret, headers, key_id = new_webhook_secret(), transmission.headers, None
    row = Row(
        id=integration_id,
        sequence=new_uuid(),
        name=new.name or host_name(transmission.url),
        named=new.name is not None,
        enabled=True,
        type=transmission.type.value,
        url=transmission.url,
        access_key_id=key_id,
        headers=encrypt_headers(headers, integration_id, keyring),
        secret=keyring.encrypt(secret, bound_to=secret_binding(integration_id)),
        events=checked.events,
        filter=checked.filter,
        omit=checked.omit,
        delivery={
            group: parts
            for group, asked in new.delivery.items()
            if (parts := asked.model_dump(mode="json", by_alias=True, exclude_none=True))
        },
        ordering=new.ordering or Ordering.NONE,
        old_secrets=[],
        old_secrets_until=[],
        max_in_flight=new.max_in_flight,
        rate_limit=new.rate_limit,
        version=1,
        created_at=now,
        updated_at=now,
    )
    switch(row, enabled=new.enabled, reason="manual", by=by)
    return row


@dataclass(frozen=True, slots=True)
class Tenancy:
    """The PBX and company of an integration.

    `vouched`: somebody entitled to it said that the company is right, so events that are routed by
    company may go there.
    """

    pbx: str | None
    company: str | None
    vouched: bool


def pbx_of(principal: Principal, asked: str | None) -> str | None:
    """Return the PBX that a new integration is for; raise Forbidden for another's."""
    if principal.pbx is None:
        return asked
    if asked not in {None, principal.pbx}:
        raise Forbidden(f"This key manages the PBX {principal.pbx} only.")
    return principal.pbx


def settle_tenancy(
    principal: Principal, pbx: str | None, company: str | None, recorded: str | None
) -> Tenancy:
    """Decide on the tenancy; `pbx` is from `pbx_of`, `recorded` the company on that PBX's record.

    Raises Forbidden for another tenant's company or PBX, InvalidInput where the record names
    another company, or where neither PBX nor company is known.
    """
    if principal.company is not None:
        company = _own_company(principal.company, company)
        if pbx is not None and recorded != company:
            raise Forbidden(
                f"The PBX {pbx} is not on record as the company's; ask an administrator to"
                f" PUT /v1/pbxs/{pbx} first."
            )
    if recorded is not None and company not in {None, recorded}:
        raise InvalidInput(FieldProblem("company", f"The PBX {pbx} belongs to another company."))
    company = company or recorded
    if pbx is None and company is None:
        message = "Name a PBX, or a company for its events without a PBX."
        raise InvalidInput(FieldProblem("pbx", message), FieldProblem("company", message))
    entitled = principal.role is Role.ADMIN or principal.company is not None
    vouched = company is not None and (entitled or recorded == company)
    return Tenancy(pbx, company, vouched)


def _own_company(own: str, asked: str | None) -> str:
    if asked not in {None, own}:
        raise Forbidden(f"This key manages the company {own} only.")
    return own


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """One caller's Idempotency-Key, known by its digest, and the request that it came with."""

    caller: UUID
    digest: bytes
    request: str

    @classmethod
    def of(cls, principal: Principal, key: str, new: IntegrationCreate) -> "IdempotencyKey":
        """Return the key of an API key's request; another API key's is another one."""
        request = sha256(new.model_dump_json().encode()).hexdigest()
        return cls(principal.key_id, sha256(key.encode()).digest(), request)

    @property
    def binding(self) -> str:
        """What its encrypted result is bound to."""
        return f"idempotency_keys/{self.caller}/{self.digest.hex()}"


class _Result(BaseModel):
    """What is kept of a creation: the request's digest, and what it made."""

    model_config = ConfigDict(frozen=True)

    request: str
    sequence: UUID
    integration: Integration


async def find_result(
    session: AsyncSession, key: IdempotencyKey, keyring: KeyRing
) -> Listed | None:
    """Return what the first request with this key made, None where there was none.

    Raises Conflict where that was another request, or what it made was deleted.
    """
    row = await session.get(KeyRow, (key.caller, key.digest))
    if row is None or row.created_at <= datetime.now(UTC) - KEPT_FOR:
        return None
    if row.result is None:
        raise Conflict(
            "What was created with this Idempotency-Key was deleted; use another key to create it"
            " again."
        )
    try:
        result = _Result.model_validate_json(keyring.decrypt(row.result, bound_to=key.binding))
    except (DecryptionFailed, ValidationError) as error:
        raise Conflict(
            "This Idempotency-Key was used, and its first answer can't be read any more; read"
            f" /v1/integrations/{row.integration_id}, or use another key."
        ) from error
    if result.request != key.request:
        raise Conflict(
            "This Idempotency-Key came with another body before; use another key for this one."
        )
    return Listed(result.integration, result.sequence)


async def keep_result(
    session: AsyncSession, key: IdempotencyKey, made: Listed, keyring: KeyRing
) -> None:
    """Keep what was made, in the transaction that makes it; drop what is past its time."""
    await session.execute(delete(KeyRow).where(KeyRow.created_at <= datetime.now(UTC) - KEPT_FOR))
    result = _Result(request=key.request, sequence=made.sequence, integration=made.integration)
    text = result.model_dump_json(by_alias=True)
    row = KeyRow(caller=key.caller, digest=key.digest, integration_id=made.integration.id)
    row.result = keyring.encrypt(text, bound_to=key.binding)
    row.created_at = datetime.now(UTC)
    session.add(row)


async def forget_results(session: AsyncSession, integration_id: str) -> None:
    """Wipe what is kept of a deleted integration.

    Its key stays used, so that no late copy of the creation makes it again.
    """
    await session.execute(
        update(KeyRow).where(KeyRow.integration_id == integration_id).values(result=None)
    )
