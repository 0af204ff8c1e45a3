"""A receiver that lets its senders wait: what is under way stays so until a test says otherwise."""

import asyncio

from support.receivers import OK, Exchange, Received


class Gate:
    """Answers so many requests at once; whoever comes later waits until it is opened."""

    def __init__(self, let_through: int = 0) -> None:
        self._left = let_through
        self._open = asyncio.Event()
        self.waited: list[Received] = []

    async def __call__(self, exchange: Exchange) -> None:
        if self._left > 0:
            self._left -= 1
        elif not self._open.is_set():
            self.waited.append(exchange.request)
            await self._open.wait()
        await exchange.say(OK)

    def open(self) -> None:
        """Answer everybody who waits, and all who come from now on."""
        self._open.set()
