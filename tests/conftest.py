import gc
import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy.ext.asyncio import AsyncEngine

from hookline import logs
from hookline.db import connections
from hookline.db.embedded import EmbeddedPostgres
from hookline.integrations.revision import Transactions
from support import leftovers, pgbouncer, system_postgres
from support.databases import Databases
from support.engines import Bench
from support.places import passable_folder
from support.targets import Targets, targets

_LONGEST = (
    "tests/security/test_schema_fuzzing.py",
    "tests/browser/test_managing.py",
    "tests/browser/test_accessibility.py",
    "tests/journeys/test_order.py",
)
# What a busy machine is slow at is no fault of what is tested.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
ANOTHER_SERVER = "HOOKLINE_TEST_DATABASE_URL"  # tests run against this one instead of their own


def pytest_xdist_auto_num_workers() -> int:
    """Return how many processes run tests: many tests wait, so two for each processor."""
    return 2 * len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect tests without the garbage collector: what they are lasts, and it halves the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))


@pytest.fixture(scope="session", autouse=True)
def _leftovers() -> Iterator[None]:
    """Leave no process and no folder behind, even where the run is killed."""
    with leftovers.ended_with_the_run():
        yield


@pytest.fixture(scope="session", autouse=True)
def _logs() -> None:
    """Log as the service does; structlog's own defaults take seconds to print an error."""
    logs.configure()


@pytest.fixture(scope="session")
async def postgres() -> AsyncIterator[str]:
    """The address of a server for the whole run; its role may create databases."""
    if another := os.environ.get(ANOTHER_SERVER):
        yield another
        return
    # No test ends this server in the middle: what it wrote last need not outlive the machine.
    with passable_folder(durable=False) as folder:
        settings = {"fsync": "off", "min_wal_size": "64MB", "max_wal_size": "256MB"}
        server = EmbeddedPostgres(
            folder / "data", system_dir=folder / "system_dir", settings=settings
        )
        yield await server.start()
        await server.stop()


@pytest.fixture(scope="session")
def oldest_postgres() -> Iterator[str]:
    """The address of a server of the oldest supported version that this machine has."""
    programs = system_postgres.find_programs()
    if programs is None:
        sentence = "NOT RUN on an older Postgres: install the system's package (postgresql)."
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    with system_postgres.running(programs) as dsn:
        yield dsn


@pytest.fixture(scope="session")
async def databases(postgres: str) -> AsyncIterator[Databases]:
    made = Databases(postgres)
    yield made
    await made.aclose()


@pytest.fixture(scope="module")
async def database(databases: Databases) -> AsyncIterator[str]:
    """The address of a fresh, migrated database of this module's own."""
    async with databases.migrated() as dsn:
        yield dsn


@pytest.fixture(scope="module")
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    opened = connections.engine(database)
    yield opened
    await opened.dispose()


@pytest.fixture(scope="module")
def transactions(engine: AsyncEngine) -> Transactions:
    return Transactions(engine)


@pytest.fixture
async def bench(databases: Databases, tmp_path: Path) -> AsyncIterator[Bench]:
    """Parts of the service over a database that is this test's own."""
    async with databases.migrated() as dsn:
        yield Bench(dsn, tmp_path)


@pytest.fixture
async def receivers() -> AsyncIterator[Targets]:
    async with targets() as made:
        yield made


@pytest.fixture(scope="session")
def pooler() -> Path:
    """The system's PgBouncer."""
    program = pgbouncer.find_program()
    if program is None:
        sentence = "NOT RUN behind PgBouncer: install the system's package (pgbouncer)."
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    return program


@pytest.fixture
async def migrated_on_oldest(oldest_postgres: str) -> AsyncIterator[str]:
    """The address of a fresh, migrated database there, which takes no password."""
    databases = Databases(oldest_postgres)
    async with databases.migrated() as dsn:
        yield dsn
    await databases.aclose()
