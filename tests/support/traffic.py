"""A PBX that sends many events, each until it is accepted or given up."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from math import inf
from typing import Any
from urllib.parse import urlsplit

from factories import an_event
from support.watchers import Watchers

_ANSWERED_WITHIN = 45.0  # seconds; the service's own bounds are far below
_ENDS_WITHIN = 90.0  # seconds for the last events to be accepted, once the fault is over
_PAUSE = 0.02  # seconds before the same event is sent again
_BETWEEN = 0.02  # seconds between two events of a sender whose traffic flows for as long as a fault
_ACCEPTED, _UNAVAILABLE = 202, 503


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered to one request."""

    status: int
    headers: dict[str, str]
    document: Any  # JSON


@dataclass(slots=True)
class Traffic:
    """Events numbered from 0, and what was answered to each.

    `retries` is how often an event is sent again after 503 or no answer; None: until it is
    accepted. Each try goes to the next of `urls`.
    """

    urls: Sequence[str]
    key: str
    retries: int | None = None
    sent: int = 0
    accepted: dict[int, tuple[str, int]] = field(default_factory=dict)  # event id, deliveries
    given_up: dict[int, str] = field(default_factory=dict)
    answers: Counter[int] = field(default_factory=Counter)  # by status
    unanswered: int = 0
    without_retry_after: int = 0  # 503s that did not say when to come again
    _numbers: "count[int]" = field(default_factory=count)
    _last: float = inf  # how many events are sent in all
    _watchers: Watchers = field(default_factory=Watchers)

    @asynccontextmanager
    async def flowing(self, at_once: int = 16) -> AsyncIterator["Traffic"]:
        """Send while the block lasts; at its end each event that was begun comes to its end."""
        self._last = inf
        senders = [asyncio.create_task(self._send_on(first)) for first in range(at_once)]
        try:
            yield self
        finally:
            self._last = 0
            async with asyncio.timeout(_ENDS_WITHIN):
                await asyncio.gather(*senders)

    async def send(self, events: int, at_once: int = 16) -> None:
        """Send so many events and return when each is accepted or given up."""
        self._last = self.sent + events
        async with asyncio.timeout(_ENDS_WITHIN):
            await asyncio.gather(*(self._send_on(first) for first in range(at_once)))

    async def until_accepted(self, more: int, within: float = 60.0) -> None:
        """Wait until so many more events were accepted; return in the moment of the last."""
        goal = len(self.accepted) + more
        await self._watchers.until(lambda: len(self.accepted) >= goal, within)

    async def until_refused(self, more: int, within: float = 60.0) -> None:
        """Wait until so many more requests were answered with 503."""
        goal = self.answers[_UNAVAILABLE] + more
        await self._watchers.until(lambda: self.answers[_UNAVAILABLE] >= goal, within)

    async def _send_on(self, first: int) -> None:
        connection = _Connection()
        try:
            while self.sent < self._last:
                number = next(self._numbers)
                self.sent += 1
                await self._send_one(connection, number, first + number)
                if self._last == inf:
                    await asyncio.sleep(_BETWEEN)
        finally:
            connection.close()

    async def _send_one(self, connection: "_Connection", number: int, turn: int) -> None:
        body = json.dumps(an_event(id=f"call-{number}", data={"number": number})).encode()
        for attempt in count():
            url = self.urls[(turn + attempt) % len(self.urls)]
            answer = await self._ask(connection, url, body)
            if answer is not None and answer.status == _ACCEPTED:
                self._accept(number, answer)
                return
            told = "no answer" if answer is None else f"{answer.status} {answer.document}"
            come_again = answer is None or answer.status == _UNAVAILABLE
            if not come_again or (self.retries is not None and attempt >= self.retries):
                self.given_up[number] = told
                return
            await asyncio.sleep(_PAUSE)

    async def _ask(self, connection: "_Connection", url: str, body: bytes) -> Answer | None:
        try:
            async with asyncio.timeout(_ANSWERED_WITHIN):
                answer = await connection.post(url, "/v1/events", self.key, body)
        except (OSError, EOFError):
            connection.close()
            self.unanswered += 1
            return None
        self.answers[answer.status] += 1
        if answer.status == _UNAVAILABLE and int(answer.headers.get("retry-after", "0")) < 1:
            self.without_retry_after += 1
        self._watchers.look()
        return answer

    def _accept(self, number: int, answer: Answer) -> None:
        receipt = answer.document
        self.accepted[number] = receipt["eventId"], receipt["deliveries"]
        self._watchers.look()


class _Connection:
    """A connection that is kept as long as both sides like, and opened anew for another address."""

    def __init__(self) -> None:
        self._to: str | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, url: str, path: str, key: str, body: bytes) -> Answer:
        """Post once. Raises OSError or EOFError where no answer comes."""
        reader, writer = await self._connected(url)
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {urlsplit(url).netloc}\r\n"
            f"authorization: Bearer {key}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        answer = await _read(reader)
        if answer.headers.get("connection") == "close":
            self.close()
        return answer

    def close(self) -> None:
        if self._streams is not None:
            with suppress(OSError):
                self._streams[1].close()
            self._streams = None

    async def _connected(self, url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None or self._to != url:
            self.close()
            address = urlsplit(url)
            self._streams = await asyncio.open_connection(address.hostname, address.port)
            self._to = url
        return self._streams


async def _read(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.removesuffix("\r\n\r\n").split("\r\n")
    headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}
    body = await reader.readexactly(int(headers["content-length"]))
    return Answer(int(line.split()[1]), headers, json.loads(body))
