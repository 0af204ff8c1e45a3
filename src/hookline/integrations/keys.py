"""API keys for the operator's hands: made, listed, revoked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from hookline.db.models import ApiKey
from hookline.domain.access import Role, check_scope
from hookline.domain.ids import new_uuid
from hookline.errors import ConfigurationError, NotFound
from hookline.integrations.revision import Transactions
from hookline.security.keys import hash_key, is_key, new_key

_HINT = 7  # characters of a key that are kept readable: the prefix and four of 43
_FIRST_ADMIN = "first admin key"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is known of a key; the key itself is not."""

    id: UUID
    hint: str
    name: str | None
    role: Role
    pbx: str | None
    company: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class KeyService:
    """The writer of the table `api_keys`; KeyDirectory alone notes uses besides."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def create(
        self,
        role: Role,
        *,
        pbx: str | None = None,
        company: str | None = None,
        name: str | None = None,
        expires_in: timedelta | None = None,
    ) -> str:
        """Make a key and return it, for the only time.

        Raises InvalidInput for a scope that does not belong to the role.
        """
        check_scope(role, pbx=pbx, company=company)
        key = new_key()
        now = datetime.now(UTC)
        row = _row(key, role, name)
        row.pbx, row.company = pbx, company
        row.expires_at = None if expires_in is None else now + expires_in
        await self._keep(row)
        return key

    async def ensure_admin(self, key: str) -> None:
        """See to it that this key, which the settings name, is an admin key; idempotent.

        Raises ConfigurationError where it has not a key's form, or was revoked.
        """
        if not is_key(key):
            raise ConfigurationError(
                "HOOKLINE_ADMIN_KEY must be hk_ and 32 to 128 characters of A-Z, a-z, 0-9, _ and -."
            )
        known = await self._find(key)
        if known is None:
            await self._keep(_row(key, Role.ADMIN, _FIRST_ADMIN))
        elif known.revoked_at is not None or known.role != Role.ADMIN:
            raise ConfigurationError(
                "HOOKLINE_ADMIN_KEY names a key that was revoked or is no admin key; set another."
            )

    async def all(self) -> Sequence[KeyRecord]:
        """Return every key, revoked ones included, newest first."""
        async with self._transactions.reading() as session:
            rows = await session.scalars(select(ApiKey).order_by(ApiKey.id.desc()))
        return [_record(row) for row in rows]

    async def revoke(self, key_id: UUID) -> KeyRecord:
        """Make a key worthless, at once and in every process; idempotent."""
        async with self._transactions.changing() as change:
            row = await change.session.get(ApiKey, key_id)
            if row is None:
                raise NotFound(f"There is no key {key_id}.")
            row.revoked_at = row.revoked_at or datetime.now(UTC)
            row.revision = change.revision
        return _record(row)

    async def _find(self, key: str) -> ApiKey | None:
        async with self._transactions.reading() as session:
            return await session.scalar(select(ApiKey).where(ApiKey.hash == hash_key(key)))

    async def _keep(self, row: ApiKey) -> None:
        """Keep a key, unless another process kept the same one a moment ago."""
        async with self._transactions.changing() as change:
            row.revision = change.revision
            twin = select(ApiKey.id).where(ApiKey.hash == row.hash)
            if await change.session.scalar(twin) is None:
                change.session.add(row)


def _row(key: str, role: Role, name: str | None) -> ApiKey:
    return ApiKey(
        id=new_uuid(),
        hash=hash_key(key),
        hint=key[:_HINT],
        name=name,
        role=role.value,
        created_at=datetime.now(UTC),
    )


def _record(row: ApiKey) -> KeyRecord:
    return KeyRecord(
        id=row.id,
        hint=row.hint,
        name=row.name,
        role=Role(row.role),
        pbx=row.pbx,
        company=row.company,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
