"""What events are worth: live ones are not sent late, states not twice, records for longer."""

import asyncio
from functools import partial

from factories import Json, an_event
from support.receivers import OK, Exchange, answering, receiving, status
from support.service import PATIENCE, Service, Services, eventually


def presence(number: int) -> Json:
    return an_event(
        type="presence:user", pbx="000000000003", id="it_w000001_230", data={"number": number}
    )


async def reasons(service: Service, event_id: str) -> list[tuple[str, str | None]]:
    outcomes = await service.outcomes(event_id)
    return [(each["status"], each["reason"]) for each in outcomes.values()]


async def test_events_are_sent_while_they_are_worth_it(together: Services) -> None:
    service = await together.start(
        RETRY_DELAYS="0.05", RETRY_DELAYS_ANALYTICS="0.05,0.05,0.05", POLL_INTERVAL="0.1"
    )
    await asyncio.gather(
        a_call_is_given_up_when_its_retry_would_come_too_late(service),
        a_record_is_tried_as_often_as_its_group_says(service),
        only_the_newest_state_is_sent(service),
    )
    metrics = (await service.api.get("/metrics")).text
    assert 'reason="stale",status="skipped"} 1' in metrics
    assert 'reason="superseded",status="skipped"} 2' in metrics


async def a_call_is_given_up_when_its_retry_would_come_too_late(service: Service) -> None:
    async with receiving(answering(status(503, "retry-after: 60"))) as receiver:
        policy = {"call": {"maxAge": 20}}
        await service.an_integration(receiver, events={"call": "all"}, delivery=policy)
        sent = await service.send(an_event(type="call:live:progress"))
        delivery = await service.settled_delivery(sent["eventId"])
        assert (delivery["status"], delivery["reason"]) == ("skipped", "stale")
        assert [each["statusCode"] for each in delivery["attempts"]] == [503]


async def a_record_is_tried_as_often_as_its_group_says(service: Service) -> None:
    async with (
        receiving(answering(status(500))) as by_default,
        receiving(answering(status(500))) as own,
    ):
        pbx, events = "000000000002", {"analytics": "all"}
        await service.an_integration(by_default, pbx=pbx, events=events)
        policy = {"analytics": {"retryDelays": [0]}}
        await service.an_integration(own, pbx=pbx, events=events, delivery=policy)
        sent = await service.send(an_event(type="call:completed", pbx=pbx))
        await service.settled(sent["eventId"])
        assert (len(by_default.requests), len(own.requests)) == (4, 2)


async def only_the_newest_state_is_sent(service: Service) -> None:
    answer = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        await answer.wait()
        await exchange.say(OK)

    async with receiving(behave) as receiver:
        await service.an_integration(
            receiver,
            pbx="000000000003",
            events={"presence": "all"},
            delivery={"presence": {"keep": "latest"}},
            maxInFlight=1,
        )
        first = await service.send(presence(1))
        await receiver.until_asked(1, within=PATIENCE)
        second, third, fourth = [await service.send(presence(number)) for number in (2, 3, 4)]
        for each in (second, third):
            await eventually(
                partial(reasons, service, each["eventId"]),
                lambda found: found == [("skipped", "superseded")],
            )
        answer.set()
        await service.settled(fourth["eventId"])
        for each in (first, fourth):
            assert await reasons(service, each["eventId"]) == [("delivered", None)]
        assert len(receiver.requests) == 2
