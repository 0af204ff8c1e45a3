"""The database's clock goes back an hour; here, all that is due is put an hour ahead of it."""

import asyncpg
import pytest

from hookline.db.connections import pool
from hookline.domain.deliveries import Delivered, RetryAt
from hookline.errors import Unavailable
from hookline.queue import recovery
from hookline.queue.postgres import PostgresQueue
from hookline.queue.recovery import ClockSkew
from support.queue_contract import claim, settled, store

HOUR = 3600.0
LEASE, DELAY, WAIT = 60.0, 120.0, 3_600.0  # seconds


class Clocks:
    """A monotonic clock, and all due times: an hour more on both is an hour less in Postgres."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self.now = 5_000.0

    def __call__(self) -> float:
        return self.now

    async def put_back(self, seconds: float) -> None:
        self.now += seconds
        await self._pool.execute(
            "update pending set due_at = due_at + make_interval(secs => $1),"
            " leased_until = leased_until + make_interval(secs => $1)",
            seconds,
        )


@pytest.fixture
async def clocks(partitioned: asyncpg.Pool) -> Clocks:
    await partitioned.execute("truncate pending")
    return Clocks(partitioned)


@pytest.fixture
def due_times(partitioned: asyncpg.Pool, clocks: Clocks) -> ClockSkew:
    return ClockSkew(
        partitioned,
        lease_seconds=LEASE,
        longest_delay=lambda: DELAY,
        longest_wait=WAIT,
        clock=clocks,
    )


async def due_in(queue: PostgresQueue) -> dict[str, float]:
    return {each.integration_id: each.due_in for each in await queue.waiting()}


async def test_nothing_waits_for_an_hour_that_the_clock_lost(
    queue: PostgresQueue, due_times: ClockSkew, clocks: Clocks, partitioned: asyncpg.Pool
) -> None:
    await due_times.keep()
    await store(queue, to="waits")
    await store(queue, to="retries")
    await store(queue, to="leased")
    [failed] = await claim(queue, "retries")
    await queue.settle([settled(failed, RetryAt(5.0))])
    [leased] = await claim(queue, "leased")

    await clocks.put_back(HOUR)
    assert min((await due_in(queue)).values()) > HOUR - 10
    await due_times.keep()

    due = await due_in(queue)
    assert due["waits"] <= 0
    assert DELAY - 10 < due["retries"] <= DELAY
    lease_ends_in = await partitioned.fetchval(
        "select extract(epoch from leased_until - now())::float8 from pending where id = $1",
        leased.id,
    )
    assert LEASE - 10 < lease_ends_in <= LEASE
    assert await queue.settle([settled(leased, Delivered())]) == {leased.id}
    assert len(await claim(queue, "waits")) == 1


async def test_however_many_wait_all_are_brought_down(
    queue: PostgresQueue, due_times: ClockSkew, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_AT_ONCE", 3)
    await due_times.keep()
    await store(queue, to="many", count=8)
    await clocks.put_back(HOUR)
    await due_times.keep()
    assert len(await claim(queue, "many", room=10)) == 8


async def test_while_the_clock_goes_on_what_a_receiver_asked_for_is_waited_for(
    queue: PostgresQueue, due_times: ClockSkew, clocks: Clocks
) -> None:
    await due_times.keep()
    await store(queue, to="asked")
    [job] = await claim(queue, "asked")
    await queue.settle([settled(job, RetryAt(WAIT))])
    for seconds in (0.5, -0.5, -HOUR):  # about as fast as ours, a little slower, put forwards
        clocks.now += seconds
        await due_times.keep()
    assert (await due_in(queue))["asked"] > WAIT - 10


async def test_the_first_look_mends_only_what_no_clock_in_order_explains(
    queue: PostgresQueue, due_times: ClockSkew, partitioned: asyncpg.Pool
) -> None:
    for name in ("asked1", "waits1"):
        await store(queue, to=name)
    [job] = await claim(queue, "asked1")
    await queue.settle([settled(job, RetryAt(WAIT))])
    await partitioned.execute(
        "update pending set due_at = now() + interval '1 hour' where integration_id = 'waits1'"
    )
    await due_times.keep()
    due = await due_in(queue)
    assert due["waits1"] <= 0
    assert due["asked1"] > WAIT - 10


async def test_a_step_forwards_and_back_between_two_looks_is_mended_a_minute_later(
    queue: PostgresQueue, due_times: ClockSkew, clocks: Clocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_SWEEP_EVERY", 0.5)  # a minute of this clock would be a step
    await due_times.keep()
    await store(queue, to="waits3")
    await clocks.put_back(HOUR)
    clocks.now -= HOUR  # what was stored is an hour ahead, and no look saw why
    await due_times.keep()
    assert (await due_in(queue))["waits3"] > HOUR - 10
    clocks.now += 0.5
    await due_times.keep()
    assert (await due_in(queue))["waits3"] <= 0


async def test_what_could_not_be_mended_is_mended_at_the_next_look(
    queue: PostgresQueue, clocks: Clocks, partitioned: asyncpg.Pool, database: str
) -> None:
    async with pool(database, size=1, statement_timeout=0.1) as impatient:
        due_times = ClockSkew(
            impatient,
            lease_seconds=LEASE,
            longest_delay=lambda: DELAY,
            longest_wait=WAIT,
            clock=clocks,
        )
        await due_times.keep()
        await store(queue, to="waits2")
        await clocks.put_back(HOUR)
        async with partitioned.acquire() as other, other.transaction():
            await other.execute("lock table pending in access exclusive mode")
            with pytest.raises(Unavailable):
                await due_times.keep()
        await due_times.keep()
    assert (await due_in(queue))["waits2"] <= 0
