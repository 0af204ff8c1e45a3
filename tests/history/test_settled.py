"""The log of settlements: nothing that commits late is missed, and nothing comes twice."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from factories import a_principal
from hookline.api.stream import delivery_frame
from hookline.db import connections
from hookline.domain.access import Principal
from hookline.domain.ids import new_uuid
from hookline.domain.statistics import Ending, code_of
from hookline.history.repository import History
from hookline.history.roll_ups import KEPT_FOR, RollUps
from hookline.history.settled import Ended, Position, SettledLog
from hookline.history.stream_readers import WantedStream
from hookline.history.streams import Streams
from support.databases import Databases
from support.fakes import FakeClock

LONG = 2 * KEPT_FOR
WRITE = "insert into settlements (integrations, deliveries, codes) values ($1, $2, $3) returning id"


class Writer:
    """A process that settles."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def settle(self, *endings: Ending) -> int:
        codes = [code_of(each, retried=False) for each in endings or (Ending.DELIVERED,)]
        ids = [new_uuid() for _ in codes]
        entry: int = await self.connection.fetchval(WRITE, ["int001"] * len(ids), ids, codes)
        return entry


@pytest.fixture
async def dsn(databases: Databases) -> AsyncIterator[str]:
    async with databases.migrated() as made:
        yield made


@pytest.fixture
async def engine(dsn: str) -> AsyncIterator[AsyncEngine]:
    opened = connections.engine(dsn)
    yield opened
    await opened.dispose()


@pytest.fixture
async def writers(dsn: str) -> AsyncIterator[tuple[Writer, Writer]]:
    one, other = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    yield Writer(one), Writer(other)
    await one.close()
    await other.close()


def entries(found: list[Ended]) -> list[int]:
    return [each.entry for each in found]


async def test_what_commits_late_is_read_late_and_once(
    engine: AsyncEngine, writers: tuple[Writer, Writer]
) -> None:
    slow, quick = writers
    log = SettledLog(engine)
    await log.start()
    first = await quick.settle()
    async with slow.connection.transaction():
        late = await slow.settle()
        last = await quick.settle()
        assert entries(await log.read(10)) == [first, last]
        assert log.missing == {late}
        assert log.position().floor == late - 1, "a break now resumes before it"
    assert entries(await log.read(10)) == [late]
    assert log.position().floor == last
    assert await log.read(10) == []


async def test_what_is_under_way_at_the_start_is_not_missed(
    engine: AsyncEngine, writers: tuple[Writer, Writer]
) -> None:
    slow, quick = writers
    async with slow.connection.transaction():
        late = await slow.settle()
        await quick.settle()
        log = SettledLog(engine)
        await log.start()
    assert entries(await log.read(10)) == [late]


async def test_what_was_rolled_back_is_looked_for_until_its_writer_must_have_ended(
    engine: AsyncEngine, writers: tuple[Writer, Writer]
) -> None:
    clock = FakeClock()
    _, writer = writers
    log = SettledLog(engine, clock=clock)
    await log.start()
    transaction = writer.connection.transaction()
    await transaction.start()
    lost = await writer.settle()
    await transaction.rollback()
    await writer.settle()
    await log.read(10)
    assert log.missing == {lost}
    clock.now += 31
    await log.read(10)
    assert not log.missing


async def test_what_was_forgotten_is_not_looked_for(
    engine: AsyncEngine, writers: tuple[Writer, Writer]
) -> None:
    slow, quick = writers
    for _ in range(4):
        await quick.settle()
    roll_ups = RollUps(engine, days=1)
    await roll_ups.keep()
    await quick.connection.execute(
        "update settlements set settled_at = settled_at - $1::interval", LONG
    )
    await roll_ups.keep()
    assert await quick.connection.fetchval("select count(*) from settlements") == 1
    async with slow.connection.transaction():
        late = await slow.settle()
        newest = await quick.settle()
        await roll_ups.keep()
        log = SettledLog(engine)
        await log.start()
        assert log.missing == {late}
        assert log.position().floor == late - 1
    assert entries(await log.read(10)) == [late]
    assert log.position().floor == newest


async def test_only_what_has_ended_comes_and_pages_hold_no_more_entries_than_asked(
    engine: AsyncEngine, writers: tuple[Writer, Writer]
) -> None:
    _, writer = writers
    log = SettledLog(engine)
    await log.start()
    mixed = await writer.settle(Ending.PENDING, Ending.FAILED, Ending.SKIPPED)
    nothing = await writer.settle(Ending.PENDING)
    after = await writer.settle()
    found = await log.read(2)
    assert [(each.entry, each.index) for each in found] == [(mixed, 1), (mixed, 2)]
    assert log.after == nothing
    assert entries(await log.read(2)) == [after]


async def test_a_position_tells_what_was_sent_before_and_what_was_not(
    engine: AsyncEngine, writers: tuple[Writer, Writer]
) -> None:
    _, writer = writers
    log = SettledLog(engine)
    await log.start()
    await writer.settle(*[Ending.DELIVERED] * 3)
    await writer.settle(*[Ending.DELIVERED] * 2)
    found = await log.read(10)
    for number, each in enumerate(found):
        read = Position.parse(str(log.position(each)))
        assert read is not None
        assert [read.is_before(other) for other in found] == [
            place > number for place in range(len(found))
        ]
    everything = Position.parse(str(log.position()))
    assert everything is not None
    assert not any(everything.is_before(each) for each in found)


class AllKeys:
    """No key is ever revoked."""

    async def reload_if(self, _revision: int) -> None:
        pass

    def still_valid(self, _principal: Principal) -> bool:
        return True


async def test_a_new_reader_reads_along_before_it_is_told_so(
    engine: AsyncEngine, writers: tuple[Writer, Writer]
) -> None:
    streams = Streams(engine, History(engine), AllKeys(), most=2, frame=delivery_frame)
    writer, _ = writers
    await writer.settle()
    reader = streams.open(a_principal(), WantedStream(), None)
    joined = asyncio.create_task(streams.join(reader, within=60))
    await asyncio.sleep(0)
    assert not joined.done()  # nobody knows yet from where on it would read
    await streams.follow()
    await joined
    entry = await writer.settle()
    await streams.follow()
    assert [frames async for frames in streams.begin(reader)] == []
    assert reader.has_yet_to_see(Ended(entry, 0, "int001", new_uuid()))
    streams.close(reader)


async def test_a_reader_joins_after_one_that_left_at_once(
    engine: AsyncEngine, writers: tuple[Writer, Writer]
) -> None:
    streams = Streams(engine, History(engine), AllKeys(), most=2, frame=delivery_frame)
    left = streams.open(a_principal(), WantedStream(), None)
    looking = asyncio.create_task(streams.follow())
    await asyncio.sleep(0)  # it asks the database now
    streams.close(left)
    await looking
    reader = streams.open(a_principal(), WantedStream(), None)
    joined = asyncio.create_task(streams.join(reader, within=60))
    await streams.follow()
    await joined
    writer, _ = writers
    assert reader.has_yet_to_see(Ended(await writer.settle(), 0, "int001", new_uuid()))
    streams.close(reader)
