"""Looks, now and then, for what is no longer worth sending, and has it ended.

What is claimed is looked at anyway; this is for what waits: behind a paused target, or for a retry.
"""

from hookline.logs import get_logger
from hookline.queue.outdated import OutdatedDeliveries

_LOG = get_logger(__name__)


class StaleKeeper:
    """Ends deliveries of events that are too old."""

    def __init__(self, outdated: OutdatedDeliveries) -> None:
        self._outdated = outdated

    async def keep(self) -> None:
        """End all of them. Raises Unavailable."""
        if ended := await self._outdated.end_stale():
            _LOG.info("deliveries.stale", deliveries=ended)


class SupersededKeeper:
    """Ends deliveries that newer ones replace."""

    def __init__(self, outdated: OutdatedDeliveries) -> None:
        self._outdated = outdated

    async def keep(self) -> None:
        """End all of them. Raises Unavailable."""
        await self._outdated.end_superseded()
