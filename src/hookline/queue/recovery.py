"""Releases lost claims, and clamps due times after clock skew.

A claim is lost where the connection ended before its answer came. Nobody works on what it leased,
and until the lease ran out nobody would: such claims are noted, and released once the database is
there again.

All is due by the database's clock. One that goes forwards needs nothing: leases run out sooner, and
are fenced. One that is put back, or that of another server after a failover, would leave all that
waits to wait for so long. One that goes forwards and back between two looks is not seen, so from
time to time whatever no clock in order explains is clamped unasked.
"""

import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from hookline.db.errors import BUSY, CONNECTION_LOST, unavailable_when_away
from hookline.db.statements import statement
from hookline.logs import get_logger

_MOST = 100  # what a broken connection leaves is a few; beyond, they wait out their leases
_ANSWER_LOST = (*CONNECTION_LOST, *BUSY)  # of a claim's statements an earlier one may have leased
_STEP = 1.0  # seconds; a daemon that puts a clock right bit by bit stays far below, between looks
_SWEEP_EVERY = 60.0  # seconds; it reads all that waits, some 0.2 s for a million deliveries
_AT_ONCE = 20_000  # deliveries a statement: short transactions, whatever the backlog
_NOW = "select extract(epoch from clock_timestamp())::float8"
_LOG = get_logger(__name__)


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
        self, leases: Mapping[int, Sequence[UUID]], *, lanes: Sequence[str] = ()
    ) -> AsyncIterator[Any]:  # asyncpg ships no types
        """Give a connection to lease deliveries on: those of each token, or any of these lanes.

        An answer that came counts as lost where the connection then breaks at its return
        to the pool: that, too, is raised to whoever leases.
        """
        sent = False
        try:
            async with self._pool.acquire() as connection:
                sent = True
                yield connection
        except _ANSWER_LOST:
            if sent:
                until = time.monotonic() + self._lease_seconds
                lost = [_Lease(token, ids, lanes, until) for token, ids in leases.items()]
                self._noted = [*self._noted, *lost][-_MOST:]
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


class ClockSkew:
    """Brings due times down when the database's clock went back.

    A lease lasts `lease_seconds`, a retry waits `longest_delay` seconds, or as many as
    `longest_wait` where its receiver asked for it. Any number of processes may do this at once.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        lease_seconds: float,
        longest_delay: Callable[[], float],
        longest_wait: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._lease_seconds = lease_seconds
        self._longest_delay = longest_delay
        self._longest_wait = longest_wait
        self._clock = clock
        self._ahead: tuple[float, float] | None = None  # of ours, at the least and at the most
        self._next_sweep = -math.inf
        self._clamp = statement("queue/clamp_due_times")

    async def keep(self) -> None:
        """Compare the clocks, and clamp what is due too late. Raises Unavailable.

        The first look does not know what went before, and sweeps.
        """
        with unavailable_when_away():
            asked_at = self._clock()
            now = await self._pool.fetchval(_NOW)
            answered_at = self._clock()
            ahead = now - answered_at, now - asked_at
            least, most = self._ahead or ahead
            if ahead[1] < least - _STEP:
                _LOG.warning("clock.went_back", seconds=round(least - ahead[1], 1))
                await self._bring_down(self._longest_delay())
            elif ahead[0] > most + _STEP:
                _LOG.warning("clock.went_forward", seconds=round(ahead[0] - most, 1))
            elif asked_at >= self._next_sweep:
                await self._bring_down(max(self._longest_wait, self._longest_delay()))
                self._next_sweep = asked_at + _SWEEP_EVERY
            self._ahead = ahead

    async def _bring_down(self, longest_retry: float) -> None:
        clamped = taken = await self._take(longest_retry)
        while taken == _AT_ONCE:
            taken = await self._take(longest_retry)
            clamped += taken
        if clamped:
            _LOG.warning("clock.due_times_clamped", deliveries=clamped)

    async def _take(self, longest_retry: float) -> int:
        taken: int = await self._pool.fetchval(
            self._clamp, self._lease_seconds, longest_retry, _AT_ONCE
        )
        return taken
