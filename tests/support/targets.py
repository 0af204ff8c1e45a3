"""Many targets at one receiver, told apart by path, each of which does as it is told."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from support.receivers import OK, Exchange, Receiver, receiving, status

PATIENCE = 30.0  # seconds for what takes moments on an idle machine


class Targets:
    """What has come in for each path; `modes` says what a path does: a status, or `hang`."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._changed = asyncio.Condition()
        self._released = asyncio.Event()
        self.modes: dict[str, int | str] = {}
        self.bodies: dict[str, list[bytes]] = defaultdict(list)
        self.open: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()

    def url(self, name: str) -> str:
        """Return the address of a target."""
        return f"http://127.0.0.1:{self._receiver.port}/{name}"

    def arrived(self, name: str) -> int:
        """Return how many requests have come for a target."""
        return len(self.bodies[name])

    async def behave(self, exchange: Exchange) -> None:
        """Serve one request as its path's mode says."""
        name = exchange.request.line.split()[1].lstrip("/")
        mode = self.modes.get(name, 200)
        self.bodies[name].append(exchange.request.body)
        self.open[name] += 1
        self.peak[name] = max(self.peak[name], self.open[name])
        await self._tell()
        try:
            await self._answer(exchange, mode)
        finally:
            self.open[name] -= 1
        self.answered[name] += 1
        await self._tell()

    async def until(self, claim: Callable[["Targets"], bool]) -> None:
        """Wait until something is true of what has come in."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(lambda: claim(self))

    async def _answer(self, exchange: Exchange, mode: int | str) -> None:
        if mode == "hang":
            await exchange.until_closed()
            raise ConnectionError
        await exchange.say(OK if mode == 200 else status(int(mode)))

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@asynccontextmanager
async def targets() -> AsyncIterator[Targets]:
    """Run a receiver for many targets until the block ends."""
    async with receiving() as receiver:
        made = Targets(receiver)
        receiver.behaviour = made.behave
        yield made
