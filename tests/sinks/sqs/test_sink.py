import asyncio
import json
import threading

import pytest
from msgspec.structs import replace

from hookline.domain.deliveries import ErrorKind, Verdict
from hookline.domain.targets import WebhookTarget
from hookline.sinks.sqs import SqsSink
from hookline.sinks.sqs.clients import Client, ClientKey
from hookline.sinks.sqs.sink import AwsMaker
from sinks.contract import delivers, fails_as, forgets
from support.sqs_fake import Entry, FakeSqs, error, half, refusing, slow
from support.sqs_shipments import SECRET, is_signed, number_of, sqs_shipment


async def test_a_message_is_taken_and_signed_each_time_alike(fake: FakeSqs, sink: SqsSink) -> None:
    shipment = sqs_shipment()
    sent = await delivers(sink, shipment)
    assert (sent.status_code, sent.response) == (200, b"MessageId m-2-0")
    first, entry = fake.taken["orders"]
    assert first == entry
    assert entry["MessageBody"].encode() == shipment.body
    assert is_signed(entry["MessageBody"], entry["MessageAttributes"]["X-SIGNATURE"]["StringValue"])


async def test_ten_thousand_messages_arrive_once_each_and_verified(
    fake: FakeSqs, sink: SqsSink
) -> None:
    rest = iter(range(10_000))

    async def lane() -> None:
        for number in rest:
            assert (await sink.send(sqs_shipment(number=number))).verdict is Verdict.DELIVERED

    await asyncio.gather(*(lane() for _ in range(100)))
    taken = fake.taken["orders"]
    assert sorted(number_of(entry) for entry in taken) == list(range(10_000))
    assert all(
        is_signed(e["MessageBody"], e["MessageAttributes"]["X-SIGNATURE"]["StringValue"])
        for e in taken
    )
    assert fake.counts["calls"] < 2_000  # gathered, tens mostly


async def test_messages_of_a_moment_share_a_request(fake: FakeSqs, sink: SqsSink) -> None:
    await asyncio.gather(*(sink.send(sqs_shipment(number=n)) for n in range(25)))
    assert sorted(len(call.entries) for call in fake.calls) == [5, 10, 10]
    assert {call.action for call in fake.calls} == {"SendMessageBatch"}


async def test_the_body_arrives_byte_for_byte_whatever_is_in_it(
    fake: FakeSqs, sink: SqsSink
) -> None:
    body = '{"a":"é😀\u2028\\u0000\\ud800\x7f</script>\\"","n":1e+21}'.encode()
    await sink.send(sqs_shipment(body=body))
    assert fake.taken["orders"][0]["MessageBody"].encode() == body


async def test_half_of_a_batch_refused_spoils_no_other(fake: FakeSqs, sink: SqsSink) -> None:
    def odd(entry: Entry) -> tuple[str, str, bool] | None:
        return ("InternalError", "try again", False) if number_of(entry) % 2 else None

    fake.misbehave(refusing(odd))
    sent = await asyncio.gather(*(sink.send(sqs_shipment(number=n)) for n in range(10)))
    assert [s.verdict for s in sent] == [Verdict.DELIVERED, Verdict.RETRY] * 5
    assert {s.error for s in sent[1::2]} == {ErrorKind.SERVICE}
    assert len(fake.calls) == 1


async def test_a_message_that_has_its_whole_batch_refused_spoils_no_other_either(
    fake: FakeSqs, sink: SqsSink
) -> None:
    fake.always(
        "orders",
        lambda call: (
            error("InvalidMessageContents")(call)
            if any(number_of(entry) == 3 for entry in call.entries)
            else half(call, lambda _: None)
        ),
    )
    sent = await asyncio.gather(*(sink.send(sqs_shipment(number=n)) for n in range(10)))
    assert [s.verdict for s in sent] == [
        Verdict.REJECTED if n == 3 else Verdict.DELIVERED for n in range(10)
    ]
    assert sorted(map(number_of, fake.taken["orders"])) == [n for n in range(10) if n != 3]


async def test_a_throttled_batch_is_sent_once_and_not_split(fake: FakeSqs, sink: SqsSink) -> None:
    fake.misbehave(error("RequestThrottled"))
    sent = await asyncio.gather(*(sink.send(sqs_shipment(number=n)) for n in range(10)))
    assert {(s.verdict, s.error) for s in sent} == {(Verdict.RETRY, ErrorKind.THROTTLED)}
    assert len(fake.calls) == 1


async def test_over_the_limit_is_too_large_without_being_sent(fake: FakeSqs) -> None:
    sink = SqsSink(timeout=5, endpoint_url=fake.url, max_message_bytes=1024)
    shipment = sqs_shipment(body=json.dumps({"a": "x" * 1024}).encode())
    sent = await fails_as(sink, shipment, Verdict.TOO_LARGE, ErrorKind.TOO_LARGE)
    assert b"the limit is 1024" in sent.response
    assert sent.body_bytes == len(shipment.body)
    assert not fake.calls
    await sink.aclose()


async def test_attributes_count_towards_the_limit(fake: FakeSqs) -> None:
    sink = SqsSink(timeout=5, endpoint_url=fake.url, max_message_bytes=1024)
    body = json.dumps({"a": "x" * 1000}).encode()
    assert len(body) < 1024
    assert (await sink.send(sqs_shipment(body=body))).verdict is Verdict.TOO_LARGE
    await sink.aclose()


async def test_large_messages_go_in_batches_below_the_limit(fake: FakeSqs, sink: SqsSink) -> None:
    body = json.dumps({"a": "x" * 400_000}).encode()
    sent = await asyncio.gather(*(sink.send(sqs_shipment(body=body)) for _ in range(5)))
    assert {s.verdict for s in sent} == {Verdict.DELIVERED}
    assert sorted(len(call.entries) for call in fake.calls) == [1, 2, 2]


async def test_a_queues_own_smaller_limit_is_too_large(fake: FakeSqs, sink: SqsSink) -> None:
    fake.misbehave(error("InvalidParameterValue", "Message must be shorter than 1024 bytes."))
    assert (await sink.send(sqs_shipment())).verdict is Verdict.TOO_LARGE


async def test_a_url_that_is_no_queues_is_blocked_at_send(fake: FakeSqs, sink: SqsSink) -> None:
    for url in ("https://169.254.169.254/123456789012/q", "http://localhost/123456789012/q", ""):
        sent = await fails_as(sink, sqs_shipment(url=url), Verdict.BLOCKED, ErrorKind.BLOCKED)
        assert sent.status_code is None
        assert sent.response
    assert not fake.calls


async def test_one_dead_queue_among_ten_leaves_the_nine_alone(fake: FakeSqs) -> None:
    sink = SqsSink(timeout=6, endpoint_url=fake.url)  # it closes when the dead ones time out
    fake.always("dead", slow(60))
    dead = [asyncio.create_task(sink.send(sqs_shipment("dead", number=n))) for n in range(200)]
    try:
        alive = [sink.send(sqs_shipment(f"q{n % 9}", number=n)) for n in range(900)]
        assert {s.verdict for s in await asyncio.gather(*alive)} == {Verdict.DELIVERED}
        assert not any(task.done() for task in dead)
    finally:
        for task in dead:
            task.cancel()
        await asyncio.gather(*dead, return_exceptions=True)
        await sink.aclose()


async def test_a_standard_queue_gets_no_group(fake: FakeSqs, sink: SqsSink) -> None:
    await sink.send(sqs_shipment())
    assert "MessageGroupId" not in fake.taken["orders"][0]


async def test_a_fifo_queue_gets_subject_and_delivery(fake: FakeSqs, sink: SqsSink) -> None:
    shipment = sqs_shipment("calls.fifo", subject="call-7")
    await sink.send(shipment)
    (entry,) = fake.taken["calls.fifo"]
    assert entry["MessageGroupId"] == "call-7"
    assert entry["MessageDeduplicationId"] == str(shipment.delivery_id)


async def test_the_events_of_a_call_arrive_in_order(fake: FakeSqs, sink: SqsSink) -> None:
    shipments = [sqs_shipment("calls.fifo", subject=f"call-{n % 7}", number=n) for n in range(210)]
    await asyncio.gather(*map(sink.send, shipments))
    by_call: dict[str, list[int]] = {}
    for entry in fake.taken["calls.fifo"]:
        by_call.setdefault(entry["MessageGroupId"], []).append(number_of(entry))
    assert len(by_call) == 7
    assert all(numbers == sorted(numbers) for numbers in by_call.values())
    assert sum(map(len, by_call.values())) == 210


async def test_a_failed_message_of_a_call_is_not_overtaken(fake: FakeSqs, sink: SqsSink) -> None:
    def third(entry: Entry) -> tuple[str, str, bool] | None:
        return ("InternalError", "try again", False) if number_of(entry) == 3 else None

    fake.always("calls.fifo", refusing(third))
    shipments = [sqs_shipment("calls.fifo", number=n) for n in range(1, 7)]
    first = await asyncio.gather(*map(sink.send, shipments))
    assert [s.verdict for s in first] == [Verdict.DELIVERED] * 2 + [Verdict.RETRY] * 4
    assert b"Not sent" in first[-1].response
    fake.always("calls.fifo", refusing(lambda _: None))
    await asyncio.gather(*map(sink.send, shipments[2:]))
    assert [number_of(entry) for entry in fake.taken["calls.fifo"]] == [1, 2, 3, 4, 5, 6]


async def test_a_retry_carries_the_same_bytes_and_ids(fake: FakeSqs, sink: SqsSink) -> None:
    fake.misbehave(error("InternalError", status=500))
    shipment = sqs_shipment("calls.fifo")
    assert (await sink.send(shipment)).verdict is Verdict.RETRY
    assert (await sink.send(shipment)).verdict is Verdict.DELIVERED
    first, second = (call.entries[0] for call in fake.calls)
    assert first == second


async def test_two_keys_of_one_queue_sign_for_themselves(fake: FakeSqs, sink: SqsSink) -> None:
    await asyncio.gather(*(sink.send(sqs_shipment(key=f"AKIA{n}")) for n in range(3)))
    used = {call.headers["authorization"].split("Credential=")[1][:5] for call in fake.calls}
    assert used == {"AKIA0", "AKIA1", "AKIA2"}
    assert all("/eu-central-1/sqs/aws4_request" in c.headers["authorization"] for c in fake.calls)


async def test_after_forgetting_a_target_the_next_message_connects_anew(
    fake: FakeSqs, sink: SqsSink
) -> None:
    await forgets(sink, sqs_shipment())
    assert fake.connections == 2


async def test_the_time_in_which_a_client_is_made_is_not_the_queues(
    fake: FakeSqs, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = threading.Event()

    def make(maker: AwsMaker, key: ClientKey) -> Client:
        made.wait(60)
        return usual(maker, key)

    usual = AwsMaker.__call__
    monkeypatch.setattr(AwsMaker, "__call__", make)
    sink = SqsSink(timeout=2.5, endpoint_url=fake.url)
    sending = asyncio.create_task(sink.send(sqs_shipment()))
    done, _ = await asyncio.wait({sending}, timeout=3.0)
    assert not done
    made.set()
    assert (await sending).verdict is Verdict.DELIVERED
    await sink.aclose()


async def test_forgetting_what_was_never_a_queue_is_nothing(sink: SqsSink) -> None:
    await sink.forget(sqs_shipment(url="https://localhost/x").target)
    await sink.forget(WebhookTarget("https://example.com", ("s",)))


async def test_after_closing_nothing_is_sent(fake: FakeSqs) -> None:
    sink = SqsSink(timeout=5, endpoint_url=fake.url)
    await sink.send(sqs_shipment())
    await sink.aclose()
    assert (await sink.send(sqs_shipment())).verdict is Verdict.INTERNAL
    assert len(fake.calls) == 1


async def test_a_cancelled_send_takes_nothing_else_with_it(fake: FakeSqs, sink: SqsSink) -> None:
    fake.always("orders", slow(0.1))
    sending = [asyncio.create_task(sink.send(sqs_shipment(number=n))) for n in range(10)]
    await fake.called.wait()
    sending[0].cancel()
    rest = await asyncio.gather(*sending[1:])
    assert {s.verdict for s in rest} == {Verdict.DELIVERED}
    assert sending[0].cancelled()


async def test_nothing_is_kept_of_queues_without_work(fake: FakeSqs, sink: SqsSink) -> None:
    await asyncio.gather(*(sink.send(sqs_shipment(f"q{n}.fifo")) for n in range(20)))
    await asyncio.sleep(0)
    assert not sink._gatherers
    assert len(fake.calls) == 20


async def test_the_secret_is_in_no_answer(fake: FakeSqs, sink: SqsSink) -> None:
    fake.misbehave(error("SignatureDoesNotMatch", f"oh {SECRET} no", status=403))
    sent = await sink.send(sqs_shipment())
    assert sent.verdict is Verdict.REJECTED
    assert SECRET.encode() not in sent.response
    assert SECRET not in repr(sent)


async def test_a_shipment_to_something_else_is_a_fault_of_the_caller(sink: SqsSink) -> None:
    wrong = replace(sqs_shipment(), target=WebhookTarget("https://example.com", ("s",)))
    with pytest.raises(TypeError, match="WebhookTarget"):
        await sink.send(wrong)
