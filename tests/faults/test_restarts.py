"""Rolling restarts under load: a client with one retry notices nothing, nor does a receiver."""

import asyncio
import signal
from collections.abc import Callable

import psutil
import pytest

from support.account import Account, assert_each_delivered_once, the_account
from support.ledger import Ledger
from support.service import PATIENCE, Service, Services, eventually
from support.terminal import Command
from support.traffic import Traffic

BETWEEN = 100  # events that are accepted between two restarts

Close = Callable[[Account], Account]


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


async def test_processes_on_one_port_restarted_in_turn(
    together: Services, ledger: Ledger, closed: Close
) -> None:
    await members_restarted_in_turn(together, ledger, closed, rounds=1)


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
            for member in members(service.command):
                await traffic.until_accepted(BETWEEN)
                member.send_signal(signal.SIGTERM)
                await asyncio.to_thread(member.wait, PATIENCE)
                await until_complete(service)
        await traffic.until_accepted(BETWEEN)

    nobody_noticed(closed(await the_account(service, traffic, ledger)), traffic)
    await service.stop()


def nobody_noticed(account: Account, traffic: Traffic) -> None:
    assert_each_delivered_once(account, traffic)
    assert account.at_once == 0, account


def members(command: Command) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(command.pid).children()
        if "--worker-process" in child.cmdline()
    ]


async def until_complete(service: Service) -> None:
    """Wait until both members answer: each has a socket of its own on the port."""

    def listening() -> int:
        return sum(map(listens, members(service.command)))

    await eventually(lambda: asyncio.to_thread(listening), lambda count: count == 2)


def listens(member: psutil.Process) -> bool:
    try:
        return any(each.status == psutil.CONN_LISTEN for each in member.net_connections("tcp"))
    except psutil.NoSuchProcess:
        return False
