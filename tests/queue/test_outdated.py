"""Deliveries that are too old, or replaced by newer ones, end without an attempt."""

from collections import Counter
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace

from hookline.domain.deliveries import RetryAt, SkipReason
from hookline.domain.retries import replacement_key
from hookline.queue.outdated import OutdatedDeliveries
from hookline.queue.postgres import PostgresQueue
from support.queue_contract import REVISION, a_delivery, an_event, claim, ids, settled

WINDOW = timedelta(hours=48)
LONG = 3_600.0


@pytest.fixture
def told() -> Counter[SkipReason]:
    return Counter()


@pytest.fixture
def outdated(partitioned: asyncpg.Pool, told: Counter[SkipReason]) -> OutdatedDeliveries:
    def skipped(reason: SkipReason, deliveries: int) -> None:
        told[reason] += deliveries

    return OutdatedDeliveries(partitioned, skipped=skipped)


async def store(
    queue: PostgresQueue,
    to: str,
    subjects: list[str],
    *,
    max_age: float | None = None,
    latest: bool = False,
    ordered: bool = False,
    omit: tuple[str, ...] | None = None,
    first: int = 0,
) -> list[UUID]:
    """Store an event of each subject with a delivery; return the deliveries' ids."""
    events = [
        an_event(f"{to}-{each}", number=number) for number, each in enumerate(subjects, first)
    ]
    deliveries = [
        replace(
            a_delivery(event, to, ordered=ordered),
            max_age=max_age,
            replacement_key=replacement_key("call:start", event.event.subject) if latest else None,
            omit=omit,
        )
        for event in events
    ]
    await queue.append(events, deliveries, revision=REVISION)
    return [delivery.id for delivery in deliveries]


async def ended(pool: asyncpg.Pool, to: str) -> dict[UUID, tuple[str, str, int]]:
    rows = await pool.fetch(
        "select id, status, reason, attempts from deliveries where integration_id = $1", to
    )
    return {row["id"]: (row["status"], row["reason"], row["attempts"]) for row in rows}


async def grow_old(pool: asyncpg.Pool, to: str) -> None:
    await pool.execute(
        "update pending set stale_at = stale_at - interval '1 day' where integration_id = $1", to
    )


async def test_a_claim_tells_how_long_a_delivery_is_fresh_and_what_its_copy_leaves_out(
    queue: PostgresQueue,
) -> None:
    await store(queue, "fresh1", ["a"], max_age=LONG, omit=('data."odd', "data.b,c"))
    await store(queue, "fresh1", ["b"])
    first, second = await claim(queue, "fresh1")
    assert first.fresh_for is not None
    assert LONG - 60 < first.fresh_for <= LONG
    assert first.omit == ('data."odd', "data.b,c")
    assert (second.fresh_for, second.omit, second.superseded) == (None, None, False)


async def test_what_is_too_old_ends_as_stale_unless_somebody_holds_it(
    queue: PostgresQueue,
    partitioned: asyncpg.Pool,
    outdated: OutdatedDeliveries,
    told: Counter[SkipReason],
) -> None:
    held, old = await store(queue, "stale1", ["a", "b"], max_age=LONG)
    [for_ever] = await store(queue, "stale1", ["c"])
    assert ids(await claim(queue, "stale1", room=1)) == [held]
    await grow_old(partitioned, "stale1")
    await outdated.end_stale()
    assert await ended(partitioned, "stale1") == {old: ("skipped", "stale", 0)}
    assert told == {SkipReason.STALE: 1}
    assert ids(await claim(queue, "stale1")) == [for_ever]


async def test_a_retry_keeps_what_it_was_stored_with(
    queue: PostgresQueue, partitioned: asyncpg.Pool
) -> None:
    await store(queue, "kept01", ["a"], max_age=LONG, latest=True, omit=("data.x",))
    [job] = await claim(queue, "kept01")
    await queue.settle([settled(job, RetryAt(0.0))])
    [again] = await claim(queue, "kept01")
    assert (again.attempts, again.omit, again.replacement_key) == (1, job.omit, job.replacement_key)
    assert again.fresh_for is not None
    assert job.fresh_for is not None
    assert again.fresh_for <= job.fresh_for
    assert await ended(partitioned, "kept01") == {}


async def test_a_delivery_that_is_sent_again_by_hand_is_never_too_old_and_leaves_out_the_same(
    queue: PostgresQueue, partitioned: asyncpg.Pool, outdated: OutdatedDeliveries
) -> None:
    [old] = await store(queue, "hand01", ["a"], max_age=LONG, omit=("data.x",))
    await grow_old(partitioned, "hand01")
    await outdated.end_stale()
    assert await queue.retry(old, ordered=False)
    await outdated.end_stale()
    [job] = await claim(queue, "hand01")
    assert (job.id, job.once, job.fresh_for, job.omit) == (old, True, None, ("data.x",))


async def test_of_one_type_and_subject_only_the_newest_that_waits_is_left(
    queue: PostgresQueue,
    partitioned: asyncpg.Pool,
    outdated: OutdatedDeliveries,
    told: Counter[SkipReason],
) -> None:
    first, other, second, third = await store(queue, "new001", ["a", "b", "a", "a"], latest=True)
    await outdated.end_superseded()
    skipped = ("skipped", "superseded", 0)
    assert await ended(partitioned, "new001") == {first: skipped, second: skipped}
    assert told[SkipReason.SUPERSEDED] == 2
    jobs = await claim(queue, "new001")
    assert ids(jobs) == [other, third]
    assert not any(job.superseded for job in jobs)


async def test_a_claim_ends_what_its_own_replace_and_marks_those_that_are_replaced(
    queue: PostgresQueue, partitioned: asyncpg.Pool
) -> None:
    first, second, third = await store(queue, "new002", ["a", "a", "a"], latest=True)
    [job] = await claim(queue, "new002", room=1)
    assert (job.id, job.superseded) == (first, True)
    assert set(await ended(partitioned, "new002")) == {second}
    [newest] = await claim(queue, "new002")
    assert (newest.id, newest.superseded) == (third, False)


async def test_what_waits_for_its_retry_is_replaced_when_a_newer_one_is_claimed(
    queue: PostgresQueue, partitioned: asyncpg.Pool
) -> None:
    [first] = await store(queue, "new003", ["a"], latest=True)
    [job] = await claim(queue, "new003")
    await queue.settle([settled(job, RetryAt(60.0))])
    [second] = await store(queue, "new003", ["a"], latest=True, first=1)
    assert ids(await claim(queue, "new003")) == [second]
    assert await ended(partitioned, "new003") == {first: ("skipped", "superseded", 1)}


async def test_a_subject_in_order_goes_on_with_the_newest(
    queue: PostgresQueue, partitioned: asyncpg.Pool, outdated: OutdatedDeliveries
) -> None:
    first, second = await store(queue, "new004", ["a", "a"], latest=True, ordered=True)
    await outdated.end_superseded()
    assert set(await ended(partitioned, "new004")) == {first}
    assert ids(await claim(queue, "new004", ordered=True)) == [second]
