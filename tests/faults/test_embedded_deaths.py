"""The bundled Postgres dies under load: the service starts it again and goes on."""

import asyncio
from pathlib import Path

import psutil
import pytest

from hookline.db.embedded.ownership import read_pid_file
from support.account import Close, assert_each_delivered_once, the_account
from support.ledger import Ledger
from support.service import services
from support.traffic import Traffic

BETWEEN = 60  # events that are accepted between two deaths


async def test_killed_with_its_sessions_it_is_started_again(
    folder: Path, ledger: Ledger, closed: Close
) -> None:
    await killed_over_and_over(folder, ledger, closed, times=1)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_killed_twenty_times_it_is_started_again(
    folder: Path, ledger: Ledger, closed: Close
) -> None:
    await killed_over_and_over(folder, ledger, closed, times=20)


async def killed_over_and_over(folder: Path, ledger: Ledger, closed: Close, *, times: int) -> None:
    async with services(folder) as at_home:
        service = await at_home.start(LEASE_MARGIN="600")
        await service.an_integration(ledger)
        traffic = Traffic([service.url], at_home.admin_key)

        async with traffic.flowing(8):
            for _ in range(times):
                await traffic.until_accepted(BETWEEN)
                await kill(postmaster(folder))
                await traffic.until_accepted(BETWEEN)
                await kill(a_session(postmaster(folder)))
            await traffic.until_accepted(BETWEEN)

        account = closed(await the_account(service, traffic, ledger))
        assert_each_delivered_once(account, traffic)
        assert traffic.without_retry_after == 0
        await service.stop()


def postmaster(folder: Path) -> psutil.Process:
    written = read_pid_file(folder / "data/postgres/data")
    assert written is not None
    return psutil.Process(written.pid)


def a_session(server: psutil.Process) -> psutil.Process:
    """Return one of the service's sessions: when it dies, Postgres ends all others and recovers."""
    found = [
        child for child in server.children() if "hookline hookline" in " ".join(child.cmdline())
    ]
    return found[0]


async def kill(process: psutil.Process) -> None:
    process.kill()
    await asyncio.to_thread(process.wait, 10)
