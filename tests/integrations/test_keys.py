import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from hookline.db import connections
from hookline.domain.access import Principal, Role, new_key
from hookline.domain.ids import new_uuid
from hookline.errors import (
    ConfigurationError,
    Conflict,
    InvalidInput,
    NotAuthenticated,
    NotFound,
    Unavailable,
)
from hookline.integrations.key_cache import KeyCache
from hookline.integrations.keys import KeyRecord, KeyService
from hookline.integrations.revision import Transactions
from support.postgres_clients import ask


async def newest(keys: KeyService) -> KeyRecord:
    return (await keys.all())[0]


def bearer(key: str) -> str:
    return f"Bearer {key}"


async def test_a_key_is_stored_as_a_hash_and_listed_with_its_beginning(
    keys: KeyService, database: str
) -> None:
    key = (await keys.create(Role.MANAGER, pbx="000000000001", name="front desk")).key
    record = await newest(keys)
    assert (record.role, record.pbx, record.company) == (Role.MANAGER, "000000000001", None)
    assert record.name == "front desk"
    assert key.startswith(record.hint)
    assert key not in await ask(database, "select string_agg(k::text, ' ') from api_keys k")


@pytest.mark.parametrize(
    ("role", "scope"),
    [
        (Role.ADMIN, {"pbx": "1"}),
        (Role.MANAGER, {}),
        (Role.MANAGER, {"pbx": "1", "company": "c"}),
        (Role.INGEST, {"pbx": "1", "company": "c"}),
    ],
)
async def test_a_scope_that_does_not_fit_the_role_is_refused(
    keys: KeyService, role: Role, scope: dict[str, str]
) -> None:
    with pytest.raises(InvalidInput):
        await keys.create(role, pbx=scope.get("pbx"), company=scope.get("company"))


async def test_the_first_admin_key_is_made_once(keys: KeyService) -> None:
    key = new_key()
    before = len(await keys.all())
    await keys.ensure_admin(key)
    await keys.ensure_admin(key)
    assert len(await keys.all()) == before + 1
    await keys.revoke((await newest(keys)).id)
    with pytest.raises(ConfigurationError, match="revoked"):
        await keys.ensure_admin(key)
    with pytest.raises(ConfigurationError, match="hk_"):
        await keys.ensure_admin("admin")


async def test_processes_that_start_at_once_make_one_first_admin_key(keys: KeyService) -> None:
    key, before = new_key(), len(await keys.all())
    await asyncio.gather(*(keys.ensure_admin(key) for _ in range(4)))
    assert len(await keys.all()) == before + 1


async def test_the_admin_key_of_the_settings_is_not_revoked(transactions: Transactions) -> None:
    first = new_key()
    keys = KeyService(transactions, settings_key=first)
    await keys.ensure_admin(first)
    with pytest.raises(Conflict, match="HOOKLINE_ADMIN_KEY"):
        await keys.revoke((await newest(keys)).id)
    assert (await newest(keys)).revoked_at is None


async def test_an_unknown_key_can_not_be_revoked(keys: KeyService) -> None:
    with pytest.raises(NotFound):
        await keys.revoke(new_uuid())


async def test_a_directory_knows_who_a_key_is(keys: KeyService, transactions: Transactions) -> None:
    cache = KeyCache(transactions)
    key = (await keys.create(Role.INGEST, company="it_w000001", name="pbx")).key
    principal = await cache.authenticate(bearer(key))
    record = await newest(keys)
    assert principal == Principal(record.id, Role.INGEST, "pbx", None, "it_w000001")
    assert await cache.authenticate(f"bearer  {key} ") == principal


async def test_a_key_made_elsewhere_is_known_from_memory_at_once(
    keys: KeyService, transactions: Transactions
) -> None:
    cache = KeyCache(transactions)
    with pytest.raises(NotAuthenticated):
        await cache.authenticate_from_memory(bearer(new_key()))
    key = (await keys.create(Role.ADMIN)).key
    assert (await cache.authenticate_from_memory(bearer(key))).role is Role.ADMIN


async def test_a_revocation_counts_as_soon_as_the_revision_is_known(
    keys: KeyService, transactions: Transactions, database: str
) -> None:
    cache = KeyCache(transactions)
    key = (await keys.create(Role.ADMIN)).key
    principal = await cache.authenticate(bearer(key))
    await keys.revoke(principal.key_id)
    assert cache.still_valid(principal)
    await cache.reload_if(await ask(database, "select value from revision"))
    assert not cache.still_valid(principal)
    with pytest.raises(NotAuthenticated):
        await cache.authenticate_from_memory(bearer(key))


async def test_a_key_expires_without_anybody_doing_anything(
    keys: KeyService, transactions: Transactions
) -> None:
    cache = KeyCache(transactions)
    key = (await keys.create(Role.ADMIN, expires_at=datetime.now(UTC) + timedelta(seconds=0))).key
    with pytest.raises(NotAuthenticated):
        await cache.authenticate(bearer(key))
    assert not cache.still_valid(Principal((await newest(keys)).id, Role.ADMIN, ""))


async def test_many_at_once_are_answered(keys: KeyService, transactions: Transactions) -> None:
    cache = KeyCache(transactions)
    key = (await keys.create(Role.ADMIN)).key
    found = await asyncio.gather(*(cache.authenticate(bearer(key)) for _ in range(50)))
    assert len(set(found)) == 1
    assert await cache.authenticate_from_memory(bearer(key)) == found[0]


async def test_uses_are_noted_once_a_minute_at_most(
    keys: KeyService, transactions: Transactions
) -> None:
    cache = KeyCache(transactions)
    key = (await keys.create(Role.ADMIN)).key
    before = datetime.now(UTC)
    await cache.authenticate(bearer(key))
    assert (await newest(keys)).last_used_at is None
    await cache.flush_uses()
    first = (await newest(keys)).last_used_at
    assert first is not None
    assert first >= before
    await cache.authenticate(bearer(key))
    await cache.flush_uses()
    assert (await newest(keys)).last_used_at == first


async def test_without_a_database_nobody_is_let_in_and_nobody_is_refused() -> None:
    away = connections.engine("postgresql://postgres@127.0.0.1:1/nowhere")
    cache = KeyCache(Transactions(away))
    with pytest.raises(Unavailable):
        await cache.authenticate(bearer(new_key()))
    with pytest.raises(NotAuthenticated):
        await cache.authenticate("Bearer nonsense")
    await away.dispose()
