"""Every sample event on its way: who gets a copy, who does not, and what each can verify."""

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
from standardwebhooks import Webhook

from factories import COMPANY, PBX, Json, sample_events
from hookline.domain.catalogue import load_catalogue
from support.node import Node
from support.receivers import Received, Receiver, receiving
from support.service import Service

GROUPS = [group.name for group in load_catalogue().groups]
EVERYTHING = dict.fromkeys(GROUPS, "all")
OTHER_PBX = "221100001bab"  # sends some of the samples
SILENT_PBX = "00000000beef"  # sends none


@dataclass
class Subscriber:
    """An integration with the receiver of its own that it leads to."""

    integration: Json
    receiver: Receiver

    @property
    def id(self) -> str:
        return str(self.integration["id"])

    @property
    def secret(self) -> str:
        return str(self.integration["transmission"]["secret"])

    def expects(self, event: Json) -> bool:
        """Tell whether the event is this one's, by the contract alone."""
        owner = "pbx" if "pbx" in event else "company"
        group = load_catalogue().group_of(event["type"])
        chosen = self.integration["events"].get(group, [])
        wanted = chosen == "all" or event["type"] in chosen
        return bool(event[owner] == self.integration.get(owner) and wanted)


async def subscribers(service: Service, stack: AsyncExitStack) -> list[Subscriber]:
    """Create integrations for one group each, one type each, everything, and other owners."""
    chosen: list[Json] = [*({group: "all"} for group in GROUPS), EVERYTHING]
    chosen += [{"analytics": ["call:completed"]}, {"presence": ["presence:telephony"]}]
    wanted: list[Json] = [{"pbx": PBX, "company": COMPANY, "events": events} for events in chosen]
    wanted += [{"pbx": pbx, "events": EVERYTHING} for pbx in (OTHER_PBX, SILENT_PBX)]
    wanted.append({"pbx": None, "company": COMPANY, "events": EVERYTHING})
    made = []
    for document in wanted:
        receiver = await stack.enter_async_context(receiving())
        made.append(Subscriber(await service.an_integration(receiver, **document), receiver))
    return made


async def send_singly(service: Service, events: list[Json]) -> list[str]:
    return [(await service.send(event))["eventId"] for event in events]


async def send_as_one_batch(service: Service, events: list[Json]) -> list[str]:
    results = await service.send_batch(events)
    assert {result["status"] for result in results} == {"accepted"}
    return [result["eventId"] for result in results]


@pytest.mark.parametrize("send", [send_singly, send_as_one_batch])
async def test_each_sample_reaches_whoever_chose_it_signed_and_nobody_else(
    service: Service,
    node: Node,
    send: Callable[[Service, list[Json]], Awaitable[list[str]]],
) -> None:
    events = sample_events()
    async with AsyncExitStack() as stack:
        all_of_them = await subscribers(service, stack)

        ids = await send(service, events)
        outcomes = [await service.settled(event_id) for event_id in ids]

        for each in all_of_them:
            expected = [event for event in events if each.expects(event)]
            copies = [verified(each, request, node) for request in each.receiver.requests]
            assert sorted(copies, key=json.dumps) == sorted(expected, key=json.dumps)
            told = [found[each.id]["status"] for found in outcomes if each.id in found]
            assert told.count("delivered") == len(expected)
        for found in outcomes:
            assert "delivered" in {outcome["status"] for outcome in found.values()}


async def test_an_integration_of_nobody_concerned_is_not_even_considered(service: Service) -> None:
    async with receiving() as receiver:
        outsider = await service.an_integration(receiver, pbx=SILENT_PBX, events=EVERYTHING)

        ids = await send_singly(service, sample_events())

        for event_id in ids:
            assert outsider["id"] not in await service.settled(event_id)
        assert receiver.connections == 0


def verified(subscriber: Subscriber, request: Received, node: Node) -> Json:
    """Check one copy as receivers do, and return the event without `integrationId`."""
    assert request.line == "POST /hook HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("Hookline/")
    given = request.headers["x-signature"]
    round_trip = node.round_trip(request.body.decode())
    for body in (request.body, round_trip):
        assert body is not None
        assert given == hmac.new(subscriber.secret.encode(), body, hashlib.sha256).hexdigest()
    Webhook(f"whsec_{subscriber.secret}").verify(request.body, request.headers)
    event: Json = json.loads(request.body)
    assert event.pop("integrationId") == subscriber.id
    return event
