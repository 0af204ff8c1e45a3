"""Whether tables that have grown for a year are as fast as new ones, and what a day's drop costs.

    .venv/bin/python benchmarks/year.py [--days 365] [--rows 3000] [--today 200000] [--drops 20]
    .venv/bin/python benchmarks/year.py --grown FOLDER

Starts a Postgres of its own with two databases: one is new, in the other a partition of each day is
filled with so many events, a delivery and an attempt of each, and today's with more. Rounds in both
take turns: an append of 50 events with a delivery each, a claim of 50, their settlement, and the
first pages of events and deliveries, also of those that find nothing. The least and the median of
the rounds, in milliseconds.

A row stands for itself where it is today's: what is appended, claimed and listed first lies in
today's partitions. Of former days it is their number that could be felt, as no statement of these
reads their rows: a year of ten million events a day has the same 365 partitions.

With `--grown`, the grown one is what finding.py has filled and kept in this folder, of any size; no
day of it is dropped.

Then senders append without a pause while days are dropped, and the 99th percentile of their times
over the drops is printed beside that of a while without any.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg

from hookline import logs
from hookline.db import connections
from hookline.db.migrate import migrate_at
from hookline.db.partitions import of_days
from hookline.domain.access import Principal, Role
from hookline.domain.deliveries import DeliveryStatus
from hookline.domain.ids import new_uuid
from hookline.history.repository import History
from hookline.history.statements import WantedDeliveries, WantedEvents
from hookline.queue.port import Claimed, Lane
from hookline.queue.postgres import PostgresQueue
from hookline.queue.retention import PartitionKeeper
from own_postgres import own_postgres
from queue_batches import delivered, new_batch

_ROUNDS = 60
_BATCH = 50
_SENDERS = 4
_SECOND = 1.0  # for which appends are noted
_WINDOW = timedelta(hours=48)
_LANE = "bench0"
_ADMIN = Principal(new_uuid(), Role.ADMIN, "admin")
_MANAGER = Principal(new_uuid(), Role.MANAGER, "manager", pbx="pbx-7")
_IDLE = Principal(new_uuid(), Role.MANAGER, "a tenant without any", pbx="pbx-idle")
_NONE_OF_EVENTS = {
    "a type": (_ADMIN, WantedEvents(type="none")),
    "a subject": (_ADMIN, WantedEvents(subject="nobody")),
    "a PBX's type": (_MANAGER, WantedEvents(type="none")),
    "a PBX and a company": (_ADMIN, WantedEvents(pbx="pbx-7", company="none")),
    "a tenant without any": (_IDLE, WantedEvents()),
}
_ENDED = frozenset(DeliveryStatus) - {DeliveryStatus.PENDING}
_NONE_OF_DELIVERIES = {
    "a type": (_ADMIN, WantedDeliveries(type="none")),
    "a status": (_ADMIN, WantedDeliveries(statuses=frozenset({DeliveryStatus.FAILED}))),
    "an integration's type": (_MANAGER, WantedDeliveries(type="none")),
    "its type and statuses": (_MANAGER, WantedDeliveries(type="none", statuses=_ENDED)),
    "a tenant without any": (_IDLE, WantedDeliveries()),
}
_FILL = """
with made as materialized (
    select
        uuidv7(make_interval(days => -$1::int)) as event_id,
        uuidv7(make_interval(days => -$1::int)) as id, number,
        now() - make_interval(days => $1::int) as moment
    from generate_series(1, $2::int) as number
),
stored as (
    insert into events (id, pbx, company, type, subject, time, payload, splice)
    select
        event_id, 'pbx-' || number % 1000, 'company-' || number % 100, 'call:completed',
        'call-' || number, number, convert_to('{"data":"' || repeat('x', 600) || '"}', 'utf8'), 1
    from made
),
finished as (
    insert into deliveries (
        id, event_id, integration_id, type, status, attempts, finished_at
    )
    select id, event_id, 'i' || number % 1000, 'call:completed', 'delivered', 1, moment from made
)
insert into attempts (delivery_id, number, started_at, duration_ms, outcome, status_code)
select id, 1, moment, 20, 'delivered', 200 from made
"""
_TENANT = """
insert into integrations (
    id, sequence, pbx, company, company_vouched, name, enabled, type, url, events, version, revision
)
values
    ('i7', $1, 'pbx-7', 'company-7', true, 'one', true, 'WEBHOOK', '', '{}', 1, 1),
    ('none', $2, 'pbx-idle', 'company-idle', true, 'one', true, 'WEBHOOK', '', '{}', 1, 1)
on conflict do nothing
"""


class Senders:
    """Appends batches one after another, as several senders would, and notes what each took."""

    def __init__(self, queue: PostgresQueue) -> None:
        self._queue = queue
        self._number = 0
        self.taken: list[float] = []

    async def append(self) -> None:
        events, deliveries = new_batch(self._number, _BATCH, [_LANE])
        self._number += _BATCH
        began = time.perf_counter()
        await self._queue.append(events, deliveries, revision=1)
        self.taken.append((time.perf_counter() - began) * 1000)

    async def forever(self) -> None:
        while True:
            await self.append()


async def settle(queue: PostgresQueue, claimed: list[Claimed]) -> None:
    await queue.settle(delivered(claimed))


async def milliseconds(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return (time.perf_counter() - began) * 1000


class Store:
    """A database, new or grown, and what each step of a round took in it."""

    def __init__(self, dsn: str, pool: asyncpg.Pool) -> None:
        self.queue = PostgresQueue(pool, lease_seconds=60, duplicate_window=_WINDOW)
        self.senders = Senders(self.queue)
        self.engine = connections.engine(dsn)
        self.history = History(self.engine)
        self.taken: dict[str, list[float]] = defaultdict(list)

    async def round(self) -> None:
        await self.senders.append()
        claimed: list[Claimed] = []

        async def claim() -> None:
            claimed.extend(await self.queue.claim([Lane(_LANE, _BATCH)], most_bytes=1 << 24))

        self.taken["claim"].append(await milliseconds(claim))
        if len(claimed) != _BATCH:
            raise SystemExit(f"{len(claimed)} deliveries were claimed")
        self.taken["settle"].append(await milliseconds(lambda: settle(self.queue, claimed)))
        for who in (_ADMIN, _MANAGER):
            events = lambda c=who: self.history.events(c, WantedEvents(), before=None, limit=51)  # noqa: E731
            sent = lambda c=who: self.history.deliveries(  # noqa: E731
                c, WantedDeliveries(), before=None, limit=51
            )
            self.taken[f"events of {who.name}"].append(await milliseconds(events))
            self.taken[f"deliveries of {who.name}"].append(await milliseconds(sent))
        await self._find_nothing()

    async def _find_nothing(self) -> None:
        for name, (caller, events) in _NONE_OF_EVENTS.items():
            found = lambda c=caller, w=events: self.history.events(c, w, before=None, limit=51)  # noqa: E731
            self.taken[f"events, none: {name}"].append(await milliseconds(found))
        for name, (caller, wanted) in _NONE_OF_DELIVERIES.items():
            sent = lambda c=caller, w=wanted: self.history.deliveries(c, w, before=None, limit=51)  # noqa: E731
            self.taken[f"deliveries, none: {name}"].append(await milliseconds(sent))


async def compare(new: Store, grown: Store) -> None:
    """Measure both in turn, so that whatever else the machine does falls on both."""
    for _ in range(_ROUNDS):
        await new.round()
        await grown.round()
    for store in (new, grown):
        store.taken["append"] = store.senders.taken
        await store.engine.dispose()
    for name, before in new.taken.items():
        after = grown.taken[name]
        print(
            f"{name}: new {min(before):.1f} (median {statistics.median(before):.1f}),"
            f" grown {min(after):.1f} ({statistics.median(after):.1f}) ms"
        )


async def grow(pool: asyncpg.Pool, days: int, rows: int, today: int) -> None:
    began = time.perf_counter()
    first = datetime.now(UTC).date()
    for partition in of_days(first - timedelta(days=day) for day in range(2, days)):
        await pool.execute(partition.create())
    for day in range(1, days):
        await pool.execute(_FILL, day, rows)
    await pool.execute(_FILL, 0, today)
    await pool.execute("vacuum analyze")
    size = await pool.fetchval("select pg_database_size(current_database())")
    print(
        f"{days} days, {rows:,} events in each and {today:,} today: {size / 1e9:.1f} GB,"
        f" filled in {time.perf_counter() - began:.0f} s"
    )


def percentile(taken: list[float], share: float) -> float:
    return sorted(taken)[int(len(taken) * share)]


async def drops(pool: asyncpg.Pool, queue: PostgresQueue, days: int, count: int) -> None:
    """Drop the oldest days while others append; print what these feel of it.

    A second without a drop and a second that begins with one take turns, so that whatever else the
    machine does falls on both.
    """
    senders = Senders(queue)
    tasks = [asyncio.create_task(senders.forever()) for _ in range(_SENDERS)]
    usual: list[float] = []
    over: list[float] = []
    try:
        for number in range(count):
            usual += await during(senders, asyncio.sleep(0))
            keeper = PartitionKeeper(
                pool, retention_days=days - 2 - number, duplicate_window=_WINDOW
            )
            over += await during(senders, keeper.keep())
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for name, taken in (("without a drop", usual), (f"over {count} drops", over)):
        print(
            f"append, {name}: median {percentile(taken, 0.5):.1f} ms,"
            f" p99 {percentile(taken, 0.99):.1f} ms, most {max(taken):.1f} ms of {len(taken)}"
        )


async def during(senders: Senders, work: Awaitable[object]) -> list[float]:
    """Return what appends took that ended within a second, or until the work is done."""
    senders.taken.clear()
    await asyncio.gather(work, asyncio.sleep(_SECOND))
    return senders.taken[:]


@asynccontextmanager
async def prepared(dsn: str) -> AsyncIterator[asyncpg.Pool]:
    """Migrate a database and make its partitions of these days."""
    await migrate_at(dsn)
    async with connections.pool(dsn, statement_timeout=600.0) as pool:
        keeper = PartitionKeeper(pool, retention_days=3650, duplicate_window=_WINDOW)
        await keeper.keep()
        await pool.execute(_TENANT, new_uuid(), new_uuid())
        yield pool


async def against(folder: Path) -> None:
    """Compare a new database with one that is kept in a folder, as it is."""
    settings = {"fsync": "off", "autovacuum": "off", "shared_buffers": "2GB"}
    async with own_postgres(folder, **settings) as dsn, prepared(dsn) as pool:
        await pool.execute("drop database if exists another")
        await pool.execute("create database another")
        size = await pool.fetchval("select pg_database_size(current_database())")
        print(f"{size / 1e9:.1f} GB")
        beside = dsn.replace("@/hookline?", "@/another?")
        async with prepared(beside) as empty:
            await compare(Store(beside, empty), Store(dsn, pool))


async def main(days: int, rows: int, today: int, count: int) -> None:
    async with own_postgres() as dsn, prepared(dsn) as pool:
        await pool.execute("create database another")
        beside = dsn.replace("@/hookline?", "@/another?")
        async with prepared(beside) as empty:
            await grow(pool, days, rows, today)
            await compare(Store(beside, empty), Store(dsn, pool))
        queue = PostgresQueue(pool, lease_seconds=60, duplicate_window=_WINDOW)
        await drops(pool, queue, days, count)


if __name__ == "__main__":
    logs.configure(level="ERROR")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--rows", type=int, default=3_000)
    parser.add_argument("--today", type=int, default=200_000)
    parser.add_argument("--drops", type=int, default=20)
    parser.add_argument("--grown", type=Path)
    asked = parser.parse_args()
    if asked.grown is not None:
        sys.exit(asyncio.run(against(asked.grown)))
    sys.exit(asyncio.run(main(asked.days, asked.rows, asked.today, asked.drops)))
