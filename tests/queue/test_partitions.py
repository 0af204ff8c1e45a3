from datetime import UTC, datetime, timedelta

import asyncpg

from hookline.domain.deliveries import Delivered
from hookline.queue.partitions import PartitionKeeper
from hookline.queue.postgres import PostgresQueue
from support.queue_contract import REVISION, a_delivery, an_event, claim, settled

WINDOW = timedelta(hours=48)


async def days_of(connections: asyncpg.Pool, table: str) -> set[str]:
    rows = await connections.fetch(
        "select inhrelid::regclass::text as name from pg_inherits where inhparent = $1::regclass",
        table,
    )
    return {row["name"].removeprefix(f"{table}_") for row in rows}


async def test_days_are_made_ahead_and_dropped_when_old_and_done(
    connections: asyncpg.Pool,
) -> None:
    keeper = PartitionKeeper(connections, retention_days=30, duplicate_window=WINDOW)
    now = datetime.now(UTC)
    await keeper.keep(now)
    await keeper.keep(now)
    today = f"{now:%Y%m%d}"
    assert today in await days_of(connections, "events")
    assert f"{now + timedelta(days=3):%Y%m%d}" in await days_of(connections, "attempts")

    queue = PostgresQueue(connections, lease_seconds=60, duplicate_window=WINDOW)
    event = an_event("kept")
    await queue.append([event], [a_delivery(event, "kept01")], revision=REVISION)
    later = now + timedelta(days=32)
    await keeper.keep(later)
    assert today in await days_of(connections, "events"), "never one with undelivered rows"

    [claimed] = await claim(queue, "kept01")
    await queue.settle([settled(claimed, Delivered())])
    await keeper.keep(later)
    for table in ("events", "deliveries", "attempts"):
        assert today not in await days_of(connections, table)
    assert await connections.fetchval("select count(*) from event_keys") == 0
