"""A queue service that speaks AWS's JSON protocol, fast, and misbehaves where a test says so.

It answers `SendMessage` and `SendMessageBatch` over HTTP/1.1 and keeps what it took. A behaviour is
a function from a `Call` to a `Reply`; `misbehave` queues some for the next calls, `always` sets the
one for all calls of a queue. `python -m support.sqs_fake PORT` serves it as a process of its own,
counting only.
"""

import asyncio
import hashlib
import sys
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, cast

import httptools
import orjson

Entry = dict[str, Any]  # an entry as boto sends it: parsed JSON


@dataclass(frozen=True)
class Call:
    """One request as it came in; `number` counts from 1 over all queues."""

    number: int
    action: str
    queue: str
    entries: tuple[Entry, ...]
    headers: dict[str, str] = field(repr=False)


@dataclass(frozen=True)
class Reply:
    """What to answer: `accept` and `refuse` name entry ids; `status` other than 200 refuses all."""

    status: int = 200
    payload: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()
    taken: tuple[Entry, ...] = ()
    delay: float = 0.0
    reset: bool = False


Behaviour = Callable[[Call], Reply]


def accept(call: Call) -> Reply:
    """Take every message."""
    return half(call, lambda _: None)


def half(call: Call, refusal: Callable[[Entry], tuple[str, str, bool] | None]) -> Reply:
    """Refuse the entries for which `refusal` gives (code, message, sender's fault)."""
    good: list[dict[str, str]] = []
    bad: list[dict[str, str | bool]] = []
    taken: list[Entry] = []
    for entry in call.entries:
        why = refusal(entry)
        if why is None:
            taken.append(entry)
            good.append({"Id": entry["Id"], "MessageId": f"m-{call.number}-{entry['Id']}"})
        else:
            code, message, fault = why
            bad.append({"Id": entry["Id"], "Code": code, "Message": message, "SenderFault": fault})
    payload: dict[str, object] = {"Successful": good}
    if bad:
        payload["Failed"] = bad
    return Reply(payload=orjson.dumps(payload), taken=tuple(taken))


def refusing(
    refusal: Callable[[Entry], tuple[str, str, bool] | None],
) -> Behaviour:
    """Take all but those that `refusal` has something against."""
    return lambda call: half(call, refusal)


def error(code: str, message: str = "no", *, status: int = 400, query_code: str = "") -> Behaviour:
    """Refuse the whole call the way SQS does, with the code the Query protocol had for it too."""
    payload = orjson.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": message})
    headers = (("x-amzn-query-error", f"{query_code};Sender"),) if query_code else ()
    return lambda _: Reply(status=status, payload=payload, headers=headers)


def answering(
    status: int, payload: bytes = b"", headers: dict[str, str] | None = None
) -> Behaviour:
    """Answer with just this."""
    return lambda _: Reply(status=status, payload=payload, headers=tuple((headers or {}).items()))


def resetting(_: Call) -> Reply:
    """Take the request and close the connection without a word."""
    return Reply(reset=True)


def slow(seconds: float, then: Behaviour = accept) -> Behaviour:
    """Behave as `then`, `seconds` later."""

    def behave(call: Call) -> Reply:
        reply = then(call)
        return Reply(
            reply.status, reply.payload, reply.headers, reply.taken, seconds, reset=reply.reset
        )

    return behave


class FakeSqs:
    """The service: where it is, what it was asked and what it took."""

    def __init__(self, *, keep: bool = True) -> None:
        self.url = ""
        self.calls: list[Call] = []
        self.taken: dict[str, list[Entry]] = defaultdict(list)  # by queue name, in order
        self.counts: Counter[str] = Counter()
        self.called = asyncio.Event()  # set by the first call
        self.connections = 0
        self._keep = keep
        self._next: deque[Behaviour] = deque()
        self._always: dict[str, Behaviour] = {}

    @classmethod
    @asynccontextmanager
    async def serve(cls, port: int = 0, *, keep: bool = True) -> AsyncIterator[Self]:
        """Listen on loopback until the block ends."""
        fake = cls(keep=keep)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(fake), "127.0.0.1", port)
        fake.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield fake
        finally:
            server.close()
            for connection in list(_Connection.open):
                connection.drop()
            await server.wait_closed()

    def misbehave(self, *behaviours: Behaviour) -> None:
        """Use these, one each, for the next calls."""
        self._next.extend(behaviours)

    def always(self, queue: str, behaviour: Behaviour) -> None:
        """Use this for every call of one queue."""
        self._always[queue] = behaviour

    def answer(self, headers: dict[str, str], body: bytes) -> Reply:
        """Say what becomes of one request, and note it."""
        asked = orjson.loads(body)
        queue = str(asked["QueueUrl"]).rpartition("/")[2]
        action = headers.get("x-amz-target", "").removeprefix("AmazonSQS.")
        self.counts["calls"] += 1
        self.called.set()
        entries = tuple(asked.get("Entries") or ({**asked, "Id": "0"},))
        call = Call(self.counts["calls"], action, queue, entries, headers)
        chosen = self._next.popleft() if self._next else self._always.get(queue, accept)
        reply = chosen(call)
        self.counts["messages"] += len(reply.taken)
        if self._keep:
            self.calls.append(call)
            self.taken[queue].extend(reply.taken)
        return reply


class _Connection(asyncio.Protocol):
    """One keep-alive connection: requests in, replies out, in order."""

    open: ClassVar[set["_Connection"]] = set()

    def __init__(self, fake: FakeSqs) -> None:
        self._fake = fake
        self._parser = httptools.HttpRequestParser(self)
        self._headers: dict[str, str] = {}
        self._body = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._fake.connections += 1
        _Connection.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        _Connection.open.discard(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        reply = self._fake.answer(self._headers, bytes(self._body))
        self._headers, self._body = {}, bytearray()
        if reply.delay:
            asyncio.get_running_loop().call_later(reply.delay, self._write, reply)
        else:
            self._write(reply)

    def drop(self) -> None:
        """Close the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def _write(self, reply: Reply) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if reply.reset:
            self._transport.abort()
            return
        head = [
            f"HTTP/1.1 {reply.status} X",
            "content-type: application/x-amz-json-1.0",
            f"content-length: {len(reply.payload)}",
            *(f"{name}: {value}" for name, value in reply.headers),
        ]
        self._transport.write("\r\n".join(head).encode() + b"\r\n\r\n" + reply.payload)


def md5(body: str) -> str:
    """Return what SQS calls `MD5OfMessageBody`."""
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()


async def _main(port: int) -> None:
    async with FakeSqs.serve(port, keep=False) as fake:
        sys.stdout.write(f"{fake.url}\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_main(int(sys.argv[1])))
