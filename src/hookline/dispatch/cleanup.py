"""What a changed or deleted integration leaves behind: connections to close, deliveries to end."""

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any

from hookline.db.errors import once_back
from hookline.dispatch.sending import transmission
from hookline.domain.deliveries import SkipReason
from hookline.domain.targets import Target, TransmissionType
from hookline.integrations.subscriptions import Subscription
from hookline.queue.port import Queue
from hookline.sinks import Sink

_AT_ONCE = 1_000  # deliveries a statement: a short transaction, however many wait


class IntegrationCleanup:
    """Told by the snapshot, in each process, of every integration that is not what it was.

    Ends at once what waits for one that was deleted or disabled. What is leased then, or was missed
    because no process ran, ends in the same way when it is next claimed.
    """

    def __init__(self, queue: Queue, *sinks: Mapping[TransmissionType, Sink]) -> None:
        self._queue = queue
        self._sinks = sinks
        self._tasks: set[asyncio.Task[None]] = set()

    def integration_changed(self, before: Subscription | None, after: Subscription | None) -> None:
        """Take note of a change: `before` is None of a new one, `after` of a deleted one."""
        if before is None:
            return
        if before.target is not None and (after is None or after.target != before.target):
            self._start(self._forget(before.target), "forget-target")
        if after is None:
            self._start(self._skip(before.integration_id, SkipReason.DELETED), "skip-deleted")
        elif before.enabled and not after.enabled:
            self._start(self._skip(before.integration_id, SkipReason.DISABLED), "skip-disabled")

    async def aclose(self) -> None:
        """Leave what is still under way; it ends when it is next claimed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forget(self, target: Target) -> None:
        for sinks in self._sinks:
            await sinks[transmission(target)].forget(target)

    async def _skip(self, integration_id: str, reason: SkipReason) -> None:
        async def some() -> int:
            return await self._queue.skip(integration_id, reason, limit=_AT_ONCE)

        while await once_back(some) == _AT_ONCE:
            continue
