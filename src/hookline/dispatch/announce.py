"""Tells other processes that deliveries wait, at most so often: a hint, never the truth."""

import asyncio
from collections.abc import Awaitable, Callable

from hookline.errors import Unavailable
from hookline.logs import get_logger

PENDING_CHANNEL = "hookline_pending"
_PAUSE = 0.02  # seconds between notifications: each one is a commit of its own
_LOG = get_logger(__name__)


class Announcer:
    """Gathers many announcements into few calls of `notify`."""

    def __init__(self, notify: Callable[[], Awaitable[None]]) -> None:
        self._notify = notify
        self._wanted = False
        self._task: asyncio.Task[None] | None = None

    def announce(self) -> None:
        """Have everybody told soon; returns at once."""
        self._wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="announcer")

    async def aclose(self) -> None:
        """Finish what was announced."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while self._wanted:
            self._wanted = False
            try:
                await self._notify()
            except Unavailable:
                _LOG.warning("announcer.database_away")
            except Exception:  # noqa: BLE001 - nobody waits for this task; polling finds the work
                _LOG.exception("announcer.failed")
            await asyncio.sleep(_PAUSE)
