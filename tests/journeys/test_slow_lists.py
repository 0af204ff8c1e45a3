"""One tenant's lists are slow, and many: what another tenant sees of it, which is nothing."""

import asyncio

from factories import a_webhook
from support.postgres_clients import ask, connection
from support.senders import minting
from support.service import Service, Services, eventually

GREEDY, OTHER = "000000000001", "000000000002"
CONNECTIONS = 4
OF_A_TENANT = CONNECTIONS // 2
WAITING = 32
REFUSED = 5
TOO_LATE = {429, 503}  # of those that waited for ten seconds, on a busy machine
HELD_UP = """
    select count(*) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and query like 'SELECT %'
"""  # lists: what the engine does by itself in the meantime has a comment with its name in front


async def status(service: Service, path: str, key: str) -> int:
    return (await service.api.get(path, key=key)).status_code


async def test_slow_lists_of_one_tenant_leave_connections_to_the_others(
    together: Services,
) -> None:
    service = await together.start(DATABASE_POOL_SIZE=str(CONNECTIONS))
    dsn = together.settings["DATABASE_URL"]
    taken = OF_A_TENANT + WAITING
    async with minting(together) as keys, connection(dsn) as client:
        greedy = [await keys.manager(pbx=GREEDY) for _ in range(2)]
        other = await keys.manager(pbx=OTHER)
        made = await service.api.post("/v1/integrations", a_webhook(pbx=GREEDY))
        assert made.status_code == 201, "without one there is nothing to look for"
        await client.execute("begin; lock table deliveries in access exclusive mode")
        slow = [
            asyncio.create_task(status(service, "/v1/deliveries", greedy[number % 2]))
            for number in range(taken + REFUSED)
        ]
        # A busy machine may be told of those refused when the others have waited long enough.
        held_up = asyncio.create_task(
            eventually(lambda: ask(dsn, HELD_UP), lambda count: count == OF_A_TENANT)
        )
        first = asyncio.as_completed(slow)
        assert [await next(first) for _ in range(REFUSED)] == [429] * REFUSED
        await held_up
        assert await status(service, "/v1/integrations", other) == 200
        assert await status(service, f"/v1/pbxs/{OTHER}", other) == 404
        await client.execute("rollback")
        ended = {await next(first) for _ in range(taken)}
        assert ended <= {200, *TOO_LATE}
        assert await status(service, "/v1/integrations", greedy[0]) == 200
