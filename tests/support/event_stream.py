"""Reads server-sent events as the HTML standard has clients read them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from factories import Json
from support.service import PATIENCE


@dataclass(frozen=True, slots=True)
class Told:
    """One event of a stream; a comment has no name and no data."""

    name: str
    data: Json
    last_id: str


class EventStream:
    """A stream that is open; `last_id` is what the client would resume from."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.last_id = ""
        self.comments = 0
        self._lines = response.aiter_lines()

    async def next(self, name: str = "delivery") -> Told:
        """Return the next event, which must have this name."""
        async with asyncio.timeout(PATIENCE):
            async for told in self._events():
                assert told.name == name, told
                return told
        raise EOFError("the stream ended")

    async def until_comment(self) -> None:
        """Wait until the stream says that it is there, and from where it can be resumed."""
        seen = self.comments
        async with asyncio.timeout(PATIENCE):
            while self.comments == seen:
                await self._block()

    async def rest(self) -> list[Told]:
        """Return all events until the stream ends."""
        async with asyncio.timeout(PATIENCE):
            return [told async for told in self._events()]

    async def _events(self) -> AsyncIterator[Told]:
        while (told := await self._block()) is not None:
            if told.name:
                yield told

    async def _block(self) -> Told | None:
        """Read up to an empty line; None at the stream's end."""
        name, data, lines = "", [], 0
        async for line in self._lines:
            if not line:
                if lines:
                    break
                continue
            lines += 1
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "":
                self.comments += 1
            elif field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                self.last_id = value
        if not lines:
            return None
        return Told(name, json.loads("\n".join(data)) if data else {}, self.last_id)


@asynccontextmanager
async def streaming(
    client: httpx.AsyncClient, key: str, query: str = "", *, last_id: str | None = None
) -> AsyncIterator[EventStream]:
    """Open a stream, and wait until it reads along."""
    headers = {"Authorization": f"Bearer {key}"}
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    async with client.stream("GET", f"/v1/stream?{query}", headers=headers) as response:
        if response.status_code != 200:
            await response.aread()
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        opened = EventStream(response)
        await opened.until_comment()  # the greeting
        if last_id is None:
            await opened.until_comment()  # it reads along
        yield opened
