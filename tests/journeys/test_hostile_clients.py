"""Clients that speak HTTP to harm: what they hold is bounded, and others are served meanwhile."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from support.attacks import MIB, Connection, connected, get, is_served, post, resident
from support.receivers import Receiver, receiving
from support.senders import Sender, a_sender, minting
from support.service import Service, Services, gathered

GREEDY, OTHER = "000000000001", "000000000002"
WRONG = "hk_" + "x" * 43
MANY = 300  # connections
PIPELINED = 200_000  # requests: more bytes than the kernel keeps of a connection
OF_ADDRESS = 64  # connections without a key
BESIDES = 48 * MIB


@dataclass(frozen=True, slots=True)
class Beside:
    """Another tenant, to be served meanwhile; `key` is the attacker's."""

    service: Service
    key: str
    sender: Sender
    receiver: Receiver

    async def is_served(self) -> None:
        await is_served(self.sender, self.service, self.receiver)


@asynccontextmanager
async def beside(together: Services, **settings: str) -> AsyncIterator[Beside]:
    service = await together.start(MAX_CONNECTIONS_PER_ADDRESS=str(OF_ADDRESS), **settings)
    victim = await a_sender(together, OTHER)
    async with minting(together) as keys:
        key = await keys.manager(pbx=GREEDY)
    async with receiving() as receiver:
        await service.an_integration(receiver, pbx=OTHER)
        found = Beside(service, key, victim, receiver)
        await found.is_served()
        yield found


@pytest.mark.parametrize("keyed", [True, False])
async def test_thousands_of_pipelined_requests_are_read_no_faster_than_their_answers(
    together: Services, *, keyed: bool
) -> None:
    async with beside(together) as other, connected(other.service, 2) as connections:
        before = resident(other.service)
        request = get("/v1/keys/current", other.key) if keyed else get("/livez", "none")
        for each in connections:
            each.writer.write(request * PIPELINED)  # and no answer is read
        for _ in range(3):
            await other.is_served()
        assert resident(other.service) - before < BESIDES
        answer = await connections[0].reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 "), "in order"
        unsent = [each.writer.transport.get_write_buffer_size() for each in connections]
        assert min(unsent) > 0, "the service does not read on"


BOMBS = {
    "tiny headers": b"a:\r\n" * 15_000,
    "one long header": b"a: " + b"x" * 300_000 + b"\r\n",
    "a long address": b"x" * 300_000,
    "folded lines": b"a: b\r\n" + b" c\r\n" * 20_000,
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_header_bombs_are_refused_and_end_their_connections(
    together: Services, bomb: str
) -> None:
    async with beside(together) as other, connected(other.service, OF_ADDRESS // 2) as connections:
        before = resident(other.service)
        first = b"GET /" if bomb == "a long address" else b"GET /livez HTTP/1.1\r\nhost: a\r\n"
        ends = [asyncio.create_task(each.ended()) for each in connections]
        for each in connections:
            each.writer.write(first + BOMBS[bomb] + b"\r\n")
        await other.is_served()
        answers = await asyncio.gather(*ends)
        assert {answer[:13] for answer in answers} <= {
            b"HTTP/1.1 431 ",
            b"HTTP/1.1 414 ",
            b"HTTP/1.1 400 ",
        }
        assert resident(other.service) - before < BESIDES


UNFINISHED = {
    "nothing": b"",
    "half a line": b"GET /liv",
    "half a head": b"GET /livez HTTP/1.1\r\nhost: a\r\nx-a: ",
    "half a body": post("/v1/events", WRONG, 100) + b"{",
}


@pytest.mark.parametrize("unfinished", UNFINISHED)
async def test_slow_heads_keep_as_many_connections_as_an_address_may_have(
    together: Services, unfinished: str
) -> None:
    async with beside(together) as other, connected(other.service, MANY) as connections:
        open_still = set(connections)
        ends = [asyncio.create_task(_left(each, open_still)) for each in connections]
        for each in connections:
            each.writer.write(UNFINISHED[unfinished])
        await other.is_served()
        await gathered(list(ends[: MANY - OF_ADDRESS]), at_once=MANY)
        await other.is_served()
        assert len(open_still) <= OF_ADDRESS
        for task in ends:
            task.cancel()


@pytest.mark.parametrize("unfinished", UNFINISHED)
async def test_half_closed_connections_end(together: Services, unfinished: str) -> None:
    async with beside(together) as other, connected(other.service, OF_ADDRESS // 2) as connections:
        for each in connections:
            each.writer.write(UNFINISHED[unfinished])
            each.writer.write_eof()
        await other.is_served()
        await gathered([each.ended() for each in connections], at_once=OF_ADDRESS)


async def test_wrong_keys_in_a_loop_are_refused_and_valid_ones_pass_from_the_same_address(
    together: Services,
) -> None:
    async with beside(together) as other:
        statuses = await _guesses(other, addresses=[None])
        assert set(statuses) == {"401", "429"}
        assert statuses["401"] < statuses["429"]


async def test_wrong_keys_from_many_addresses_are_refused_beside_valid_ones(
    together: Services,
) -> None:
    async with beside(together, TRUSTED_PROXIES="127.0.0.1/32") as other:
        before = resident(other.service)
        addresses = [f"198.51.{at // 250}.{at % 250}" for at in range(5_000)]
        assert set(await _guesses(other, addresses=addresses)) == {"401"}
        assert resident(other.service) - before < BESIDES


async def _guesses(other: Beside, *, addresses: Sequence[str | None]) -> Counter[str]:
    """Try wrong keys over several connections while the other is served; count the answers."""
    statuses: Counter[str] = Counter()
    turns = itertools.cycle(addresses)

    async def guess(connection: Connection) -> None:
        for number in itertools.count():
            address = next(turns)
            head = get("/v1/integrations", f"hk_{number:043}")[:-2]
            if address is not None:
                head += b"x-forwarded-for: %b\r\n" % address.encode()
            connection.writer.write(head + b"\r\n")
            answer = await connection.reader.readuntil(b"\r\n\r\n")
            statuses[answer[9:12].decode()] += 1
            length = answer.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
            await connection.reader.readexactly(int(length))

    async with connected(other.service, 16) as connections:
        guessing = [asyncio.create_task(guess(each)) for each in connections]
        while statuses.total() < 100:
            await other.is_served()
        assert not any(task.done() for task in guessing)
        for task in guessing:
            task.cancel()
        await asyncio.gather(*guessing, return_exceptions=True)
    return statuses


async def _left(connection: Connection, among: set[Connection]) -> None:
    await connection.ended()
    among.discard(connection)
