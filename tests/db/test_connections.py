import asyncpg
import pytest
from sqlalchemy import text

from hookline.db import connections
from hookline.db.errors import means_away, unavailable_when_away
from hookline.errors import ConfigurationError, Unavailable
from support.databases import UNUSUAL, Databases
from support.proxy import proxied


@pytest.mark.parametrize("address", ["mysql://host/db", "host/db", "", "sqlite:///file"])
def test_an_address_of_another_database_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="must start with postgresql://"):
        connections.engine(address)


async def test_both_ways_in_take_the_options_that_addresses_carry(database: str) -> None:
    address = f"{database}{'&' if '?' in database else '?'}sslmode=disable"
    engine = connections.engine(address, pool_size=1)
    async with engine.connect() as connection:
        assert (await connection.execute(text("select 1"))).scalar_one() == 1
    await engine.dispose()
    async with connections.pool(address, size=1) as pool:
        assert await pool.fetchval("select 1") == 1


async def test_sessions_are_bounded_and_named(database: str) -> None:
    async with connections.pool(database, size=1, statement_timeout=7) as pool:
        assert await pool.fetchval("show statement_timeout") == "7s"
        assert await pool.fetchval("show application_name") == "hookline"
        assert await pool.fetchval("show timezone") == "UTC"
        assert await pool.fetchval("show plan_cache_mode") == "force_generic_plan"


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        async with connections.pool("postgresql://hookline@127.0.0.1:1/none"):
            raise AssertionError("nothing listens there")


async def test_a_value_that_cannot_be_sent_is_no_absence(database: str) -> None:
    async with connections.pool(database, size=1) as pool:
        with pytest.raises(asyncpg.DataError) as raised:
            await pool.fetchval("select $1::int2", 70_000)
    assert not means_away(raised.value)
    assert means_away(asyncpg.InternalClientError("cannot switch to state 12"))


async def test_a_server_that_falls_silent_is_given_up(database: str) -> None:
    async with proxied(database) as proxy:
        engine = connections.engine(proxy.dsn, pool_size=1, statement_timeout=1.0)
        async with engine.connect() as connection:
            assert (await connection.execute(text("select 1"))).scalar_one() == 1
        proxy.fall_silent()
        with pytest.raises(Unavailable), unavailable_when_away():
            async with engine.connect() as connection:
                await connection.execute(text("select 1"))
        proxy.cut()
        proxy.forget_the_silent()
        async with engine.connect() as connection:
            assert (await connection.execute(text("select 1"))).scalar_one() == 1
        await engine.dispose()


async def test_sessions_do_not_depend_on_what_the_database_sets(databases: Databases) -> None:
    async with databases.migrated() as plain, connections.pool(plain, size=1) as pool:
        rows = await pool.fetch("select name, setting from pg_settings")
        usual = dict(map(tuple, rows))
    async with databases.unusual() as dsn, connections.pool(dsn, size=1) as pool:
        rows = await pool.fetch("select name, setting from pg_settings")
    names = set(UNUSUAL)
    changed = {name for name, setting in rows if name.lower() in names and usual[name] != setting}
    assert changed == set()
    assert usual["synchronous_commit"] == "on"
