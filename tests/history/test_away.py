"""Reading while Postgres is away, or too slow to answer, is Unavailable: come again later."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from factories import a_principal
from hookline.db import connections
from hookline.domain.ids import new_uuid
from hookline.errors import Unavailable
from hookline.history.repository import History
from hookline.history.statements import WantedDeliveries, WantedEvents

ADMIN = a_principal()


@pytest.fixture
async def nowhere() -> AsyncIterator[History]:
    engine = connections.engine("postgresql://nobody@127.0.0.1:1/nothing")
    yield History(engine)
    await engine.dispose()


async def test_reading_without_a_database_is_unavailable(nowhere: History) -> None:
    with pytest.raises(Unavailable):
        await nowhere.events(ADMIN, WantedEvents(), before=None, limit=1)
    with pytest.raises(Unavailable):
        await nowhere.event(ADMIN, new_uuid())
    with pytest.raises(Unavailable):
        await nowhere.deliveries(ADMIN, WantedDeliveries(), before=None, limit=1)
    with pytest.raises(Unavailable):
        await nowhere.delivery(ADMIN, new_uuid())


async def test_a_statement_that_takes_too_long_is_given_up(database: str) -> None:
    engine = connections.engine(database, statement_timeout=1.0)
    blocker = await asyncpg.connect(database)
    try:
        async with blocker.transaction():
            await blocker.execute("lock table deliveries in access exclusive mode")
            with pytest.raises(Unavailable):
                await History(engine).deliveries(ADMIN, WantedDeliveries(), before=None, limit=1)
        found = await History(engine).deliveries(ADMIN, WantedDeliveries(), before=None, limit=1)
        assert found.items == []
    finally:
        await blocker.close()
        await engine.dispose()
