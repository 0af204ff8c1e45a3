"""Rolling restarts under load: a client with one retry notices nothing, nor does a receiver."""

import asyncio
import signal

import pytest

from support.account import Account, Close, assert_each_delivered_once, the_account
from support.ledger import Ledger
from support.service import PATIENCE, Services
from support.traffic import Traffic
from support.worker_processes import until_complete, worker_processes_of

BETWEEN = 100  # events that are accepted between two restarts


async def test_two_services_restarted_in_turn(
    together: Services, ledger: Ledger, free_ports: tuple[str, str], closed: Close
) -> None:
    await restarted_in_turn(together, ledger, free_ports, closed, rounds=1)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_two_services_restarted_in_turn_many_times(
    together: Services, ledger: Ledger, free_ports: tuple[str, str], closed: Close
) -> None:
    await restarted_in_turn(together, ledger, free_ports, closed, rounds=15)


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_processes_on_one_port_restarted_in_turn_many_times(
    together: Services, ledger: Ledger, closed: Close
) -> None:
    await members_restarted_in_turn(together, ledger, closed, rounds=10)


async def restarted_in_turn(
    together: Services, ledger: Ledger, ports: tuple[str, str], closed: Close, *, rounds: int
) -> None:
    running = [await together.start(PORT=port) for port in ports]
    await running[0].an_integration(ledger)
    traffic = Traffic([service.url for service in running], together.admin_key, retries=1)

    async with traffic.flowing():
        for _ in range(rounds):
            for number, port in enumerate(ports):
                await traffic.until_accepted(BETWEEN)
                await running[number].stop()
                running[number] = await together.start(PORT=port)
        await traffic.until_accepted(BETWEEN)

    nobody_noticed(closed(await the_account(running[0], traffic, ledger)), traffic)
    for service in running:
        await service.stop()


async def members_restarted_in_turn(
    together: Services, ledger: Ledger, closed: Close, *, rounds: int
) -> None:
    service = await together.start("--processes", "2")
    await service.an_integration(ledger)
    traffic = Traffic([service.url], together.admin_key, retries=1)

    async with traffic.flowing():
        for _ in range(rounds):
            for member in worker_processes_of(service.command):
                await traffic.until_accepted(BETWEEN)
                member.send_signal(signal.SIGTERM)
                await asyncio.to_thread(member.wait, PATIENCE)
                await until_complete(service, 2)
        await traffic.until_accepted(BETWEEN)

    nobody_noticed(closed(await the_account(service, traffic, ledger)), traffic)
    await service.stop()


def nobody_noticed(account: Account, traffic: Traffic) -> None:
    assert_each_delivered_once(account, traffic)
    assert account.at_once == 0, account
