from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from factories import a_principal, a_webhook
from hookline.db.partitions import of_days
from hookline.domain.access import Role
from hookline.errors import NotAuthenticated
from hookline.integrations.key_cache import KeyCache
from hookline.integrations.keys import KeyService
from hookline.integrations.repository import RecordRetention
from hookline.integrations.requests import IntegrationCreate
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from support.postgres_clients import connection

NOW = datetime.now(UTC)
DAYS = 30
LONG_AGO = timedelta(days=DAYS + 5)


@pytest.fixture
async def client(database: str) -> AsyncIterator[asyncpg.Connection]:
    async with connection(database) as opened:
        yield opened


@pytest.fixture
def retention(transactions: Transactions) -> RecordRetention:
    return RecordRetention(transactions, days=DAYS)


async def test_a_deleted_integration_stays_while_a_day_is_kept_that_may_name_it(
    service: IntegrationService, retention: RecordRetention, client: asyncpg.Connection
) -> None:
    new = IntegrationCreate.model_validate(a_webhook())
    made = [await service.create(a_principal(), new) for _ in range(2)]
    deleted, living = (each.integration.id for each in made)
    await service.delete(a_principal(), deleted, None)
    await client.execute(
        "update integrations set deleted_at = $2 where id = $1", deleted, NOW - LONG_AGO
    )
    day = (NOW - LONG_AGO).date()
    for partition in of_days([day, NOW.date()]):
        await client.execute(partition.create())
    await retention.keep()
    assert await _ids(client) == {deleted, living}, "its day was kept for others"
    for partition in of_days([day]):
        await client.execute(partition.drop())
    await retention.keep()
    assert await _ids(client) == {living}


async def test_keys_go_when_they_ended_long_ago_and_a_revoked_admins_never(
    keys: KeyService, retention: RecordRetention, client: asyncpg.Connection
) -> None:
    for name in ("valid", "expired", "revoked", "revoked lately"):
        await keys.create(Role.INGEST, name=name)
    await keys.create(Role.ADMIN, name="revoked admin")
    ended = {"expired": "expires_at", "revoked": "revoked_at", "revoked admin": "revoked_at"}
    for name, column in ended.items():
        change = f"update api_keys set {column} = $2 where name = $1"  # noqa: S608 - columns of ours
        await client.execute(change, name, NOW - LONG_AGO)
    await client.execute("update api_keys set revoked_at = now() where name = 'revoked lately'")
    await retention.keep()
    left = {record.name for record in await keys.all()}
    assert left == {"valid", "revoked lately", "revoked admin"}


async def test_health_of_integrations_that_are_gone_goes_too(
    retention: RecordRetention, client: asyncpg.Connection
) -> None:
    await client.execute(
        "insert into integration_health (integration_id, state, failing_since, last_error_at)"
        " values ('gone01', 'failing', now(), now())"
    )
    await retention.keep()
    assert await client.fetchval("select count(*) from integration_health") == 0


async def test_keys_that_expired_leave_memory(
    keys: KeyService, transactions: Transactions, client: asyncpg.Connection
) -> None:
    key = (
        await keys.create(
            Role.ADMIN, name="short", expires_at=datetime.now(UTC) + timedelta(hours=1)
        )
    ).key
    await client.execute("update api_keys set expires_at = now() where name = 'short'")
    cache = KeyCache(transactions)
    with pytest.raises(NotAuthenticated):
        await cache.authenticate(f"Bearer {key}")
    known = len(cache._by_hash)
    cache._forget_ended()
    assert len(cache._by_hash) == known - 1


async def _ids(client: asyncpg.Connection) -> set[str]:
    return {row["id"] for row in await client.fetch("select id from integrations")}
