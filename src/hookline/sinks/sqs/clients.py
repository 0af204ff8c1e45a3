"""Clients by key, region and endpoint: made off the event loop, bounded, closed when idle."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from hookline.background import Tasks
from hookline.sinks.sqs.messages import Answer, Entry


@dataclass(frozen=True, slots=True)
class ClientKey:
    """What a client is made for; queues that agree in it share their client."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str
    endpoint: str


class Client(Protocol):
    """One AWS key in one region, with its connections."""

    async def send(self, queue_url: str, entries: Sequence[Entry]) -> list[Answer]:
        """Send a batch in one request; return each entry's answer, in order."""

    async def aclose(self) -> None:
        """Close every connection."""


@dataclass(slots=True)
class _Slot:
    """A client, perhaps still being made, and who uses it."""

    made: asyncio.Future[Client]
    users: int = 0
    idle_since: float = 0.0  # by the loop's clock
    retired: bool = False


class ClientCache:
    """Lends clients. At most `most` are kept besides those in use, each for `idle_seconds`.

    `make` may take its time: it runs in a thread, one at a time.
    """

    def __init__(
        self, make: Callable[[ClientKey], Client], *, most: int, idle_seconds: float
    ) -> None:
        self._make = make
        self._most = most
        self._idle_seconds = idle_seconds
        self._slots: OrderedDict[ClientKey, _Slot] = OrderedDict()  # least recently used first
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="sqs-clients")
        self._closing = Tasks()
        self._sweep: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def lend(self, key: ClientKey) -> AsyncIterator[Client]:
        """Lend the client of a key, made if need be; it is not closed while it is lent."""
        slot = self._slots.get(key) or self._open(key)
        self._slots.move_to_end(key)
        slot.users += 1
        try:
            yield await asyncio.shield(slot.made)
        finally:
            slot.users -= 1
            slot.idle_since = asyncio.get_running_loop().time()
            if slot.made.done() and (slot.made.cancelled() or slot.made.exception()):
                self._drop(key, slot)  # the next one tries again
            elif slot.retired and not slot.users:
                self._close(slot)
            else:
                self._sweep_later()

    async def forget(self, key: ClientKey) -> None:
        """Close the client of a key: at once, or when the last batch that uses it is through."""
        if slot := self._slots.pop(key, None):
            self._retire(slot)
        await self._closing.join()

    async def aclose(self) -> None:
        """Close all of them; nobody may be using one."""
        if self._sweep is not None:
            self._sweep.cancel()
        while self._slots:
            self._retire(self._slots.popitem()[1])
        await self._closing.join()
        self._maker.shutdown(wait=False, cancel_futures=True)

    def _open(self, key: ClientKey) -> _Slot:
        loop = asyncio.get_running_loop()
        slot = self._slots[key] = _Slot(loop.run_in_executor(self._maker, self._make, key))
        surplus = len(self._slots) - self._most
        idle = [old for old, other in self._slots.items() if other is not slot and not other.users]
        for old in idle[: max(surplus, 0)]:
            self._retire(self._slots.pop(old))
        return slot

    def _drop(self, key: ClientKey, slot: _Slot) -> None:
        if self._slots.get(key) is slot:
            del self._slots[key]

    def _retire(self, slot: _Slot) -> None:
        slot.retired = True
        if not slot.users:
            self._close(slot)

    def _close(self, slot: _Slot) -> None:
        self._closing.start(_close(slot.made), "sqs-client-close")

    def _sweep_later(self) -> None:
        if self._sweep is None and self._slots:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(self._idle_seconds, self._sweep_now)

    def _sweep_now(self) -> None:
        """Close what nobody has used for the idle time; look again while any are kept."""
        self._sweep = None
        oldest = asyncio.get_running_loop().time() - self._idle_seconds
        for key, slot in list(self._slots.items()):
            if not slot.users and slot.idle_since <= oldest:
                self._retire(self._slots.pop(key))
        self._sweep_later()


async def _close(made: asyncio.Future[Client]) -> None:
    await asyncio.wait([made])
    if not made.cancelled() and made.exception() is None:
        await made.result().aclose()
