"""What becomes of a test run's processes and folders when the run ends, or is killed."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from support.service import eventually

_RUN = """
import subprocess, sys, tempfile
from support import leftovers
with leftovers.ended_with_the_run():
    process = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)
    print(process.pid, tempfile.mkdtemp(prefix=leftovers.prefix("test")), flush=True)
    sys.stdin.read()
"""


@asynccontextmanager
async def a_run() -> AsyncIterator[tuple[asyncio.subprocess.Process, psutil.Process, Path]]:
    """Give a run, a process that it started and a folder that it made."""
    run = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _RUN),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert run.stdout is not None
    number, folder = (await run.stdout.readline()).decode().split()
    yield run, psutil.Process(int(number)), Path(folder)


async def test_what_a_killed_run_left_is_ended_and_removed() -> None:
    async with a_run() as (run, process, folder):
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
