import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hookline.domain.deliveries import ErrorKind, Verdict
from hookline.sinks.sqs import SqsSink
from support.moto_server import moto_server
from support.sqs_consumer import Consumer, is_verified
from support.sqs_shipments import sqs_shipment

EVENTS = sorted((Path(__file__).parents[2] / "events").glob("*/*.json"))


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture(scope="module")
def consumer(moto: str) -> Iterator[Consumer]:
    consumer = Consumer(moto)
    yield consumer
    consumer.close()


@pytest.fixture
async def sink(moto: str) -> AsyncIterator[SqsSink]:
    sink = SqsSink(timeout=20, endpoint_url=moto)
    yield sink
    await sink.aclose()


async def test_a_consumer_reads_every_kind_of_event_verified(
    sink: SqsSink, consumer: Consumer
) -> None:
    url = consumer.create("every-kind")
    bodies = [
        json.dumps(json.loads(path.read_text()), separators=(",", ":"), ensure_ascii=False)
        for path in EVENTS
    ]
    sent = await asyncio.gather(
        *(sink.send(sqs_shipment("every-kind", body=body.encode())) for body in bodies)
    )
    assert {s.verdict for s in sent} == {Verdict.DELIVERED}
    messages = await asyncio.to_thread(consumer.read, url, len(bodies))
    assert sorted(m["Body"] for m in messages) == sorted(bodies)
    assert all(map(is_verified, messages))
    attributes = ("X-SIGNATURE", "type", "pbx", "company", "webhook-attempt")
    names = {(name, a["DataType"]) for m in messages for name, a in m["MessageAttributes"].items()}
    assert names == {(name, "String") for name in attributes}


async def test_three_hundred_messages_arrive_once_each(sink: SqsSink, consumer: Consumer) -> None:
    url = consumer.create("many")
    sent = await asyncio.gather(*(sink.send(sqs_shipment("many", number=n)) for n in range(300)))
    assert {s.verdict for s in sent} == {Verdict.DELIVERED}
    messages = await asyncio.to_thread(consumer.read, url, 300)
    assert sorted(json.loads(m["Body"])["data"]["n"] for m in messages) == list(range(300))
    assert {s.response.decode().split()[1] for s in sent} == {m["MessageId"] for m in messages}


async def test_a_fifo_queue_keeps_each_calls_order_and_drops_a_repeated_delivery(
    sink: SqsSink, consumer: Consumer
) -> None:
    url = consumer.create("calls.fifo", FifoQueue="true")
    shipments = [sqs_shipment("calls.fifo", subject=f"call {n % 3}", number=n) for n in range(30)]
    await asyncio.gather(*map(sink.send, shipments))
    again = await sink.send(shipments[0])
    assert again.verdict is Verdict.DELIVERED
    messages = await asyncio.to_thread(consumer.read, url, 31)
    assert len(messages) == 30
    for call in range(3):
        numbers = [
            json.loads(m["Body"])["data"]["n"]
            for m in messages
            if json.loads(m["Body"])["id"] == f"call {call}"
        ]
        assert numbers == list(range(call, 30, 3))
    ids = {m["Attributes"]["MessageDeduplicationId"] for m in messages}
    assert ids == {str(s.delivery_id) for s in shipments}


async def test_a_queue_that_is_not_there_fails_at_once(sink: SqsSink) -> None:
    sent = await sink.send(sqs_shipment("nowhere"))
    assert (sent.verdict, sent.error) == (Verdict.REJECTED, ErrorKind.QUEUE)
    assert sent.status_code == 400
    assert b"NonExistentQueue" in sent.response


async def test_a_queues_own_limit_refuses_the_large_ones_only(
    sink: SqsSink, consumer: Consumer
) -> None:
    url = consumer.create("small", MaximumMessageSize="1024")
    large = json.dumps({"a": "x" * 2000}).encode()
    sent = await asyncio.gather(
        sink.send(sqs_shipment("small", number=1)),
        sink.send(sqs_shipment("small", body=large)),
        sink.send(sqs_shipment("small", number=2)),
    )
    assert [s.verdict for s in sent] == [
        Verdict.DELIVERED,
        Verdict.TOO_LARGE,
        Verdict.DELIVERED,
    ]
    assert len(await asyncio.to_thread(consumer.read, url, 2)) == 2


async def test_the_limit_counts_as_the_service_counts(sink: SqsSink, consumer: Consumer) -> None:
    url = consumer.create("brim")
    body = json.dumps({"a": "x" * 1_048_200}).encode()
    assert (await sink.send(sqs_shipment("brim", body=body))).verdict is Verdict.DELIVERED
    beyond = json.dumps({"a": "x" * 1_048_560}).encode()
    assert (await sink.send(sqs_shipment("brim", body=beyond))).verdict is Verdict.TOO_LARGE
    (message,) = await asyncio.to_thread(consumer.read, url, 1)
    assert is_verified(message)
