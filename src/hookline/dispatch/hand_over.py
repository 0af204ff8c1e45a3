"""Chooses deliveries to hand to other worker processes, and releases orphaned ones."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from hookline.background import Tasks
from hookline.dispatch.engine import Engine
from hookline.dispatch.lanes import Lanes
from hookline.dispatch.peers import PeerGone, Peers
from hookline.errors import Unavailable
from hookline.logs import get_logger
from hookline.queue.port import Claimed, Queue

_MOST = 256  # deliveries of a batch up to which other processes are handed theirs
_MOST_BYTES = 1024 * 1024  # of their payloads; claims are cheap for what is more
_FIRST_PAUSE = 0.01  # seconds between two looks for what is orphaned; doubles
_LONGEST_PAUSE = 1.0
_LOG = get_logger(__name__)


class HandOver:
    """Hands what ingest stores for lanes of other processes to these; `lanes` knows whose are."""

    def __init__(
        self,
        peers: Peers,
        lanes: Lanes,
        queue: Queue,
        *,
        notify: Callable[[Collection[str]], None],
    ) -> None:
        self._peers = peers
        self._lanes = lanes
        self._queue = queue
        self._notify = notify

    @staticmethod
    def takes(events: Iterable[tuple[int, int]]) -> bool:
        """Whether a batch is handed over: all that it has for a lane, or nothing.

        Events are the bytes of their payloads and how many deliveries they come to.
        """
        deliveries = total = 0
        for size, copies in events:
            deliveries += copies
            total += size * copies
        return deliveries <= _MOST and total <= _MOST_BYTES

    def holder_of(self, integration_id: str) -> int | None:
        """Return the lease of the process that a new delivery may be born leased to."""
        place = self._lanes.engine_of(integration_id)
        return None if place is None else self._peers.lease_of(place)

    async def hand_over(self, held: Mapping[int, Sequence[Claimed]], asked_at: float) -> None:
        """Have processes take what was stored leased to them, by their leases.

        Returns when they have it. Whatever is accepted afterwards, by any process, comes behind.
        `asked_at` is when the leases were asked for, by the monotonic clock.
        """
        await asyncio.gather(*(self._hand_to_one(jobs, asked_at) for jobs in held.values()))

    async def _hand_to_one(self, jobs: Sequence[Claimed], asked_at: float) -> None:
        try:
            for integration_id in await self._peers.hand_over(jobs, asked_at):
                self._lanes.not_handed(integration_id)
        except PeerGone:
            try:
                await self._queue.release(jobs)
            except Unavailable:
                _LOG.warning("hand_over.release_failed", leases=len(jobs))  # their leases run out
            self._notify({job.integration_id for job in jobs})


class OrphanedDeliveries:
    """Releases what others stored leased to this process, and did not live to hand over.

    The last statement of one that was killed may still be running. So it looks again and again,
    less and less often, until such leases have run out by themselves, after `lease_seconds`.
    """

    def __init__(self, engine: Engine, lease_seconds: float, tasks: Tasks) -> None:
        self._engine = engine
        self._lease_seconds = lease_seconds
        self._tasks = tasks

    def look_for(self, lease: int) -> None:
        """Look for what bears the lease of a process that was connected; returns at once."""
        self._tasks.start(self._look(lease), "orphaned-deliveries")

    async def _look(self, lease: int) -> None:
        until = time.monotonic() + self._lease_seconds
        pause = _FIRST_PAUSE
        while time.monotonic() < until:
            try:
                await self._engine.release_orphaned(lease)
            except Unavailable:
                _LOG.warning("hand_over.look_postponed")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
