"""The second transmission: an event becomes a message in a customer's queue."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from factories import a_queue, sample_events
from hookline.domain.catalogue import load_catalogue
from support.moto_server import moto_server
from support.service import Services
from support.sqs_consumer import Consumer, is_verified

EVERYTHING = {group.name: "all" for group in load_catalogue().groups}


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def consumer(moto: str) -> Iterator[Consumer]:
    opened = Consumer(moto)
    yield opened
    opened.close()


async def test_events_arrive_in_the_queue_signed_and_the_test_button_too(
    together: Services, moto: str, consumer: Consumer
) -> None:
    queue = await asyncio.to_thread(consumer.create, "pbx-events")
    service = await together.start(SQS_ENDPOINT_URL=moto)
    created = await service.api.post(
        "/v1/integrations", a_queue(company="it_w000001", events=EVERYTHING)
    )
    assert created.status_code == 201, created.text
    integration = created.json()
    assert "secretAccessKey" not in created.text

    events = [event for event in sample_events() if event["company"] == "it_w000001"]
    results = await service.send_batch(events)

    for result in results:
        delivery = await service.settled_delivery(result["eventId"])
        assert delivery["status"] == "delivered", delivery
    messages = await asyncio.to_thread(consumer.read, queue, len(events))
    assert all(map(is_verified, messages))
    bodies = [json.loads(message["Body"]) for message in messages]
    assert {body.pop("integrationId") for body in bodies} == {integration["id"]}
    assert sorted(bodies, key=json.dumps) == sorted(events, key=json.dumps)

    tried = await service.api.post(
        f"/v1/integrations/{integration['id']}/test", {"type": "call:completed"}
    )
    assert (tried.status_code, tried.json()["attempt"]["outcome"]) == (200, "delivered")
    [message] = await asyncio.to_thread(consumer.read, queue, 1)
    assert is_verified(message)
    assert message["Body"] == tried.json()["body"]
