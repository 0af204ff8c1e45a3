"""Without an emulator: a message goes to its queue's host, at allowed addresses alone."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from ipaddress import ip_address, ip_network

import pytest
import trustme
from aiohttp.abc import ResolveResult

from hookline.domain.deliveries import ErrorKind, Sent, Verdict
from hookline.security.egress.addresses import Address
from hookline.security.egress.policy import EgressPolicy
from hookline.security.egress.resolver import NameNotResolved
from hookline.sinks.sqs import SqsSink, aws
from hookline.sinks.sqs.aws import VettedResolver
from support.sqs_shipments import REGION, sqs_shipment

HOST = f"sqs.{REGION}.amazonaws.com"


class Names:
    """A name service that knows one name, and which names it was asked for."""

    def __init__(self, *addresses: str) -> None:
        self.asked: list[str] = []
        self._addresses = tuple(ip_address(address) for address in addresses)

    async def __call__(self, host: str) -> tuple[Address, ...]:
        self.asked.append(host)
        if not self._addresses:
            raise NameNotResolved(f"{host}: unknown")
        return self._addresses


async def sent_with(names: Names, *allowed: str) -> Sent:
    """Send one message with no emulator, names being resolved by `names`."""
    policy = EgressPolicy([ip_network(cidr) for cidr in allowed], resolve=names)
    sink = SqsSink(timeout=10, policy=policy)
    try:
        return await sink.send(sqs_shipment())
    finally:
        await sink.aclose()


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.7", "169.254.169.254", "::1", "fd00::1"])
async def test_an_aws_name_that_leads_into_our_network_is_blocked(address: str) -> None:
    sent = await sent_with(Names(address))
    assert (sent.verdict, sent.error) == (Verdict.BLOCKED, ErrorKind.BLOCKED)
    assert address.encode() not in sent.response


async def test_one_private_address_among_public_ones_blocks_them_all() -> None:
    sent = await sent_with(Names("52.1.2.3", "10.0.0.7"))
    assert sent.verdict is Verdict.BLOCKED


async def test_a_host_without_an_address_is_asked_for_again_later() -> None:
    names = Names()
    sent = await sent_with(names)
    assert (sent.verdict, sent.error) == (Verdict.RETRY, ErrorKind.DNS)
    assert names.asked == [HOST]


@pytest.fixture
async def https() -> AsyncIterator[tuple[int, ssl.SSLContext, list[bytes]]]:
    """A server on loopback with a certificate for AWS's name: its port, trust in it, and heads."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(tls)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        payload = b'{"Successful":[{"Id":"0","MessageId":"m"}]}'
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(payload) + payload)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
    yield server.sockets[0].getsockname()[1], trusting, heard
    server.close()
    await server.wait_closed()


async def test_it_goes_to_the_queues_own_host_at_the_vetted_address(
    https: tuple[int, ssl.SSLContext, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, trusting, heard = https

    class OnFreePort(VettedResolver):
        """443 is not for everybody to listen on: the address stays, the port is another."""

        async def resolve(
            self, host: str, port_asked: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            assert port_asked == 443
            return [
                {**found, "port": port} for found in await super().resolve(host, port_asked, family)
            ]

    monkeypatch.setattr(aws, "VettedResolver", OnFreePort)
    policy = EgressPolicy([ip_network("127.0.0.0/8")], resolve=Names("127.0.0.1"))
    sink = SqsSink(timeout=10, policy=policy, tls=trusting)
    sent = await sink.send(sqs_shipment())
    await sink.aclose()
    assert (sent.verdict, sent.response) == (Verdict.DELIVERED, b"MessageId m")
    assert f"host: {HOST}\r\n".encode() in heard[0].lower()
