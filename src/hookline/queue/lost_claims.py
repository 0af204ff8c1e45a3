"""Leases that were taken, or not: the connection ended before the answer came.

Nobody works on such a delivery, and until its lease ran out nobody would. So they are noted, and
given back once the database is there again.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from hookline.db.errors import BUSY
from hookline.db.statements import statement

_MOST = 100  # what a broken connection leaves is a few; beyond, they wait out their leases
_UNHEARD = (
    OSError,
    asyncio.TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    *BUSY,  # of a claim's several statements an earlier one may have leased
)


@dataclass(frozen=True, slots=True)
class _Lease:
    token: int
    deliveries: Sequence[UUID]
    lanes: Sequence[str]
    until: float  # by the monotonic clock: when it has run out by itself


class LostClaims:
    """Notes the statements whose answer never came, and undoes what they may have leased."""

    def __init__(self, pool: asyncpg.Pool, *, lease_seconds: float) -> None:
        self._pool = pool
        self._lease_seconds = lease_seconds
        self._noted: list[_Lease] = []
        self._release = statement("queue/release_by_token")

    @asynccontextmanager
    async def connection(
        self, token: int, *, deliveries: Sequence[UUID] = (), lanes: Sequence[str] = ()
    ) -> AsyncIterator[Any]:  # asyncpg ships no types
        """Give a connection to lease these deliveries on, or any of these lanes.

        An answer that was heard counts as unheard where the connection then breaks at its return
        to the pool: that, too, is raised to whoever leases.
        """
        sent = False
        try:
            async with self._pool.acquire() as connection:
                sent = True
                yield connection
        except _UNHEARD:
            if sent:
                until = time.monotonic() + self._lease_seconds
                self._noted = [*self._noted, _Lease(token, deliveries, lanes, until)][-_MOST:]
            raise

    async def release(self) -> None:
        """Undo what was noted and is found now.

        What is not found stays noted: its statement may still be running, without anybody to hear.
        """
        for lease in self._noted:
            found = await self._pool.fetch(
                self._release, lease.token, lease.deliveries, lease.lanes
            )
            if found or lease.until < time.monotonic():
                self._noted = [each for each in self._noted if each is not lease]
