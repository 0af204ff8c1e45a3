"""API keys: made, listed and revoked, by operators at the command line and over the REST API."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select

from hookline.db.errors import rerunnable
from hookline.db.models import ApiKey
from hookline.domain.access import Role, check_scope, check_texts, hash_key, is_key, new_key
from hookline.domain.ids import new_uuid
from hookline.domain.stored import role_of
from hookline.errors import ConfigurationError, Conflict, NotFound
from hookline.integrations.revision import Transactions

_HINT = 7  # characters of a key that are kept readable: the prefix and four of 43
_FIRST_ADMIN = "first admin key"


class KeyState(StrEnum):
    """Whether a key opens anything."""

    VALID = "valid"
    EXPIRED = "expired"
    REVOKED = "revoked"


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

    def state(self, now: datetime) -> KeyState:
        """Return whether the key opens anything at this moment."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        if self.expires_at is not None and self.expires_at <= now:
            return KeyState.EXPIRED
        return KeyState.VALID


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made: the only time that it is known."""

    key: str
    record: KeyRecord


@dataclass(frozen=True, slots=True)
class WantedKeys:
    """Which keys a list is about; None: whatever it is."""

    role: Role | None = None
    pbx: str | None = None
    company: str | None = None
    state: KeyState | None = None


class KeyService:
    """The writer of the table `api_keys`; KeyCache alone notes uses besides.

    `settings_key` is the admin key that the settings name: a revocation of it is refused, since
    the next start would fail.
    """

    def __init__(self, transactions: Transactions, *, settings_key: str | None = None) -> None:
        self._transactions = transactions
        self._settings_hash = None if settings_key is None else hash_key(settings_key)

    async def create(
        self,
        role: Role,
        *,
        pbx: str | None = None,
        company: str | None = None,
        name: str | None = None,
        expires_at: datetime | None = None,
    ) -> NewKey:
        """Make a key and return it, for the only time.

        Raises InvalidInput for a scope that does not belong to the role, and for texts that are
        none.
        """
        check_scope(role, pbx=pbx, company=company)
        check_texts(pbx=pbx, company=company, name=name)
        key = new_key()
        row = _row(key, role, name)
        row.pbx, row.company, row.expires_at = pbx, company, expires_at
        await self._keep(row)
        return NewKey(key, _record(row))

    async def ensure_admin(self, key: str) -> None:
        """See to it that this key, which the settings name, is an admin key; idempotent.

        Raises ConfigurationError where it has not a key's form, or was revoked.
        """
        if not await self.is_admin(key):
            await self._keep(_row(key, Role.ADMIN, _FIRST_ADMIN))

    async def is_admin(self, key: str) -> bool:
        """Whether this key is an admin key that is known.

        Raises ConfigurationError where it has not a key's form, or cannot become one any more.
        """
        if not is_key(key):
            raise ConfigurationError(
                "HOOKLINE_ADMIN_KEY must be hk_ and 32 to 128 characters of A-Z, a-z, 0-9, _ and -."
            )
        known = await self._find(key)
        if known is None:
            return False
        if known.revoked_at is not None or known.role != Role.ADMIN:
            raise ConfigurationError(
                "HOOKLINE_ADMIN_KEY names a key that was revoked or is no admin key; set another."
            )
        return True

    async def all(self) -> Sequence[KeyRecord]:
        """Return every key, revoked ones included, newest first."""
        async with self._transactions.reading() as session:
            rows = await session.scalars(select(ApiKey).order_by(ApiKey.id.desc()))
        return [_record(row) for row in rows]

    async def page(
        self, wanted: WantedKeys, *, before: UUID | None, limit: int
    ) -> Sequence[KeyRecord]:
        """Return up to `limit` keys older than `before`, newest first."""
        query = select(ApiKey).order_by(ApiKey.id.desc())
        if before is not None:
            query = query.where(ApiKey.id < before)
        if wanted.role is not None:
            query = query.where(ApiKey.role == wanted.role.value)
        if wanted.pbx is not None:
            query = query.where(ApiKey.pbx == wanted.pbx)
        if wanted.company is not None:
            query = query.where(ApiKey.company == wanted.company)
        if wanted.state is not None:
            query = query.where(_is(wanted.state, datetime.now(UTC)))
        async with self._transactions.reading() as session:
            rows = (await session.scalars(query.limit(limit))).all()
        return [_record(row) for row in rows]

    async def read(self, key_id: UUID) -> KeyRecord:
        """Return what is known of a key; raise NotFound where there is none."""
        async with self._transactions.reading() as session:
            row = await session.get(ApiKey, key_id)
        if row is None:
            raise _no_such(key_id)
        return _record(row)

    @rerunnable
    async def revoke(self, key_id: UUID) -> KeyRecord:
        """Make a key worthless, at once and in every process; idempotent.

        Raises Conflict for the key that the settings name.
        """
        async with self._transactions.changing() as change:
            row = await change.session.get(ApiKey, key_id)
            if row is None:
                raise _no_such(key_id)
            if row.hash == self._settings_hash:
                raise Conflict(
                    "This is the admin key of the service's settings, without which it would not "
                    "start again: set another HOOKLINE_ADMIN_KEY and restart it first."
                )
            row.revoked_at = row.revoked_at or datetime.now(UTC)
            row.revision = change.revision
        return _record(row)

    async def _find(self, key: str) -> ApiKey | None:
        async with self._transactions.reading() as session:
            return await session.scalar(select(ApiKey).where(ApiKey.hash == hash_key(key)))

    @rerunnable
    async def _keep(self, row: ApiKey) -> None:
        """Keep a key, unless another process kept the same one a moment ago."""
        async with self._transactions.changing() as change:
            row.revision = change.revision
            twin = select(ApiKey.id).where(ApiKey.hash == row.hash)
            if await change.session.scalar(twin) is None:
                change.session.add(row)


def _is(state: KeyState, now: datetime) -> ColumnElement[bool]:
    revoked, expired = ApiKey.revoked_at.is_not(None), ApiKey.expires_at <= now
    match state:
        case KeyState.REVOKED:
            return revoked
        case KeyState.EXPIRED:
            return and_(~revoked, expired)
        case KeyState.VALID:
            return and_(~revoked, or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > now))


def _row(key: str, role: Role, name: str | None) -> ApiKey:
    return ApiKey(
        id=new_uuid(),
        hash=hash_key(key),
        hint=key[:_HINT],
        name=name,
        role=role.value,
        created_at=datetime.now(UTC),
    )


def _no_such(key_id: UUID) -> NotFound:
    return NotFound(f"There is no key {key_id}.")


def _record(row: ApiKey) -> KeyRecord:
    return KeyRecord(
        id=row.id,
        hint=row.hint,
        name=row.name,
        role=role_of(row.role) or Role.INGEST,  # the one that sees nothing
        pbx=row.pbx,
        company=row.company,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
    )
