"""Periodic and debounced work; a task that dies is noticed at once."""

import asyncio
import io
import json
import signal
from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from hookline import logs
from hookline.background import Debounced, Periodic, Tasks, keep_running
from hookline.errors import Unavailable


class Dying:
    name = "roll-ups"

    async def run(self) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("a fault of ours")


class Waiting:
    name = "listener"

    async def run(self) -> None:
        await asyncio.Event().wait()


async def test_a_task_that_dies_is_logged_and_stops_the_process() -> None:
    log, asked = io.StringIO(), asyncio.Event()
    logs.configure(stream=log)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    try:
        stack = AsyncExitStack()
        keep_running(stack, Dying())
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
            keep_running(stack, Waiting())
            await asyncio.sleep(0)
    finally:
        logs.configure()
    assert not log.getvalue()


async def test_a_task_of_its_owner_that_dies_is_logged_at_once_and_ends_no_other() -> None:
    tasks = Tasks()
    with capture_logs() as logs:
        tasks.start(Dying().run(), "cleanup")
        await tasks.join()
        tasks.start(Waiting().run(), "other")
        assert len(tasks) == 1
        await tasks.aclose()
    assert not len(tasks)
    assert [(log["event"], log["task"]) for log in logs] == [("background.died", "cleanup")]


async def test_periodic_work_is_done_again_whatever_went_wrong_before() -> None:
    faults = [Unavailable("away"), LookupError("a fault of ours")]
    done = asyncio.Event()

    async def work() -> None:
        if faults:
            raise faults.pop(0)
        done.set()

    with capture_logs() as logs:
        async with AsyncExitStack() as stack:
            keep_running(stack, Periodic("retention", work, lambda: 0.0))
            await asyncio.wait_for(done.wait(), 10)
    events = [(log["event"], log["work"]) for log in logs]
    assert events == [("background.postponed", "retention"), ("background.failed", "retention")]


async def test_periodic_work_is_done_soon_after_a_hint() -> None:
    calls: asyncio.Queue[None] = asyncio.Queue()
    periodic = Periodic("notices", lambda: calls.put(None), 3600.0)
    async with AsyncExitStack() as stack:
        keep_running(stack, periodic)
        await asyncio.wait_for(calls.get(), 10)
        periodic.soon()
        await asyncio.wait_for(calls.get(), 10)


class Notifications:
    """Counts what is told, failing as told itself."""

    def __init__(self, *faults: Exception) -> None:
        self.faults = list(faults)
        self.count = 0
        self.told = asyncio.Event()

    async def __call__(self) -> None:
        self.count += 1
        self.told.set()
        if self.faults:
            raise self.faults.pop(0)


async def test_many_requests_of_one_moment_are_one_call() -> None:
    notifications = Notifications()
    debounced = Debounced("announcer", notifications)
    for _ in range(100):
        debounced.soon()
    await debounced.aclose()
    assert notifications.count == 1


async def test_what_is_requested_during_a_call_is_done_as_well() -> None:
    notifications = Notifications()
    debounced = Debounced("announcer", notifications)
    debounced.soon()
    await notifications.told.wait()
    debounced.soon()
    await debounced.aclose()
    assert notifications.count == 2


async def test_a_debounced_call_that_fails_is_logged_and_ends_nothing() -> None:
    notifications = Notifications(LookupError("a fault of ours"), Unavailable("away"))
    with capture_logs() as logs:
        for _ in range(3):
            debounced = Debounced("announcer", notifications)
            debounced.soon()
            await debounced.aclose()
    assert notifications.count == 3
    assert [log["event"] for log in logs] == ["background.failed", "background.postponed"]


async def test_what_finds_the_database_away_is_done_once_it_is_back() -> None:
    notifications = Notifications(Unavailable("away"))
    debounced = Debounced("announcer", notifications)
    debounced.soon()
    async with asyncio.timeout(10):
        while notifications.count < 2:
            notifications.told.clear()
            await notifications.told.wait()
    await debounced.aclose()


async def test_closing_what_was_never_asked_for_anything_is_nothing() -> None:
    notifications = Notifications()
    await Debounced("announcer", notifications).aclose()
    assert notifications.count == 0
