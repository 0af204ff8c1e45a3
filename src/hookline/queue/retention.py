"""Drops days of events that are old and done, and rows of PBXs that keep fewer; makes new days.

PBXs' rows lie among others' in the days' partitions, so they are deleted in small batches, with a
rest as long as its work behind each. An event of which a delivery is pending stays until that is
finished. Whole days are removed, as partitions are dropped: what is more than so many days past.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from time import monotonic
from uuid import UUID

import asyncpg

from hookline.db import partitions
from hookline.db.errors import unavailable_when_away
from hookline.db.partitions import Partition
from hookline.db.statements import of_days, statement
from hookline.domain.ids import created_at, lowest_uuid
from hookline.logs import get_logger

_REMOVING = 0x686F6F6B6C696E68  # an advisory lock of its own: one process removes at a time
_AT_ONCE = 500  # events a transaction: some 20 ms of work
_SLACK = timedelta(days=1)  # deliveries are made after their events, but for a clock put back
_DAYS_AHEAD = 3  # a service that is cut off from its database for a weekend still accepts
_DAYS_BEHIND = 1  # a clock that is a little late, and ids made just before midnight
_DROPPING = 0x686F6F6B6C696E66  # an advisory lock of its own: one process drops at a time
_MAKING = 0x686F6F6B6C696E67  # and another: a day is made once
_REMEMBERED_LONGER = timedelta(hours=1)  # whoever just found a duplicate still reads its first
_FORGET_AT_ONCE = 10_000  # digests a statement: short transactions, whatever the backlog
_LOCK_WITHIN = "50ms"  # writers wait behind such a lock; it is tried again in the next round
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


class PbxRetention:
    """Removes what is older than a PBX's own retention; all is bounded by `retention_days`."""

    def __init__(self, pool: asyncpg.Pool, *, retention_days: int, batch: int = _AT_ONCE) -> None:
        self._pool = pool
        self._retention_days = retention_days
        self._batch = batch
        self._done: dict[str, date] = {}  # the day before which nothing of a PBX is left
        self._own_retentions = statement("queue/own_retentions")
        self._partitions = statement("queue/partitions")
        self._old_events = statement("queue/old_events")
        self._old_deliveries = statement("queue/old_deliveries")
        self._remove_deliveries = statement("queue/remove_deliveries")
        self._remove_events = statement("queue/remove_events")

    async def keep(self, now: datetime | None = None) -> None:
        """Remove what is past its time, of each PBX. Raises Unavailable.

        Safe at any time and from any number of processes: one removes at a time.
        """
        today = (now or datetime.now(UTC)).date()
        with unavailable_when_away():
            async with self._pool.acquire() as connection:
                if not await connection.fetchval("select pg_try_advisory_lock($1)", _REMOVING):
                    return
                try:
                    rows = await connection.fetch(self._own_retentions, self._retention_days)
                    oldest = {
                        row["pbx"]: today - timedelta(days=row["retention_days"]) for row in rows
                    }
                    self._done = {pbx: day for pbx, day in self._done.items() if pbx in oldest}
                    for pbx, day in oldest.items():
                        if self._done.get(pbx) != day:
                            await self._remove(connection, pbx, day)
                finally:
                    await connection.execute("select pg_advisory_unlock($1)", _REMOVING)

    async def _remove(self, connection: asyncpg.Connection, pbx: str, oldest: date) -> None:
        """Remove a PBX's events of before the day `oldest`."""
        removed = 0
        try:
            for day in await self._days_before(connection, oldest):
                removed += await self._remove_day(connection, pbx, day)
        except asyncpg.LockNotAvailableError:
            _LOG.warning("retention.in_use", pbx=pbx)  # the next round tries again
            return
        finally:
            if removed:
                _LOG.info("retention.removed", pbx=pbx, events=removed, before=str(oldest))
        self._done[pbx] = oldest

    async def _days_before(self, connection: asyncpg.Connection, oldest: date) -> list[Partition]:
        rows = await connection.fetch(self._partitions)
        found = (partitions.parse(row["relname"]) for row in rows)
        events = (each for each in found if each is not None and each.table == "events")
        return sorted((each for each in events if each.day < oldest), key=lambda each: each.day)

    async def _remove_day(self, connection: asyncpg.Connection, pbx: str, day: Partition) -> int:
        first, _ = day.bounds
        behind, removed = UUID(int=first.int - 1), 0
        while True:
            began = monotonic()
            try:
                async with connection.transaction():
                    ids = await self._remove_batch(connection, pbx, behind)
            except _MadeDueAgainError:  # nothing was removed; the next try leaves those events out
                continue
            if not ids:
                return removed
            removed += len(ids)
            behind = ids[-1]
            await asyncio.sleep(monotonic() - began)

    async def _remove_batch(
        self, connection: asyncpg.Connection, pbx: str, behind: UUID
    ) -> Sequence[UUID]:
        """Remove some events behind an id with all that became of them; return their ids."""
        await connection.execute(f"set local lock_timeout = '{_LOCK_WITHIN}'")
        sql = of_days(self._old_events, events=UUID(int=behind.int + 1))
        ids = [row["id"] for row in await connection.fetch(sql, pbx, behind, self._batch)]
        if not ids:
            return ids
        from_id = lowest_uuid(created_at(ids[0]) - _SLACK)
        rows = await connection.fetch(self._old_deliveries, ids, from_id)
        deliveries = sorted(row["id"] for row in rows)
        for _, of_day in groupby(deliveries, key=lambda each: created_at(each).date()):
            some = [*of_day]
            sql = of_days(self._remove_deliveries, deliveries=some[0], attempts=some[0])
            await connection.execute(sql, some)
        sql = of_days(self._remove_events, events=ids[0])
        if await connection.fetchval(sql, ids):
            raise _MadeDueAgainError
        return ids


class _MadeDueAgainError(Exception):
    """A delivery was retried by hand or replayed while its event was being removed."""
