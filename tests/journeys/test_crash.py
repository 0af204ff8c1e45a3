"""SIGKILL at the worst moments: 202 means durable, and copies are the same bytes."""

import asyncio
from collections import defaultdict

import httpx

from factories import Json, an_event
from support.held_requests import HeldRequests
from support.leases import held_leases, run_out
from support.receivers import Received, Receiver, receiving
from support.service import PATIENCE, Service, Services, eventually, gathered

EVENTS = 400
SOON = {"DELIVERY_TIMEOUT": "2", "LEASE_MARGIN": "1"}  # seconds: a dead process's leases end in 3
LATER = {"DELIVERY_TIMEOUT": "10", "LEASE_MARGIN": "1"}  # whose leases end in 11
PATIENT = {"DELIVERY_TIMEOUT": "300"}  # seconds: no attempt times out while a test waits


def numbered(number: int) -> Json:
    return an_event(id=f"call-{number}", data={"number": number})


def by_delivery(receiver: Receiver) -> dict[str, list[Received]]:
    copies: dict[str, list[Received]] = defaultdict(list)
    for request in receiver.requests:
        copies[request.headers["webhook-id"]].append(request)
    return copies


def assert_identical(copies: list[Received]) -> None:
    signed = {(copy.body, copy.headers["x-signature"]) for copy in copies}
    assert len(signed) == 1


async def test_what_was_under_way_is_delivered_again_and_nothing_else_is(
    at_home: Services,
) -> None:
    holding = HeldRequests(answered=300)
    async with receiving(holding) as receiver:
        service = await at_home.start(**LATER)
        under_way = 64
        await service.an_integration(receiver, maxInFlight=under_way)
        await service.send_batch([numbered(number) for number in range(EVENTS)])
        await receiver.until_asked(300 + under_way, within=PATIENCE)
        await until_delivered(service, 300)

        await service.kill()
        holding.release()
        again = await at_home.start(**SOON)
        await receiver.until_asked(EVENTS + under_way, within=PATIENCE)

        await until_delivered(again, EVENTS)
        copies = by_delivery(receiver)
        assert len(copies) == EVENTS
        twice = {identifier for identifier, some in copies.items() if len(some) > 1}
        assert twice == {request.headers["webhook-id"] for request in holding.held}
        for identifier in twice:
            assert len(copies[identifier]) == 2
            assert_identical(copies[identifier])


async def test_of_hundreds_of_events_none_that_was_accepted_is_lost(at_home: Services) -> None:
    async with receiving() as receiver:
        service = await at_home.start(**SOON)
        await service.an_integration(receiver)
        sending = asyncio.create_task(send_until_it_dies(service))
        await receiver.until_asked(EVENTS // 3, within=PATIENCE)

        await service.kill()
        accepted = await sending
        assert 0 < len(accepted) < EVENTS
        again = await at_home.start(**SOON)

        found = {each["eventId"]: each["status"] for each in await again.all_settled()}
        assert {found.get(event_id) for event_id in accepted.values()} == {"delivered"}
        for copies in by_delivery(receiver).values():
            assert len(copies) <= 2
            assert_identical(copies)


async def test_another_process_takes_over_what_a_dead_one_held(together: Services) -> None:
    holding = HeldRequests()
    async with receiving(holding) as receiver:
        dsn = together.settings["DATABASE_URL"]
        dying = await together.start(**PATIENT)
        integration = await dying.an_integration(receiver, maxInFlight=4)
        results = await dying.send_batch([numbered(number) for number in range(20)])
        await receiver.until_asked(4, within=PATIENCE)
        held = await held_leases(dsn)
        heir = await together.start(**PATIENT)

        await dying.kill()
        holding.release()
        await run_out(dsn, held)

        for result in results:
            outcomes = await heir.settled(result["eventId"])
            assert outcomes[integration["id"]]["status"] == "delivered"
        copies = by_delivery(receiver)
        twice = [some for some in copies.values() if len(some) > 1]
        assert len(copies) == len(results)
        assert len(twice) == 4, "what the dead one had under way"
        assert {some[0].headers["webhook-id"] for some in twice} <= {
            request.headers["webhook-id"] for request in holding.held
        }
        for some in twice:
            assert len(some) == 2
            assert_identical(some)


async def send_until_it_dies(service: Service) -> dict[int, str]:
    """Send hundreds of events, one each; return the ids of those that were answered with 202."""
    accepted: dict[int, str] = {}

    async def send(number: int) -> None:
        try:
            receipt = await service.send(numbered(number))
        except httpx.TransportError:
            return  # it was killed: whoever got no answer has to send again
        accepted[number] = receipt["eventId"]

    await gathered([send(number) for number in range(EVENTS)], at_once=32)
    return accepted


async def until_delivered(service: Service, number: int) -> None:
    """Wait until so many deliveries are recorded as delivered."""
    await eventually(
        lambda: service.deliveries("&status=delivered"), lambda found: len(found) >= number
    )
