"""Several engines and one target: together they keep to what it allows, and one takes over."""

import asyncio
import signal

import pytest

from support.account import Close, the_account
from support.ledger import Ledger
from support.service import Services
from support.traffic import Traffic

MOST = 6  # deliveries at once
SLOW = 0.1  # seconds for an answer
PATIENT = {"DELIVERY_TIMEOUT": "60"}
SOON = {"DELIVERY_TIMEOUT": "1", "LEASE_MARGIN": "1"}


async def test_workers_together_keep_to_max_in_flight(
    together: Services, ledger: Ledger, closed: Close
) -> None:
    service = await together.start("--no-engine")
    await service.an_integration(ledger, maxInFlight=MOST)
    traffic = Traffic([service.url], together.admin_key)
    ledger.delay = SLOW
    ledger.hold()
    await asyncio.gather(together.a_worker(**PATIENT), together.a_worker(**PATIENT))

    await traffic.send(100)
    await ledger.until_under_way(MOST)
    ledger.release()

    account = closed(await the_account(service, traffic, ledger))
    assert ledger.most_under_way == MOST
    assert (account.delivered, account.duplicated, account.failed) == (100, 0, 0)


@pytest.mark.soak
async def test_a_worker_that_is_left_takes_all_of_max_in_flight(
    together: Services, ledger: Ledger, closed: Close
) -> None:
    service = await together.start("--no-engine", **SOON)
    await service.an_integration(ledger, maxInFlight=MOST)
    traffic = Traffic([service.url], together.admin_key)
    ledger.delay = SLOW
    doomed, heir = await asyncio.gather(together.a_worker(**SOON), together.a_worker(**SOON))
    assert await doomed.stop(signal.SIGKILL) == -signal.SIGKILL

    await traffic.send(400)
    await ledger.until_under_way(MOST)

    account = closed(await the_account(service, traffic, ledger))
    assert ledger.most_under_way == MOST
    assert (account.delivered, account.duplicated, account.failed) == (400, 0, 0)
    assert await heir.stop() == 0
