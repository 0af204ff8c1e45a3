"""What the queue's statements cost while events, deliveries and attempts have many days.

    .venv/bin/python benchmarks/many_days.py [--days 1 30 1500]

Starts a Postgres of its own for each number of days, with a partition of each table for each day.
Prints the least milliseconds of several calls, and the most locks on relations that one of them
held: all sessions together may hold some 6,400 (`max_locks_per_transaction`), or statements fail.
"""

import argparse
import asyncio
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg

from hookline import logs
from hookline.db import connections
from hookline.db.partitions import of_days
from hookline.domain.deliveries import Delivered, Sent, Verdict
from hookline.domain.events import Event
from hookline.domain.ids import new_uuid
from hookline.queue.port import Claimed, Lane, NewDelivery, NewEvent, Settlement
from hookline.queue.postgres import PostgresQueue
from hookline.queue.retention import PartitionKeeper
from own_postgres import own_postgres

_ROUNDS = 20
_AT_ONCE = 20  # deliveries of each call
_LOCKS = "select count(*) from pg_locks where locktype = 'relation' and pid <> pg_backend_pid()"
Work = Callable[[], Awaitable[object]]


class OneConnection:
    """A pool of one connection, which may be in a transaction."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self.fetch, self.fetchval = connection.fetch, connection.fetchval
        self.execute = connection.execute

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[asyncpg.Connection]:
        yield self._connection


class Store:
    """A queue over one connection, and what its calls cost."""

    def __init__(self, connection: asyncpg.Connection, watcher: asyncpg.Connection) -> None:
        only = OneConnection(connection)
        self.queue = PostgresQueue(only, lease_seconds=60, duplicate_window=timedelta(hours=48))
        self._connection = connection
        self._watcher = watcher
        self.least_ms: dict[str, float] = {}
        self.most_locks: dict[str, int] = {}

    async def timed(self, name: str, work: Work) -> object:
        began = time.perf_counter()
        done = await work()
        taken = (time.perf_counter() - began) * 1000
        self.least_ms[name] = min(taken, self.least_ms.get(name, taken))
        return done

    async def locked(self, name: str, work: Work) -> None:
        """Run something in a transaction that is undone, and count the locks it holds."""
        transaction = self._connection.transaction()
        await transaction.start()
        await work()
        held = await self._watcher.fetchval(_LOCKS)
        self.most_locks[name] = max(held, self.most_locks.get(name, 0))
        await transaction.rollback()

    async def append(self, integration_id: str, *, ordered: bool) -> None:
        events = [_event(number) for number in range(_AT_ONCE)]
        deliveries = [
            NewDelivery(
                new_uuid(), each.id, integration_id, each.event.type,
                each.event.subject if ordered else None, leased=False,
            )
            for each in events
        ]  # fmt: skip
        await self.timed(
            "append", lambda: self.queue.append(events, deliveries, revision=self.revision)
        )

    revision = 0

    async def walk(self, name: str, lane: Lane) -> None:
        """Store, lease, settle and retry what one lane is to deliver."""

        async def claim() -> list[Claimed]:
            return await self.queue.claim([lane], most_bytes=1 << 20)

        await self.append(lane.integration_id, ordered=lane.ordered)
        await self.locked(name, claim)
        taken: list[Claimed] = []

        async def keep() -> None:
            taken.extend(await claim())

        await self.timed(name, keep)
        if len(taken) != _AT_ONCE:
            raise SystemExit(f"{len(taken)} deliveries were claimed")
        ended = [Settlement(each.id, each.lease, Delivered(), 1, _sent()) for each in taken]
        await self.timed("settle", lambda: self.queue.settle(ended))

        async def retry() -> bool:
            return await self.queue.retry(taken[0].id, ordered=lane.ordered)

        await self.locked("retry", retry)
        await self.timed("retry", retry)
        [again] = await claim()
        await self.queue.settle([Settlement(again.id, again.lease, Delivered(), 2, _sent())])

    async def switch(self, lane: Lane) -> None:
        """Put what waits into the order and take it out."""
        await self.append(lane.integration_id, ordered=False)
        await self.timed("begin_order", lambda: self.queue.take_over([lane]))
        claimed = await self.queue.claim([lane], most_bytes=1 << 20)
        await self.queue.settle(
            [Settlement(c.id, c.lease, Delivered(), 1, _sent()) for c in claimed]
        )


def _event(number: int) -> NewEvent:
    event = Event(
        subject=f"call-{number}", pbx="1", company="1", time=0, type="call:start",
        payload=b'{"id":"x"}' * 100, splice=1,
    )  # fmt: skip
    return NewEvent(new_uuid(), event, uuid.uuid4(), None)


def _sent() -> Sent:
    return Sent(Verdict.DELIVERED, datetime.now(UTC), 5, None, 200)


async def measure(dsn: str, days: int) -> str:
    async with connections.pool(dsn, size=1, statement_timeout=600.0) as pool:
        keeper = PartitionKeeper(pool, retention_days=days, duplicate_window=timedelta(hours=48))
        await keeper.keep()
        today = datetime.now(UTC).date()
        for partition in of_days(today - timedelta(days=day) for day in range(2, days)):
            await pool.execute(partition.create())
        watcher = await asyncpg.connect(dsn)
        async with pool.acquire() as connection:
            store = Store(connection, watcher)
            store.revision = await connection.fetchval("select value from revision")
            for _ in range(_ROUNDS):
                await store.walk("claim", Lane("plain0", _AT_ONCE))
                await store.walk("claim_ordered", Lane("order0", _AT_ONCE, ordered=True))
                await store.switch(Lane("switch", _AT_ONCE, ordered=True))
        await watcher.close()
    times = ", ".join(f"{name} {ms:.2f} ms" for name, ms in store.least_ms.items())
    locks = ", ".join(f"{name} {held:,}" for name, held in store.most_locks.items())
    return f"{days:,} days: {times}; locks: {locks}"


async def main(every: list[int]) -> None:
    for days in every:
        async with own_postgres(fsync="off") as dsn:
            print(await measure(dsn, days), flush=True)


if __name__ == "__main__":
    logs.configure(level="WARNING")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, nargs="+", default=[1, 30, 1500])
    sys.exit(asyncio.run(main(parser.parse_args().days)))
