"""Idempotency-Key: a creation that is sent again is answered with what the first one made.

A result is kept for 24 hours, sealed, since it holds a secret; it is written in the transaction of
the creation. Creations take the revision's row before they look here, so that of many copies at the
same moment one creates and all others find its result.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from hookline.db.models import IdempotencyKey as Row
from hookline.domain.access import Principal
from hookline.errors import BrokenSeal, Conflict
from hookline.integrations.requests import IntegrationCreate
from hookline.integrations.serializers import Integration, Listed
from hookline.security.secrets import KeyRing

KEPT_FOR: Final = timedelta(hours=24)


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
        """What its sealed result is bound to."""
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
    row = await session.get(Row, (key.caller, key.digest))
    if row is None or row.created_at <= datetime.now(UTC) - KEPT_FOR:
        return None
    if row.result is None:
        raise Conflict(
            "What was created with this Idempotency-Key was deleted; use another key to create it"
            " again."
        )
    try:
        result = _Result.model_validate_json(keyring.open(row.result, bound_to=key.binding))
    except (BrokenSeal, ValidationError) as error:
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
    await session.execute(delete(Row).where(Row.created_at <= datetime.now(UTC) - KEPT_FOR))
    result = _Result(request=key.request, sequence=made.sequence, integration=made.integration)
    text = result.model_dump_json(by_alias=True)
    row = Row(caller=key.caller, digest=key.digest, integration_id=made.integration.id)
    row.result = keyring.seal(text, bound_to=key.binding)
    row.created_at = datetime.now(UTC)
    session.add(row)


async def forget_results(session: AsyncSession, integration_id: str) -> None:
    """Wipe what is kept of a deleted integration.

    Its key stays used, so that no late copy of the creation makes it again.
    """
    await session.execute(
        update(Row).where(Row.integration_id == integration_id).values(result=None)
    )
