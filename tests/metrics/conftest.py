from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from support.databases import Databases
from support.engines import Bench
from support.targets import Targets, targets


@pytest.fixture
async def bench(databases: Databases, tmp_path: Path) -> AsyncIterator[Bench]:
    """Parts of the service over a database that is this test's own."""
    async with databases.migrated() as dsn:
        yield Bench(dsn, tmp_path)


@pytest.fixture
async def receivers() -> AsyncIterator[Targets]:
    async with targets() as made:
        yield made
