"""Slow and endless clients on real sockets: each ends, and others are served."""

import asyncio
from ipaddress import ip_network

import pytest

from hookline.server import protocol
from hookline.server.connections import ConnectionLimits
from support.raw_server import (
    HEAD,
    SOON,
    everything,
    refused_in_time,
    serving,
    status,
)

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"", b""),
        (b"\r\n", b""),
        (b"P", b"408"),
        (HEAD + b"x-a: 1\r\n", b"408"),
        (HEAD + b"content-length: 2\r\n\r\n{}" + HEAD, b"408"),
    ],
)
async def test_a_head_that_never_ends_ends_the_connection(sent: bytes, answered: bytes) -> None:
    async with serving() as dial:
        reader, writer = await dial()
        writer.write(sent)
        assert answered in await everything(reader)
        assert await status(dial) == b"HTTP/1.1 200 OK"


async def test_line_ends_between_requests_keep_no_connection_open() -> None:
    async with serving() as dial:
        reader, writer = await dial()
        writer.write(HEAD + b"content-length: 2\r\n\r\n{}")
        await reader.readuntil(b"\r\n\r\n2")
        writer.write(b"\r\n")
        assert await everything(reader) == b""


@pytest.mark.parametrize(
    "beginning",
    [
        HEAD + b"x-b: ",  # a header without an end
        HEAD + b"x-b: 1\r\n" * 100,  # headers without an end
        b"GET /",  # an address without an end
        HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx-t: ",  # a trailer
        HEAD + b"transfer-encoding: chunked\r\n\r\n2;",  # a chunk's extension
    ],
)
async def test_what_has_no_end_is_refused(
    monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    monkeypatch.setattr(protocol, "_LINGER_BYTES", 2**20)  # in place of 64 MiB
    async with serving() as dial:
        _, writer = await dial()
        writer.write(beginning)
        sent = 4096 * await refused_in_time(writer, b"a" * 4096)
        assert sent < 32 * 2**20  # what the server reads, and both sockets' buffers
        assert await status(dial) == b"HTTP/1.1 200 OK"


async def test_too_large_a_head_is_told_so() -> None:
    async with serving() as dial:
        reader, writer = await dial()
        writer.write(HEAD + b"x-b: " + b"a" * 70_000)
        assert b"431 Request Header Fields Too Large" in await everything(reader)


async def test_trailers_are_dropped() -> None:
    async with serving() as dial:
        reader, writer = await dial()
        writer.write(HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(b"2\r\n{}\r\n0\r\n" + b"host: evil\r\n" * 100 + b"\r\n")
        assert (await everything(reader)).endswith(b"\r\n\r\n2")


async def test_a_body_in_tiny_chunks_is_taken() -> None:
    async with serving() as dial:
        reader, writer = await dial()
        writer.write(HEAD + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n")
        for _ in range(200):
            writer.write(b"1\r\na\r\n" * 200)
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        assert (await everything(reader)).endswith(b"40000")


async def test_a_body_that_goes_on_after_its_answer_is_cut_off() -> None:
    async with serving() as dial:
        reader, writer = await dial()
        writer.write(b"POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 9999999999\r\n\r\n")
        await reader.readuntil(b"\r\n\r\nno")
        assert await refused_in_time(writer, b"a" * 100) > 0


async def test_an_answer_that_nobody_reads_is_given_up() -> None:
    async with serving(ConnectionLimits(1)) as dial:
        _, writer = await dial()
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # asyncio's stubs lack it
        writer.write(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
        async with asyncio.timeout(SOON):
            while await status(dial) != b"HTTP/1.1 200 OK":
                pass  # its place is not free yet


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [
        ((), b"http 127.0.0.1"),
        (("192.0.2.0/24",), b"http 127.0.0.1"),
        (("127.0.0.0/8",), b"https 198.51.100.7"),
    ],
)
async def test_only_a_trusted_proxy_is_believed(trusted: tuple[str, ...], seen: bytes) -> None:
    async with serving(ConnectionLimits(proxies=[ip_network(each) for each in trusted])) as dial:
        reader, writer = await dial()
        writer.write(
            b"GET /whence HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx-forwarded-proto: https\r\n"
            b"x-forwarded-for: 203.0.113.9, 198.51.100.7\r\n\r\n"
        )
        assert (await everything(reader)).endswith(b"\r\n\r\n" + seen)
