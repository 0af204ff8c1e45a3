import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import asyncpg

from hookline.db.listener import ENGINES_CHANNEL, EngineMembership, Listener
from support.databases import Databases
from support.postgres_clients import ask, connection
from support.service import eventually

QUICK = 0.05  # seconds between counts, so that what is silent is known to be within half a second
NEVER = 600.0
_SOON = 20.0  # seconds; far more than it takes


PLACES_TAKEN = """
select count(*) from pg_locks where locktype = 'advisory'
    and database = (select oid from pg_database where datname = current_database())
"""


class Engine:
    """An engine's listener, and what it was told: its rank and the number of engines."""

    def __init__(self, dsn: str, every: float = QUICK) -> None:
        self.membership = EngineMembership(self._counted, every=every)
        self._listener = Listener(dsn, {}, self.membership)
        self.told: tuple[int, int] | None = None
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def present(self) -> AsyncIterator["Engine"]:
        task = asyncio.create_task(self._listener.run())
        try:
            yield self
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def until(self, rank: int, size: int) -> None:
        async with asyncio.timeout(_SOON):
            while self.told != (rank, size):
                self._changed.clear()
                await self._changed.wait()

    def _counted(self, mine: int, places: Sequence[int]) -> None:
        self.told = places.index(mine), len(places)
        self._changed.set()


async def test_engines_count_each_other_as_they_come_and_go(database: str) -> None:
    one, two, three = (Engine(database) for _ in range(3))
    async with one.present(), AsyncExitStack() as others:
        await one.until(0, 1)
        async with two.present():
            await two.until(1, 2)
            await others.enter_async_context(three.present())
            await three.until(2, 3)
            await two.until(1, 3)
            await one.until(0, 3)
        await three.until(1, 2)
        await one.until(0, 2)


async def test_an_engine_that_comes_is_counted_at_once_without_waiting_for_the_next_count(
    database: str,
) -> None:
    # A session that an earlier test closed may still be ending, and would be counted for good.
    await eventually(lambda: ask(database, PLACES_TAKEN), lambda count: count == 0)
    one, two = Engine(database, every=NEVER), Engine(database, every=NEVER)
    async with one.present():
        await one.until(0, 1)
        async with two.present():
            await two.until(1, 2)
            await one.until(0, 2)


async def test_an_engine_whose_session_is_ended_takes_a_place_again(database: str) -> None:
    one, two = Engine(database), Engine(database)
    cut = (
        "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'"
        " and database = (select oid from pg_database where datname = current_database())"
        " order by objid desc limit 1"
    )
    async with one.present():
        await one.until(0, 1)
        async with two.present():
            await two.until(1, 2)
            two.told = None
            assert await ask(database, cut)
            await two.until(1, 2)
            await one.until(0, 2)


async def test_an_engine_that_says_nothing_any_more_is_not_counted(database: str) -> None:
    one = Engine(database)
    frozen = EngineMembership(lambda _mine, _places: None, every=NEVER)
    async with one.present(), connection(database) as session:
        await one.until(0, 1)
        await frozen.join(session)
        await one.until(0, 2)
        await one.until(0, 1)
        await frozen.count(session)
        await one.until(0, 2)


async def test_engines_of_another_database_and_other_locks_do_not_count(
    database: str, databases: Databases
) -> None:
    async with AsyncExitStack() as stack:
        one = Engine(database)
        other = Engine(await stack.enter_async_context(databases.migrated()))
        session = await stack.enter_async_context(connection(database))
        await session.execute("select pg_advisory_lock(1), pg_advisory_lock(2, 2)")
        await stack.enter_async_context(one.present())
        await stack.enter_async_context(other.present())
        await one.until(0, 1)
        await other.until(0, 1)


async def test_over_a_session_that_is_not_its_own_an_engine_is_as_if_alone(database: str) -> None:
    """As behind a pooler in transaction mode, which hands another session to each statement."""
    told: list[tuple[int, list[int]]] = []
    membership = EngineMembership(lambda mine, places: told.append((mine, [*places])))
    member = Engine(database)
    async with member.present(), connection(database) as one:
        await member.until(0, 1)
        await membership.join(one)
        async with connection(database) as other:
            await membership.count(other)
        await membership.count(one)
        assert told == [(0, [0]), (1, [0, 1])]


async def test_two_engines_over_one_session_are_each_as_if_alone(database: str) -> None:
    told: list[tuple[int, list[int]]] = []
    async with connection(database) as shared:
        for _ in range(2):
            membership = EngineMembership(lambda mine, places: told.append((mine, [*places])))
            await membership.join(shared)
            await membership.count(shared)
    assert told[-1] == (0, [0])


async def test_where_nobody_can_be_counted_an_engine_starts_nevertheless() -> None:
    counts: list[tuple[int, Sequence[int]]] = []
    await EngineMembership(lambda mine, places: counts.append((mine, places))).known(within=0.01)
    assert counts == []


async def test_the_hint_is_sent_when_the_place_is_taken(database: str) -> None:
    heard = asyncio.Event()

    def hear(*_: object) -> None:
        heard.set()

    listening = await asyncpg.connect(database)
    try:
        await listening.add_listener(ENGINES_CHANNEL, hear)
        async with connection(database) as session, asyncio.timeout(_SOON):
            await EngineMembership(lambda _mine, _places: None).join(session)
            await heard.wait()
    finally:
        await listening.close()
