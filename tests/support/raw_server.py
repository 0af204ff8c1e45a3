"""A small application on a server of ours, and raw connections to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router

from hookline.api.bounded_body import read_bounded
from hookline.api.fairness import BodyMemory
from hookline.api.problems import ProblemResponses
from hookline.api.responses import Accepted
from hookline.domain.access import Principal, Role
from hookline.server.connections import ConnectionLimits
from hookline.server.server import address_of, answer, listener
from hookline.server.signals import Stopping

BRIEFLY = 0.2  # seconds, in place of ten and more
SOON = 10.0  # seconds by which a bounded thing has happened, on a busy machine too
HEAD = b"POST /echo HTTP/1.1\r\nhost: a\r\n"


async def echo(request: Request) -> Response:
    return PlainTextResponse(str(len(await request.body())))


async def early(_request: Request) -> Response:
    return PlainTextResponse("no", 401)


async def waiting(_request: Request) -> Response:
    """Answer when the test says so, and read no body."""
    began, may_answer = WAITS.pop()
    began.set()
    await may_answer.wait()
    return PlainTextResponse("at last")


async def large(_request: Request) -> Response:
    return PlainTextResponse("x" * 50_000_000)


async def late(_request: Request) -> Response:
    """Answer long after an idle connection would have been closed."""
    await asyncio.sleep(4 * BRIEFLY)
    return PlainTextResponse("late")


async def whence(request: Request) -> Response:
    assert request.client is not None
    return PlainTextResponse(f"{request.url.scheme} {request.client.host}")


CALLER = Principal(uuid4(), Role.INGEST, "", pbx="7")
WAITS: list[tuple[asyncio.Event, asyncio.Event]] = []
"""For the next request to `/waiting`: what it sets when it begins, and what it waits for."""


async def accept(request: Request) -> Response:
    with MEMORY.of(CALLER) as held:
        return Accepted({"got": len(await read_bounded(request, 100, held))})


ROUTES = Router(
    routes=[
        Route("/echo", echo, methods=["POST"]),
        Route("/early", early, methods=["POST"]),
        Route("/large", large),
        Route("/late", late),
        Route("/waiting", waiting, methods=["POST"]),
        Route("/whence", whence),
        Route("/accept", accept, methods=["POST"]),
    ]
)
APP = ProblemResponses(ROUTES)
FEW = ConnectionLimits(4, keep_alive=BRIEFLY)
MEMORY = BodyMemory(1_000, largest=1_000)
Dial = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@asynccontextmanager
async def serving(limits: ConnectionLimits = FEW) -> AsyncIterator[Dial]:
    """Serve as `hookline serve` does, and give a way to connect."""
    stopping, started = Stopping(), asyncio.Event()
    opened: list[asyncio.StreamWriter] = []
    with listener("127.0.0.1", 0, advice="") as taken:
        port = int(address_of(taken).rpartition(":")[2])
        run = answer(
            APP,
            taken,
            stopping,
            grace=1.0,
            when_started=started.set,
            limits=limits,
        )
        task = asyncio.create_task(run)
        await started.wait()

        async def dial() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
            opened.append(writer)
            return reader, writer

        try:
            yield dial
        finally:
            for writer in opened:
                writer.transport.abort()
            stopping.on_signal()
            await task


async def everything(reader: asyncio.StreamReader) -> bytes:
    """Return all that comes before the server ends the connection."""
    async with asyncio.timeout(SOON):
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


async def status(dial: Dial) -> bytes:
    reader, writer = await dial()
    writer.write(HEAD + b"content-length: 2\r\nconnection: close\r\n\r\n{}")
    return (await everything(reader)).partition(b"\r\n")[0]


async def refused_in_time(writer: asyncio.StreamWriter, part: bytes) -> int:
    """Send a part again and again until the server wants no more; return how many were sent."""
    sent = 0
    async with asyncio.timeout(SOON):
        while not writer.transport.is_closing():
            writer.write(part)
            sent += 1
            try:
                await writer.drain()
            except ConnectionError:
                break
            await asyncio.sleep(0)
    return sent
