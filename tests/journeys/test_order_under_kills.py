"""Processes of one service are killed while senders send, each event until it is accepted."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Collection

import httpx
import pytest

from factories import Json, an_event
from support.postgres_clients import connection
from support.receivers import Receiver, receiving
from support.service import PATIENCE, Service, Services, eventually
from support.worker_processes import until_complete, worker_processes_of

PROCESSES = 3
LANES = 6  # each process has some
SENDERS = 5
KILLS = 10
BETWEEN = 300  # requests to the receiver from one kill to the next
SETTINGS = {"DELIVERY_TIMEOUT": "3", "LEASE_MARGIN": "1", "RETRY_DELAYS": "0.05,0.05,0.05"}


@pytest.mark.soak
@pytest.mark.parametrize("ordering", [None, "subject"])
async def test_what_each_sender_sends_keeps_its_order_whichever_process_is_killed(
    together: Services, ordering: str | None
) -> None:
    service = await together.start("--processes", str(PROCESSES), **SETTINGS)
    stopped = asyncio.Event()
    async with receiving() as receiver:
        for lane in range(LANES):
            await service.an_integration(
                receiver,
                headers={"x-lane": str(lane)},
                maxInFlight=1 if ordering is None else 8,
                ordering=ordering,
            )
        async with asyncio.TaskGroup() as tasks:
            senders = [
                tasks.create_task(keep_sending(service, sender, stopped))
                for sender in range(SENDERS)
            ]
            for number in range(KILLS):
                await receiver.until_asked(len(receiver.requests) + BETWEEN, within=PATIENCE)
                worker_processes_of(service.command)[number % PROCESSES].kill()
                await until_complete(service, PROCESSES)
            stopped.set()
        sent = [sender.result() for sender in senders]
        await eventually(
            lambda: service.read("/v1/deliveries?status=pending&limit=1"),
            lambda page: not page["items"],
        )
        failed = set() if ordering else await failed_at_first(together)
    assert len(failed) < sum(sent) / 10
    orders = came(receiver, but=failed)
    assert sum(map(len, orders.values())) == sum(sent) * LANES - len(failed)
    assert {where: order for where, order in orders.items() if order != sorted(order)} == {}


async def keep_sending(service: Service, sender: int, stopped: asyncio.Event) -> int:
    """Send one event after another, each until it is accepted; return how many."""
    sent = 0
    while not stopped.is_set():
        event = an_event(id=f"call-{sender}", data={"number": sent})
        while not await is_accepted(service, event):
            continue
        sent += 1
    return sent


async def is_accepted(service: Service, event: Json) -> bool:
    try:
        return (await service.api.post("/v1/events", event)).status_code == 202
    except httpx.TransportError:  # its process was killed
        return False


async def failed_at_first(together: Services) -> set[str]:
    """Return the deliveries whose first attempt failed: what came later may have gone first."""
    async with connection(together.settings["DATABASE_URL"]) as client:
        rows = await client.fetch(
            "select delivery_id from attempts where number = 1 and outcome <> 'delivered'"
        )
    return {str(row["delivery_id"]) for row in rows}


def came(receiver: Receiver, but: Collection[str] = ()) -> dict[tuple[str, str], list[int]]:
    """Return the numbers of the events as they first came, for each lane and sender."""
    found: dict[tuple[str, str], dict[int, None]] = defaultdict(dict)
    for request in receiver.requests:
        if request.headers["webhook-id"] not in but:
            event = json.loads(request.body)
            where = request.headers["x-lane"], event["id"]
            found[where].setdefault(event["data"]["number"])
    return {where: list(numbers) for where, numbers in found.items()}
