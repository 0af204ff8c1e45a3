from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from hookline.db.connections import pool
from hookline.queue.postgres import PostgresQueue
from hookline.queue.retention import PartitionKeeper
from support.databases import Databases

WINDOW = timedelta(hours=48)

_LONG = {"test_order_model.py", "test_plans.py", "test_lost_claims.py"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what takes long, and depends little on the version, to the soak on the oldest."""
    for item in items:
        if item.path.name in _LONG and "oldest_postgres" in item.name:
            item.add_marker(pytest.mark.soak)


@pytest.fixture(scope="session", params=["postgres", "oldest_postgres"])
def server(request: pytest.FixtureRequest) -> str:
    """The address of each server in turn: everything here runs on both."""
    address: str = request.getfixturevalue(request.param)
    return address


@pytest.fixture(scope="session")
async def databases(server: str) -> AsyncIterator[Databases]:
    made = Databases(server)
    yield made
    await made.aclose()


@pytest.fixture(scope="module")
async def connections(database: str) -> AsyncIterator[asyncpg.Pool]:
    async with pool(database) as opened:
        yield opened


@pytest.fixture(scope="module")
async def partitioned(connections: asyncpg.Pool) -> asyncpg.Pool:
    """Connections to a store that has the partitions of these days."""
    await PartitionKeeper(connections, retention_days=30, duplicate_window=WINDOW).keep()
    return connections


@pytest.fixture(scope="module")
def queue(partitioned: asyncpg.Pool) -> PostgresQueue:
    return PostgresQueue(partitioned, lease_seconds=60, duplicate_window=WINDOW)
