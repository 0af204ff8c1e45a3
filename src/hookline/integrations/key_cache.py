"""Authenticates API keys from memory, which follows the table of keys by its revision.

`authenticate` first loads what changed, so a key that was made or revoked a moment ago, in any
process, is known. `authenticate_from_memory` is for the ingest path, whose store refuses an event
that was matched at an old revision: it then calls `reload_if` and `still_valid`.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final
from uuid import UUID

from sqlalchemy import Update, and_, or_, select, update

from hookline.db.models import ApiKey, Revision
from hookline.domain.access import Principal, hash_key, is_key
from hookline.domain.stored import role_of
from hookline.errors import NotAuthenticated, Unavailable
from hookline.integrations.revision import Transactions
from hookline.logs import get_logger

USES_KEPT_EVERY: Final = 60.0  # seconds
_NEVER = -1  # a revision before every other
_SELDOM = 0.2  # seconds between loads on behalf of those who tried many wrong keys

_LOG = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Known:
    principal: Principal
    expires_at: datetime | None

    def holds(self, now: datetime) -> bool:
        return self.expires_at is None or now < self.expires_at


class KeyCache:
    """Every valid key by its hash. `keep_uses` is a task that its owner runs and cancels."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._by_hash: dict[bytes, _Known] = {}
        self._hashes: dict[UUID, bytes] = {}
        self._revision = _NEVER
        self._loading = asyncio.Lock()
        self._loads = 0  # that were begun
        self._failure: Unavailable | None = None  # of the last one
        self._loaded_at = 0.0
        self._used: dict[UUID, datetime] = {}
        self._was_used = asyncio.Event()

    async def authenticate(self, header: str | None) -> Principal:
        """Return who sent this `Authorization` header, as the database knows it now.

        Raises NotAuthenticated, or Unavailable while the database is away.
        """
        hashed = _hash_of(header)
        await self._load()
        return self._recognise(hashed)

    async def authenticate_from_memory(self, header: str | None) -> Principal:
        """Return who sent this `Authorization` header; only an unknown key asks the database."""
        hashed = _hash_of(header)
        if hashed not in self._by_hash:
            await self._load()
        return self._recognise(hashed)

    async def knows(self, header: str) -> bool:
        """Whether this `Authorization` header is a valid key's.

        However often it is asked about unknown keys, the database is asked a few times a second.
        """
        try:
            hashed = _hash_of(header)
        except NotAuthenticated:
            return False
        if hashed not in self._by_hash:
            await asyncio.sleep(self._loaded_at + _SELDOM - monotonic())
            await self._load()
        known = self._by_hash.get(hashed)
        return known is not None and known.holds(datetime.now(UTC))

    def still_valid(self, principal: Principal) -> bool:
        """Whether the key is, as far as memory goes, neither revoked nor expired."""
        known = self._by_hash.get(self._hashes.get(principal.key_id, b""))
        return known is not None and known.holds(datetime.now(UTC))

    async def reload_if(self, revision: int) -> None:
        """Load what changed, unless this revision is known already."""
        if revision > self._revision:
            await self._load()

    async def keep_uses(self) -> None:
        """Write down when keys were last used, once any was. Raises Unavailable."""
        await self._was_used.wait()
        self._forget_ended()
        await self.flush_uses()

    async def flush_uses(self) -> None:
        """Write down the uses that were noted since the last time."""
        self._was_used.clear()
        used, self._used = self._used, {}
        async with self._transactions.reading() as session:
            for key_id, moment in sorted(used.items()):  # one order in every process: no deadlock
                await session.execute(_note_use(key_id, moment))
            await session.commit()

    def _forget_ended(self) -> None:
        """Drop the keys that have expired: others are made all the time, for an hour each."""
        now = datetime.now(UTC)
        for hashed, known in list(self._by_hash.items()):
            if not known.holds(now):
                del self._by_hash[hashed]
                self._hashes.pop(known.principal.key_id, None)

    async def _load(self) -> None:
        """Load the keys that changed, and the revision that they are from, in one statement.

        Those who ask while one load is under way share the next one, so that a flood of unknown
        keys keeps nobody waiting.
        """
        asked = self._loads
        async with self._loading:
            if self._loads > asked:  # one began after this was asked for, and ended
                if self._failure is not None:
                    raise Unavailable(str(self._failure)) from self._failure
                return
            self._loads += 1
            try:
                await self._load_now()
            except Unavailable as error:
                self._failure = error
                raise
            self._failure = None
            self._loaded_at = monotonic()

    async def _load_now(self) -> None:
        query = select(Revision.value, ApiKey).outerjoin(ApiKey, ApiKey.revision > self._revision)
        async with self._transactions.reading() as session:
            rows = (await session.execute(query)).all()
        for revision, key in rows:
            self._revision = max(self._revision, revision)
            if key is not None:
                self._learn(key)

    def _learn(self, key: ApiKey) -> None:
        role = role_of(key.role)
        if key.revoked_at is not None or role is None:
            self._by_hash.pop(key.hash, None)
            self._hashes.pop(key.id, None)
            return
        principal = Principal(key.id, role, key.name or "", key.pbx, key.company)
        self._by_hash[key.hash] = _Known(principal, key.expires_at)
        self._hashes[key.id] = key.hash

    def _recognise(self, hashed: bytes) -> Principal:
        known = self._by_hash.get(hashed)
        now = datetime.now(UTC)
        if known is None or not known.holds(now):
            raise NotAuthenticated("This key is not known, has expired or was revoked.")
        self._used[known.principal.key_id] = now
        self._was_used.set()
        return known.principal


def _hash_of(header: str | None) -> bytes:
    """Return the hash of the key in an `Authorization` header."""
    if not header:
        raise NotAuthenticated("Send your key in the header: Authorization: Bearer hk_…")
    scheme, _, key = header.partition(" ")
    if scheme.lower() != "bearer":
        raise NotAuthenticated("Write Bearer before the key: Authorization: Bearer hk_…")
    if not is_key(key := key.strip()):
        raise NotAuthenticated("This is no key: one begins with hk_; copy all of it.")
    return hash_key(key)


def _note_use(key_id: UUID, moment: datetime) -> Update:
    noted = ApiKey.last_used_at
    stale = or_(noted.is_(None), noted < moment - timedelta(seconds=USES_KEPT_EVERY))
    return update(ApiKey).where(and_(ApiKey.id == key_id, stale)).values(last_used_at=moment)
