"""The guard at connect: only to vetted addresses, only over TLS that holds, through no detour."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import AsyncExitStack
from ipaddress import ip_address

import pytest

from hookline.domain.deliveries import ErrorKind, Verdict
from hookline.errors import ConfigurationError
from hookline.security.egress.connect import interleaved
from hookline.security.egress.policy import EgressPolicy
from hookline.security.egress.proxy import Proxy
from hookline.security.egress.transport import PoolLimits, expired
from sinks.contract import delivers, fails_as
from support.certificates import (
    Authority,
)
from support.hostile import saying_nothing
from support.receivers import Exchange, Receiver, answering_then_closing, receiving
from support.webhook_shipments import LOOPBACK, Names, webhook_shipment, webhook_sink

NAME = "crm.example.com"
SHORT = 0.3  # seconds


@pytest.fixture
def proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Name a proxy in every variable that libraries look at; nobody should call it."""
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trap.settimeout(0)
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            url = f"http://127.0.0.1:{trap.getsockname()[1]}"
            monkeypatch.setenv(variable, url)
            monkeypatch.setenv(variable.lower(), url)
        yield trap


def names(*turns: str) -> Names:
    return Names(crm_example_com=[turn.split() for turn in turns])


def url(receiver: Receiver, scheme: str = "https", host: str = NAME) -> str:
    return f"{scheme}://{host}:{receiver.port}/hook"


async def test_the_vetted_address_is_connected_to_and_the_name_kept_for_tls_and_host(
    authority: Authority, trusting: ssl.SSLContext
) -> None:
    asked: list[str] = []
    tls = authority.server(NAME)
    tls.sni_callback = lambda _socket, name, _context: asked.append(str(name))
    resolver = names("127.0.0.1")
    async with receiving(tls=tls) as receiver, webhook_sink(tls=trusting, names=resolver) as sink:
        await delivers(sink, webhook_shipment(url(receiver)))
    assert receiver.requests[0].headers["host"] == f"{NAME}:{receiver.port}"
    assert asked == [NAME]
    assert resolver.asked == [NAME]  # once, for the one connection


async def test_a_certificate_for_an_address_serves_an_address(
    authority: Authority, trusting: ssl.SSLContext
) -> None:
    async with (
        receiving(tls=authority.server("127.0.0.1")) as receiver,
        webhook_sink(tls=trusting) as sink,
    ):
        await delivers(sink, webhook_shipment(url(receiver, host="127.0.0.1")))


@pytest.mark.parametrize(
    "bad", ["10.0.0.1", "169.254.169.254", "8.8.8.8 10.0.0.1", "127.0.0.1 ::2"]
)
async def test_a_name_that_changes_after_it_was_saved_is_blocked(bad: str) -> None:
    resolver = names("8.8.8.8", bad)
    policy = EgressPolicy(LOOPBACK, resolve=resolver)
    target = f"https://{NAME}/hook"
    await policy.check_target(target)
    async with webhook_sink(names=resolver) as sink:
        await fails_as(sink, webhook_shipment(target), Verdict.BLOCKED, ErrorKind.BLOCKED)
    assert resolver.asked == [NAME, NAME]


async def test_a_name_is_looked_up_once_for_a_connection_and_what_was_vetted_is_used() -> None:
    resolver = names("127.0.0.1", "10.0.0.1")
    async with receiving() as receiver, webhook_sink(names=resolver) as sink:
        shipment = webhook_shipment(url(receiver, "http"))
        await delivers(sink, shipment)  # over one connection: nothing is looked up between
        assert resolver.asked == [NAME]
        await sink.forget(shipment.target)
        await fails_as(sink, shipment, Verdict.BLOCKED, ErrorKind.BLOCKED)
    assert receiver.connections == 1


async def test_a_connection_is_given_up_in_time_to_notice_a_change_in_the_dns() -> None:
    resolver = names("127.0.0.1")
    limits = PoolLimits(age_seconds=0.0)
    async with receiving() as receiver, webhook_sink(names=resolver, limits=limits) as sink:
        await delivers(sink, webhook_shipment(url(receiver, "http")))
    assert (receiver.connections, len(resolver.asked)) == (2, 2)


async def test_a_blocked_port_looks_the_same_open_and_closed() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with receiving() as receiver, webhook_sink(allowed=False) as sink:
            outcomes = [
                await sink.send(webhook_shipment(f"https://127.0.0.1:{port}/"))
                for port in (receiver.port, closed.getsockname()[1])
            ]
    seen = {(s.verdict, s.error, s.status_code, s.response) for s in outcomes}
    assert seen == {(Verdict.BLOCKED, ErrorKind.BLOCKED, None, b"")}
    assert receiver.connections == 0


async def test_a_name_without_an_address_is_a_dns_failure() -> None:
    async with webhook_sink() as sink:
        shipment = webhook_shipment(f"https://{NAME}/")
        await fails_as(sink, shipment, Verdict.RETRY, ErrorKind.DNS)


async def test_the_next_address_is_tried_where_one_refuses() -> None:
    async with receiving() as receiver, webhook_sink(names=names("::1 127.0.0.1")) as sink:
        await delivers(sink, webhook_shipment(url(receiver, "http")))


async def test_every_address_is_tried_however_many_refuse() -> None:
    refusing = " ".join(f"127.0.0.{last}" for last in range(2, 62))
    async with receiving() as receiver, webhook_sink(names=names(f"{refusing} 127.0.0.1")) as sink:
        await delivers(sink, webhook_shipment(url(receiver, "http")))


async def test_addresses_that_say_nothing_hold_up_the_others_for_a_moment_only() -> None:
    async with receiving() as receiver, AsyncExitStack() as stack:
        silent = [f"127.0.0.{last}" for last in range(2, 10)]
        for address in silent:
            full = stack.enter_context(socket.create_server((address, receiver.port), backlog=0))
            stack.enter_context(socket.create_connection(full.getsockname()))
            second = stack.enter_context(socket.socket())
            second.settimeout(0)
            second.connect_ex(full.getsockname())  # the backlog is full now
        resolver = names(" ".join((*silent, "127.0.0.1")))
        sink = await stack.enter_async_context(webhook_sink(names=resolver))
        await delivers(sink, webhook_shipment(url(receiver, "http")))
        await receiver.until(lambda r: r.open == 1)


def test_families_of_addresses_are_tried_in_turn() -> None:
    one, two, three = map(ip_address, ("192.0.2.1", "192.0.2.2", "192.0.2.3"))
    six, seven = map(ip_address, ("2001:db8::6", "2001:db8::7"))
    assert interleaved([six, seven, one, two, three]) == [six, one, seven, two, three]
    assert interleaved([one, two, three, six]) == [one, six, two, three]


async def test_no_proxy_of_the_environment_is_called(
    proxies_of_the_environment: socket.socket,
) -> None:
    async with receiving() as receiver, webhook_sink(names=names("127.0.0.1")) as sink:
        await delivers(sink, webhook_shipment(url(receiver, "http")))
    with pytest.raises(BlockingIOError):
        proxies_of_the_environment.accept()


class ConnectProxy:
    """A proxy's behaviour: it opens the tunnels that it is asked for, or answers otherwise."""

    def __init__(self, answer: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n") -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.authorizations: list[str | None] = []

    async def __call__(self, exchange: Exchange) -> None:
        self.asked.append(exchange.request.line)
        self.authorizations.append(exchange.request.headers.get("proxy-authorization"))
        await exchange.say(self.answer)
        if b" 200 " not in self.answer:
            exchange.writer.close()
            return
        host, _, port = exchange.request.line.split()[1].rpartition(":")
        reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        try:
            await asyncio.gather(pipe(exchange.reader, writer), pipe(reader, exchange.writer))
        finally:
            writer.transport.abort()


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.transport.abort()


@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_an_operators_proxy_is_told_the_vetted_address_and_tls_goes_through_it(
    scheme: str, authority: Authority, trusting: ssl.SSLContext
) -> None:
    behaviour = ConnectProxy()
    tls = authority.server(NAME) if scheme == "https" else None
    async with receiving(tls=tls) as receiver, receiving(behaviour) as middle:
        proxy = Proxy.parse(f"http://user:p%40ss@127.0.0.1:{middle.port}")
        async with webhook_sink(tls=trusting, names=names("127.0.0.1"), proxy=proxy) as sink:
            await delivers(sink, webhook_shipment(url(receiver, scheme)))
    assert behaviour.asked == [f"CONNECT 127.0.0.1:{receiver.port} HTTP/1.1"]
    assert behaviour.authorizations == ["Basic dXNlcjpwQHNz"]
    assert "p@ss" not in repr(proxy)


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_deadline_is_expired_only_for_who_was_not_cancelled_as_well(
    *, cancelled: bool
) -> None:
    async def attempt() -> None:
        async with asyncio.timeout(None) as deadline:
            begun.set_result(deadline)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                found.append(expired(deadline))
                raise

    loop = asyncio.get_running_loop()
    begun: asyncio.Future[asyncio.Timeout] = loop.create_future()
    found: list[bool] = []
    task = asyncio.create_task(attempt())
    deadline = await begun
    deadline.reschedule(loop.time())
    if cancelled:
        loop.call_soon(task.cancel)  # behind the deadline, and before the task hears of it
    with pytest.raises(asyncio.CancelledError if cancelled else TimeoutError):
        await task
    assert found == [not cancelled]


async def test_a_proxy_does_not_open_what_is_blocked() -> None:
    behaviour = ConnectProxy()
    async with receiving(behaviour) as middle:
        proxy = Proxy.parse(f"http://127.0.0.1:{middle.port}")
        async with webhook_sink(names=names("10.0.0.1"), proxy=proxy) as sink:
            shipment = webhook_shipment(f"https://{NAME}/")
            await fails_as(sink, shipment, Verdict.BLOCKED, ErrorKind.BLOCKED)
    assert middle.connections == 0


@pytest.mark.parametrize(
    "answer",
    [b"HTTP/1.1 403 Forbidden\r\n\r\n", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nmore", b""],
)
async def test_a_proxy_that_opens_no_tunnel_is_a_target_that_is_not_reached(answer: bytes) -> None:
    async with receiving(answering_then_closing(answer)) as middle:
        proxy = Proxy.parse(f"http://127.0.0.1:{middle.port}")
        async with webhook_sink(names=names("127.0.0.1"), proxy=proxy) as sink:
            shipment = webhook_shipment(f"https://{NAME}/")
            await fails_as(sink, shipment, Verdict.RETRY, ErrorKind.REFUSED)


async def test_a_proxy_that_says_nothing_is_under_the_same_deadline() -> None:
    async with receiving(saying_nothing) as middle:
        proxy = Proxy.parse(f"http://127.0.0.1:{middle.port}")
        async with webhook_sink(within=SHORT, names=names("127.0.0.1"), proxy=proxy) as sink:
            shipment = webhook_shipment(f"https://{NAME}/")
            await fails_as(sink, shipment, Verdict.RETRY, ErrorKind.TIMEOUT)
            await middle.until(lambda m: m.open == 0)


@pytest.mark.parametrize(
    "text", ["https://proxy:3128", "socks5://proxy", "proxy:3128", "http://", "http://p:99999"]
)
def test_a_proxy_that_cannot_be_used_stops_the_start(text: str) -> None:
    with pytest.raises(ConfigurationError, match="EGRESS_PROXY"):
        Proxy.parse(text)
