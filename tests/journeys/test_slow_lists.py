"""One tenant's lists are slow, and many: what another tenant sees of it, which is nothing."""

import asyncio

from support.postgres_clients import ask, connection
from support.senders import minting
from support.service import Service, Services, eventually

GREEDY, OTHER = "000000000001", "000000000002"
CONNECTIONS = 4
OF_A_TENANT = CONNECTIONS // 2
WAITING = 32
HELD_UP = """
    select count(*) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'
"""


async def statuses(service: Service, path: str, key: str, count: int) -> list[int]:
    answers = [service.api.get(path, key=key) for _ in range(count)]
    return [answer.status_code for answer in await asyncio.gather(*answers)]


async def test_slow_lists_of_one_tenant_leave_connections_to_the_others(
    together: Services,
) -> None:
    service = await together.start(DATABASE_POOL_SIZE=str(CONNECTIONS))
    dsn = together.settings["DATABASE_URL"]
    many = (OF_A_TENANT + WAITING) // 2
    async with minting(together) as keys, connection(dsn) as client:
        greedy = [await keys.manager(pbx=GREEDY) for _ in range(2)]
        other = await keys.manager(pbx=OTHER)
        await client.execute("begin; lock table deliveries in access exclusive mode")
        slow = [
            asyncio.create_task(statuses(service, "/v1/deliveries", key, many)) for key in greedy
        ]
        await eventually(lambda: ask(dsn, HELD_UP), lambda held_up: held_up == OF_A_TENANT)
        assert await statuses(service, "/v1/integrations", other, 5) == [200] * 5
        assert await statuses(service, f"/v1/pbxs/{OTHER}", other, 5) == [404] * 5
        assert await statuses(service, "/v1/integrations", greedy[0], 5) == [429] * 5
        assert await ask(dsn, HELD_UP) == OF_A_TENANT
        assert not any(each.done() for each in slow)
        await client.execute("rollback")
        assert await asyncio.gather(*slow) == [[200] * many] * 2
        assert await statuses(service, "/v1/integrations", greedy[0], 5) == [200] * 5
