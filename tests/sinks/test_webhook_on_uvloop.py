"""The service runs on uvloop, which connects, closes and speaks TLS with code of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from hookline.domain.deliveries import ErrorKind, Verdict
from hookline.security.egress.connect import Connection
from hookline.security.egress.proxy import Proxy
from hookline.security.egress.tls import client_tls
from sinks.contract import delivers, fails_as
from support.certificates import Authority
from support.hostile import flooding, resetting_after, saying_nothing
from support.receivers import (
    Exchange,
    Receiver,
    answering,
    answering_then_closing,
    receiving,
    status,
)
from support.webhook_shipments import Names, webhook_shipment, webhook_sink

NAME = "crm.example.com"
SHORT = 0.3  # seconds


def url(receiver: Receiver) -> str:
    return f"https://{NAME}:{receiver.port}/hook"


def names() -> Names:
    return Names(crm_example_com=[["127.0.0.1"]])


async def a_kept_connection_serves_again(authority: Authority) -> None:
    tls, trusting = authority.server(NAME), client_tls(authority.file)
    async with receiving(tls=tls) as receiver, webhook_sink(tls=trusting, names=names()) as sink:
        await delivers(sink, webhook_shipment(url(receiver), body=b"x" * 1_000_000))
        assert receiver.connections == 1
        receiver.behaviour = answering_then_closing(status(500))
        await fails_as(sink, webhook_shipment(url(receiver)), Verdict.RETRY, ErrorKind.STATUS)
        receiver.behaviour = answering(status(200))
        await delivers(sink, webhook_shipment(url(receiver)))


async def failures_have_their_kinds(authority: Authority) -> None:
    tls, trusting = authority.server(NAME), client_tls(authority.file)
    async with (
        receiving(tls=tls) as receiver,
        webhook_sink(tls=trusting, names=names(), within=SHORT) as sink,
    ):
        shipment = webhook_shipment(url(receiver))
        for behaviour, kind in (
            (saying_nothing, ErrorKind.TIMEOUT),
            (resetting_after(b""), ErrorKind.RESET),
            (answering_then_closing(b""), ErrorKind.RESET),
            (flooding(receiver, b"HTTP", b" " * 65_536), ErrorKind.PROTOCOL),
        ):
            receiver.behaviour = behaviour
            await fails_as(sink, shipment, Verdict.RETRY, kind)
            await receiver.until(lambda r: r.open == 0)


async def an_untrusted_certificate_is_refused(authority: Authority) -> None:
    tls = authority.server("other.example.com")
    trusting = client_tls(authority.file)
    async with receiving(tls=tls) as receiver, webhook_sink(tls=trusting, names=names()) as sink:
        await fails_as(sink, webhook_shipment(url(receiver)), Verdict.RETRY, ErrorKind.TLS)
    assert receiver.requests == []


async def tls_of_an_earlier_connection_is_resumed(authority: Authority) -> None:
    resumed: list[bool] = []

    async def behave(exchange: Exchange) -> None:
        resumed.append(exchange.writer.get_extra_info("ssl_object").session_reused)
        await answering_then_closing(status(200))(exchange)

    tls, trusting = authority.server(NAME), client_tls(authority.file)
    async with (
        receiving(behave, tls=tls) as receiver,
        webhook_sink(tls=trusting, names=names()) as sink,
    ):
        for _ in range(3):
            await sink.send(webhook_shipment(url(receiver)))
            await receiver.until(lambda r: r.open == 0)
    assert resumed == [False, True, True]


async def what_drips_is_read_more_and_more_seldom(authority: Authority) -> None:
    reads = 0
    take = Connection.data_received

    def counted(connection: Connection, data: bytes) -> None:
        nonlocal reads
        reads += 1
        take(connection, data)

    async def drip(exchange: Exchange) -> None:
        await exchange.say(b"HTTP/1.1 404 No\r\ncontent-length: 500\r\n\r\n")
        for _ in range(500):
            await exchange.say(b"x")
            await asyncio.sleep(0.002)

    tls, trusting = authority.server(NAME), client_tls(authority.file)
    async with (
        receiving(drip, tls=tls) as receiver,
        webhook_sink(tls=trusting, names=names(), within=60) as sink,
    ):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Connection, "data_received", counted)
            shipment = webhook_shipment(url(receiver))
            sent = await fails_as(sink, shipment, Verdict.REJECTED, ErrorKind.STATUS)
        receiver.behaviour = answering(status(200))
        await delivers(sink, shipment)
        assert receiver.connections == 1
    assert sent.response == b"x" * 500
    assert reads < 60


async def a_proxy_that_refuses_is_heard(_authority: Authority) -> None:
    async with receiving(answering_then_closing(b"HTTP/1.1 403 No\r\n\r\n")) as middle:
        proxy = Proxy.parse(f"http://127.0.0.1:{middle.port}")
        async with webhook_sink(proxy=proxy, names=names()) as sink:
            shipment = webhook_shipment(f"https://{NAME}/")
            await fails_as(sink, shipment, Verdict.RETRY, ErrorKind.REFUSED)


@pytest.mark.parametrize(
    "scenario",
    [
        a_kept_connection_serves_again,
        failures_have_their_kinds,
        an_untrusted_certificate_is_refused,
        tls_of_an_earlier_connection_is_resumed,
        a_proxy_that_refuses_is_heard,
        what_drips_is_read_more_and_more_seldom,
    ],
)
async def test_on_uvloop(scenario: Callable[[Authority], Awaitable[None]], tmp_path: Path) -> None:
    authority = Authority(tmp_path)

    async def run() -> None:
        assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
        await scenario(authority)

    def in_a_loop_of_its_own() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())

    await asyncio.to_thread(in_a_loop_of_its_own)
