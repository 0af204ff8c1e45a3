"""A process frozen past its leases: another takes over, and its late word counts for nothing."""

import asyncio
import signal

import pytest

from support.account import Close, the_account
from support.ledger import Ledger
from support.own_postgres import terminate
from support.service import PATIENCE, Services
from support.terminal import Command
from support.traffic import Traffic

SOON = {"DELIVERY_TIMEOUT": "2", "LEASE_MARGIN": "1"}  # seconds: leases last 3
EVENTS = 60
IN_FLIGHT = 8


async def test_what_a_frozen_process_says_when_it_wakes_is_fenced(
    together: Services, ledger: Ledger, closed: Close
) -> None:
    await frozen_and_awake_again(together, ledger, closed, cut=True)


@pytest.mark.soak
async def test_a_process_that_only_froze_is_taken_for_gone_in_time(
    together: Services, ledger: Ledger, closed: Close
) -> None:
    await frozen_and_awake_again(together, ledger, closed, cut=False)


async def frozen_and_awake_again(
    together: Services, ledger: Ledger, closed: Close, *, cut: bool
) -> None:
    """Freeze a process with attempts under way; `cut`: its membership's session ends at once."""
    frozen = await together.start(LOG_LEVEL="INFO", **SOON)
    await frozen.an_integration(ledger, maxInFlight=IN_FLIGHT)
    traffic = Traffic([frozen.url], together.admin_key)
    ledger.hold()
    await traffic.send(EVENTS)
    await ledger.until_received(IN_FLIGHT)
    frozen.command.process.send_signal(signal.SIGSTOP)
    in_flight = ledger.under_way
    if cut:
        dsn = together.settings["DATABASE_URL"]
        assert await terminate(dsn, "application_name = 'hookline listener'") == 1

    heir = await together.start(**SOON)
    ledger.release()
    taken_over = await the_account(heir, traffic, ledger)
    frozen.command.process.send_signal(signal.SIGCONT)
    await says(frozen.command, "delivery.fenced", times=IN_FLIGHT)
    await traffic.send(EVENTS)

    account = closed(await the_account(frozen, traffic, ledger))
    twice = {name for name, copies in ledger.copies.items() if copies > 1}
    assert twice == in_flight
    assert taken_over.delivered == EVENTS
    assert account.delivered == 2 * EVENTS
    assert account.duplicated == account.unrecorded == IN_FLIGHT
    for service in (frozen, heir):
        await service.stop()


async def says(command: Command, words: str, *, times: int) -> None:
    """Wait until the log has so many lines with these words."""
    assert command.process.stderr is not None
    async with asyncio.timeout(PATIENCE):
        while times > 0:
            line = await command.process.stderr.readline()
            assert line, "it ended"
            times -= words.encode() in line
