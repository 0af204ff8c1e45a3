"""Worker processes of one service hand deliveries to whichever of them has the lane."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from tempfile import TemporaryDirectory

import httpx
import pytest

from factories import an_event
from support.held_requests import HeldRequests
from support.postgres_clients import connection
from support.receivers import Receiver, receiving
from support.service import PATIENCE, Service, Services

LANES = 6  # of which either process has some, but in one of 32 runs
EVENTS = 30
SOON = {"DELIVERY_TIMEOUT": "2", "LEASE_MARGIN": "1", "RETRY_DELAYS": "0.05,0.05,0.05"}
BORN = """
select count(distinct lease >> 32) as engines, count(*) as deliveries
from pending
join events on events.id = pending.event_id and events.xmin = pending.xmin
where lease is not null and events.subject = $1
"""  # what was claimed since has another xmin than its event


class Pair:
    """Two processes of one service."""

    def __init__(self, one: Service, other: Service, dsn: str) -> None:
        self.one = one
        self.other = other
        self._dsn = dsn
        self._number = 0

    async def until_handing_over(self, holding: HeldRequests) -> None:
        """Send to both, until what either accepts is born leased to the one that has the lane.

        What the receiver holds is answered each time, so that the lane keeps room.
        """
        async with asyncio.timeout(PATIENCE), connection(self._dsn) as client:
            while True:
                subject = f"round {self._number}"
                await self.send_to_both(subject)
                row = await client.fetchrow(BORN, subject)
                if (row["engines"], row["deliveries"]) == (1, 2):
                    return
                holding.answer_held()

    async def send_to_both(self, subject: str = "call") -> int:
        """Send an event to each that still answers; return how many accepted theirs."""
        accepted = 0
        for process in (self.one, self.other):
            self._number += 1
            try:
                await process.send(an_event(id=subject, data={"number": self._number}))
            except httpx.TransportError:
                continue
            accepted += 1
        return accepted


@pytest.fixture
async def pair(together: Services) -> AsyncIterator[Pair]:
    with TemporaryDirectory() as folder:
        started = [
            await together.start(f"--peer-socket={folder}/{n}.peer", **SOON) for n in range(2)
        ]
        yield Pair(started[0], started[1], together.settings["DATABASE_URL"])


def sent(receiver: Receiver) -> Counter[str]:
    return Counter(request.headers["webhook-id"] for request in receiver.requests)


async def test_what_one_process_accepts_for_a_lane_of_the_others_is_born_leased_to_it(
    pair: Pair,
) -> None:
    holding = HeldRequests()
    async with receiving(holding) as receiver:
        await pair.one.an_integration(receiver, maxInFlight=64)
        await pair.until_handing_over(holding)
        holding.release()


async def test_a_process_that_stops_leaves_nothing_behind_and_sends_nothing_twice(
    pair: Pair,
) -> None:
    async with receiving() as receiver:
        for _ in range(LANES):
            await pair.one.an_integration(receiver)
        accepted = 0
        stopping = asyncio.Event()

        async def stop() -> int:
            await stopping.wait()
            pair.one.command.process.send_signal(signal.SIGTERM)
            return await pair.one.command.ends()

        stopped = asyncio.create_task(stop())
        while accepted < EVENTS or not stopped.done():
            accepted += await pair.send_to_both()
            if accepted >= EVENTS:
                stopping.set()
        assert await stopped == 0
        await receiver.until(lambda r: len(sent(r)) >= accepted * LANES, within=PATIENCE)
        assert set(sent(receiver).values()) == {1}


async def test_what_a_process_that_dies_was_handed_is_delivered(pair: Pair) -> None:
    async with receiving() as receiver:
        for _ in range(LANES):
            await pair.one.an_integration(receiver)
        accepted = 0
        while accepted < EVENTS:
            accepted += await pair.send_to_both()
        await pair.one.kill()
        for _ in range(EVENTS):
            accepted += await pair.send_to_both()
        await receiver.until(lambda r: len(sent(r)) >= accepted * LANES, within=PATIENCE)
