"""Events of a PBX with a retention of its own go with all that became of them, and nothing else."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from hookline.db.statements import of_days, statement
from hookline.domain.deliveries import Delivered
from hookline.domain.ids import new_uuid
from hookline.queue.port import NewEvent
from hookline.queue.postgres import PostgresQueue
from hookline.queue.retention import _REMOVING, PbxRetention
from support.queue_contract import REVISION, a_delivery, an_event, claim, settled

NOW = datetime.now(UTC)
LATER = NOW + timedelta(days=9)  # more than the 7 days that the PBXs here have


@pytest.fixture
async def retention(partitioned: asyncpg.Pool) -> PbxRetention:
    return PbxRetention(partitioned, retention_days=30, batch=2)


async def describe(pool: asyncpg.Pool, pbx: str, days: int | None) -> None:
    await pool.execute(
        "insert into pbxs (pbx, sequence, company, license, presence_events, retention_days,"
        " revision) values ($1, $2, 'it_w000001', 'x-bees', false, $3, 1)"
        " on conflict (pbx) do update set retention_days = excluded.retention_days",
        pbx,
        new_uuid(),
        days,
    )


def event_of(pbx: str, number: int = 0) -> NewEvent:
    made = an_event(f"call-{pbx}", number=number)
    event = replace(made.event, pbx=pbx)
    return replace(made, event=event, digest=event.digest(pbx))


async def stored(queue: PostgresQueue, pbx: str, count: int = 1) -> list[UUID]:
    """Store events of a PBX, each delivered to an integration named like it; return their ids."""
    events = [event_of(pbx, number) for number in range(count)]
    await queue.append(events, [a_delivery(each, pbx) for each in events], revision=REVISION)
    await queue.settle([settled(each, Delivered()) for each in await claim(queue, pbx)])
    return [each.id for each in events]


async def kept(pool: asyncpg.Pool, pbx: str) -> tuple[int, int, int]:
    """Count what is kept of a PBX: events, finished deliveries, attempts."""
    return (
        await pool.fetchval("select count(*) from events where pbx = $1", pbx),
        await pool.fetchval("select count(*) from deliveries where integration_id = $1", pbx),
        await pool.fetchval(
            "select count(*) from attempts join deliveries on id = delivery_id"
            " where integration_id = $1",
            pbx,
        ),
    )


async def test_what_is_older_than_a_pbxs_own_days_goes_in_batches(
    queue: PostgresQueue, retention: PbxRetention, partitioned: asyncpg.Pool
) -> None:
    for pbx, days in (("week", 7), ("usual", None), ("longer", 90)):
        await describe(partitioned, pbx, days)
        await stored(queue, pbx, 5)
    attempts = await partitioned.fetchval("select count(*) from attempts")
    await retention.keep(NOW + timedelta(days=7))
    assert await kept(partitioned, "week") == (5, 5, 5), "its day is the seventh before"
    await retention.keep(LATER)
    assert await kept(partitioned, "week") == (0, 0, 0)
    assert await kept(partitioned, "usual") == await kept(partitioned, "longer") == (5, 5, 5)
    assert await partitioned.fetchval("select count(*) from attempts") == attempts - 5


async def test_an_event_stays_until_all_of_its_deliveries_are_finished(
    queue: PostgresQueue, retention: PbxRetention, partitioned: asyncpg.Pool
) -> None:
    await describe(partitioned, "waits", 7)
    event = event_of("waits")
    deliveries = [a_delivery(event, to) for to in ("waits", "waits-too")]
    await queue.append([event], deliveries, revision=REVISION)
    await queue.settle([settled(each, Delivered()) for each in await claim(queue, "waits")])
    await retention.keep(LATER)
    assert await kept(partitioned, "waits") == (1, 1, 1)
    await queue.settle([settled(each, Delivered()) for each in await claim(queue, "waits-too")])
    await retention.keep(LATER + timedelta(days=1))
    assert await kept(partitioned, "waits") == await kept(partitioned, "waits-too") == (0, 0, 0)


async def test_what_is_being_retried_or_replayed_meanwhile_stays(
    queue: PostgresQueue, retention: PbxRetention, partitioned: asyncpg.Pool
) -> None:
    await describe(partitioned, "again", 7)
    retried, replayed = await stored(queue, "again", 2)
    delivery = await partitioned.fetchval("select id from deliveries where event_id = $1", retried)
    retry = of_days(
        statement("queue/retry"), deliveries=delivery, attempts=delivery, events=retried
    )
    async with partitioned.acquire() as replay, replay.transaction():
        await replay.execute("select from events where id = $1 for key share", replayed)
        async with partitioned.acquire() as by_hand, by_hand.transaction():
            assert await by_hand.fetchval(retry, delivery, False, retried) == delivery  # noqa: FBT003 - a column
            with capture_logs() as logs:
                await retention.keep(LATER)
            assert [each["event"] for each in logs] == ["retention.in_use"]
        await retention.keep(LATER)
        assert await kept(partitioned, "again") == (2, 1, 1)
    [claimed] = await claim(queue, "again")
    assert claimed.event_id == retried
    await queue.settle([settled(claimed, Delivered())])
    await retention.keep(LATER + timedelta(days=1))
    assert await kept(partitioned, "again") == (0, 0, 0)


async def test_one_process_removes_at_a_time(
    queue: PostgresQueue, retention: PbxRetention, partitioned: asyncpg.Pool
) -> None:
    await describe(partitioned, "alone", 7)
    await stored(queue, "alone")
    async with partitioned.acquire() as another:
        await another.execute("select pg_advisory_lock($1)", _REMOVING)
        await retention.keep(LATER)
        assert await kept(partitioned, "alone") == (1, 1, 1)
        await another.execute("select pg_advisory_unlock($1)", _REMOVING)
    await retention.keep(LATER)
    assert await kept(partitioned, "alone") == (0, 0, 0)
