import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from factories import SECRET_ACCESS_KEY, a_principal, a_queue, a_webhook
from hookline.db.models import Integration, Revision
from hookline.domain.targets import SqsTarget, WebhookTarget
from hookline.errors import DecryptionFailed, InvalidInput, PreconditionFailed
from hookline.integrations.encryption import open_target
from hookline.integrations.requests import IntegrationCreate, IntegrationPatch
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from hookline.security.secrets import KeyRing, generate_key
from support.postgres_clients import ask, connection

ADMIN = a_principal()


async def create(service: IntegrationService, document: object = None) -> str:
    """Return the id of a new integration."""
    new = IntegrationCreate.model_validate(document or a_webhook())
    return (await service.create(ADMIN, new)).integration.id


async def row_of(transactions: Transactions, integration_id: str) -> Integration:
    async with transactions.reading() as session:
        return await session.get_one(Integration, integration_id)


async def revision_of(transactions: Transactions) -> int:
    async with transactions.reading() as session:
        return (await session.execute(select(Revision.value))).scalar_one()


async def test_every_change_carries_the_revision_that_it_made(
    service: IntegrationService, transactions: Transactions
) -> None:
    integration_id = await create(service)
    made = (await row_of(transactions, integration_id)).revision
    assert made == await revision_of(transactions)
    await service.change(ADMIN, integration_id, IntegrationPatch(name="x"), None)
    changed = (await row_of(transactions, integration_id)).revision
    assert changed == await revision_of(transactions) == made + 1
    await service.delete(ADMIN, integration_id, None)
    assert (await row_of(transactions, integration_id)).revision == made + 2


async def test_a_refused_change_moves_nothing(
    service: IntegrationService, transactions: Transactions
) -> None:
    integration_id = await create(service)
    before = await revision_of(transactions)
    wrong = IntegrationPatch(name="New", events={"calls": "all"})
    with pytest.raises(InvalidInput):
        await service.change(ADMIN, integration_id, wrong, None)
    assert await revision_of(transactions) == before
    assert (await service.read(ADMIN, integration_id)).integration.name == "CRM"


async def test_a_change_is_announced_once_it_is_committed(
    service: IntegrationService, database: str
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with connection(database) as client:
        await client.add_listener("hookline_revision", lambda *told: heard.put_nowait(told[3]))
        await create(service)
        async with asyncio.timeout(5):
            announced = await heard.get()
    assert int(announced) == await ask(database, "select value from revision")


async def test_of_two_changes_on_one_version_one_is_refused(service: IntegrationService) -> None:
    integration_id = await create(service)
    version = (await service.read(ADMIN, integration_id)).integration.version
    patches = [IntegrationPatch(name=name) for name in ("one", "two", "three")]
    results = await asyncio.gather(
        *(service.change(ADMIN, integration_id, patch, frozenset({version})) for patch in patches),
        return_exceptions=True,
    )
    refused = [result for result in results if isinstance(result, BaseException)]
    assert len(refused) == 2
    assert all(isinstance(each, PreconditionFailed) for each in refused)


async def test_changes_of_different_fields_at_once_all_last(service: IntegrationService) -> None:
    integration_id = await create(service)
    await asyncio.gather(
        service.change(ADMIN, integration_id, IntegrationPatch(name="New"), None),
        service.change(ADMIN, integration_id, IntegrationPatch(maxInFlight=3), None),
        service.change(ADMIN, integration_id, IntegrationPatch(events={"chat": "all"}), None),
    )
    shown = (await service.read(ADMIN, integration_id)).integration
    assert (shown.name, shown.max_in_flight) == ("New", 3)
    assert "chat" in shown.events
    assert "call" in shown.events


async def test_secrets_lie_encrypted_and_open_for_their_own_row_alone(
    service: IntegrationService, transactions: Transactions, keyring: KeyRing, database: str
) -> None:
    first = await create(service, a_webhook(headers={"X-Token": "marked-header"}))
    second = await create(service, a_queue())
    dumped = await ask(database, "select string_agg(i::text, ' ') from integrations i")
    secret = (await service.secret(ADMIN, first)).secret
    for hidden in (secret, "marked-header", SECRET_ACCESS_KEY):
        assert hidden not in dumped
        assert hidden.encode().hex() not in dumped
    now = datetime.now(UTC)
    webhook, queue = await row_of(transactions, first), await row_of(transactions, second)
    assert open_target(webhook, keyring, now) == WebhookTarget(
        "https://crm.example.com/", (secret,), (("X-Token", "marked-header"),)
    )
    opened = open_target(queue, keyring, now)
    assert isinstance(opened, SqsTarget)
    assert opened.secret_access_key == SECRET_ACCESS_KEY
    queue.secret = webhook.secret
    with pytest.raises(DecryptionFailed):
        open_target(queue, keyring, now)
    with pytest.raises(DecryptionFailed):
        open_target(webhook, KeyRing.parse(generate_key()), now)


async def test_the_old_secret_signs_along_until_its_time_is_over(
    service: IntegrationService, transactions: Transactions, keyring: KeyRing
) -> None:
    integration_id = await create(service)
    old = (await service.secret(ADMIN, integration_id)).secret
    rotated = await service.rotate_secret(ADMIN, integration_id, timedelta(hours=1), None)
    row = await row_of(transactions, integration_id)
    [until] = row.old_secrets_until
    before, after = until - timedelta(seconds=1), until
    during = open_target(row, keyring, before)
    later = open_target(row, keyring, after)
    assert isinstance(during, WebhookTarget)
    assert isinstance(later, WebhookTarget)
    assert during.secrets == (rotated.secret, old)
    assert later.secrets == (rotated.secret,)


async def test_a_deleted_row_stays_without_anything_secret(
    service: IntegrationService, transactions: Transactions
) -> None:
    integration_id = await create(service, a_webhook(url="https://x.example.com/?token=marked"))
    await service.rotate_secret(ADMIN, integration_id, timedelta(hours=1), None)
    await service.delete(ADMIN, integration_id, None)
    row = await row_of(transactions, integration_id)
    assert row.deleted_at is not None
    assert row.enabled is False
    assert (row.secret, row.headers, row.access_key_id) == (None,) * 3
    assert (row.old_secrets, row.old_secrets_until) == ([], [])
    assert row.url == ""


async def test_a_target_that_is_gone_switches_its_integration_off(
    service: IntegrationService,
) -> None:
    integration_id = await create(service)
    assert await service.disable_gone(integration_id, "https://another.example.com/") is False
    assert (await service.read(ADMIN, integration_id)).integration.enabled
    assert await service.disable_gone(integration_id, "https://crm.example.com/") is True
    assert await service.disable_gone(integration_id, "https://crm.example.com/") is False
    health = (await service.read(ADMIN, integration_id)).integration.health
    assert (health.state, health.disabled_reason) == ("disabled", "gone")
    await service.change(ADMIN, integration_id, IntegrationPatch(enabled=False), None)
    assert (await service.read(ADMIN, integration_id)).integration.health == health
    on = await service.change(ADMIN, integration_id, IntegrationPatch(enabled=True), None)
    assert (on.integration.health.state, on.integration.health.disabled_reason) == ("healthy", None)
