"""Deliveries whose events are of other days, or gone, and those that an older version stored."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from hookline.domain.deliveries import Delivered, FailReason
from hookline.domain.ids import lowest_uuid
from hookline.queue.port import Lane
from hookline.queue.postgres import PostgresQueue
from support.queue_contract import REVISION, a_delivery, an_event, claim, ids, settled, store


async def move_to_yesterday(pool: asyncpg.Pool, integration_id: str) -> list[UUID]:
    """Have the events of what waits for an integration be of the day before; return their ids."""
    yesterday = lowest_uuid(datetime.now(UTC) - timedelta(days=1)).int
    moved: list[UUID] = []
    rows = await pool.fetch(
        "select event_id from pending where integration_id = $1", integration_id
    )
    for number, row in enumerate(rows):
        moved.append(UUID(int=yesterday + number))
        await pool.execute("update events set id = $2 where id = $1", row["event_id"], moved[-1])
        await pool.execute(
            "update pending set event_id = $2 where event_id = $1", row["event_id"], moved[-1]
        )
    return moved


async def store_more(queue: PostgresQueue, *, to: str, count: int = 1) -> list[UUID]:
    """Store events that `store` did not."""
    events = [an_event(f"call-{to}", number=10 + number) for number in range(count)]
    deliveries = [a_delivery(event, to) for event in events]
    await queue.append(events, deliveries, revision=REVISION)
    return [delivery.id for delivery in deliveries]


async def endings(pool: asyncpg.Pool, deliveries: Iterable[UUID]) -> set[tuple[str, str | None]]:
    query = "select status, reason from deliveries where id = any($1)"
    return {(row["status"], row["reason"]) for row in await pool.fetch(query, [*deliveries])}


async def test_one_claim_takes_events_of_several_days(
    queue: PostgresQueue, partitioned: asyncpg.Pool
) -> None:
    earlier = await store(queue, to="days01", count=3)
    moved = await move_to_yesterday(partitioned, "days01")
    later = await store_more(queue, to="days01", count=3)
    claimed = await claim(queue, "days01")
    assert ids(claimed) == earlier + later
    assert [each.event_id for each in claimed[:3]] == moved
    assert all(each.event.subject == "call-days01" for each in claimed)


async def test_a_delivery_of_yesterdays_event_is_made_due_again(
    queue: PostgresQueue, partitioned: asyncpg.Pool
) -> None:
    [delivery] = await store(queue, to="days02")
    [event] = await move_to_yesterday(partitioned, "days02")
    [claimed] = await claim(queue, "days02")
    await queue.settle([settled(claimed, Delivered())])
    assert await queue.retry(delivery, ordered=True)
    [again] = await claim(queue, "days02", ordered=True)
    assert (again.id, again.event_id, again.once) == (delivery, event, True)


async def test_a_delivery_of_a_day_without_a_partition_is_none(queue: PostgresQueue) -> None:
    long_ago = lowest_uuid(datetime(2020, 1, 1, tzinfo=UTC))
    assert not await queue.retry(long_ago, ordered=False)


async def test_a_delivery_whose_event_is_gone_fails_and_holds_nothing_up(
    queue: PostgresQueue, partitioned: asyncpg.Pool
) -> None:
    lost = await store(queue, to="days03", count=2)
    await partitioned.execute(
        "delete from events where id in (select event_id from pending where integration_id = $1)",
        "days03",
    )
    kept = await store_more(queue, to="days03")
    assert ids(await claim(queue, "days03", room=3)) == kept
    assert await endings(partitioned, lost) == {("failed", FailReason.INTERNAL.value)}


async def test_what_waits_is_put_into_the_order_of_its_events_subjects(
    queue: PostgresQueue, partitioned: asyncpg.Pool
) -> None:
    waiting = await store(queue, to="days04", count=2)
    await move_to_yesterday(partitioned, "days04")
    waiting += await store_more(queue, to="days04", count=2)
    assert await queue.take_over([Lane("days04", 10, ordered=True)]) == {"days04"}
    for expected in waiting:
        [first] = await claim(queue, "days04", ordered=True)
        assert first.id == expected
        await queue.settle([settled(first, Delivered())])


async def test_a_row_that_does_not_know_its_size_counts_as_16_kib(
    queue: PostgresQueue, partitioned: asyncpg.Pool
) -> None:
    await store(queue, to="days05", count=5)
    await partitioned.execute("update pending set payload_bytes = null")
    claimed = await queue.claim([Lane("days05", 10)], most_bytes=40_000)
    assert len(claimed) == 3


async def test_a_claim_takes_no_more_bytes_than_it_may_but_always_one(
    queue: PostgresQueue,
) -> None:
    events = [an_event("call-days06", number=number) for number in range(5)]
    deliveries = [a_delivery(event, "days06") for event in events]
    await queue.append(events, deliveries, revision=REVISION)
    size = len(events[0].event.payload)
    assert len(await queue.claim([Lane("days06", 10)], most_bytes=2 * size)) == 2
    assert len(await queue.claim([Lane("days06", 10)], most_bytes=1)) == 1
