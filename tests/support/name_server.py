"""A name server on loopback: real packets, and silence for whatever it does not know."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_A, _AAAA, _IN = 1, 28, 1
_NXDOMAIN = 3


class NameServer(asyncio.DatagramProtocol):
    """Knows IPv4 addresses of names; `unknown` ones do not exist, and all others get no answer."""

    def __init__(self, known: dict[str, list[str]], unknown: frozenset[str]) -> None:
        self.known = known
        self.unknown = unknown
        self.asked: list[str] = []
        self.port = 0
        self.heard = asyncio.Event()

    async def until_asked(self, about: str) -> None:
        """Wait until somebody has asked about a name that begins like this."""
        while not any(name.startswith(about) for name in self.asked):
            self.heard.clear()
            await self.heard.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        number, _, _, _, _, _ = struct.unpack("!6H", data[:12])
        labels, at = [], 12
        while length := data[at]:
            labels.append(data[at + 1 : at + 1 + length].decode())
            at += 1 + length
        question = data[12 : at + 5]
        kind = struct.unpack("!H", data[at + 1 : at + 3])[0]
        name = ".".join(labels).lower()
        if kind == _A:
            self.asked.append(name)
            self.heard.set()
        if name not in self.known and name not in self.unknown:
            return
        found = self.known.get(name, []) if kind == _A else []
        code = _NXDOMAIN if name in self.unknown else 0
        head = struct.pack("!6H", number, 0x8180 | code, 1, len(found), 0, 0)
        records = [
            b"\xc0\x0c" + struct.pack("!HHIH", _A, _IN, 0, 4) + socket.inet_aton(address)
            for address in found
        ]
        self.transport.sendto(head + question + b"".join(records), addr)


@asynccontextmanager
async def naming(
    known: dict[str, list[str]] | None = None, unknown: frozenset[str] = frozenset()
) -> AsyncIterator[NameServer]:
    """Run a name server until the block ends."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: NameServer(known or {}, unknown), local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
