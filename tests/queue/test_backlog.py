"""How many deliveries of each integration wait: counted, or estimated where they are very many."""

import asyncpg
import pytest

from hookline.queue.postgres import PostgresQueue
from support.queue_contract import store

_AT_ONCE = 6_000  # rows of one statement, which has ten seconds also on a busy machine
_COUNTED = 8 * 1024 * 1024  # bytes of the table up to which it is counted
_FILL = """
insert into pending (id, event_id, integration_id, type, attempts, claims, once, due_at)
select gen_random_uuid(), gen_random_uuid(), $1, 'call:start', 0, 0, false, now()
from generate_series(1, $2)
"""


@pytest.fixture(autouse=True)
async def _empty(partitioned: asyncpg.Pool) -> None:
    await partitioned.execute("truncate pending")


async def test_a_small_backlog_is_counted(queue: PostgresQueue) -> None:
    await store(queue, to="backl1", count=30)
    await store(queue, to="backl2", count=2)
    assert await queue.backlog() == {"backl1": 30, "backl2": 2}


async def test_a_large_one_is_estimated_by_integration(
    queue: PostgresQueue, partitioned: asyncpg.Pool
) -> None:
    for integration_id, count in (("flood1", 60_000), ("flood2", 30_000), ("backl3", 12_000)):
        for _ in range(0, count, _AT_ONCE):
            await partitioned.execute(_FILL, integration_id, _AT_ONCE)
    assert await partitioned.fetchval("select pg_relation_size('pending')") > _COUNTED
    await partitioned.execute("delete from pending where integration_id = 'backl3'")
    found = await queue.backlog()
    assert 48_000 <= found["flood1"] <= 72_000
    assert 21_000 <= found["flood2"] <= 39_000
    assert "backl3" not in found
