"""Worker processes of one service hand deliveries to whichever of them has the lane."""

import asyncio
import json
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from functools import partial
from tempfile import TemporaryDirectory

import httpx
import pytest

from factories import an_event
from support.held_requests import HeldRequests
from support.postgres_clients import ask, connection
from support.proxy import proxied
from support.receivers import Receiver, receiving
from support.service import PATIENCE, Service, Services, eventually

LANES = 6  # of which either process has some, but in one of 32 runs
EVENTS = 30
SOON = {"DELIVERY_TIMEOUT": "2", "LEASE_MARGIN": "1", "RETRY_DELAYS": "0.05,0.05,0.05"}
BORN = """
select count(distinct (integration_id, lease >> 32)) as engines, count(*) as deliveries
from pending
join events on events.id = pending.event_id and events.xmin = pending.xmin
where lease is not null and events.subject = $1
"""  # what was claimed since has another xmin than its event
STORED = "select count(*) from pending join events on events.id = event_id where subject = $1"

PARTITIONS = """
select inhrelid::regclass::text as name from pg_inherits where inhparent = 'events'::regclass
"""  # an append that waits for one of them is under way: preparing it locks their parent alone
APPEND_WAITS = (
    "select exists (select from pg_stat_activity where wait_event_type = 'Lock'"
    " and query like '-- append:%')"
)


class Pair:
    """Two processes of one service."""

    def __init__(self, one: Service, other: Service, dsn: str) -> None:
        self.one = one
        self.other = other
        self._dsn = dsn
        self._number = 0

    async def until_handing_over(self, holding: HeldRequests, lanes: int = 1) -> None:
        """Send to both, until what either accepts is born leased to those that have the lanes.

        What the receiver holds is answered each time, so that the lanes keep room.
        """
        async with asyncio.timeout(PATIENCE), connection(self._dsn) as client:
            while True:
                subject = f"round {self._number}"
                await self.send_to_both(subject)
                row = await client.fetchrow(BORN, subject)
                if (row["engines"], row["deliveries"]) == (lanes, 2 * lanes):
                    return
                while await client.fetchval(STORED, subject):
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


async def test_what_a_process_stored_and_died_before_telling_goes_first(
    together: Services,
) -> None:
    dsn = together.settings["DATABASE_URL"]
    holding = HeldRequests()
    async with (
        proxied(dsn) as proxy,
        connection(dsn) as client,
        receiving(holding) as receiver,
    ):
        with TemporaryDirectory() as folder:
            behind_proxy = SOON | {"DATABASE_URL": proxy.dsn}
            dying = await together.start(f"--peer-socket={folder}/0.peer", **behind_proxy)
            living = await together.start(f"--peer-socket={folder}/1.peer", **SOON)
            for lane in range(LANES):
                await living.an_integration(receiver, headers={"x-lane": str(lane)}, maxInFlight=1)
            await Pair(dying, living, dsn).until_handing_over(holding, lanes=LANES)
            holding.release()
            first = an_event(id="last", data={"number": 1})
            async with client.transaction():
                for partition in await client.fetch(PARTITIONS):
                    await client.execute(f"lock table {partition['name']} in share mode")
                unanswered = asyncio.create_task(dying.send(first))
                await eventually(lambda: ask(dsn, APPEND_WAITS), bool)
                proxy.keep_replies_back()
            await eventually(
                lambda: client.fetchval(STORED, "last"), lambda stored: stored == LANES
            )
            await dying.kill()
            with pytest.raises(httpx.TransportError):
                await unanswered
            assert (await living.send(first))["duplicate"]
            await living.send(an_event(id="last", data={"number": 2}))
            came = partial(numbers_by_lane, subject="last")
            await receiver.until(
                lambda r: sum(map(len, came(r).values())) >= 2 * LANES, within=PATIENCE
            )
            assert came(receiver) == {str(lane): [1, 2] for lane in range(LANES)}


def numbers_by_lane(receiver: Receiver, subject: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for request in receiver.requests:
        event = json.loads(request.body)
        if event["id"] == subject:
            found[request.headers["x-lane"]].append(event["data"]["number"])
    return found
