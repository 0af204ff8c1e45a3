import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from hookline.domain.deliveries import Delivered, RetryAt
from hookline.queue.port import Lane, RateTokens
from hookline.queue.postgres import PostgresQueue
from support.queue_contract import REVISION, a_delivery, an_event, claim, ids, settled, store


def limited(to: str, room: int, rate: float) -> Lane:
    return Lane(to, room, rate_limit=rate)


async def known(queue: PostgresQueue, *lanes: Lane) -> None:
    """Have the lanes noted: the first question of all grants nothing."""
    tokens = await queue.acquire_tokens(lanes)
    assert set(tokens.values()) == {RateTokens(0, 0.0)}


async def pass_time(pool: asyncpg.Pool, to: str, seconds: float) -> None:
    moment = datetime.now(UTC) - timedelta(seconds=seconds)
    await pool.execute(
        "update rate_limits set used_until = $2 where integration_id = $1", to, moment
    )


async def take(queue: PostgresQueue, lane: Lane) -> RateTokens:
    return (await queue.acquire_tokens([lane]))[lane.integration_id]


async def test_a_slow_rate_lets_one_go_and_says_when_the_next_may(queue: PostgresQueue) -> None:
    lane = limited("limited1", 50, 0.1)
    await known(queue, lane)
    first = await take(queue, lane)
    assert first.granted == 1
    assert 9 < first.next_in <= 10
    second = await take(queue, lane)
    assert second.granted == 0
    assert 0 < second.next_in <= first.next_in


async def test_a_fast_rate_lets_a_tenth_of_a_second_go_at_once(queue: PostgresQueue) -> None:
    lane = limited("limited2", 500, 1000.0)
    await known(queue, lane)
    assert (await take(queue, lane)).granted == 100


async def test_no_more_is_granted_than_was_asked_for(queue: PostgresQueue) -> None:
    lane = limited("limited3", 3, 1000.0)
    await known(queue, lane)
    assert (await take(queue, lane)) == RateTokens(3, 0.0)


async def test_time_that_passed_unused_is_not_saved_up(
    queue: PostgresQueue, partitioned: asyncpg.Pool
) -> None:
    lane = limited("limited4", 500, 20.0)
    await known(queue, lane)
    await pass_time(partitioned, "limited4", 3600)
    assert (await take(queue, lane)).granted == 2


async def test_a_lane_does_not_wait_for_an_hour_that_the_clock_lost(
    queue: PostgresQueue, partitioned: asyncpg.Pool
) -> None:
    lane = limited("limited9", 50, 0.1)
    await known(queue, lane)
    await pass_time(partitioned, "limited9", -3600)
    assert (await take(queue, lane)).granted == 1
    again = await take(queue, lane)
    assert again.granted == 0
    assert 9 < again.next_in <= 10


async def test_many_processes_together_get_no_more_than_one(queue: PostgresQueue) -> None:
    lane = limited("limited5", 10, 0.5)
    await asyncio.gather(*(queue.acquire_tokens([lane]) for _ in range(5)))
    tokens = await asyncio.gather(*(take(queue, lane) for _ in range(10)))
    assert sum(each.granted for each in tokens) <= 1


async def test_unused_tokens_are_refunded(queue: PostgresQueue) -> None:
    lane = limited("limited6", 5, 0.1)
    await known(queue, lane)
    assert (await take(queue, lane)).granted == 1
    await queue.refund_tokens([limited("limited6", 1, 0.1)])
    assert (await take(queue, lane)).granted == 1


async def test_lanes_are_counted_apart(queue: PostgresQueue) -> None:
    lanes = [limited("limited7", 5, 0.1), limited("limited8", 5, 0.1)]
    await known(queue, *lanes)
    assert {each.granted for each in (await queue.acquire_tokens(lanes)).values()} == {1}


async def store_new(queue: PostgresQueue, to: str, count: int) -> list[UUID]:
    events = [an_event(f"new-{to}", number=number) for number in range(count)]
    deliveries = [a_delivery(event, to) for event in events]
    await queue.append(events, deliveries, revision=REVISION)
    return [delivery.id for delivery in deliveries]


async def test_first_attempts_and_retries_of_a_lane_go_in_the_order_they_became_due(
    queue: PostgresQueue,
) -> None:
    early = await store(queue, to="order1", count=2)
    for each in await claim(queue, "order1"):
        await queue.settle([settled(each, RetryAt(0.0))])
    new = await store_new(queue, "order1", count=2)
    later = await claim(queue, "order1", room=1)
    await queue.settle([settled(later[0], RetryAt(0.0))])
    taken = [await claim(queue, "order1", room=1) for _ in range(4)]
    order = [delivery for jobs in taken for delivery in ids(jobs)]
    assert (order[0], order[3]) == (early[1], early[0]), "a retry goes behind what was due first"
    assert set(order[1:3]) == set(new)
    for jobs in taken:
        await queue.settle([settled(job, Delivered()) for job in jobs])
