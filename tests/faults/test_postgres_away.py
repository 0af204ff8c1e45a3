"""Whatever happens to Postgres: nothing is accepted meanwhile, and all goes on by itself after."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from support.account import Close, assert_each_delivered_once, the_account
from support.ledger import Ledger
from support.own_postgres import OwnPostgres
from support.service import Services, eventually
from support.traffic import Traffic

AT_ONCE = 16
LONG = "600"  # seconds: whatever waited for a lease to run out would be seen to wait
PATIENT = "300"  # seconds: no attempt times out while a fault begins


Fault = Callable[[OwnPostgres], AbstractAsyncContextManager[None]]

FAULTS = {
    "stopped": OwnPostgres.stopped,
    "read-only": OwnPostgres.read_only,
    "out of connections": OwnPostgres.out_of_connections,
    "letting nobody in": OwnPostgres.letting_nobody_in,
}
WHILE_AWAY = {"/livez": 200, "/metrics": 200}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_ingest_says_come_again_and_all_goes_on_by_itself(
    apart: Services, own: OwnPostgres, ledger: Ledger, closed: Close, fault: Fault
) -> None:
    service = await apart.start(LEASE_MARGIN=LONG, DELIVERY_TIMEOUT=PATIENT)
    await service.an_integration(ledger)
    traffic = Traffic([service.url], apart.admin_key)

    async with traffic.flowing(AT_ONCE):
        await traffic.until_accepted(100)
        ledger.hold()
        await eventually(lambda: held(ledger), bool)
        async with fault(own):
            ledger.release()  # what is answered now succeeded while Postgres was away
            await nothing_is_accepted(traffic)
            for path, status in WHILE_AWAY.items():
                assert (await service.api.get(path)).status_code == status, path
        await traffic.until_accepted(100)

    account = closed(await the_account(service, traffic, ledger))
    assert_each_delivered_once(account, traffic)
    assert traffic.without_retry_after == 0
    assert account.refused > 0
    await service.stop()
    assert "Traceback" not in await service.command.errors(), "that it is away is no fault of ours"


async def nothing_is_accepted(traffic: Traffic) -> None:
    await traffic.until_refused(2 * AT_ONCE)  # what was stored just before is answered by then
    accepted = len(traffic.accepted)
    await traffic.until_refused(4 * AT_ONCE)
    assert len(traffic.accepted) == accepted


async def held(ledger: Ledger) -> int:
    return ledger.held
