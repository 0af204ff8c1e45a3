from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

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


async def test_a_day_that_somebody_uses_is_dropped_at_another_time(
    connections: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hookline.queue.partitions._LOCK_WITHIN", "100ms")
    keeper = PartitionKeeper(connections, retention_days=1, duplicate_window=WINDOW)
    past = datetime.now(UTC) - timedelta(days=9)
    await keeper.keep(past)
    day = f"{past:%Y%m%d}"
    async with connections.acquire() as reader, reader.transaction():
        await reader.execute("select count(*) from events")
        await keeper.keep()
        for table in ("events", "deliveries", "attempts"):
            assert day in await days_of(connections, table), "all of a day, or nothing of it"
    await keeper.keep()
    for table in ("events", "deliveries", "attempts"):
        assert day not in await days_of(connections, table)


async def test_digests_are_remembered_for_the_window_and_forgotten_after_it(
    connections: asyncpg.Pool,
) -> None:
    keeper = PartitionKeeper(connections, retention_days=30, duplicate_window=WINDOW)
    now = datetime.now(UTC)
    await keeper.keep(now)
    queue = PostgresQueue(connections, lease_seconds=60, duplicate_window=WINDOW)
    event = an_event("remembered")
    await queue.append([event], [], revision=REVISION)
    known = "select count(*) from event_keys where event_id = $1"
    await keeper.keep(now + WINDOW + timedelta(minutes=30))
    assert await connections.fetchval(known, event.id) == 1
    await keeper.keep(now + WINDOW + timedelta(minutes=90))
    assert await connections.fetchval(known, event.id) == 0
