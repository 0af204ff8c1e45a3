"""Hundreds of one tenant's targets hold their connections in every way: others are delivered to."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest

from support.attacks import MIB, is_served, resident
from support.hostile import flooding
from support.receivers import Behaviour, Exchange, Receiver, receiving
from support.senders import a_sender
from support.service import Services, gathered

GREEDY, OTHER = "000000000001", "000000000002"
OF_EACH = 16  # integrations for each kind of target
EVENTS = 3
BESIDES = 64 * MIB  # of connections, events and their copies

OK = b"HTTP/1.1 200 OK\r\n"
NO = b"HTTP/1.1 400 No\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


def one_a_second(start: bytes, drop: bytes) -> Behaviour:
    """Say `start`, and then a drop each second."""

    async def behave(exchange: Exchange) -> None:
        await exchange.say(start)
        while not exchange.writer.is_closing():
            await asyncio.sleep(1.0)
            await exchange.say(drop)

    return behave


HOLDING = {
    "drips the status line": one_a_second(b"HTTP/1.1 2", b" "),
    "drips the head": one_a_second(NO + b"x: ", b"y"),
    "drips headers": one_a_second(NO, b"x: y\r\n"),
    "drips interim responses": one_a_second(b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "drips the body": one_a_second(NO + b"content-length: 1000\r\n\r\n", b"x"),
    "drips chunks": one_a_second(NO + CHUNKED, b"1\r\nx\r\n"),
}
FLOODING = {
    "an endless head": (NO, b"x: y\r\n" * 1_000),
    "endless interim responses": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000),
    "an endless chunked body": (NO + CHUNKED, b"1000\r\n%b\r\n" % (b"x" * 4096)),
    "an endless body": (NO + b"\r\n", b"x" * 65_536),
}


@pytest.mark.parametrize("kind", ["holding", "flooding"])
async def test_a_tenants_hostile_targets_leave_the_others_deliveries_alone(
    together: Services, kind: str
) -> None:
    service = await together.start(
        DELIVERY_TIMEOUT="300", RETRY_DELAYS="0.05,0.05,0.05", SHUTDOWN_GRACE="0.1"
    )
    greedy, victim = await a_sender(together, GREEDY), await a_sender(together, OTHER)
    async with AsyncExitStack() as stack:
        hostile = [await stack.enter_async_context(receiving()) for _ in _kinds(kind)]
        for receiver, behaviour in zip(hostile, _behaviours(kind, hostile), strict=True):
            receiver.behaviour = behaviour
        well = await stack.enter_async_context(receiving())
        await service.an_integration(well, pbx=OTHER)
        await is_served(victim, service, well)
        before = resident(service)
        await gathered(
            [service.an_integration(each, pbx=GREEDY) for each in hostile * OF_EACH], at_once=8
        )
        for _ in range(EVENTS):
            assert (await greedy.send(service)).status_code == 202
        for each in hostile:
            await each.until_asked(OF_EACH, within=60)
        for _ in range(3):
            await is_served(victim, service, well)
        if kind == "holding":
            assert min(each.open for each in hostile) >= OF_EACH, "they hold what they had"
        else:
            assert await _ends_by_itself(hostile), "none is read without end"
        assert resident(service) - before < BESIDES


async def test_targets_that_read_no_request_leave_the_others_deliveries_alone(
    together: Services,
) -> None:
    service = await together.start(DELIVERY_TIMEOUT="300", SHUTDOWN_GRACE="0.1")
    greedy, victim = await a_sender(together, GREEDY), await a_sender(together, OTHER)
    held: list[asyncio.StreamWriter] = []
    enough, never = asyncio.Event(), asyncio.Event()

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        if len(held) >= 2 * OF_EACH:
            enough.set()
        await never.wait()

    deaf = await asyncio.start_server(hold, "127.0.0.1", 0, limit=1)
    port = deaf.sockets[0].getsockname()[1]
    async with receiving() as well:
        await service.an_integration(well, pbx=OTHER)
        await gathered(
            [service.an_integration(Receiver(port=port), pbx=GREEDY) for _ in range(OF_EACH)],
            at_once=8,
        )
        for _ in range(EVENTS):
            large = greedy.an_event() | {"data": {"text": "x" * 1_000_000}}
            answer = await service.api.post("/v1/events", large, key=greedy.key)
            assert answer.status_code == 202, answer.text
        async with asyncio.timeout(60):
            await enough.wait()
        for _ in range(3):
            await is_served(victim, service, well)
        assert not any(each.is_closing() for each in held)
    never.set()
    deaf.close()
    for writer in held:
        writer.transport.abort()


def _kinds(kind: str) -> list[str]:
    return list(HOLDING if kind == "holding" else FLOODING)


def _behaviours(kind: str, hostile: Sequence[Receiver]) -> list[Behaviour]:
    if kind == "holding":
        return list(HOLDING.values())
    pairs = zip(hostile, FLOODING.values(), strict=True)
    return [flooding(receiver, *said) for receiver, said in pairs]


async def _ends_by_itself(hostile: list[Receiver]) -> bool:
    """Whether each target saw its attempts end, although it never ended an answer."""
    for each in hostile:
        await each.until(lambda receiver: receiver.open < receiver.connections, within=60)
    return True
