"""Periodic and debounced work; a task that dies is noticed at once."""

import asyncio
import io
import json
import signal
import time
from collections.abc import Generator, Sequence
from contextlib import AsyncExitStack
from itertools import pairwise
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from hookline import logs
from hookline.api.fairness import TimeSlices
from hookline.background import (
    Debounced,
    Periodic,
    RestartPauses,
    Slices,
    Tasks,
    keep_running,
    run_at_once,
)
from hookline.dispatch.batching import Batcher
from hookline.domain.ids import new_uuid
from hookline.errors import Unavailable
from hookline.sinks.sqs.clients import ClientCache, ClientKey
from hookline.sinks.sqs.gatherer import Gatherer, Waiting
from hookline.sinks.sqs.messages import Answer, Entry


class Dying:
    name = "roll-ups"

    async def run(self) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("a fault of ours")


class Endless:
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
            keep_running(stack, Endless())
            await asyncio.sleep(0)
    finally:
        logs.configure()
    assert not log.getvalue()


async def test_a_task_of_its_owner_that_dies_is_logged_at_once_and_ends_no_other() -> None:
    tasks = Tasks()
    with capture_logs() as logs:
        tasks.start(Dying().run(), "cleanup")
        await tasks.join()
        tasks.start(Endless().run(), "other")
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
    debounced = Debounced("notify", notifications)
    for _ in range(100):
        debounced.soon()
    await debounced.aclose()
    assert notifications.count == 1


async def test_what_is_requested_during_a_call_is_done_as_well() -> None:
    notifications = Notifications()
    debounced = Debounced("notify", notifications)
    debounced.soon()
    await notifications.told.wait()
    debounced.soon()
    await debounced.aclose()
    assert notifications.count == 2


async def test_a_debounced_call_that_fails_is_logged_and_ends_nothing() -> None:
    notifications = Notifications(LookupError("a fault of ours"), Unavailable("away"))
    with capture_logs() as logs:
        for _ in range(3):
            debounced = Debounced("notify", notifications)
            debounced.soon()
            await debounced.aclose()
    assert notifications.count == 3
    assert [log["event"] for log in logs] == ["background.failed", "background.postponed"]


async def test_what_finds_the_database_away_is_done_once_it_is_back() -> None:
    notifications = Notifications(Unavailable("away"))
    debounced = Debounced("notify", notifications)
    debounced.soon()
    async with asyncio.timeout(10):
        while notifications.count < 2:
            notifications.told.clear()
            await notifications.told.wait()
    await debounced.aclose()


async def test_closing_what_was_never_asked_for_anything_is_nothing() -> None:
    notifications = Notifications()
    await Debounced("notify", notifications).aclose()
    assert notifications.count == 0


async def test_a_program_that_dies_of_its_start_waits_longer_each_time() -> None:
    pauses = RestartPauses(steady_after=10.0)
    assert [pauses.after(1.0) for _ in range(4)] == [0.0, 0.25, 0.5, 1.0]
    assert pauses.after(11.0) == 0.0
    assert pauses.after(0.0) == 0.25
    for _ in range(10):
        pauses.after(0.0)
    assert pauses.next == 15.0


async def test_a_batch_of_a_queue_that_dies_is_logged_and_leaves_its_place() -> None:
    async def ship(_batch: Sequence[Waiting]) -> list[Answer]:
        raise RuntimeError("a fault of ours")

    idle = asyncio.Event()
    gatherer = Gatherer(ship, idle.set, most_bytes=1000, gather_seconds=0.0)
    loop = asyncio.get_running_loop()
    with capture_logs() as logs:
        gatherer.add(Waiting({}, 1, None, loop.time() + 5, loop.create_future()))
        await asyncio.wait_for(idle.wait(), 10)
        await gatherer.aclose()
    assert [(log["event"], log["task"]) for log in logs] == [("background.died", "sqs-batch")]


async def test_a_client_that_cannot_be_closed_is_logged() -> None:
    class Unclosable:
        async def send(self, _queue_url: str, _entries: Sequence[Entry]) -> list[Answer]:
            return []

        async def aclose(self) -> None:
            raise RuntimeError("a fault of ours")

    cache = ClientCache(lambda _key: Unclosable(), most=1, idle_seconds=60)
    with capture_logs() as logs:
        async with cache.lend(ClientKey("id", "secret", "eu-west-1", "https://sqs.invalid")):
            pass
        await cache.aclose()
    assert [(log["event"], log["task"]) for log in logs] == [
        ("background.died", "sqs-client-close")
    ]


async def test_time_slices_that_die_are_logged_and_begin_again() -> None:
    faults = [RuntimeError("a fault of ours")]

    def charge(_key_id: UUID, _seconds: float) -> None:
        if faults:
            died.set()
            raise faults.pop()

    def job() -> Generator[None, None, str]:
        yield
        return "done"

    time_slices, died = TimeSlices(charge), asyncio.Event()
    with capture_logs() as logs:
        lost = asyncio.create_task(time_slices.run(new_uuid(), job()))
        await died.wait()
        assert await time_slices.run(new_uuid(), job()) == "done"
        lost.cancel()
        await asyncio.wait([lost])
    assert [(log["event"], log["task"]) for log in logs] == [("background.died", "time-slices")]


async def test_a_batcher_whose_writer_dies_stops_the_process() -> None:
    async def flush(items: Sequence[int]) -> list[int]:
        return list(items)

    class Broken(Batcher[int, int]):
        def _may_begin(self, _first: object) -> bool:
            raise RuntimeError("a fault of ours")

    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asked.set)
    try:
        with capture_logs() as logs:
            caller = asyncio.create_task(Broken(flush, name="ingest").submit([1]))
            await asyncio.wait_for(asked.wait(), 10)
            caller.cancel()
            await asyncio.wait([caller])
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    assert [(log["event"], log["task"]) for log in logs] == [("background.died", "ingest-writer")]


async def test_jobs_in_slices_take_turns_and_the_loop_goes_round_between_them() -> None:
    slices = Slices()
    order: list[str] = []

    def job(name: str) -> Generator[None, None, str]:
        for _ in range(3):
            order.append(name)
            until = time.perf_counter() + 0.001
            while time.perf_counter() < until:
                continue
            yield
        return name

    async def another() -> None:
        while order.count("a") + order.count("b") < 6:
            order.append("round")
            await asyncio.sleep(0)

    results = await asyncio.gather(slices.run(job("a")), slices.run(job("b")), another())
    assert list(results) == ["a", "b", None]
    assert [each for each in order if each != "round"] == ["a", "b"] * 3
    assert all("round" in pair for pair in pairwise(order))


async def test_what_a_job_in_slices_raises_is_its_callers_and_others_go_on() -> None:
    slices = Slices()

    def wrong() -> Generator[None]:
        yield
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        await slices.run(wrong())
    assert await slices.run(itself("well")) == "well"
    assert run_at_once(itself("at once")) == "at once"


def itself(value: str) -> Generator[None, None, str]:
    yield
    return value
