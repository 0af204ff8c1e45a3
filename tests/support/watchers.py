"""Waiting until what is counted here, by the test's own tasks, comes to something."""

import asyncio
from collections.abc import Callable


class Watchers:
    """Those who wait for a claim to become true; whoever changes what it is about calls `look`."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], bool], asyncio.Event]] = []

    async def until(self, claim: Callable[[], bool], within: float) -> None:
        """Wait for a claim, for so many seconds; raise TimeoutError after them."""
        if claim():
            return
        event = asyncio.Event()
        self._waiting.append((claim, event))
        async with asyncio.timeout(within):
            await event.wait()

    def look(self) -> None:
        """Tell those whose claim is true now."""
        for watcher in self._waiting.copy():
            claim, event = watcher
            if claim():
                event.set()
                self._waiting.remove(watcher)
