"""What others see while one key, or nobody's key, takes all that it can of a real service."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from factories import an_event
from support.receivers import Receiver, receiving
from support.senders import Sender, a_sender
from support.service import Service, Services, eventually, gathered

GREEDY, OTHER = "000000000001", "000000000002"
MIB = 1024 * 1024
HELD_BACK = 100  # batches whose last byte does not come
KEYS = 5  # of the greedy PBX
LARGE = 14 * MIB  # a batch
BODY_MEMORY = 32 * MIB
BESIDES = 96 * MIB  # what came with 100 heads before the first answer, and copies of bodies


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

    async def ended(self) -> None:
        """Wait until the service ends it."""
        try:
            while await self.reader.read(MIB):
                pass
        except ConnectionError:
            return

    async def _send(self, key: str, size: int) -> None:
        self.writer.write(post("/v1/events/batch", key, size))
        for _ in range(size // MIB):
            self.writer.write(b" " * (MIB - 1))
            await self.writer.drain()


def post(path: str, key: str, size: int) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {size}\r\n\r\n"
    ).encode()


@asynccontextmanager
async def connected(service: Service, count: int) -> AsyncIterator[list[Connection]]:
    port = int(service.url.rpartition(":")[2])
    made = [Connection(*await asyncio.open_connection("127.0.0.1", port)) for _ in range(count)]
    try:
        yield made
    finally:
        for each in made:
            each.writer.transport.abort()


def large_batch(number: int) -> dict[str, object]:
    """Return a batch of a thousand events of `LARGE` bytes together."""
    text = "x" * (LARGE // 1000)
    events = [an_event(pbx=GREEDY, time=1000 * number + at, data={"t": text}) for at in range(1000)]
    return {"events": events}


def resident(service: Service) -> int:
    """Return how many bytes of memory the service's process has now."""
    status = Path(f"/proc/{service.command.pid}/status").read_text()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if "VmRSS" in line)


async def is_served(sender: Sender, service: Service, receiver: Receiver) -> None:
    """See that another tenant's events are accepted and delivered, and that the process lives."""
    before = len(receiver.requests)
    answers = await asyncio.gather(*(sender.send(service) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {202}
    await receiver.until_asked(before + 5, within=60)
    assert (await service.api.get("/livez", key=None)).status_code == 200


async def test_bodies_that_never_end_take_a_share_of_the_memory_and_nobody_elses_turn(
    together: Services,
) -> None:
    service = await together.start(MAX_BODY_MEMORY=str(BODY_MEMORY))
    keys = [(await a_sender(together, GREEDY)).key for _ in range(KEYS)]
    victim = await a_sender(together, OTHER)
    async with receiving() as receiver, connected(service, HELD_BACK) as held:
        await service.an_integration(receiver, pbx=OTHER)
        await is_served(victim, service, receiver)
        before = resident(service)
        of_keys = zip(held, itertools.cycle(keys), strict=False)
        tasks = [asyncio.create_task(each.hold_back(key, 16 * MIB)) for each, key in of_keys]
        answers = asyncio.as_completed(tasks)
        assert await next(answers) == b"429"
        await is_served(victim, service, receiver)
        for _ in range(HELD_BACK // 2):
            assert await next(answers) == b"429"
        await is_served(victim, service, receiver)
        assert resident(service) - before < BODY_MEMORY + BESIDES
        for task in tasks:
            task.cancel()


async def test_the_memory_of_large_batches_goes_back_to_the_system(together: Services) -> None:
    service = await together.start()
    sender = await a_sender(together, GREEDY)
    before = resident(service)
    for number in range(4):
        batches = [large_batch(2 * number), large_batch(2 * number + 1)]
        posts = [service.api.post("/v1/events/batch", each, key=sender.key) for each in batches]
        assert [each.status_code for each in await asyncio.gather(*posts)] == [202, 202]

    async def more() -> int:
        return resident(service) - before

    await eventually(more, lambda kept: kept < LARGE)


async def test_clients_without_a_key_keep_no_connection_from_those_with_a_key(
    together: Services,
) -> None:
    service = await together.start(MAX_CONNECTIONS="20")
    victim = await a_sender(together, OTHER)
    async with receiving() as receiver, connected(service, 1) as [known]:
        await service.an_integration(receiver, pbx=OTHER)
        known.writer.write(post("/v1/events", victim.key, 2) + b"{}")
        assert (await known.reader.readline()).startswith(b"HTTP/1.1 422 ")
        async with connected(service, 40) as unauthenticated:
            for each in unauthenticated:
                each.writer.write(post("/v1/events", "hk_" + "x" * 43, 1_000_000))
            await is_served(victim, service, receiver)
            await gathered([each.ended() for each in unauthenticated], at_once=40)
        known.writer.write(post("/v1/events", victim.key, 2) + b"{}")
        assert b"HTTP/1.1 422 " in await known.reader.readuntil(b"HTTP/1.1 422 ")


async def test_a_tenants_keys_together_keep_half_of_the_connections(together: Services) -> None:
    service = await together.start(MAX_CONNECTIONS="20")
    keys = [(await a_sender(together, GREEDY)).key for _ in range(KEYS)]
    victim = await a_sender(together, OTHER)
    async with receiving() as receiver, connected(service, 40) as held:
        await service.an_integration(receiver, pbx=OTHER)
        for each, key in zip(held, itertools.cycle(keys), strict=False):
            each.writer.write(post("/v1/events", key, 1_000) + b"{")
        await is_served(victim, service, receiver)
