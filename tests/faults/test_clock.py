"""The service's clock steps an hour forwards and back: nothing is lost, nothing comes twice.

What is due and what a lease is worth are Postgres' to say, by its own clock (`test_postgres_clock`
steps that); a process' clock makes ids, and so says on which day's partition an event lies.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from hookline.domain.ids import created_at
from support.account import Account, assert_each_delivered_once, the_account
from support.clock import SteppedClock
from support.ledger import Ledger
from support.service import Services
from support.traffic import Traffic

HOUR = 3600
NO_SUCH_DAY = 24 * 10  # hours ahead: partitions are made for three days


@pytest.fixture
def clock(tmp_path: Path, clock_library: Path) -> SteppedClock:
    return SteppedClock(tmp_path, clock_library)


async def test_a_clock_that_steps_an_hour_forwards_and_back_loses_nothing(
    together: Services,
    ledger: Ledger,
    clock: SteppedClock,
    closed: Callable[[Account], Account],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in clock.environment.items():
        monkeypatch.setenv(name, value)
    service = await together.start(RETRY_DELAYS="0.2,0.2,0.2", LEASE_MARGIN="600")
    monkeypatch.undo()
    await service.an_integration(ledger)
    traffic = Traffic([service.url], together.admin_key)

    async with traffic.flowing():
        for hours in (0, 1, 0, -1, 0, 24, 0):
            clock.step(hours=hours)
            await traffic.until_accepted(60)
        clock.step(hours=NO_SUCH_DAY)
        await traffic.until_refused(20)
        clock.step(hours=0)
        await traffic.until_accepted(60)

    account = closed(await the_account(service, traffic, ledger))
    assert_each_delivered_once(account, traffic)
    assert traffic.without_retry_after == 0
    now = datetime.now(UTC)
    off = {
        round((created_at(UUID(event_id)) - now).total_seconds() / HOUR)
        for event_id, _ in traffic.accepted.values()
    }
    assert off == {-1, 0, 1, 24}, "the clock did not step"
    await service.stop()
