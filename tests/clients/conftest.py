from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from apitools.clients import generate_python
from apitools.typescript import generate_typescript
from support.databases import Databases
from support.receivers import Receiver, receiving
from support.service import Service, Services, services


@pytest.fixture(scope="session")
def python_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package hookline_client, generated from the committed document."""
    return generate_python(tmp_path_factory.mktemp("python")).parent


@pytest.fixture(scope="session")
def typescript_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the TypeScript client, generated from the committed document."""
    return generate_typescript(tmp_path_factory.mktemp("typescript")).parent


@pytest.fixture
async def started(tmp_path: Path, databases: Databases) -> AsyncIterator[Services]:
    """What starts services with a database of this test's own."""
    async with databases.migrated() as dsn, services(tmp_path, DATABASE_URL=dsn) as opened:
        yield opened


@pytest.fixture
async def service(started: Services) -> Service:
    """A service as operators run it."""
    return await started.start()


@pytest.fixture
def admin_key(started: Services) -> str:
    return started.admin_key


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened
