"""One tenant that takes all that it can get, with the ordinary keys of its company.

It sends events that fan out to hundreds of integrations on a dead target, and bodies of the shapes
that are most expensive to parse; holds back the last byte of large batches; saves URLs whose names
no server answers for; searches its events, renames its integrations, tries the most expensive of
filters and begins replays again and again; and opens one stream after another. It comes again soon
after a refusal, whatever `Retry-After` says. Where its receivers are the attack, it sends them
events, and does nothing else.
"""

import asyncio
import itertools
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import uvloop

from bench import hostile
from bench.control import Json, obey
from bench.events import COMPANY, Template
from shapes import shapes

_PAUSE: Final = 0.05  # seconds after a refusal
_HELD_BACK: Final = 16 * 1024 * 1024  # bytes of a batch whose last one never comes
_PART: Final = b" " * 65_536
_EXPENSIVE: Final = 1_000_000  # bytes
_FIRST: Final = 5 * 10**11  # the number of its first event: nobody else's
_HALF: Final = "a" * 45
_WORST: Final = {"data": {"text": [{"wildcard": f"*{_HALF}b{_HALF}*{_HALF}b*"}]}}
_TRIED: Final = json.dumps(
    {
        "filter": _WORST,
        "events": [
            {
                "id": str(at),
                "company": "c",
                "time": at,
                "type": "call:end",
                "data": {"text": "a" * 20_000},
            }
            for at in range(20)
        ],
    }
).encode()
_SEARCHES: Final = ("status=failed", "status=pending", "type=call:completed", "limit=200")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Whom to attack, with what, and over how many connections."""

    port: int
    ingest: str = field(repr=False)
    manager: str = field(repr=False)
    company: str
    pbxs: list[str]
    integrations: list[str]
    hostile: bool = False  # its receivers are the attack
    senders: int = 4
    expensive: int = 4
    held: int = 100
    saves: int = 16
    searches: int = 8
    changes: int = 16
    tries: int = 4
    replays: int = 8
    streams: int = 8


class Attack:
    """What is under way, and how each kind of request was answered."""

    def __init__(self, order: Order, expensive: Sequence[bytes]) -> None:
        self.answers: dict[str, Counter[str]] = {}
        company = b'"company":"%b"' % order.company.encode()
        self._expensive = [each.replace(b'"company":"c"', company) for each in expensive]
        self._order = order
        self._template = Template()
        self._numbers = itertools.count(_FIRST)
        every: Sequence[tuple[str, int, Callable[[str], Awaitable[None]]]] = (
            ("events to a dead target", order.senders, self._send),
            ("expensive bodies", order.expensive, self._send_expensive),
            ("bodies held back", order.held, self._hold_back),
            ("saves of dead names", order.saves, self._save),
            ("searches", order.searches, self._search),
            ("changes", order.changes, self._change),
            ("filters tried", order.tries, self._try),
            ("replays", order.replays, self._replay),
            ("streams", order.streams, self._stream),
        )
        events = (("events to hostile receivers", order.senders, self._send),)
        self._tasks = [
            asyncio.create_task(_again_and_again(attack, what))
            for what, count, attack in (events if order.hostile else every)
            for _ in range(count)
        ]

    async def end(self) -> Json:
        """End all of it; return the answers' statuses, counted."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return {what: dict(counted) for what, counted in self.answers.items()}

    async def _send(self, what: str) -> None:
        pbxs = itertools.cycle(self._order.pbxs)
        bodies = (self._event(pbx.encode()) for pbx in pbxs)
        await self._post(what, "/v1/events", self._order.ingest, bodies)

    def _event(self, pbx: bytes) -> bytes:
        event = self._template.event(next(self._numbers), pbx)
        return event.replace(COMPANY.encode(), self._order.company.encode())

    async def _send_expensive(self, what: str) -> None:
        await self._post(what, "/v1/events", self._order.ingest, itertools.cycle(self._expensive))

    async def _save(self, what: str) -> None:
        order = self._order
        for number, name in enumerate(itertools.cycle(order.integrations)):
            url = f"https://n{number}-{id(self)}.dead.example/"
            body = json.dumps({"transmission": {"url": url}}).encode()
            path = f"/v1/integrations/{name}"
            await self._post(what, path, order.manager, iter([body]), method="PATCH")

    async def _search(self, what: str) -> None:
        order = self._order
        for search, name in zip(itertools.cycle(_SEARCHES), order.integrations, strict=False):
            path = f"/v1/deliveries?integrationId={name}&{search}"
            await self._post(what, path, order.manager, iter([b""]), method="GET")

    async def _change(self, what: str) -> None:
        order = self._order
        for number, name in enumerate(itertools.cycle(order.integrations)):
            body = json.dumps({"name": f"number {number}"}).encode()
            path = f"/v1/integrations/{name}"
            await self._post(what, path, order.manager, iter([body]), method="PATCH")

    async def _try(self, what: str) -> None:
        bodies = itertools.repeat(_TRIED)
        await self._post(what, "/v1/filters/try", self._order.manager, bodies)

    async def _replay(self, what: str) -> None:
        order = self._order
        for number, name in enumerate(itertools.cycle(order.integrations)):
            until = datetime.now(UTC)
            asked = {
                "since": (until - timedelta(days=7)).isoformat(),
                "until": until.isoformat(),
                "missing": True,
                "dryRun": number % 2 == 0,
            }
            path = f"/v1/integrations/{name}/replays"
            await self._post(what, path, order.manager, iter([json.dumps(asked).encode()]))

    async def _stream(self, what: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._order.port)
        try:
            writer.write(_head("GET", "/v1/stream", self._order.manager, 0))
            status = (await reader.readuntil(b"\r\n\r\n"))[9:12].decode()
            self._count(what, status)
        finally:
            writer.transport.abort()

    async def _post(
        self, what: str, path: str, key: str, bodies: Iterator[bytes], *, method: str = "POST"
    ) -> None:
        """Send one body after the other over a connection of its own."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._order.port)
        try:
            for body in bodies:
                writer.write(_head(method, path, key, len(body)) + body)
                await writer.drain()
                status = await _answer(reader)
                self._count(what, status)
                if not status.startswith("2"):
                    await asyncio.sleep(_PAUSE)
        finally:
            writer.transport.abort()

    async def _hold_back(self, what: str) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._order.port)
        sending = asyncio.create_task(_send_all_but_one(writer, self._order.ingest))
        try:
            self._count(what, await _answer(reader))
            await asyncio.sleep(_PAUSE)
        finally:
            sending.cancel()
            writer.transport.abort()

    def _count(self, what: str, status: str) -> None:
        self.answers.setdefault(what, Counter())[status] += 1


async def _again_and_again(attack: Callable[[str], Awaitable[None]], what: str) -> None:
    while True:
        with suppress(OSError, EOFError):  # the service ended the connection
            await attack(what)
        await asyncio.sleep(_PAUSE)


async def _send_all_but_one(writer: asyncio.StreamWriter, key: str) -> None:
    with suppress(OSError):
        writer.write(_head("POST", "/v1/events/batch", key, _HELD_BACK))
        for _ in range(_HELD_BACK // len(_PART) - 1):
            writer.write(_PART)
            await writer.drain()
        writer.write(_PART[1:])


async def _answer(reader: asyncio.StreamReader) -> str:
    """Read one answer whole; return its status."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = head.partition(b"content-length: ")[2].partition(b"\r")[0]
    await reader.readexactly(int(length or 0))
    return head[9:12].decode()


def _head(method: str, path: str, key: str, length: int) -> bytes:
    kind = "merge-patch+json" if method == "PATCH" else "json"
    return (
        f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/{kind}\r\ncontent-length: {length}\r\n\r\n"
    ).encode()


class Attacker:
    """Obeys the benchmark; has a name server that never answers, and hostile receivers."""

    def __init__(self) -> None:
        self._attack: Attack | None = None
        self._expensive = list(shapes(_EXPENSIVE).values())
        self._silent: asyncio.DatagramTransport | None = None
        self._hostile: list[asyncio.Server] = []

    async def listen(self) -> Json:
        """Open the name server and the receivers; return their ports."""
        loop = asyncio.get_running_loop()
        self._silent, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        silent = self._silent.get_extra_info("sockname")[1]
        self._hostile = [await hostile.serve(kind) for kind in hostile.ANSWERS]
        ports = [each.sockets[0].getsockname()[1] for each in self._hostile]
        return {"silent": silent, "hostile": ports}

    async def begin(self, **order: object) -> Json:
        """Begin the attack, and leave it under way."""
        self._attack = Attack(Order(**order), self._expensive)  # type: ignore[arg-type]  # as the benchmark sends it
        return {}

    async def end(self) -> Json:
        """End it; return how its requests were answered."""
        assert self._attack is not None  # noqa: S101 - it was begun
        return {"answers": await self._attack.end()}


async def _main() -> None:
    attacker = Attacker()
    await obey({"listen": attacker.listen, "begin": attacker.begin, "end": attacker.end})


if __name__ == "__main__":
    uvloop.run(_main())
