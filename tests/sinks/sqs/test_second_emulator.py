import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest

from hookline.domain.deliveries import ErrorKind, Verdict
from hookline.sinks.sqs import SqsSink
from support.second_emulator import second_emulator
from support.sqs_consumer import Consumer, is_verified
from support.sqs_shipments import sqs_shipment


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    with second_emulator() as url:
        yield url


@pytest.fixture(scope="module")
def consumer(emulator: str) -> Iterator[Consumer]:
    consumer = Consumer(emulator)
    yield consumer
    consumer.close()


@pytest.fixture
async def sink(emulator: str) -> AsyncIterator[SqsSink]:
    sink = SqsSink(timeout=20, endpoint_url=emulator)
    yield sink
    await sink.aclose()


async def test_a_hundred_messages_arrive_once_each_verified(
    sink: SqsSink, consumer: Consumer
) -> None:
    url = await asyncio.to_thread(consumer.create, "many")
    sent = await asyncio.gather(*(sink.send(sqs_shipment("many", number=n)) for n in range(100)))
    assert {s.verdict for s in sent} == {Verdict.DELIVERED}
    messages = await asyncio.to_thread(consumer.read, url, 100)
    assert sorted(json.loads(m["Body"])["data"]["n"] for m in messages) == list(range(100))
    assert all(map(is_verified, messages))


async def test_a_fifo_queue_keeps_each_calls_order(sink: SqsSink, consumer: Consumer) -> None:
    url = await asyncio.to_thread(lambda: consumer.create("calls.fifo", FifoQueue="true"))
    shipments = [sqs_shipment("calls.fifo", subject=f"call {n % 3}", number=n) for n in range(30)]
    await asyncio.gather(*map(sink.send, shipments))
    messages = await asyncio.to_thread(consumer.read, url, 30)
    bodies = [json.loads(m["Body"]) for m in messages]
    for call in range(3):
        numbers = [body["data"]["n"] for body in bodies if body["id"] == f"call {call}"]
        assert numbers == list(range(call, 30, 3))


async def test_a_queue_that_does_not_exist_is_told_at_once(sink: SqsSink) -> None:
    sent = await sink.send(sqs_shipment("nowhere"))
    assert (sent.verdict, sent.error) == (Verdict.REJECTED, ErrorKind.QUEUE)
