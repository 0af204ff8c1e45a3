import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from hookline.background import Tasks
from hookline.dispatch.cleanup import IntegrationCleanup
from hookline.domain.deliveries import SkipReason
from hookline.domain.targets import Target, TransmissionType, WebhookTarget
from support.sink_script import a_subscription

if TYPE_CHECKING:
    from hookline.queue.port import Queue
    from hookline.sinks import Sink

OLD = WebhookTarget("https://old.example.com/hook", ("secret",))
BEFORE = replace(a_subscription("abc123"), target=OLD)


class Closing:
    """Stands in for a sink that is told to forget targets."""

    def __init__(self) -> None:
        self.forgotten: asyncio.Queue[Target] = asyncio.Queue()

    async def forget(self, target: Target) -> None:
        self.forgotten.put_nowait(target)


class Emptying:
    """Stands in for a queue in which more waits than one statement ends."""

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        self.empty = asyncio.Event()

    async def skip(self, integration_id: str, reason: SkipReason, *, limit: int) -> int:
        assert (integration_id, reason) == ("abc123", SkipReason.DELETED)
        ended = min(self.waiting, limit)
        self.waiting -= ended
        if ended < limit:
            self.empty.set()
        return ended


def cleanup(queue: Emptying, *sinks: Closing, tasks: Tasks | None = None) -> IntegrationCleanup:
    """Return a cleanup that is followed by several sinks for webhooks."""
    ways_out = [{TransmissionType.WEBHOOK: cast("Sink", sink)} for sink in sinks]
    return IntegrationCleanup(cast("Queue", queue), *ways_out, tasks=tasks or Tasks())


async def test_all_that_waits_for_a_deleted_integration_is_ended() -> None:
    queue, sink = Emptying(2_500), Closing()
    cleanup(queue, sink).integration_changed(BEFORE, None)
    async with asyncio.timeout(5):
        await queue.empty.wait()
        assert await sink.forgotten.get() == OLD
    assert queue.waiting == 0


async def test_a_changed_target_is_forgotten_by_every_sink_and_nothing_is_ended() -> None:
    queue, sink, tests = Emptying(5), Closing(), Closing()
    new = WebhookTarget("https://new.example.com/hook", ("secret",))
    cleanup(queue, sink, tests).integration_changed(BEFORE, replace(BEFORE, target=new))
    async with asyncio.timeout(5):
        assert await sink.forgotten.get() == OLD
        assert await tests.forgotten.get() == OLD
    assert queue.waiting == 5


async def test_another_change_closes_nothing() -> None:
    queue, sink = Emptying(5), Closing()
    tasks = Tasks()
    cleanup(queue, sink, tasks=tasks).integration_changed(BEFORE, replace(BEFORE, enabled=False))
    await tasks.aclose()
    assert (sink.forgotten.qsize(), queue.waiting) == (0, 5)
