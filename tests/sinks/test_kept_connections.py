"""Connections that are kept, replaced, waited for and bounded."""

import asyncio
import socket

import pytest

from hookline.domain.deliveries import ErrorKind, Verdict
from hookline.security.egress.transport import PoolLimits
from hookline.sinks import Shipment
from sinks.contract import delivers, fails_as, sends_once
from support.hostile import (
    saying_nothing,
)
from support.receivers import (
    OK,
    Exchange,
    Receiver,
    answering_then_closing,
    receiving,
    status,
)
from support.webhook_shipments import webhook_shipment, webhook_sink

SHORT = 0.3  # seconds for a whole attempt


def to(receiver: Receiver) -> Shipment:
    return webhook_shipment(f"http://127.0.0.1:{receiver.port}/hook")


async def test_a_kept_connection_that_dies_in_silence_is_replaced_once() -> None:
    async def behave(exchange: Exchange) -> None:
        if exchange.request.connection == 1 and len(receiver.requests) > 1:
            exchange.reset()
        else:
            await exchange.say(OK)

    async with receiving(behave) as receiver, webhook_sink() as sink:
        await sink.send(to(receiver))
        sent = await sends_once(sink, to(receiver))
    assert sent.verdict is Verdict.DELIVERED
    _, lost, again = receiver.requests
    assert (lost.body, lost.headers) == (again.body, again.headers)
    assert (lost.connection, again.connection) == (1, 2)


async def test_a_fresh_connection_that_dies_is_not_replaced() -> None:
    async def behave(exchange: Exchange) -> None:
        if len(receiver.requests) > 1:
            exchange.reset()
        else:
            await exchange.say(OK)

    async with receiving(behave) as receiver, webhook_sink() as sink:
        await sink.send(to(receiver))
        await fails_as(sink, to(receiver), Verdict.RETRY, ErrorKind.RESET)
    assert [request.connection for request in receiver.requests] == [1, 1, 2]


async def test_a_kept_connection_that_began_to_answer_is_not_replaced() -> None:
    async def behave(exchange: Exchange) -> None:
        if len(receiver.requests) > 1:
            await answering_then_closing(b"HTTP")(exchange)
        else:
            await exchange.say(OK)

    async with receiving(behave) as receiver, webhook_sink() as sink:
        await sink.send(to(receiver))
        await fails_as(sink, to(receiver), Verdict.RETRY, ErrorKind.RESET)
    assert len(receiver.requests) == 2


async def test_a_replaced_connection_has_the_same_deadline() -> None:
    async def behave(exchange: Exchange) -> None:
        match len(receiver.requests):
            case 1:
                await exchange.say(OK)
            case 2:
                exchange.reset()
            case _:
                await saying_nothing(exchange)

    async with receiving(behave) as receiver, webhook_sink(within=SHORT) as sink:
        await sink.send(to(receiver))
        await fails_as(sink, to(receiver), Verdict.RETRY, ErrorKind.TIMEOUT)
    assert len(receiver.requests) == 3


@pytest.mark.parametrize("extra", [status(410), b"garbage"], ids=["an answer", "garbage"])
async def test_an_answer_that_nobody_asked_for_is_never_taken_for_the_next_one(
    extra: bytes,
) -> None:
    pushed = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        await exchange.say(OK)
        if exchange.request.connection == 1:
            await first_is_over.wait()
            await exchange.say(extra)
            await exchange.until_closed()
            pushed.set()

    first_is_over = asyncio.Event()
    async with receiving(behave) as receiver, webhook_sink() as sink:
        await sink.send(to(receiver))
        first_is_over.set()
        await pushed.wait()
        await delivers(sink, to(receiver))
    assert [request.connection for request in receiver.requests] == [1, 2, 2]


async def test_nothing_listening_is_refused() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with webhook_sink() as sink:
            shipment = webhook_shipment(f"http://127.0.0.1:{unused.getsockname()[1]}/")
            await fails_as(sink, shipment, Verdict.RETRY, ErrorKind.REFUSED)


async def test_idle_connections_are_bounded() -> None:
    together = asyncio.Barrier(6)

    async def behave(exchange: Exchange) -> None:
        await together.wait()
        await exchange.say(OK)

    limits = PoolLimits(idle=2)
    async with receiving(behave) as receiver, webhook_sink(limits=limits) as sink:
        await asyncio.gather(*(sink.send(to(receiver)) for _ in range(6)))
        await receiver.until(lambda r: r.open == 2)


async def test_an_idle_connection_is_closed_after_a_while() -> None:
    limits = PoolLimits(idle_seconds=0.05)
    async with receiving() as receiver, webhook_sink(limits=limits) as sink:
        await delivers(sink, to(receiver))
        await receiver.until(lambda r: r.open == 0)
