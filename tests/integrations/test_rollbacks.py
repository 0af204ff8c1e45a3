"""What Postgres rolls back for another's sake is done again, and its caller never knows."""

import ast
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text

import hookline
from factories import a_principal, a_webhook
from hookline.db import connections
from hookline.domain.catalogue import load_catalogue
from hookline.domain.deliveries import ErrorKind
from hookline.domain.health import Fail, HealthRules, HealthState
from hookline.errors import NotFound
from hookline.integrations.health import _ONE_WRITER, HealthRecords
from hookline.integrations.requests import IntegrationCreate, IntegrationPatch
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from hookline.security.egress.policy import EgressPolicy
from hookline.security.secrets import KeyRing
from support.postgres_clients import connection
from support.service import eventually

ADMIN = a_principal()
ROW = "select from integrations where id = $1 for update"
REVISION = "update revision set value = value + 1"
HEALTH = (
    "insert into integration_health (integration_id, state, failing_since, last_error_at)"
    " values ($1, 'failing', now(), now())"
)
FAIL = Fail(datetime(2026, 3, 1, 12, tzinfo=UTC), ErrorKind.TIMEOUT)
WAITING = "select count(*) from pg_locks where not granted and pid = any($1::int[])"
OWN_TRANSACTIONS = {"taking", "leave"}  # a block of its caller's, and one row by its key
Work = Callable[[str], Awaitable[object]]


@pytest.fixture(scope="module")
async def single(database: str) -> AsyncIterator[Transactions]:
    """Transactions of one session, so that it is known which one waits."""
    engine = connections.engine(database, pool_size=1)
    yield Transactions(engine)
    await engine.dispose()


@pytest.fixture(scope="module")
def service(single: Transactions, keyring: KeyRing) -> IntegrationService:
    return IntegrationService(single, keyring, EgressPolicy(), load_catalogue())


async def made(service: IntegrationService) -> str:
    new = IntegrationCreate.model_validate(a_webhook(url="https://93.184.215.14/"))
    return (await service.create(ADMIN, new)).integration.id


@dataclass(frozen=True, slots=True)
class Other:
    """What another session locks first, and asks for once the service waits for that."""

    first: str
    second: str


async def deadlocked(
    database: str, service: IntegrationService, ours: Transactions, other: Other, work: Work
) -> tuple[str, object]:
    """Run `work` on an integration against another session, until Postgres rolls `work` back.

    It does so to whoever waited for a second: to the other one where this machine was too slow.
    Returns the integration, and what `work` returned at last.
    """
    async with connection(database) as session, connection(database) as watcher:
        async with ours.reading() as one:
            pids = [(await one.execute(text("select pg_backend_pid()"))).scalar_one()]
        while True:
            integration_id = await made(service)
            transaction = session.transaction()
            await transaction.start()
            await session.execute(other.first, integration_id)
            running = asyncio.ensure_future(work(integration_id))
            await eventually(lambda: watcher.fetchval(WAITING, pids), lambda count: count == 1)
            try:
                await session.execute(other.second)
            except asyncpg.DeadlockDetectedError:
                await transaction.rollback()
                await running
                continue
            await transaction.commit()
            return integration_id, await running


async def deadlocks_of(database: str) -> int:
    async with connection(database) as client:
        count: int = await client.fetchval(
            "select deadlocks from pg_stat_database where datname = current_database()"
        )
        return count


async def test_a_change_is_made_although_another_was_in_its_way(
    database: str, single: Transactions, service: IntegrationService
) -> None:
    async def change(one: str) -> object:
        return await service.change(ADMIN, one, IntegrationPatch(name="New"), None)

    before = await deadlocks_of(database)
    one, _ = await deadlocked(database, service, single, Other(ROW, REVISION), change)
    listed = await service.read(ADMIN, one)
    assert (listed.integration.name, listed.integration.version) == ("New", 2)
    assert await eventually(lambda: deadlocks_of(database), lambda count: count > before)


async def test_an_integration_is_deleted_although_another_was_in_the_way(
    database: str, single: Transactions, service: IntegrationService
) -> None:
    async def delete(one: str) -> None:
        await service.delete(ADMIN, one, None)

    one, _ = await deadlocked(database, service, single, Other(ROW, REVISION), delete)
    with pytest.raises(NotFound):
        await service.read(ADMIN, one)


async def test_a_step_of_health_is_taken_although_another_was_in_its_way(
    database: str, single: Transactions, service: IntegrationService
) -> None:
    records = HealthRecords(single, HealthRules())
    one, changed = await deadlocked(
        database,
        service,
        single,
        Other(HEALTH, str(_ONE_WRITER)),
        lambda one: records.take({one: FAIL}),
    )
    assert changed == {}  # the other was there first
    health = (await service.read(ADMIN, one)).integration.health
    assert health.state is HealthState.FAILING


def test_every_method_that_writes_records_is_done_again() -> None:
    once = [
        f"{path.name}: {node.name}"
        for path in sorted(Path(hookline.__file__).parent.glob("**/*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.AsyncFunctionDef) and _writes_only_once(node)
    ]
    assert once == [], "decorate them with hookline.db.errors.rerunnable"


def _writes_only_once(function: ast.AsyncFunctionDef) -> bool:
    opened = {
        call.func.attr
        for call in ast.walk(function)
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
    }
    decorators = {getattr(each, "id", "") for each in function.decorator_list}
    return (
        bool(opened & {"noting", "changing"})
        and not decorators & {"rerunnable", "asynccontextmanager"}
        and function.name not in OWN_TRANSACTIONS
    )
