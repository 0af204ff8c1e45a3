"""Stops and starts: what is under way is finished, and a second start finds everything."""

import signal

from factories import PBX, Json, an_event
from support.held_requests import HeldRequests
from support.receivers import receiving
from support.service import PATIENCE, Services, eventually


def numbered(number: int) -> Json:
    return an_event(id=f"call-{number}", data={"number": number})


async def test_sigterm_finishes_what_is_under_way_and_nothing_is_sent_twice(
    together: Services,
) -> None:
    holding = HeldRequests()
    async with receiving(holding) as receiver:
        service = await together.start(LEASE_MARGIN="600")  # seconds: what is left is left for long
        await service.an_integration(receiver, maxInFlight=8)
        results = await service.send_batch([numbered(number) for number in range(100)])
        await receiver.until_asked(8, within=PATIENCE)

        service.command.process.send_signal(signal.SIGTERM)
        await eventually(service.refuses_connections, bool)
        holding.release()
        assert await service.command.ends() == 0

        again = await together.start()
        found = await again.all_settled()
        assert {each["eventId"] for each in found} == {each["eventId"] for each in results}
        assert {(each["status"], len(each["attempts"])) for each in found} == {("delivered", 1)}
        ids = [request.headers["webhook-id"] for request in receiver.requests]
        assert len(set(ids)) == len(ids) == len(results)


async def test_a_second_start_finds_all_that_the_first_one_knew(at_home: Services) -> None:
    async with receiving() as receiver:
        first = await at_home.start()
        integration = await first.an_integration(receiver)
        described = {"company": "it_w000001", "license": "collaboration", "presenceEvents": True}
        await first.api.put(f"/v1/pbxs/{PBX}", described)
        sent = await first.send(numbered(1))
        await first.settled(sent["eventId"])
        paths = [
            f"/v1/integrations/{integration['id']}",
            f"/v1/integrations/{integration['id']}/secret",
            f"/v1/pbxs/{PBX}",
            f"/v1/events/{sent['eventId']}",
            "/v1/integrations",
            "/v1/events",
            "/v1/deliveries",
        ]
        before = [await first.read(path) for path in paths]
        await first.stop()

        second = await at_home.start()

        assert [await second.read(path) for path in paths] == before
        assert (await second.send(numbered(1)))["duplicate"]
        assert len(receiver.requests) == 1
