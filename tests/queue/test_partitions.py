from datetime import UTC, datetime, timedelta

import asyncpg
from structlog.testing import capture_logs

from hookline.domain.deliveries import Delivered
from hookline.queue.postgres import PostgresQueue
from hookline.queue.retention import _DROPPING, PartitionKeeper
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


async def test_days_that_somebody_uses_cost_one_short_try_a_round(
    connections: asyncpg.Pool,
) -> None:
    keeper = PartitionKeeper(connections, retention_days=1, duplicate_window=WINDOW)
    now = datetime.now(UTC)
    for ago in (9, 19, 29):
        await keeper.make(now - timedelta(days=ago))
    old = {f"{now - timedelta(days=ago):%Y%m%d}" for ago in (9, 19, 29)}
    async with connections.acquire() as dump, dump.transaction():
        await dump.execute("select from events, deliveries, attempts limit 1")
        with capture_logs() as logs:
            await keeper.keep()
        tries = [log["event"] for log in logs if log["event"].startswith("partition.")]
        assert tries == ["partition.in_use"], "the oldest day's, and no other"
        for table in ("events", "deliveries", "attempts"):
            assert old <= await days_of(connections, table), "all of a day, or nothing of it"
        await keeper.make(now + timedelta(days=9))
        assert f"{now + timedelta(days=9):%Y%m%d}" in await days_of(connections, "events")
    await keeper.keep()
    for table in ("events", "deliveries", "attempts"):
        assert not old & await days_of(connections, table)


async def test_only_one_process_drops_and_the_others_do_not_wait_for_it(
    connections: asyncpg.Pool,
) -> None:
    keeper = PartitionKeeper(connections, retention_days=1, duplicate_window=WINDOW)
    past = datetime.now(UTC) - timedelta(days=9)
    await keeper.make(past)
    async with connections.acquire() as another:
        await another.execute("select pg_advisory_lock($1)", _DROPPING)
        await keeper.keep()
        assert f"{past:%Y%m%d}" in await days_of(connections, "events")
        await another.execute("select pg_advisory_unlock($1)", _DROPPING)
    await keeper.keep()
    assert f"{past:%Y%m%d}" not in await days_of(connections, "events")


async def test_rate_limits_that_nobody_uses_are_forgotten(connections: asyncpg.Pool) -> None:
    await connections.execute(
        "insert into rate_limits values ('long', now() - interval '2 days'), ('used', now())"
    )
    await PartitionKeeper(connections, retention_days=30, duplicate_window=WINDOW).keep()
    rows = await connections.fetch("delete from rate_limits returning integration_id")
    assert [row["integration_id"] for row in rows] == ["used"]


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
