"""Keeps the days' partitions: makes them ahead of time, drops them when they are old and done."""

from datetime import UTC, datetime, timedelta

import asyncpg

from hookline.db import partitions
from hookline.db.errors import unavailable_when_away
from hookline.db.partitions import Partition
from hookline.db.statements import statement
from hookline.domain.ids import lowest_uuid
from hookline.logs import get_logger

_DAYS_AHEAD = 3  # a service that is cut off from housekeeping for a weekend still accepts
_DAYS_BEHIND = 1  # a clock that is a little late, and ids made just before midnight
_DROPPING = 0x686F6F6B6C696E66  # an advisory lock of its own: one process drops at a time
_MAKING = 0x686F6F6B6C696E67  # and another: a day is made once
_REMEMBERED_LONGER = timedelta(hours=1)  # whoever just found a duplicate still reads its first
_FORGET_AT_ONCE = 10_000  # digests a statement: short transactions, whatever the backlog
_LOCK_WITHIN = "50ms"  # writers wait behind each such lock: no longer than a slow commit takes
_LOCK_PARENTS = f"lock table only {', only '.join(partitions.PARTITIONED)} in access exclusive mode"
_LOG = get_logger(__name__)


class PartitionKeeper:
    """Bounds what is stored: by day for events, deliveries and attempts, by row for the others.

    A day is dropped when it is more than `retention_days` past and nothing of it is undelivered.
    """

    def __init__(
        self, pool: asyncpg.Pool, *, retention_days: int, duplicate_window: timedelta
    ) -> None:
        self._pool = pool
        self._retention_days = retention_days
        self._duplicate_window = duplicate_window
        self._partitions = statement("queue/partitions")
        self._undelivered_day = statement("queue/undelivered_day")
        self._forget_keys = statement("queue/forget_keys")
        self._forget_rate_limits = statement("queue/forget_rate_limits")

    async def make(self, now: datetime | None = None) -> None:
        """Make the partitions of the coming days. Raises Unavailable.

        Nobody who reads or writes is in its way, nor it in theirs.
        """
        with unavailable_when_away():
            async with self._pool.acquire() as connection:
                if not await self._missing(connection, now or datetime.now(UTC)):
                    return
                async with connection.transaction():
                    await connection.execute("select pg_advisory_xact_lock($1)", _MAKING)
                    missing = await self._missing(connection, now or datetime.now(UTC))
                    for partition in missing:
                        await connection.execute(partition.create())
                if missing:
                    _LOG.info("partitions.made", partitions=[each.name for each in missing])

    async def keep(self, now: datetime | None = None) -> None:
        """Make the partitions of the coming days, drop those past retention, forget old digests.

        Safe at any time and from any number of processes: one drops at a time, and the others
        leave it to that one. Raises Unavailable.
        """
        moment = now or datetime.now(UTC)
        await self.make(moment)
        with unavailable_when_away():
            async with self._pool.acquire() as connection:
                if not await connection.fetchval("select pg_try_advisory_lock($1)", _DROPPING):
                    return
                try:
                    await self._drop(connection, moment)
                finally:
                    await connection.execute("select pg_advisory_unlock($1)", _DROPPING)
                await self._forget(connection, moment)
                await connection.execute(self._forget_rate_limits)

    async def _existing(self, connection: asyncpg.Connection) -> set[Partition]:
        names = [row["relname"] for row in await connection.fetch(self._partitions)]
        return {partition for name in names if (partition := partitions.parse(name)) is not None}

    async def _missing(self, connection: asyncpg.Connection, now: datetime) -> list[Partition]:
        existing = await self._existing(connection)
        days = [
            now.date() + timedelta(days=offset) for offset in range(-_DAYS_BEHIND, _DAYS_AHEAD + 1)
        ]
        return [each for each in partitions.of_days(days) if each not in existing]

    async def _drop(self, connection: asyncpg.Connection, now: datetime) -> None:
        """Drop the days past retention, the oldest first, until somebody uses one."""
        existing = await self._existing(connection)
        oldest = now.date() - timedelta(days=self._retention_days)
        for day in sorted({partition.day for partition in existing if partition.day < oldest}):
            try:
                await self._drop_day(connection, [each for each in existing if each.day == day])
            except asyncpg.LockNotAvailableError:
                _LOG.warning("partition.in_use", day=str(day))  # the next round tries again
                return

    async def _drop_day(self, connection: asyncpg.Connection, day: list[Partition]) -> None:
        """Drop a day of all tables, or nothing of it.

        Parents are locked before their partitions, as whoever writes to them does, and first of
        all: a delivery that is made due again meanwhile waits, or keeps its day. A dump holds its
        locks for hours, so one try a round is all that writers are to feel of it.
        """
        async with connection.transaction():
            await connection.execute(f"set local lock_timeout = '{_LOCK_WITHIN}'")
            await connection.execute(_LOCK_PARENTS)
            if await connection.fetchval(self._undelivered_day, *day[0].bounds):
                _LOG.warning("partition.undelivered", day=str(day[0].day))
                return
            for partition in day:
                await connection.execute(partition.drop())
        _LOG.info("partition.dropped", partitions=sorted(each.name for each in day))

    async def _forget(self, connection: asyncpg.Connection, now: datetime) -> None:
        edge = lowest_uuid(now - self._duplicate_window - _REMEMBERED_LONGER)
        deleted = ""
        while deleted != "DELETE 0":
            async with connection.transaction():
                await connection.execute("set local enable_bitmapscan = on")  # for the BRIN index
                deleted = await connection.execute(self._forget_keys, edge, _FORGET_AT_ONCE)
