"""Removes events of PBXs whose retention is shorter than everybody's, with all that became of them.

Their rows lie among others' in the days' partitions, so they are deleted in small batches, with a
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
_LOCK_WITHIN = "50ms"  # where somebody uses one of the rows, it is tried again in the next round
_SLACK = timedelta(days=1)  # deliveries are made after their events, but for a clock put back
_LOG = get_logger(__name__)


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
