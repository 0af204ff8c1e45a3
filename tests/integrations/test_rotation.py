"""Rotated secrets sign along for their grace, and nothing of a gone secret stays in memory."""

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.hmac import HMAC
from sqlalchemy import update

from factories import a_principal, a_webhook
from hookline.db.models import Integration
from hookline.domain.catalogue import load_catalogue
from hookline.domain.ids import new_uuid
from hookline.domain.targets import WebhookTarget
from hookline.errors import Conflict
from hookline.integrations.requests import IntegrationCreate
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from hookline.integrations.subscriptions import Subscriptions
from hookline.security.secrets import KeyRing
from hookline.sinks import Shipment
from hookline.sinks.webhook import WebhookSink
from support.objects import leaves
from support.webhook_shipments import Names, webhook_sink

ADMIN = a_principal()
HOUR = timedelta(hours=1)
WORD = re.compile("(?<![A-Za-z0-9])[A-Za-z0-9]{32}(?![A-Za-z0-9])")


@pytest.fixture
async def snapshot(transactions: Transactions, keyring: KeyRing) -> Subscriptions:
    return Subscriptions(transactions, load_catalogue(), keyring)


async def create(service: IntegrationService, **changes: object) -> str:
    new = IntegrationCreate.model_validate(a_webhook(**changes))
    return (await service.create(ADMIN, new)).integration.id


async def target_of(snapshot: Subscriptions, integration_id: str) -> WebhookTarget:
    await snapshot.catch_up()
    found = snapshot.find(integration_id)
    assert found is not None
    target = found.usable_target(datetime.now(UTC))
    assert isinstance(target, WebhookTarget)
    return target


async def ends(transactions: Transactions, integration_id: str, place: int) -> None:
    """Have the grace period of one old secret end."""
    async with transactions.changing() as change:
        until = Integration.old_secrets_until
        await change.session.execute(
            update(Integration)
            .where(Integration.id == integration_id)
            .values({until[place]: datetime.now(UTC) - HOUR, Integration.revision: change.revision})
        )


async def test_every_secret_within_its_grace_signs_the_newest_first(
    service: IntegrationService, snapshot: Subscriptions, transactions: Transactions
) -> None:
    made = await create(service)
    secrets = [(await service.secret(ADMIN, made)).secret]
    for hours in (24, 1, 48):
        rotated = await service.rotate_secret(ADMIN, made, timedelta(hours=hours), None)
        secrets.insert(0, rotated.secret)
    assert (await target_of(snapshot, made)).secrets == tuple(secrets)
    await ends(transactions, made, 2)  # the second of the old ones, whose hour is over
    assert (await target_of(snapshot, made)).secrets == (secrets[0], secrets[1], secrets[3])


async def test_a_sixth_secret_has_to_wait(
    service: IntegrationService, snapshot: Subscriptions, transactions: Transactions
) -> None:
    made = await create(service)
    for _ in range(4):
        await service.rotate_secret(ADMIN, made, HOUR, None)
    before = await target_of(snapshot, made)
    assert len(before.secrets) == 5
    with pytest.raises(Conflict, match="5 secrets sign already"):
        await service.rotate_secret(ADMIN, made, HOUR, None)
    assert await target_of(snapshot, made) == before
    await ends(transactions, made, 4)
    rotated = await service.rotate_secret(ADMIN, made, HOUR, None)
    assert (await target_of(snapshot, made)).secrets == (rotated.secret, *before.secrets[:4])


async def test_no_grace_ends_every_old_secret(
    service: IntegrationService, snapshot: Subscriptions
) -> None:
    made = await create(service)
    for _ in range(4):
        await service.rotate_secret(ADMIN, made, HOUR, None)
    rotated = await service.rotate_secret(ADMIN, made, timedelta(0), None)
    assert (await target_of(snapshot, made)).secrets == (rotated.secret,)
    assert rotated.old_secret_until is None


async def test_nothing_of_a_deleted_or_rotated_secret_stays_in_memory(
    service: IntegrationService, snapshot: Subscriptions, transactions: Transactions
) -> None:
    async with webhook_sink(names=Names(everything=[["127.0.0.1"]])) as sink:
        token = new_uuid().hex
        url = f"https://crm.example.com:1/hook?token={token}"
        made = await create(service, url=url, headers={"X-Key": f"{token[::-1]}"})
        before = await service.secret(ADMIN, made)
        first, in_url, in_header = map(digest, (before.secret, token, token[::-1]))
        del before, token, url
        second = digest((await service.rotate_secret(ADMIN, made, HOUR, None)).secret)
        await ships(sink, await target_of(snapshot, made))
        held, keyed = in_memory()
        assert {first, second, in_url, in_header} <= held

        await ends(transactions, made, 1)
        await ships(sink, await target_of(snapshot, made))
        await service.delete(ADMIN, made, None)
        await snapshot.catch_up()
        held, left = in_memory()
        assert not {first, second, in_url, in_header} & held
        assert left == keyed - 3  # x-signature's, and one for each of two secrets


async def test_the_snapshot_lets_go_of_a_secret_when_its_grace_ends(
    service: IntegrationService, snapshot: Subscriptions
) -> None:
    made = await create(service)
    rotated = await service.rotate_secret(ADMIN, made, HOUR, None)
    assert len((await target_of(snapshot, made)).secrets) == 2
    snapshot.forget_expired(datetime.now(UTC) + HOUR)
    known = snapshot.find(made)
    assert known is not None
    assert isinstance(known.target, WebhookTarget)
    assert known.target.secrets == (rotated.secret,)


async def ships(sink: WebhookSink, target: WebhookTarget) -> None:
    """Sign a copy and try to send it; nobody listens there."""
    body = b'{"id":"1"}'
    await sink.send(
        Shipment(
            new_uuid(), body, target, event_type="call:start", subject="1", pbx=None, company="c"
        )
    )


def digest(secret: str) -> bytes:
    """Return what tells a secret without being one that is found in memory."""
    return sha256(secret.encode()).digest()


def in_memory() -> tuple[set[bytes], int]:
    """Return the digest of every word of 32 letters that some object in this process holds.

    And how many keyed states there are, which hold a secret where nobody can read it.
    """
    words: set[str] = set()
    keyed = 0
    for each in leaves(str, bytes, HMAC):
        if isinstance(each, HMAC):
            keyed += 1
        else:
            text = each.decode("latin-1") if isinstance(each, bytes) else str(each)
            words.update(WORD.findall(text))
    return {digest(word) for word in words}, keyed
