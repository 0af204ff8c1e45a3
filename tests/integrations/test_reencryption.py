"""Moving secrets at rest to a new key, through the real tables."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from factories import SECRET_ACCESS_KEY, a_principal, a_queue, a_webhook
from hookline.db.models import Integration as Row
from hookline.domain.catalogue import load_catalogue
from hookline.domain.targets import SqsTarget, WebhookTarget
from hookline.errors import DecryptionFailed
from hookline.integrations.encryption import Reencrypted, Reencryption, open_target
from hookline.integrations.requests import IntegrationCreate, IntegrationPatch
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from hookline.security.egress.policy import EgressPolicy
from hookline.security.secrets import KeyRing, generate_key

ADMIN = a_principal()
OLD, NEW = generate_key(), generate_key()
BEFORE, DURING, AFTER = KeyRing.parse(OLD), KeyRing.parse(f"{NEW},{OLD}"), KeyRing.parse(NEW)
LATER = datetime.now(UTC) + timedelta(minutes=1)
HEADERS = {"X-Token": "7"}


@pytest.fixture(autouse=True)
async def _empty(engine: AsyncEngine) -> AsyncIterator[None]:
    yield
    async with engine.begin() as connection:
        await connection.execute(text("truncate integrations"))


def service_with(
    ring: KeyRing, transactions: Transactions, policy: EgressPolicy
) -> IntegrationService:
    return IntegrationService(transactions, ring, policy, load_catalogue())


@pytest.fixture
def old(service: IntegrationService, transactions: Transactions) -> IntegrationService:
    return service_with(BEFORE, transactions, service._policy)


@pytest.fixture
def current(service: IntegrationService, transactions: Transactions) -> IntegrationService:
    return service_with(DURING, transactions, service._policy)


@pytest.fixture
def reencryption(transactions: Transactions) -> Reencryption:
    return Reencryption(transactions, DURING)


async def made(service: IntegrationService, document: object = None) -> str:
    new = IntegrationCreate.model_validate(document or a_webhook(headers=HEADERS))
    return (await service.create(ADMIN, new)).integration.id


async def row_of(transactions: Transactions, integration_id: str) -> Row:
    async with transactions.reading() as session:
        return await session.get_one(Row, integration_id)


async def opened(
    transactions: Transactions, integration_id: str, ring: KeyRing
) -> WebhookTarget | SqsTarget:
    return open_target(await row_of(transactions, integration_id), ring, datetime.now(UTC))


def no_progress(_done: int) -> None:
    pass


async def test_everything_that_is_encrypted_moves_to_the_first_key(
    old: IntegrationService, reencryption: Reencryption, transactions: Transactions
) -> None:
    webhook, queue = await made(old), await made(old, a_queue())
    await old.rotate_secret(ADMIN, webhook, timedelta(hours=1), None)
    before = {each: await opened(transactions, each, BEFORE) for each in (webhook, queue)}
    assert await reencryption.waiting() == 2
    told: list[int] = []
    assert await reencryption.run(told.append) == Reencrypted(2, ())
    assert (told, await reencryption.waiting()) == ([2], 0)
    after = {each: await opened(transactions, each, AFTER) for each in (webhook, queue)}
    assert after == before
    target = after[webhook]
    assert isinstance(target, WebhookTarget)
    assert (len(target.secrets), dict(target.headers)) == (2, HEADERS)
    with pytest.raises(DecryptionFailed):
        await opened(transactions, webhook, BEFORE)


async def test_nothing_but_the_encrypted_bytes_changes(
    old: IntegrationService, reencryption: Reencryption, transactions: Transactions
) -> None:
    webhook = await made(old)
    before = await row_of(transactions, webhook)
    await reencryption.run(no_progress)
    after = await row_of(transactions, webhook)
    assert (after.version, after.revision, after.updated_at, after.url) == (
        before.version,
        before.revision,
        before.updated_at,
        before.url,
    )


async def test_what_is_encrypted_with_the_first_key_already_is_left_alone(
    current: IntegrationService, reencryption: Reencryption, transactions: Transactions
) -> None:
    webhook = await made(current)
    before = (await row_of(transactions, webhook)).secret
    assert await reencryption.run(no_progress) == Reencrypted(0, ())
    assert (await row_of(transactions, webhook)).secret == before


async def test_it_goes_on_where_it_was_stopped(
    old: IntegrationService, transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hookline.integrations.encryption._BATCH", 2)
    for _ in range(5):
        await made(old)

    def stop(done: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    reencryption = Reencryption(transactions, DURING)
    with pytest.raises(KeyboardInterrupt):
        await reencryption.run(stop)
    assert await reencryption.waiting() == 3
    told: list[int] = []
    assert await reencryption.run(told.append) == Reencrypted(3, ())
    assert told == [2, 3]


async def test_who_changes_a_secret_meanwhile_wins(
    old: IntegrationService,
    current: IntegrationService,
    transactions: Transactions,
) -> None:
    rotated, patched = await made(old), await made(old)
    changed: list[str] = []

    class Interrupted(Reencryption):
        async def _reencrypt(self, row: object) -> bool:
            """Let others change every row between its reading and its writing."""
            if not changed:
                changed.append(
                    (await current.rotate_secret(ADMIN, rotated, timedelta(0), None)).secret
                )
                headers = {"transmission": {"headers": {"X-Token": "8"}}}
                patch = IntegrationPatch.model_validate(headers)
                await old.change(ADMIN, patched, patch, None)
            return await super()._reencrypt(row)  # type: ignore[arg-type]  # passed on unseen

    assert (await Interrupted(transactions, DURING).run(no_progress)).broken == ()
    target = await opened(transactions, rotated, AFTER)
    assert isinstance(target, WebhookTarget)
    assert target.secrets == tuple(changed)
    target = await opened(transactions, patched, AFTER)
    assert isinstance(target, WebhookTarget)
    assert dict(target.headers) == {"X-Token": "8"}


async def test_what_does_not_open_is_named_and_left_as_it_is(
    old: IntegrationService, transactions: Transactions
) -> None:
    foreign = service_with(KeyRing.parse(generate_key()), transactions, old._policy)
    lost, good = await made(foreign), await made(old)
    before = (await row_of(transactions, lost)).secret
    reencryption = Reencryption(transactions, DURING)
    assert await reencryption.run(no_progress) == Reencrypted(1, (lost,))
    assert (await row_of(transactions, lost)).secret == before
    assert await reencryption.waiting() == 1
    assert isinstance(await opened(transactions, good, AFTER), WebhookTarget)


@pytest.mark.parametrize("column", ["secret", "old_secrets", "headers"])
async def test_encrypted_bytes_of_another_row_or_column_do_not_open(
    old: IntegrationService, engine: AsyncEngine, column: str
) -> None:
    here, there = await made(old), await made(old)
    for each in (here, there):
        await old.rotate_secret(ADMIN, each, timedelta(hours=1), None)
    other = {"secret": "headers", "old_secrets": "secret", "headers": "secret"}[column]
    columns = {"secret": Row.secret, "old_secrets": Row.old_secrets[1], "headers": Row.headers}
    for source, taken in ((there, column), (here, other)):
        async with AsyncSession(engine) as session:
            stolen = await session.scalar(select(columns[taken]).where(Row.id == source))
            await session.execute(
                update(Row)
                .where(Row.id == here)
                .values({column: [stolen] if column == "old_secrets" else stolen})
            )
            with pytest.raises(DecryptionFailed):
                open_target(await session.get_one(Row, here), BEFORE, datetime.now(UTC))


async def test_a_queues_secret_survives(
    old: IntegrationService, reencryption: Reencryption, transactions: Transactions
) -> None:
    queue = await made(old, a_queue())
    await reencryption.run(no_progress)
    target = await opened(transactions, queue, AFTER)
    assert isinstance(target, SqsTarget)
    assert target.secret_access_key == SECRET_ACCESS_KEY
