"""What attackers do to a real service, and what the others see of it meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from support.receivers import Receiver
from support.senders import Sender
from support.service import Service

MIB = 1024 * 1024


class Connection:
    """A raw connection to the service."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def hold_back(self, key: str, size: int) -> bytes:
        """Send a batch without its last byte; return the answer's status, if one comes."""
        sending = asyncio.create_task(self._send(key, size))
        try:
            return (await self.reader.readline())[9:12]
        except ConnectionError:
            return b""
        finally:
            sending.cancel()

    async def ended(self) -> bytes:
        """Wait until the service ends it; return what came before that."""
        parts = []
        try:
            while part := await self.reader.read(MIB):
                parts.append(part)
        except ConnectionError:
            pass
        return b"".join(parts)

    async def _send(self, key: str, size: int) -> None:
        self.writer.write(post("/v1/events/batch", key, size))
        for _ in range(size // MIB):
            self.writer.write(b" " * (MIB - 1))
            await self.writer.drain()


def post(path: str, key: str, size: int) -> bytes:
    """Return the head of a request with a body of so many bytes."""
    return (
        f"POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {size}\r\n\r\n"
    ).encode()


def get(path: str, key: str) -> bytes:
    """Return a request."""
    return f"GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n\r\n".encode()


@asynccontextmanager
async def connected(service: Service, count: int) -> AsyncIterator[list[Connection]]:
    """Open so many connections for the time of the block."""
    port = int(service.url.rpartition(":")[2])
    made = [Connection(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(count)]
    try:
        yield made
    finally:
        for each in made:
            each.writer.transport.abort()


def resident(service: Service) -> int:
    """Return how many bytes of memory the service's process has now."""
    status = Path(f"/proc/{service.command.pid}/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if "VmRSS" in line)


async def is_served(sender: Sender, service: Service, receiver: Receiver) -> None:
    """See that another tenant's events are accepted and delivered, and that the process lives."""
    before = len(receiver.requests)
    answers = await asyncio.gather(*(sender.send(service) for _ in range(5)))
    assert [each.text for each in answers if each.status_code != 202] == []
    await receiver.until_asked(before + 5, within=60)
    assert (await service.api.get("/livez", key=None)).status_code == 200
