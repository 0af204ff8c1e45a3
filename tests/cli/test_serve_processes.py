import asyncio
import signal
import socket
from pathlib import Path

import httpx
import psutil
import pytest

from hookline.db.embedded.ownership import wait_until_dead
from hookline.server.server import listener, shared_port
from support.terminal import Command, Terminal

RUNNING = r"running in 2 processes"


def workers(command: Command) -> list[psutil.Process]:
    return [child for child in psutil.Process(command.pid).children() if is_worker(child)]


def is_worker(process: psutil.Process) -> bool:
    try:
        return "--worker-process" in process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False  # it has just ended


def metrics_file_of(worker: psutil.Process) -> Path:
    [named] = [each for each in worker.cmdline() if each.startswith("--metrics-file=")]
    return Path(named.removeprefix("--metrics-file="))


async def served(command: Command) -> str:
    await command.says(RUNNING)
    return str((await command.says(r"API +(http://127\.0\.0\.1:\d+)/v1"))[1])


async def ready(url: str) -> bool:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        return (await client.get("/readyz")).status_code == 200


async def gone(processes: list[psutil.Process]) -> None:
    left = await asyncio.to_thread(wait_until_dead, processes, within_s=30)
    assert left == [], "they outlived their parent"


async def test_several_processes_share_a_port_are_started_again_and_end_together(
    made_terminal: Terminal,
) -> None:
    command = await made_terminal.start("serve", "--processes", "2")
    url = await served(command)
    assert await ready(url)
    killed, other = workers(command)

    killed.send_signal(signal.SIGKILL)

    async with asyncio.timeout(30):
        while killed in (started := workers(command)) or len(started) < 2:  # noqa: ASYNC110 - processes tell nobody
            await asyncio.sleep(0.05)
    assert other in started
    assert await ready(url)
    assert await command.stop(signal.SIGINT) == 0
    await gone(started)


async def test_workers_end_when_their_parent_is_killed(made_terminal: Terminal) -> None:
    command = await made_terminal.start("serve", "--processes", "2")
    await served(command)
    started = workers(command)
    folders = {each.parent for each in map(metrics_file_of, started)}

    command.process.send_signal(signal.SIGKILL)

    await gone(started)
    assert [folder.exists() for folder in folders] == [False], "they clean up behind it"
    again = await made_terminal.start("serve")
    url = str((await again.says(r"API +(http://127\.0\.0\.1:\d+)/v1"))[1])
    assert await ready(url)
    assert await again.stop() == 0


@pytest.mark.parametrize("processes", ["0", "65", "many"])
async def test_an_impossible_number_of_processes_is_refused(
    terminal: Terminal, processes: str
) -> None:
    code, _, err = await terminal.run("serve", "--processes", processes)
    assert code == 2
    assert "--processes" in err


def test_a_port_that_worker_processes_share_is_free_at_no_moment() -> None:
    taken = listener("127.0.0.1", 0, advice="")
    place = taken.getsockname()
    with shared_port(taken):
        with pytest.raises(OSError, match="in use"), socket.socket() as other:
            other.bind(place)
        with (
            listener(*place, advice="", shared=True) as worker,
            socket.create_connection(place),
            worker.accept()[0],
        ):
            pass
