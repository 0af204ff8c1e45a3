"""Switches integrations off whose targets asked never to be called again."""

import asyncio

from hookline.db.errors import once_back
from hookline.integrations.service import IntegrationService


class Disabling:
    """Works in the background: an attempt's outcome does not wait for it."""

    def __init__(self, integrations: IntegrationService) -> None:
        self._integrations = integrations
        self._tasks: set[asyncio.Task[None]] = set()

    def gone(self, integration_id: str, url: str) -> None:
        """Switch an integration off whose target answered 410 at this URL; returns at once."""
        task = asyncio.create_task(self._disable(integration_id, url), name="disable-gone")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _disable(self, integration_id: str, url: str) -> None:
        await once_back(lambda: self._integrations.disable_gone(integration_id, url))
