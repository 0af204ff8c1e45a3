import asyncpg
import pytest
from sqlalchemy import text

from hookline.db import connections
from hookline.db.errors import (
    comes_from_away_database,
    means_away,
    rerun_when_rolled_back,
    unavailable_when_away,
)
from hookline.errors import Unavailable


async def test_a_server_that_refuses_is_away() -> None:
    engine = connections.engine("postgresql://postgres@127.0.0.1:1/nowhere")
    with pytest.raises(Unavailable), unavailable_when_away():
        async with engine.connect():
            pass
    await engine.dispose()


async def test_a_connection_that_is_ended_is_away(database: str) -> None:
    engine = connections.engine(database)
    kill = text("select pg_terminate_backend(pg_backend_pid())")
    with pytest.raises(Unavailable), unavailable_when_away():
        async with engine.connect() as connection:
            await connection.execute(kill)
    async with engine.connect() as connection:
        assert (await connection.execute(text("select 1"))).scalar_one() == 1
    await engine.dispose()


async def test_a_statement_that_takes_too_long_is_said_to_and_not_called_away(
    database: str,
) -> None:
    engine = connections.engine(database, statement_timeout=0.05)
    with pytest.raises(Unavailable, match="took too long"), unavailable_when_away():
        async with engine.connect() as connection:
            await connection.execute(text("select pg_sleep(5)"))
    await engine.dispose()


async def test_what_was_rolled_back_for_anothers_sake_is_done_again() -> None:
    tries = 0

    async def third_time_lucky() -> int:
        nonlocal tries
        tries += 1
        if tries <= 2:
            raise asyncpg.DeadlockDetectedError("a knot")
        return tries

    assert await rerun_when_rolled_back(third_time_lucky) == 3


async def test_what_is_rolled_back_again_and_again_is_given_up() -> None:
    async def never() -> int:
        raise asyncpg.SerializationError("a conflict")

    with pytest.raises(asyncpg.SerializationError):
        await rerun_when_rolled_back(never)


async def test_a_fault_of_ours_stays_what_it_is_and_names_no_value(database: str) -> None:
    engine = connections.engine(database)
    with pytest.raises(Exception, match="does not exist") as raised, unavailable_when_away():
        async with engine.connect() as connection:
            await connection.execute(text("select :value from nowhere"), {"value": "marked"})
    assert not means_away(raised.value)
    assert "marked" not in str(raised.value)
    await engine.dispose()


def test_only_a_librarys_error_speaks_for_a_database_anywhere() -> None:
    assert means_away(OSError())
    assert not comes_from_away_database(OSError())
    assert not comes_from_away_database(TimeoutError())
    assert comes_from_away_database(asyncpg.CannotConnectNowError("starting up"))
    assert comes_from_away_database(asyncpg.InterfaceError("closed"))
    assert comes_from_away_database(asyncpg.PostgresIOError("could not extend file"))
    assert comes_from_away_database(asyncpg.InternalClientError("another operation in progress"))
    assert not comes_from_away_database(asyncpg.UniqueViolationError("twice"))
