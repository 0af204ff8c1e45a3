"""A background task that dies is noticed at once, and its process stops."""

import asyncio
import io
import json
import signal
from contextlib import AsyncExitStack

import pytest

from hookline import logs
from hookline.bootstrap import background


async def dying() -> None:
    await asyncio.sleep(0)
    raise RuntimeError("a fault of ours")


async def waiting() -> None:
    await asyncio.Event().wait()


async def test_a_task_that_dies_is_logged_and_stops_the_process() -> None:
    log, asked = io.StringIO(), asyncio.Event()
    logs.configure(stream=log)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    try:
        stack = AsyncExitStack()
        background(stack, dying(), "roll-ups")
        await asyncio.wait_for(asked.wait(), 5)
        with pytest.raises(RuntimeError, match="a fault of ours"):
            await stack.aclose()
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
        logs.configure()
    line = json.loads(log.getvalue().splitlines()[0])
    assert (line["event"], line["level"], line["task"]) == (
        "background.died",
        "critical",
        "roll-ups",
    )
    assert "a fault of ours" in json.dumps(line)


async def test_a_task_that_is_cancelled_as_its_owner_closes_is_no_fault() -> None:
    log = io.StringIO()
    logs.configure(stream=log)
    try:
        async with AsyncExitStack() as stack:
            background(stack, waiting(), "listener")
            await asyncio.sleep(0)
    finally:
        logs.configure()
    assert not log.getvalue()
