"""What one POST costs through each HTTP engine, with the guard on, as CPU time of this process.

A bare receiver runs in a process of its own; everything stays on loopback. Each candidate refuses
redirects, decompression and proxies from the environment, connects to a vetted address, keeps
4 KiB of an answer and has one deadline. CPU time, all threads included, is what is compared: other
work on the machine changes requests per second, and hardly this.

    .venv/bin/python benchmarks/transports.py [--requests 20000] [--in-flight 64] [--tls]

pyreqwest takes part where it is installed; Hookline itself does without it.
"""

import argparse
import asyncio
import multiprocessing
import resource
import ssl
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from http import HTTPStatus
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from multiprocessing.connection import Connection
from uuid import uuid4

import aiohttp
import httpx
import trustme
import uvloop
from aiohttp.abc import AbstractResolver, ResolveResult

from hookline.domain.deliveries import Verdict
from hookline.domain.targets import WebhookTarget
from hookline.security.egress.addresses import Address
from hookline.security.egress.messages import WholeBody
from hookline.security.egress.policy import EgressPolicy, Vetted
from hookline.security.egress.transport import GuardedTransport
from hookline.security.egress.urls import Origin
from hookline.sinks import Shipment
from hookline.sinks.webhook import WebhookSink

HOST = "receiver.example"
BODY = b'{"id":"%s"}' % (b"x" * 1390)
DEADLINE = 5.0
KEPT = 4096
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"
HEADERS = [
    (b"content-type", b"application/json"),
    (b"user-agent", b"Hookline/bench"),
    (b"x-signature", b"0" * 64),
    (b"webhook-id", b"0" * 36),
    (b"webhook-timestamp", b"1795469173"),
    (b"webhook-signature", b"v1," + b"0" * 44),
]

ROUNDS = 3

Send = Callable[[], Awaitable[None]]
Maker = Callable[[AsyncExitStack], Awaitable[Send]]


class Receiver(asyncio.Protocol):
    """Answers once a whole request has come; it knows how long ours are."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.seen = b""

    def data_received(self, data: bytes) -> None:
        self.seen += data
        if self.seen.endswith(BODY):
            self.seen = b""
            self.transport.write(ANSWER)  # type: ignore[attr-defined]  # a write transport


def receive(pipe: Connection, tls: tuple[bytes, bytes] | None) -> None:
    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Receiver, "127.0.0.1", 0, ssl=_server_tls(tls))
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(serve())


def _server_tls(tls: tuple[bytes, bytes] | None) -> ssl.SSLContext | None:
    if tls is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(tls))
        file.flush()
        context.load_cert_chain(file.name)
    return context


async def resolve(_host: str) -> tuple[Address, ...]:
    return (ip_address("127.0.0.1"),)


def expect(claim: bool) -> None:  # noqa: FBT001  # what is expected
    if not claim:
        raise RuntimeError("an answer is not what the receiver sends")


async def vetted(policy: EgressPolicy, origin: Origin) -> tuple[Address, ...]:
    verdict = await policy.vet(origin)
    if not isinstance(verdict, Vetted):
        raise TypeError(verdict)
    return verdict.addresses


class Bench:
    """One receiver and the ways to send to it."""

    def __init__(self, port: int, authority: bytes | None) -> None:
        self.port = port
        self.authority = authority
        self.scheme = "https" if authority else "http"
        self.url = f"{self.scheme}://{HOST}:{port}/hook"
        self.policy = EgressPolicy([ip_network("127.0.0.0/8")], resolve=resolve)
        self.tls = ssl.create_default_context()
        if authority:
            self.tls.load_verify_locations(cadata=authority.decode())

    async def ours(self, stack: AsyncExitStack) -> Send:
        transport = GuardedTransport(self.policy, tls=self.tls)
        stack.push_async_callback(transport.aclose)
        url = httpx.URL(self.url)
        length = (b"content-length", b"%d" % len(BODY))
        headers = [(b"host", f"{HOST}:{self.port}".encode()), length, *HEADERS]

        async def send() -> None:
            request = httpx.Request("POST", url, headers=headers, stream=WholeBody(BODY))
            async with asyncio.timeout(DEADLINE):
                response = await transport.handle_async_request(request)
                expect(await response.aread() == b"ok")

        return send

    async def sink(self, stack: AsyncExitStack) -> Send:
        sink = WebhookSink(GuardedTransport(self.policy, tls=self.tls), timeout=DEADLINE)
        stack.push_async_callback(sink.aclose)
        target = WebhookTarget(self.url, ("abcdefghijABCDEFGHIJ012345678901",))
        shipment = Shipment(uuid4(), BODY, target, "call:completed", "id", None, "company")

        async def send() -> None:
            expect((await sink.send(shipment)).verdict is Verdict.DELIVERED)

        return send

    async def aiohttp(self, stack: AsyncExitStack) -> Send:
        connector = aiohttp.TCPConnector(
            resolver=Guard(self.policy, self.scheme), use_dns_cache=False, limit=512, ssl=self.tls
        )
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                connector=connector,
                auto_decompress=False,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=DEADLINE),
            )
        )
        headers = [(name.decode(), value.decode()) for name, value in HEADERS]

        async def send() -> None:
            request = httpx.Request(
                "POST", self.url, headers=HEADERS, stream=httpx.ByteStream(BODY)
            )
            async with session.post(
                self.url, data=BODY, headers=headers, allow_redirects=False
            ) as answer:
                content = await answer.content.read(KEPT)
                response = httpx.Response(answer.status, headers=answer.raw_headers)
            expect((request.method, response.status_code, content) == ("POST", 200, b"ok"))

        return send

    async def pyreqwest(self, stack: AsyncExitStack) -> Send:
        from pyreqwest.client import Client, ClientBuilder  # noqa: PLC0415  # a candidate, dropped

        clients: dict[tuple[str, str, int], Client] = {}

        async def client() -> Client:
            """Pinning is a client's property: one for each vetted address of each origin."""
            address = (await vetted(self.policy, Origin(self.scheme, HOST, self.port)))[0]
            key = (HOST, str(address), self.port)
            if key not in clients:
                builder = (
                    ClientBuilder().resolve(*key).no_proxy().follow_redirects(enable=False)
                    .gzip(enable=False).brotli(enable=False).zstd(enable=False)
                    .deflate(enable=False).timeout(timedelta(seconds=DEADLINE))
                )  # fmt: skip
                if self.authority:
                    builder = builder.add_root_certificate_pem(self.authority)
                clients[key] = await stack.enter_async_context(builder.build())
            return clients[key]

        headers = [(name.decode(), value.decode()) for name, value in HEADERS]

        async def send() -> None:
            request = httpx.Request(
                "POST", self.url, headers=HEADERS, stream=httpx.ByteStream(BODY)
            )
            built = (await client()).post(self.url).headers(headers).body_bytes(BODY)
            async with built.build_streamed() as answer:
                content = bytes(await answer.body_reader.read(KEPT) or b"")
                response = httpx.Response(answer.status, headers=list(answer.headers.items()))
            expect((request.method, response.status_code, content) == ("POST", 200, b"ok"))

        return send

    async def new_clients(self, stack: AsyncExitStack) -> Send:
        """What a target costs that was not sent to before, with pyreqwest."""
        from pyreqwest.client import ClientBuilder  # noqa: PLC0415  # a candidate, dropped

        async def send() -> None:
            builder = ClientBuilder().resolve(HOST, "127.0.0.1", self.port).no_proxy()
            if self.authority:
                builder = builder.add_root_certificate_pem(self.authority)
            client = await stack.enter_async_context(builder.build())
            async with client.post(self.url).body_bytes(BODY).build_streamed() as answer:
                expect(answer.status == HTTPStatus.OK)

        return send


class Guard(AbstractResolver):
    """The policy as aiohttp asks for it."""

    def __init__(self, policy: EgressPolicy, scheme: str) -> None:
        self.policy = policy
        self.scheme = scheme

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        addresses = await vetted(self.policy, Origin(self.scheme, host, port))
        return [
            ResolveResult(
                hostname=host, host=str(a), port=port, family=family or 2, proto=6, flags=0
            )
            for a in addresses
        ]

    async def close(self) -> None: ...


async def measure(name: str, make: Maker, requests: int, in_flight: int) -> None:
    """Print the best of three rounds: the least that other work on the machine has added to."""
    async with AsyncExitStack() as stack:
        send = await make(stack)
        memory = _resident()
        rounds = [await _round(send, requests, in_flight) for _ in range(ROUNDS)]
        cpu, clock = (min(times) / requests for times in zip(*rounds, strict=True))
        grown = (_resident() - memory) / requests / ROUNDS
        print(f"{name:<28} {cpu * 1e6:8.0f} µs CPU  {1 / clock:8.0f} /s  {grown:8.1f} KiB each")


async def _round(send: Send, requests: int, in_flight: int) -> tuple[float, float]:
    left = requests

    async def worker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await send()

    cpu, clock = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return time.process_time() - cpu, time.perf_counter() - clock


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--requests", type=int, default=20_000)
    options.add_argument("--in-flight", type=int, default=64)
    options.add_argument("--tls", action="store_true")
    chosen = options.parse_args()
    authority = trustme.CA() if chosen.tls else None
    leaf = authority.issue_cert(HOST) if authority else None
    pem = leaf and (leaf.private_key_pem.bytes(), b"".join(b.bytes() for b in leaf.cert_chain_pems))
    ours, theirs = multiprocessing.Pipe()
    receiver = multiprocessing.get_context("spawn").Process(
        target=receive, args=(theirs, pem), daemon=True
    )
    receiver.start()
    bench = Bench(ours.recv(), authority.cert_pem.bytes() if authority else None)
    candidates: list[tuple[str, Maker, int]] = [
        ("ours", bench.ours, chosen.requests),
        ("the whole webhook sink", bench.sink, chosen.requests),
        ("aiohttp", bench.aiohttp, chosen.requests),
    ]
    if find_spec("pyreqwest"):
        candidates += [
            ("pyreqwest", bench.pyreqwest, chosen.requests),
            ("pyreqwest, a new client each", bench.new_clients, 100),
        ]
    for name, make, requests in candidates:
        uvloop.run(measure(name, make, requests, min(chosen.in_flight, requests)))
    receiver.terminate()


if __name__ == "__main__":
    main()
