"""The receiving side, as cheap as Python has it: prepared answers, a few searches in the bytes.

Counts deliveries by `webhook-id`, so that one that comes twice is seen, and checks the signature of
one in a hundred. It speaks as a webhook's receiver, as a queue service, and as a target that
accepts connections and never answers. Webhooks may come over TLS, be answered after a while, or
have their connection closed with the answer.
"""

import asyncio
import collections
import heapq
import hmac
import ssl
import time
from array import array
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import cast

import orjson
import uvloop

from bench.certificates import server_context
from bench.control import Json, obey
from bench.counters import Counter, Counters
from bench.events import DIGITS, NUMBER_AT

_CHECK_EVERY = 100  # deliveries for one checked signature
_ID = 36  # characters of a delivery's id
_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_LAST_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
_MARK = b'"integrationId":"'
_QUEUE_BATCH = 10  # messages in one SendMessageBatch, at most


class ReceivedStatistics:
    """What was received, and when."""

    def __init__(self, counters: Counters) -> None:
        self._view = counters.view
        self._seen: set[bytes] = set()
        self.numbers = array("q")
        self.times = array("q")
        self.received = 0
        self.duplicates = 0
        self.checked = 0
        self.wrong = 0
        self.connections = 0  # for webhooks
        self.resumed = 0  # of which with a ticket of an earlier one
        self.at_once: collections.Counter[int] = (
            collections.Counter()
        )  # how many a pool had, how often
        self.secrets: dict[bytes, bytes] = {}

    def take(self, key: bytes, number: int) -> bool:
        """Count one delivery; True: its signature is to be checked."""
        self.received += 1
        if key in self._seen:
            self.duplicates += 1
            return True
        self._seen.add(key)
        now = time.monotonic_ns()
        self.numbers.append(number)
        self.times.append(now)
        self._view[Counter.LAST_RECEIPT] = now
        self._view[Counter.RECEIVED] = len(self._seen)
        return self.received % _CHECK_EVERY == 0

    def check(self, body: bytes, signature: bytes) -> None:
        """Check a signature as receivers do; the body names the integration whose secret it is."""
        at = body.find(_MARK) + len(_MARK)
        secret = self.secrets.get(body[at : body.find(b'"', at)], b"")
        self.checked += 1
        self.wrong += hmac.digest(secret, body, sha256).hex().encode() != signature


class _Connection(asyncio.Protocol):
    """Cuts what comes in into requests: heads with a content-length, and bodies."""

    def __init__(self, statistics: ReceivedStatistics) -> None:
        self._statistics = statistics
        self._rest = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's, by behaviour alone

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        while data:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                break
            at = data.find(b"ength: ", 0, end) + 7
            whole = end + 4 + int(data[at : data.find(b"\r", at)])
            if len(data) < whole:
                break
            self.reply(self.answer(data, end, whole))
            data = data[whole:]
        self._rest = data

    def reply(self, answer: bytes) -> None:
        """Send an answer; a connection that was lost meanwhile takes none."""
        if self._transport is not None:
            self._transport.write(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Answer nothing from now on."""
        del exc
        self._transport = None

    def answer(self, data: bytes, end: int, whole: int) -> bytes:
        """Return the answer to the request whose head ends at `end`, and whose body at `whole`."""
        raise NotImplementedError


class WorkerPool:
    """An origin's workers, each of them busy for so many seconds with each request."""

    def __init__(self, statistics: ReceivedStatistics, workers: int, seconds: float) -> None:
        self._statistics = statistics
        self._seconds = seconds
        self._free_at = [0.0] * workers
        self._at_once = 0

    def begin(self) -> float:
        """Have the worker that is free first take a request; return in how many seconds it ends."""
        self._at_once += 1
        self._statistics.at_once[self._at_once] += 1
        now = time.monotonic()
        ends = max(heapq.heappop(self._free_at), now) + self._seconds
        heapq.heappush(self._free_at, ends)
        return ends - now

    def end(self) -> None:
        """End a request."""
        self._at_once -= 1


class WebhookConnection(_Connection):
    """Takes deliveries. `delay`: seconds until each is answered; `close`: the connection ends.

    Of a `pool` they wait until a worker is free.
    """

    def __init__(
        self,
        statistics: ReceivedStatistics,
        delay: float = 0.0,
        *,
        close: bool = False,
        pool: WorkerPool | None = None,
    ) -> None:
        super().__init__(statistics)
        self._delay = delay
        self._close = close
        self._workers = pool

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        self._statistics.connections += 1
        self._statistics.resumed += tls is not None and bool(tls.session_reused)

    def reply(self, answer: bytes) -> None:
        """Send an answer, now or when it is time."""
        if self._workers is not None:
            wait = self._workers.begin()
            asyncio.get_running_loop().call_later(wait, self._served, answer)
            return
        if self._delay:
            asyncio.get_running_loop().call_later(self._delay, super().reply, answer)
            return
        super().reply(answer)
        if self._close and self._transport is not None:
            self._transport.close()
            self._transport = None

    def _served(self, answer: bytes) -> None:
        assert self._workers is not None  # noqa: S101 - it was entered
        self._workers.end()
        super().reply(answer)

    def answer(self, data: bytes, end: int, whole: int) -> bytes:
        """Count it and say 200."""
        at = data.find(b"ebhook-id: ", 0, end) + 11
        number_at = end + 4 + NUMBER_AT
        number = int(data[number_at : number_at + DIGITS])
        if self._statistics.take(data[at : at + _ID], number):
            at = data.lower().find(b"x-signature: ", 0, end) + 13
            self._statistics.check(data[end + 4 : whole], data[at : at + 64])
        return _LAST_OK if self._close else _OK


class QueueConnection(_Connection):
    """Takes messages as SQS does, in batches; a message is known by its event's number."""

    def answer(self, data: bytes, end: int, whole: int) -> bytes:
        """Count the messages and say that each was taken."""
        entries = orjson.loads(data[end + 4 : whole])["Entries"]
        for entry in entries:
            body = entry["MessageBody"]
            number = body[NUMBER_AT : NUMBER_AT + DIGITS]
            if self._statistics.take(number.encode(), int(number)):
                signature = entry["MessageAttributes"]["X-SIGNATURE"]["StringValue"]
                self._statistics.check(body.encode(), signature.encode())
        return _TAKEN[len(entries)]


class DeadConnection(asyncio.Protocol):
    """Listens, and never says a word."""


class Receiver:
    """The orders that this process takes."""

    def __init__(self) -> None:
        self._statistics: ReceivedStatistics | None = None
        self.servers: list[asyncio.Server] = []

    async def listen(  # noqa: PLR0913 - one order, one answer
        self,
        *,
        counters: str,
        webhooks: int,
        dead: int = 1,
        tls: str | None = None,
        delays: tuple[float, float] = (0.0, 0.0),
        close: bool = False,
        workers: int | None = None,
    ) -> Json:
        """Open so many ports for webhooks and for dead targets, and one for a queue.

        `tls`: the file with the chain and key of those for webhooks. `delays`: seconds until the
        first one answers and until the last one does; the others lie between. Each has so many
        `workers`, if that is given, who work for that long on each request.
        """
        statistics = self._statistics = ReceivedStatistics(Counters(Path(counters)))
        context = None if tls is None else server_context(Path(tls))
        step = (delays[1] - delays[0]) / max(1, webhooks - 1)
        waits = [delays[0] + step * port for port in range(webhooks)]
        pools = [
            None if workers is None else WorkerPool(statistics, workers, wait) for wait in waits
        ]
        takes = [
            partial(WebhookConnection, delay=wait, close=close, pool=pool)
            for wait, pool in zip(waits, pools, strict=True)
        ]
        return {
            "webhooks": [await self._open(each, statistics, context) for each in takes],
            "queue": await self._open(QueueConnection, statistics),
            "dead": [await self._open(lambda _: DeadConnection(), statistics) for _ in range(dead)],
        }

    async def secrets(self, *, secrets: dict[str, str]) -> Json:
        """Learn the integrations' secrets."""
        assert self._statistics is not None  # noqa: S101 - ports are opened first
        self._statistics.secrets = {name.encode(): key.encode() for name, key in secrets.items()}
        return {}

    async def write(self, *, path: str) -> Json:
        """Write down which numbers came when, and return what was counted."""
        statistics = self._statistics
        assert statistics is not None  # noqa: S101 - ports are opened first
        Path(path).write_bytes(statistics.numbers.tobytes() + statistics.times.tobytes())  # noqa: ASYNC240 - nothing else is under way
        return {
            "different": len(statistics.numbers),
            "duplicates": statistics.duplicates,
            "checked": statistics.checked,
            "wrong": statistics.wrong,
            "connections": statistics.connections,
            "resumed": statistics.resumed,
            "at_once": sorted(statistics.at_once.items()),
        }

    async def _open(
        self,
        protocol: Callable[[ReceivedStatistics], asyncio.Protocol],
        statistics: ReceivedStatistics,
        tls: ssl.SSLContext | None = None,
    ) -> int:
        server = await asyncio.get_running_loop().create_server(
            lambda: protocol(statistics), "127.0.0.1", 0, backlog=4096, ssl=tls
        )
        self.servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port


def _taken(count: int) -> bytes:
    body = orjson.dumps(
        {"Successful": [{"Id": str(i), "MessageId": f"message-{i}"} for i in range(count)]}
    )
    head = (
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


_TAKEN = [_taken(count) for count in range(_QUEUE_BATCH + 1)]


async def _main() -> None:
    receiver = Receiver()
    await obey({"listen": receiver.listen, "secrets": receiver.secrets, "write": receiver.write})


if __name__ == "__main__":
    uvloop.run(_main())
