"""The deliveries that are leased to this process, from their claim to their settlement."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from hookline.dispatch.lanes import Lanes
from hookline.queue.port import Claimed, Queue

if TYPE_CHECKING:
    from uuid import UUID


class _Held(msgspec.Struct):
    """A delivery that is leased to this process, until its outcome is written."""

    lease: int  # the newest, where a lease ran out and the delivery came to this process again
    until: float  # by the lanes' clock: when the lease may have run out
    stale_at: float | None = None  # by the lanes' clock: when its event is too old to be sent


class Leases:
    """Knows the newest lease of each delivery that is held, and renews those that age.

    Leases must last several `renew_interval`s, which are seconds.
    """

    def __init__(self, queue: Queue, lanes: Lanes, *, renew_interval: float) -> None:
        self._queue = queue
        self._lanes = lanes
        self._renew_interval = renew_interval
        self._held: dict[UUID, _Held] = {}

    def __len__(self) -> int:
        """How many deliveries are held."""
        return len(self._held)

    def hold(self, job: Claimed, leased_at: float) -> None:
        """Hold a delivery whose lease was asked for at this time, by the lanes' clock."""
        stale_at = None if job.fresh_for is None else leased_at + job.fresh_for
        until = leased_at + self._queue.lease_seconds
        self._held[job.id] = _Held(job.lease, until, stale_at)

    def adopt(self, job: Claimed, leased_at: float) -> bool:
        """Where a delivery is still held under a lease that ran out, keep it, leased anew.

        So no two attempts of one delivery ever run here at once.
        """
        known = self._held.get(job.id)
        if known is None:
            return False
        known.lease = job.lease
        known.until = leased_at + self._queue.lease_seconds
        self._lanes.drop_reserved(job.integration_id, len(job.event.payload))
        return True

    def drop(self, job: Claimed) -> None:
        """Drop a delivery, and so renewing its lease."""
        del self._held[job.id]
        self._lanes.drop(job.integration_id, len(job.event.payload))

    def has_run_out(self, job: Claimed) -> bool:
        """Whether somebody else may hold the delivery by now."""
        return self._held[job.id].until <= self._lanes.clock()

    def stale_at(self, job: Claimed) -> float | None:
        """Return when a delivery's event is too old to be sent, by the lanes' clock."""
        return self._held[job.id].stale_at

    def token(self, job: Claimed) -> int:
        """Return the newest lease of a delivery."""
        return self._held[job.id].lease

    def current(self, jobs: Iterable[Claimed]) -> list[Claimed]:
        """Return deliveries with their newest leases."""
        return [replace(job, lease=self.token(job)) for job in jobs]

    async def renew(self) -> None:
        """Renew what takes long, or whose outcome cannot be written yet. Raises Unavailable."""
        asked_at = self._lanes.clock()
        fresh_until = asked_at + self._queue.lease_seconds - self._renew_interval / 2
        aging = {
            (delivery_id, held.lease): held
            for delivery_id, held in self._held.items()
            if held.until <= fresh_until
        }
        if not aging:
            return
        kept = await self._queue.renew(list(aging))
        until = asked_at + self._queue.lease_seconds
        for (delivery_id, lease), held in aging.items():
            if held.lease == lease:
                held.until = until if delivery_id in kept else asked_at
