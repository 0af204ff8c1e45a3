"""What becomes of a test run's processes and folders when the run ends, or is killed."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from support.service import eventually

_RUN = """
import subprocess, sys, tempfile
from support import leftovers
with leftovers.ended_with_the_run():
    process = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)
    print(process.pid, tempfile.mkdtemp(prefix=leftovers.prefix("test")), flush=True)
    sys.stdin.read()
"""
_RUN_WITH_A_SERVICE = """
import asyncio, os, sys, tempfile
from pathlib import Path
from support import leftovers
from support.forks import fork
async def run():
    folder = tempfile.mkdtemp(prefix=leftovers.prefix("test"))
    process = await fork(["listen", "--port", "0"], os.environ, Path(folder))
    print(process.pid, folder, flush=True)
    await asyncio.to_thread(sys.stdin.read)
with leftovers.ended_with_the_run():
    asyncio.run(run())
"""


@asynccontextmanager
async def a_run(
    program: str = _RUN,
) -> AsyncIterator[tuple[asyncio.subprocess.Process, psutil.Process, Path]]:
    """Give a run, a process that it started and a folder that it made."""
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert run.stdout is not None
    number, folder = (await run.stdout.readline()).decode().split()
    yield run, psutil.Process(int(number)), Path(folder)


@pytest.mark.parametrize("program", [_RUN, _RUN_WITH_A_SERVICE], ids=["started", "forked"])
async def test_what_a_killed_run_left_is_ended_and_removed(program: str) -> None:
    async with a_run(program) as (run, process, folder):
        assert process.is_running()
        run.kill()

        async def left() -> bool:
            return process.is_running() or folder.exists()

        await eventually(left, lambda answer: not answer)


async def test_after_a_run_that_ends_in_order_nothing_is_searched_for() -> None:
    async with a_run() as (run, process, folder):
        assert run.stdin is not None
        run.stdin.close()
        assert await run.wait() == 0
        assert process.is_running()
        assert folder.exists()
        process.kill()
        folder.rmdir()
