"""A tenant whose targets are dead fills its own share of the backlog, and nobody else's."""

import asyncio

import httpx

from support.receivers import Exchange, Receiver, receiving
from support.senders import Sender, a_sender
from support.service import Service, Services, eventually

FLOODER, OTHER = "000000000001", "000000000002"
BOUND = "2000"  # deliveries; a tenant's share is 200
FAN_OUT, BATCH = 3, 100


async def hang(exchange: Exchange) -> None:
    await exchange.until_closed()


async def flood(sender: Sender, service: Service) -> httpx.Response:
    """Send batches until one is refused; return the refusal."""
    for _ in range(int(BOUND)):
        answer = await sender.send_batch(service, BATCH)
        if answer.status_code == 429:
            return answer
    raise AssertionError("the flood was never refused")


async def is_served(sender: Sender, service: Service, receiver: Receiver) -> None:
    """See that everything a tenant sends is accepted, and delivered, now."""
    before = len(receiver.requests)
    answers = await asyncio.gather(*(sender.send(service) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {202}
    await receiver.until_asked(before + 20, within=60)


async def refused(sender: Sender, service: Service) -> httpx.Response:
    """Return the refusal that a tenant's events are answered with once this process knows."""
    return await eventually(lambda: sender.send(service), lambda found: found.status_code == 429)


async def test_a_flood_to_a_dead_target_is_refused_alone_in_every_process_and_after_restarts(
    together: Services,
) -> None:
    one, other = await together.start(MAX_PENDING=BOUND), await together.start(MAX_PENDING=BOUND)
    flooder, victim = await a_sender(together, FLOODER), await a_sender(together, OTHER)
    async with receiving(hang) as dead, receiving() as well:
        made = [await one.an_integration(dead, pbx=FLOODER) for _ in range(FAN_OUT)]
        await one.an_integration(well, pbx=OTHER)
        answer = await flood(flooder, one)
        assert int(answer.headers["retry-after"]) >= 1
        assert FLOODER in answer.json()["detail"]
        assert "refused until" in answer.json()["detail"]
        waiting = await one.read("/v1/deliveries?status=pending&limit=1")
        assert waiting["items"], "what was accepted still waits"
        for service in (one, other):
            assert FLOODER in (await refused(flooder, service)).json()["detail"]
            await is_served(victim, service, well)

        mixed = [flooder.an_event(), victim.an_event(), {"id": 1}]
        theirs, others, wrong = await one.send_batch(mixed)
        assert (theirs["status"], others["status"]) == ("invalid", "accepted")
        assert theirs["error"]["type"] == "/problems/overloaded"
        assert theirs["error"]["retryAfter"] >= 1
        assert "retryAfter" not in wrong["error"]

        await one.kill()
        await other.kill()
        again = await together.start(MAX_PENDING=BOUND)
        assert FLOODER in (await refused(flooder, again)).json()["detail"]
        await is_served(victim, again, well)

        for integration in made:
            await again.api.delete(f"/v1/integrations/{integration['id']}")
        await eventually(lambda: flooder.send(again), lambda found: found.status_code == 202)


async def test_one_pbx_of_a_company_leaves_the_companys_others_their_part(
    together: Services,
) -> None:
    service = await together.start(MAX_PENDING=BOUND)
    flooder, sibling = await a_sender(together, FLOODER), await a_sender(together, OTHER)
    for sender in (flooder, sibling):
        record = {"company": sender.company, "license": "x-bees"}
        assert (await service.api.put(f"/v1/pbxs/{sender.pbx}", record)).status_code == 200
    async with receiving(hang) as dead, receiving() as well:
        await service.an_integration(dead, pbx=FLOODER)
        await service.an_integration(well, pbx=OTHER)
        await flood(flooder, service)
        await is_served(sibling, service, well)
