"""Says no to new events before the backlog or this process's memory passes its bound."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Self

from hookline.errors import Overloaded, Unavailable
from hookline.logs import get_logger

_RETRY_AFTER = 5.0  # seconds: a backlog of that size shrinks no faster
_SOON = 1.0  # seconds: what this process has in hand is written by then, or the database is slow
_LOG = get_logger(__name__)


class Bounds:
    """How much may wait: deliveries in all, and bytes of events that this process has in hand.

    `count` asks the store about how many deliveries are pending. Between two answers, what this
    process stored itself is added: what is stored just while the store counts may be added twice,
    or not at all, until the next answer.
    """

    def __init__(
        self, count: Callable[[], Awaitable[int]], *, most_pending: int, most_bytes: int
    ) -> None:
        self._count = count
        self.most_pending = most_pending
        self._most_bytes = most_bytes
        self.pending = 0  # about as many as wait in all, as far as this process knows
        self._bytes = 0

    @classmethod
    def none(cls) -> Self:
        """Return bounds that hold nobody up."""

        async def nothing() -> int:
            return 0

        return cls(nothing, most_pending=sys.maxsize, most_bytes=sys.maxsize)

    def enter(self, size: int) -> None:
        """Take events of `size` bytes in hand; raise Overloaded where they are too much now.

        A process that has nothing in hand takes anything. To be followed by `leave`.
        """
        if self.pending >= self.most_pending:
            raise Overloaded(
                "Too many deliveries are waiting; send this again later.", retry_after=_RETRY_AFTER
            )
        if self._bytes and self._bytes + size > self._most_bytes:
            raise Overloaded(
                "More events come in than can be stored; send this again.", retry_after=_SOON
            )
        self._bytes += size

    def leave(self, size: int, deliveries: int) -> None:
        """Let go of events: stored now, with so many deliveries, or not taken."""
        self._bytes -= size
        self.pending += deliveries

    async def look(self) -> None:
        """Ask the store once. Raises Unavailable."""
        before = self.pending
        self.pending = await self._count()
        if (before >= self.most_pending) != (self.pending >= self.most_pending):
            _LOG.warning(
                "backlog.bound", pending=self.pending, full=self.pending >= self.most_pending
            )

    async def watch(self, interval: float) -> None:
        """Ask the store every `interval` seconds until cancelled."""
        while True:
            try:
                await self.look()
            except Unavailable:
                _LOG.warning("backlog.database_away")
            except Exception:  # noqa: BLE001 - without it the bound would never be seen again
                _LOG.exception("backlog.failed")
            await asyncio.sleep(interval)
