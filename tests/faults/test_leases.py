"""Slow receivers and several workers: leases are renewed, and no delivery is attempted twice."""

import pytest

from support.account import Close, the_account
from support.ledger import Ledger
from support.service import Services
from support.traffic import Traffic

SLOW = 0.9  # seconds for an answer: each integration's events take several leases
SHORT = {"DELIVERY_TIMEOUT": "2", "LEASE_MARGIN": "1", "POLL_INTERVAL": "0.05"}
INTEGRATIONS = 8


async def test_workers_never_attempt_a_delivery_at_once(
    together: Services, ledger: Ledger, closed: Close
) -> None:
    await worked_off_slowly(together, ledger, closed, events=5)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_workers_never_attempt_a_delivery_at_once_for_minutes(
    together: Services, ledger: Ledger, closed: Close
) -> None:
    await worked_off_slowly(together, ledger, closed, events=600)


async def worked_off_slowly(
    together: Services, ledger: Ledger, closed: Close, *, events: int
) -> None:
    service = await together.start("--no-engine", **SHORT)
    for _ in range(INTEGRATIONS):
        await service.an_integration(ledger, maxInFlight=1)
    traffic = Traffic([service.url], together.admin_key)
    ledger.delay = SLOW
    for _ in range(2):
        await together.a_worker(**SHORT)

    await traffic.send(events)

    account = closed(await the_account(service, traffic, ledger))
    assert account.delivered == events * INTEGRATIONS
    assert (account.duplicated, account.at_once, account.failed) == (0, 0, 0)
