"""The worker processes of a `hookline serve --processes`."""

import asyncio

import psutil

from support.service import Service, eventually
from support.terminal import Command


def worker_processes_of(command: Command) -> list[psutil.Process]:
    """Return those that run now."""
    return [*filter(_works, psutil.Process(command.pid).children())]


async def until_complete(service: Service, processes: int) -> None:
    """Wait until so many answer: each has a socket of its own on the port."""

    def listening() -> int:
        return sum(map(_listens, worker_processes_of(service.command)))

    await eventually(lambda: asyncio.to_thread(listening), lambda count: count == processes)


def _works(process: psutil.Process) -> bool:
    try:
        return "--worker-process" in process.cmdline()
    except psutil.NoSuchProcess:  # or a zombie
        return False


def _listens(process: psutil.Process) -> bool:
    try:
        return any(each.status == psutil.CONN_LISTEN for each in process.net_connections("tcp"))
    except psutil.NoSuchProcess:
        return False
