"""The sending side: connections that post prepared bytes, closed loop or at a rate.

A closed loop sends the next request on a connection as soon as the last is answered; a window
bounds the deliveries that are on their way, so that a receiver's pace becomes the sender's. An open
loop sends at its rate whatever the answers, and counts an event as sent when it was due.
"""

import asyncio
import random
import time
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import cast

import uvloop

from bench.control import Json, obey
from bench.counters import Counter, Counters
from bench.events import Template, pbx_serial

_TICK = 0.001  # seconds between looks of an open loop, and at a full window
_PAUSE = 0.05  # seconds after a refusal, so that a broken service is not flooded
_DRAWN = 65_536  # PBXs drawn ahead of time
_ACCEPTED = b"202"
_SECOND = 1_000_000_000  # in nanoseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to send. It ends after `seconds` or `count` events."""

    port: int
    key: str = field(repr=False)
    first: int  # the number of the first event
    out: str  # file for each event's times
    counters: str
    batch: int = 1  # events a request
    connections: int = 32
    seconds: float = 3_600.0
    count: int = 1 << 60
    rate: float | None = None  # events a second, open loop
    pbxs: tuple[int, int, int] = (0, 1, 1)  # which: start, stop and step
    zipf: bool = False  # some PBXs send much more than others
    window: int | None = None  # most deliveries on their way
    fanout: int = 1  # deliveries of one event


class Load:
    """One run. `sent` and `accepted` hold each event's times; 0 where it was not accepted."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._view = Counters(Path(order.counters)).view
        self._received_before = self._view[Counter.RECEIVED]
        self._template = Template()
        self._pbxs = _pbxs(order)
        self._head = _head(order)
        self.sent = array("q")
        self.accepted = array("q")
        self._count = 0  # accepted in this run
        self._duplicates = 0
        self._refused = 0
        self._refusal = ""
        self._busy = 0
        self._free: deque[_Connection] = deque()
        self._began = 0
        self._done = asyncio.Event()

    async def run(self) -> Json:
        """Open the connections, send until the end, and wait for the last answers."""
        order = self._order
        loop = asyncio.get_running_loop()
        for _ in range(order.connections):
            _, connection = await loop.create_connection(
                lambda: _Connection(self), "127.0.0.1", order.port
            )
            self._free.append(connection)
        opened = list(self._free)
        self._began = time.monotonic_ns()
        self._keep_going()
        await self._done.wait()
        for connection in opened:
            connection.close()
        return self._report()

    def answered(self, connection: "_Connection", status: bytes, body: bytes) -> None:
        """Note an answer, and send the next request."""
        now = time.monotonic_ns()
        self._busy -= 1
        self._free.append(connection)
        if status != _ACCEPTED:
            self._refuse(connection.count, status + b" " + body)
            asyncio.get_running_loop().call_later(_PAUSE, self._keep_going)
            return
        first = connection.first
        taken = 1
        if connection.count == 1:
            self.accepted[first] = now
            self._duplicates += b'"duplicate":true' in body
        else:
            taken = body.count(b'"accepted"')
            if taken == connection.count:
                self.accepted[first : first + taken] = array("q", [now]) * taken
            else:
                self._duplicates += body.count(b'"duplicate"')
                self._refuse(connection.count - taken, body)
        self._count += taken
        self._view[Counter.ACCEPTED] += taken
        self._keep_going()

    def lost(self, connection: "_Connection") -> None:
        """Note a connection that the service closed; what it carried was not answered."""
        if connection in self._free:
            self._free.remove(connection)
        else:
            self._busy -= 1
            self._refuse(connection.count, b"the connection was closed")
        if not self._free and not self._busy:
            self._done.set()

    def _refuse(self, count: int, why: bytes) -> None:
        self._refused += count
        self._refusal = self._refusal or why[:300].decode(errors="replace")

    def _keep_going(self) -> None:
        """Send what is to be sent now."""
        loop = asyncio.get_running_loop()
        while self._free:
            if self._over():
                if not self._busy:
                    self._done.set()
                return
            if not self._due():
                if not self._busy or self._order.rate is not None:
                    self._look_again(loop)
                return
            self._send(self._free.popleft())
        if self._order.rate is not None:
            self._look_again(loop)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._timer_runs:
            self._timer_runs = True
            loop.call_later(_TICK, self._tick)

    _timer_runs = False

    def _tick(self) -> None:
        self._timer_runs = False
        self._keep_going()

    def _over(self) -> bool:
        order = self._order
        return (
            len(self.sent) >= order.count
            or time.monotonic_ns() - self._began >= order.seconds * _SECOND
        )

    def _due(self) -> bool:
        """Whether another request may go out: the window has room, or the clock says so."""
        order = self._order
        if order.window is not None:
            received = self._view[Counter.RECEIVED] - self._received_before
            if len(self.sent) * order.fanout - received >= order.window:
                return False
        return order.rate is None or self._scheduled(len(self.sent)) <= time.monotonic_ns()

    def _scheduled(self, index: int) -> int:
        assert self._order.rate is not None  # noqa: S101 - asked of open loops alone
        return self._began + int(index * _SECOND / self._order.rate)

    def _send(self, connection: "_Connection") -> None:
        order = self._order
        index = len(self.sent)
        number = order.first + index
        if order.batch == 1:
            body = self._template.event(number, next(self._pbxs))
        else:
            make, pbxs = self._template.event, self._pbxs
            events = [make(number + i, next(pbxs)) for i in range(order.batch)]
            body = b'{"events":[' + b",".join(events) + b"]}"
        now = time.monotonic_ns() if order.rate is None else self._scheduled(index)
        self.sent.extend([now] * order.batch)
        self.accepted.extend([0] * order.batch)
        self._busy += 1
        connection.send(index, order.batch, self._head % len(body) + body)

    def _report(self) -> Json:
        Path(self._order.out).write_bytes(self.sent.tobytes() + self.accepted.tobytes())
        return {
            "sent": len(self.sent),
            "accepted": self._count,
            "duplicates": self._duplicates,
            "refused": self._refused,
            "refusal": self._refusal,
            "began": self._began,
        }


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._rest = b""
        self._transport: asyncio.WriteTransport | None = None
        self.first = 0  # index of the first event of the request under way
        self.count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's, by behaviour alone

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        if self._transport is not None:
            self._transport = None
            self._load.lost(self)

    def send(self, first: int, count: int, request: bytes) -> None:
        """Send the events from index `first`."""
        self.first, self.count = first, count
        assert self._transport is not None  # noqa: S101 - lost connections are not free
        self._transport.write(request)

    def close(self) -> None:
        """Close on purpose."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        end = data.find(b"\r\n\r\n")
        at = data.find(b"content-length: ", 0, end) + 16
        if end < 0 or len(data) < end + 4 + int(data[at : data.find(b"\r", at)]):
            self._rest = data
            return
        self._rest = b""
        self._load.answered(self, data[9:12], data[end + 4 :])


def _head(order: Order) -> bytes:
    path = "/v1/events" if order.batch == 1 else "/v1/events/batch"
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{order.port}\r\n"
        f"authorization: Bearer {order.key}\r\ncontent-type: application/json\r\n"
        "content-length: %d\r\n\r\n"
    )
    return head.encode()


def _pbxs(order: Order) -> Iterator[bytes]:
    """Name a PBX for each event: evenly, or by Zipf's law (the n-th sends 1/n of the first's)."""
    serials = [pbx_serial(index) for index in range(*order.pbxs)]
    if order.zipf:
        weights = [1 / rank for rank in range(1, len(serials) + 1)]
        return cycle(random.Random(len(serials)).choices(serials, weights, k=_DRAWN))  # noqa: S311 - a load, not a secret
    return cycle(serials)


async def _run(orders: list[Json]) -> Json:
    """Carry out orders side by side: each is Order's fields."""
    loads = [Load(Order(**order)) for order in orders]
    return {"reports": await asyncio.gather(*(load.run() for load in loads))}


if __name__ == "__main__":
    uvloop.run(obey({"run": _run}))
