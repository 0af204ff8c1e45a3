"""SIGKILL between a change, its notice and the notice's end: it is told, and told once."""

from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from hookline.integrations.notices import LOCK
from support.postgres_clients import connection
from support.receivers import receiving
from support.service import Services, eventually


@pytest.fixture
async def database(together: Services) -> AsyncIterator[Any]:  # asyncpg ships no types
    async with connection(together.settings["DATABASE_URL"]) as client:
        yield client


async def count(database: Any, table: str, where: str = "true") -> int:  # noqa: ANN401  # the same
    counted: int = await database.fetchval(f"select count(*) from {table} where {where}")  # noqa: S608 - named below
    return counted


async def test_a_notice_outlives_the_process_that_made_it_and_the_one_that_sent_it(
    together: Services,
    database: Any,  # noqa: ANN401  # the same
) -> None:
    told = "type = 'integration:disabled'"
    async with receiving() as receiver:
        # The first dies once its change is made: nobody may take the notice until then.
        await database.execute("select pg_advisory_lock($1)", LOCK)
        first = await together.start("--no-engine")
        await first.an_integration(receiver, events={"service": "all"})
        off = await first.an_integration(receiver)
        await first.api.patch(f"/v1/integrations/{off['id']}", {"enabled": False})
        await first.kill()
        assert (await count(database, "notices"), await count(database, "events", told)) == (1, 0)

        # The second dies once the notice is accepted: it cannot be taken out while we hold it.
        async with database.transaction():
            await database.execute("select from notices for update")
            await database.execute("select pg_advisory_unlock($1)", LOCK)
            second = await together.start("--no-engine")
            await eventually(
                lambda: count(database, "events", told), lambda accepted: accepted == 1
            )
            await second.kill()

        # The third, a worker, has it accepted again, and delivers what was accepted once.
        worker = await together.a_worker()
        await eventually(lambda: count(database, "notices"), lambda left: left == 0)
        await eventually(lambda: count(database, "deliveries"), lambda ended: ended == 1)
        assert await count(database, "events", told) == 1
        [request] = receiver.requests
        event = orjson.loads(request.body)
        assert event["data"]["integrationId"] == off["id"]
        assert (event["data"]["reason"], event["data"]["disabledBy"]) == (
            "manual",
            "first admin key",
        )
        await worker.stop()
