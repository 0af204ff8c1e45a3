"""A receiver that holds requests: each stays unanswered until a test releases it."""

import asyncio

from support.receivers import OK, Exchange, Received


class HeldRequests:
    """Answers so many requests at once, and holds later ones until they are released."""

    def __init__(self, answered: int = 0) -> None:
        self._left = answered
        self._released = asyncio.Event()
        self.held: list[Received] = []

    async def __call__(self, exchange: Exchange) -> None:
        if self._left > 0:
            self._left -= 1
        elif not self._released.is_set():
            self.held.append(exchange.request)
            await self._released.wait()
        await exchange.say(OK)

    def answer_held(self) -> None:
        """Answer everybody who waits; whoever comes from now on is held."""
        released, self._released = self._released, asyncio.Event()
        released.set()

    def release(self) -> None:
        """Answer everybody who waits, and all who come from now on."""
        self._released.set()
