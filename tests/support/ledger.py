"""What arrives, told apart: which copies of which delivery, whether alike, and whether at once.

A webhook receiver as bare as Python has it, so that it is never the slowest of a fault's parts.
"""

import asyncio
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from support.watchers import Watchers

_ID = re.compile(rb"\r\nwebhook-id: *([^\r]+)", re.IGNORECASE)
_SIGNATURE = re.compile(rb"\r\nx-signature: *([^\r]+)", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HEAD_END = b"\r\n\r\n"
_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


@dataclass(slots=True)
class Ledger:
    """One receiver's books. `delay` is how many seconds it takes over an answer."""

    port: int = 0
    delay: float = 0.0
    copies: Counter[str] = field(default_factory=Counter)  # by delivery
    received: int = 0
    most_under_way: int = 0  # requests that ever waited for their answer at the same moment
    torn: set[str] = field(default_factory=set)  # whose copies were not the same bytes
    at_once: set[str] = field(default_factory=set)  # whose copies were under way together
    _signed: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    _open: Counter[str] = field(default_factory=Counter)
    _holding: bool = False
    _held: deque[Callable[[], None]] = field(default_factory=deque)
    _watchers: Watchers = field(default_factory=Watchers)

    @property
    def different(self) -> int:
        """How many deliveries came, each counted once."""
        return len(self.copies)

    @property
    def under_way(self) -> set[str]:
        """The deliveries that wait for their answer."""
        return set(+self._open)

    @property
    def held(self) -> int:
        """How many requests wait for `release`."""
        return len(self._held)

    def hold(self) -> None:
        """Answer nobody until `release`."""
        self._holding = True

    def release(self) -> None:
        """Answer everybody who waits, and all who come from now on."""
        self._holding = False
        while self._held:
            self._held.popleft()()

    async def until_received(self, count: int, within: float = 60.0) -> None:
        """Wait until so many requests came, copies included; return in the moment of the last."""
        await self._watchers.until(lambda: self.received >= count, within)

    async def until_under_way(self, count: int, within: float = 60.0) -> None:
        """Wait until so many requests have waited for their answer at the same moment."""
        await self._watchers.until(lambda: self.most_under_way >= count, within)

    def take(self, delivery: str, body: bytes, signature: bytes) -> None:
        """Enter one copy."""
        self.received += 1
        if self._signed.setdefault(delivery, (body, signature)) != (body, signature):
            self.torn.add(delivery)
        if self._open[delivery]:
            self.at_once.add(delivery)
        self.copies[delivery] += 1
        self._open[delivery] += 1
        self.most_under_way = max(self.most_under_way, self._open.total())
        self._watchers.look()

    def done(self, delivery: str) -> None:
        """Note that a copy was answered, or that nobody waits for its answer any more."""
        self._open[delivery] -= 1

    def answer_in_time(self, answer: Callable[[], None]) -> None:
        """Have a request answered when its time has come."""
        if self._holding:
            self._held.append(answer)
        elif self.delay:
            asyncio.get_running_loop().call_later(self.delay, answer)
        else:
            answer()


class _Connection(asyncio.Protocol):
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._rest = b""
        self._transport: asyncio.WriteTransport | None = None
        self._open: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._close()

    def data_received(self, data: bytes) -> None:
        self._rest += data
        head_end = self._rest.find(_HEAD_END)
        if head_end < 0:
            return
        head = self._rest[: head_end + 2]
        start = head_end + len(_HEAD_END)
        end = start + int(_only(_LENGTH, head))
        if len(self._rest) < end:
            return
        body, self._rest = self._rest[start:end], self._rest[end:]
        self._open = _only(_ID, head).decode()
        self._ledger.take(self._open, body, _only(_SIGNATURE, head))
        self._ledger.answer_in_time(self._answer)

    def _answer(self) -> None:
        self._close()
        if self._transport is not None:
            self._transport.write(_OK)

    def _close(self) -> None:
        if self._open is not None:
            self._ledger.done(self._open)
            self._open = None


def _only(pattern: re.Pattern[bytes], head: bytes) -> bytes:
    found = pattern.search(head)
    assert found is not None, head
    return found[1]


@asynccontextmanager
async def ledger_receiver(delay: float = 0.0) -> AsyncIterator[Ledger]:
    """Run a receiver that notes what arrives until the block ends."""
    ledger = Ledger(delay=delay)
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(ledger), "127.0.0.1", 0, backlog=1024
    )
    ledger.port = server.sockets[0].getsockname()[1]
    try:
        yield ledger
    finally:
        ledger.release()
        server.close()
