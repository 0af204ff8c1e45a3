from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from support.databases import Databases
from support.node import Node
from support.places import passable_folder
from support.service import Service, Services, services


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in which a service with its own Postgres can live, also as root."""
    with passable_folder() as made:
        yield made


@pytest.fixture
async def at_home(folder: Path) -> AsyncIterator[Services]:
    """Services with the bundled Postgres, as `make run` starts them."""
    async with services(folder) as opened:
        yield opened


@pytest.fixture
async def together(tmp_path: Path, databases: Databases) -> AsyncIterator[Services]:
    """Services that share one database, which is this test's own."""
    async with databases.migrated() as dsn, services(tmp_path, DATABASE_URL=dsn) as opened:
        yield opened


@pytest.fixture
async def service(together: Services) -> Service:
    """One service whose retries come at once."""
    return await together.start(RETRY_DELAYS="0.05,0.05,0.05")


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    with Node() as process:
        yield process
