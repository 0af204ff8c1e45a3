import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from factories import a_principal, a_webhook
from hookline.domain.access import Role
from hookline.domain.deliveries import ErrorKind
from hookline.domain.health import HEALTHY, Fail, HealthRules, Pause, Recover
from hookline.domain.ids import new_uuid
from hookline.integrations.health import HealthRecords
from hookline.integrations.notices import (
    NOTICES_CHANNEL,
    Exhausted,
    Outbox,
    WrittenNotice,
    paused,
    write_notices,
)
from hookline.integrations.pbxs import PbxService
from hookline.integrations.requests import IntegrationCreate, IntegrationPatch, PbxPut
from hookline.integrations.revision import Transactions
from hookline.integrations.service import IntegrationService
from support.postgres_clients import connection

ADMIN = a_principal(Role.ADMIN)
SINCE = datetime(2026, 3, 1, 12, tzinfo=UTC)
URL = "https://crm.example.com/"


@pytest.fixture
async def outbox(transactions: Transactions, database: str) -> AsyncIterator[Outbox]:
    yield Outbox(transactions)
    async with connection(database) as client:
        await client.execute("truncate notices, exhausted_deliveries")


async def made(service: IntegrationService, **changes: object) -> str:
    new = IntegrationCreate.model_validate(a_webhook(**changes))
    return (await service.create(ADMIN, new)).integration.id


async def change(service: IntegrationService, integration_id: str, **fields: object) -> None:
    patch = IntegrationPatch.model_validate(fields)
    await service.change(ADMIN, integration_id, patch, None)


async def taken(outbox: Outbox) -> list[WrittenNotice]:
    await outbox.gather()
    async with outbox.taking(100) as notices:
        return list(notices)


def told(notices: list[WrittenNotice]) -> list[tuple[str, str, object, object]]:
    """Return type, integration, reason and by whom."""
    return [
        (
            each.notice.type.partition(":")[2],
            each.notice.integration_id,
            each.notice.data["reason"],
            each.notice.data["disabledBy"],
        )
        for each in notices
    ]


async def test_each_way_of_switching_off_says_why_and_who(
    service: IntegrationService, transactions: Transactions, outbox: Outbox
) -> None:
    records = HealthRecords(transactions, HealthRules())
    by_hand, gone, failing = [await made(service) for _ in range(3)]
    await records.take({failing: Fail(SINCE, ErrorKind.TIMEOUT)})
    await change(service, by_hand, enabled=False)
    for _ in range(2):  # the second comes too late, and tells nothing
        await service.disable_gone(gone, URL)
        await service.disable_failing(failing, SINCE)
    notices = await taken(outbox)
    assert told(notices) == [
        ("disabled", by_hand, "manual", ADMIN.name),
        ("disabled", gone, "gone", "hookline"),
        ("disabled", failing, "failing", "hookline"),
    ]
    assert notices[-1].notice.data["since"] == f"{SINCE:%Y-%m-%dT%H:%M:%S}.000Z"
    assert notices[-1].notice.data["lastError"] == "timeout"
    assert await taken(outbox) == []


async def test_of_the_steps_of_health_pausing_and_recovering_are_told(
    service: IntegrationService, transactions: Transactions, outbox: Outbox
) -> None:
    records = HealthRecords(transactions, HealthRules())
    one, other = [await made(service) for _ in range(2)]
    await records.take(dict.fromkeys([one, other], Fail(SINCE, None)))
    await records.take({one: Pause(ErrorKind.REFUSED)})
    for _ in range(2):
        await records.take({one: Recover(), other: Recover()})
    assert [(kind, about) for kind, about, *_ in told(await taken(outbox))] == [
        ("paused", one),
        ("recovered", one),
    ]


async def test_two_who_switch_it_off_at_once_are_told_of_once(
    service: IntegrationService, outbox: Outbox
) -> None:
    target = await made(service)
    await asyncio.gather(
        *(change(service, target, enabled=False) for _ in range(3)),
        *(service.disable_gone(target, URL) for _ in range(3)),
    )
    assert len(await taken(outbox)) == 1


async def test_a_change_that_is_not_committed_tells_nothing(
    service: IntegrationService, transactions: Transactions, outbox: Outbox
) -> None:
    target = await made(service)

    async def change_in_vain() -> None:
        async with transactions.noting() as session:
            await write_notices(session, [paused(target, HEALTHY)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await change_in_vain()
    assert not await outbox.has_work()


async def test_a_notice_stays_until_it_is_accepted(
    service: IntegrationService, outbox: Outbox
) -> None:
    await change(service, await made(service), enabled=False)
    with pytest.raises(RuntimeError):
        async with outbox.taking(1):
            raise RuntimeError
    assert await outbox.has_work()
    assert len(await taken(outbox)) == 1
    assert not await outbox.has_work()


async def test_only_a_company_that_is_vouched_for_is_named(
    service: IntegrationService, pbxs: PbxService, outbox: Outbox
) -> None:
    manager = a_principal(Role.MANAGER, pbx="000000000042")
    new = IntegrationCreate.model_validate(a_webhook(pbx="000000000042", company="it_w000042"))
    target = (await service.create(manager, new)).integration.id
    await change(service, target, enabled=False)
    [notice] = await taken(outbox)
    assert (notice.pbx, notice.company) == ("000000000042", None)
    described = {"company": "it_w000099", "license": "x-bees"}
    await pbxs.put(ADMIN, "000000000042", PbxPut.model_validate(described))
    await change(service, target, enabled=True)
    await change(service, target, enabled=False)
    [notice] = await taken(outbox)
    assert notice.company == "it_w000099"


async def test_processes_count_at_once_and_nothing_is_lost(
    service: IntegrationService, outbox: Outbox
) -> None:
    targets = [await made(service) for _ in range(5)]

    def counted(ids: list[str]) -> dict[str, Exhausted]:
        return {each: Exhausted(2, (str(new_uuid()),), ErrorKind.STATUS) for each in ids}

    await asyncio.gather(
        *(outbox.count(counted(targets)) for _ in range(4)),
        *(outbox.count(counted(targets[::-1])) for _ in range(4)),
    )
    notices = await taken(outbox)
    assert {each.notice.integration_id for each in notices} == set(targets)
    assert [each.notice.data["count"] for each in notices] == [16] * 5
    assert {len(each.notice.data["deliveryIds"]) for each in notices} == {8}  # type: ignore[arg-type]  # a list, as JSON has it


async def test_what_is_to_be_told_is_hinted_at(
    service: IntegrationService, outbox: Outbox, database: str
) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    target = await made(service)
    async with connection(database) as client, asyncio.timeout(5):
        await client.add_listener(NOTICES_CHANNEL, lambda *_: heard.put_nowait("told"))
        await change(service, target, enabled=False)
        await heard.get()
        await outbox.count({target: Exhausted(1)})
        await heard.get()
        await outbox.gather()
        await heard.get()
        await outbox.count({target: Exhausted(1)})
        await client.execute("select")
        assert heard.empty(), "the next notice of it is not due yet"


async def test_a_group_waits_its_minute_and_no_hour_that_the_clock_lost(
    service: IntegrationService, outbox: Outbox, database: str
) -> None:
    target = await made(service)
    await outbox.count({target: Exhausted(1)})
    assert len(await taken(outbox)) == 1
    async with connection(database) as client:
        await client.execute("truncate notices")
    await outbox.count({target: Exhausted(2)})
    assert not await outbox.has_work()
    assert await taken(outbox) == []
    async with connection(database) as client:
        await client.execute("update exhausted_deliveries set due_at = now() + interval '1 hour'")
    assert await outbox.has_work()
    [notice] = await taken(outbox)
    assert notice.notice.data["count"] == 2
