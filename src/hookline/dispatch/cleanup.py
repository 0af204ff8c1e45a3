"""Integration cleanup: ends deliveries, closes connections, and disables where a target is gone."""

from collections.abc import Mapping

from hookline.background import Tasks
from hookline.db.errors import once_back
from hookline.dispatch.deliver import transmission
from hookline.dispatch.observer import Observer
from hookline.domain.deliveries import SkipReason
from hookline.domain.health import HealthState
from hookline.domain.targets import Target, TransmissionType
from hookline.integrations.service import IntegrationService
from hookline.integrations.subscriptions import Subscription
from hookline.queue.port import Queue
from hookline.sinks import Sink

_AT_ONCE = 1_000  # deliveries a statement: a short transaction, however many wait


class IntegrationCleanup:
    """Told by the snapshot, in each process, of every integration that is not what it was.

    Ends at once what waits for one that was deleted or disabled. What is leased then, or was missed
    because no process ran, ends in the same way when it is next claimed. `tasks` run the work.
    """

    def __init__(self, queue: Queue, *sinks: Mapping[TransmissionType, Sink], tasks: Tasks) -> None:
        self._queue = queue
        self._sinks = sinks
        self._tasks = tasks

    def integration_changed(self, before: Subscription | None, after: Subscription | None) -> None:
        """Take note of a change: `before` is None of a new one, `after` of a deleted one."""
        if before is None:
            return
        if before.target is not None and (after is None or after.target != before.target):
            self._tasks.start(self._forget(before.target), "forget-target")
        if after is None:
            skipping = self._skip(before.integration_id, SkipReason.DELETED)
            self._tasks.start(skipping, "skip-deleted")
        elif before.enabled and not after.enabled:
            skipping = self._skip(before.integration_id, SkipReason.DISABLED)
            self._tasks.start(skipping, "skip-disabled")

    async def _forget(self, target: Target) -> None:
        for sinks in self._sinks:
            await sinks[transmission(target)].forget(target)

    async def _skip(self, integration_id: str, reason: SkipReason) -> None:
        async def some() -> int:
            return await self._queue.skip(integration_id, reason, limit=_AT_ONCE)

        while await once_back(some) == _AT_ONCE:
            continue


class GoneTargets:
    """Disables integrations whose targets asked never to be called again, in `tasks`."""

    def __init__(self, integrations: IntegrationService, tasks: Tasks, observer: Observer) -> None:
        self._integrations = integrations
        self._tasks = tasks
        self._observer = observer

    def disable(self, integration_id: str, url: str) -> None:
        """Disable an integration whose target answered 410 at this URL; returns at once."""
        self._tasks.start(self._disable(integration_id, url), "disable-gone")

    async def _disable(self, integration_id: str, url: str) -> None:
        if await once_back(lambda: self._integrations.disable_gone(integration_id, url)):
            self._observer.health_changed(HealthState.DISABLED)
