"""Catches the snapshot up when a notification hints at a change; ingest checks it anyway."""

import asyncio

from hookline.db.errors import once_back
from hookline.integrations.subscriptions import Subscriptions


class Refresher:
    """Refreshes in the background, one time after another."""

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        self._task: asyncio.Task[None] | None = None

    def soon(self) -> None:
        """Catch up in the background; returns at once."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="snapshot-refresh")

    async def _run(self) -> None:
        await once_back(self._subscriptions.catch_up)
