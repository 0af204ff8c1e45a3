import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from hookline.domain.deliveries import ErrorKind
from hookline.domain.targets import SqsTarget
from hookline.sinks import Shipment
from hookline.sinks.sqs.messages import Entry, entry_for, group_of, sendable
from support.sqs_shipments import is_signed, sqs_shipment


def entry_of(shipment: Shipment, *, group: str | None = None) -> tuple[Entry, int]:
    assert isinstance(shipment.target, SqsTarget)
    return entry_for(shipment, shipment.target, group=group)


def allowed(character: str) -> bool:
    """Say whether SQS takes a character, in the words of SendMessage's reference."""
    code = ord(character)
    return (
        code in {0x9, 0xA, 0xD}
        or 0x20 <= code <= 0xD7FF
        or 0xE000 <= code <= 0xFFFD
        or 0x10000 <= code <= 0x10FFFF
    )


def test_the_two_characters_that_sqs_refuses_are_escaped_and_the_json_stays_equal() -> None:
    body = '{"a":"x\ufffey","\uffff":"\ufffd"}'.encode()
    sent = sendable(body)
    assert sent == '{"a":"x\\ufffey","\\uffff":"\ufffd"}'.encode()
    assert json.loads(sent) == json.loads(body)


def test_a_body_without_them_stays_the_same_object() -> None:
    body = '{"a":"\x7f\x85\u2028\ufffd\U0001fffe😀"}'.encode()
    assert sendable(body) is body


@given(st.dictionaries(st.text(), st.text()))
def test_whatever_text_is_in_it_sqs_takes_the_body_and_reads_the_same_from_it(
    data: dict[str, str],
) -> None:
    body = json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    sent = sendable(body).decode()
    assert all(allowed(character) for character in sent)
    assert json.loads(sent) == data


def test_the_signature_covers_the_exact_bytes_that_are_sent() -> None:
    entry, _ = entry_of(sqs_shipment(body='{"a":"\uffff"}'.encode()))
    attributes = entry["MessageAttributes"]
    assert entry["MessageBody"] == '{"a":"\\uffff"}'
    assert is_signed(entry["MessageBody"], attributes["X-SIGNATURE"]["StringValue"])
    assert attributes["X-SIGNATURE"]["DataType"] == "String"


def test_a_consumer_can_route_by_type_pbx_and_company_without_parsing() -> None:
    entry, _ = entry_of(sqs_shipment())
    values = {name: a["StringValue"] for name, a in entry["MessageAttributes"].items()}
    del values["X-SIGNATURE"]
    assert values == {
        "type": "call:completed",
        "pbx": "000000000001",
        "company": "it_w000001",
        "webhook-attempt": "1",
    }


def test_a_message_that_is_sent_again_says_why() -> None:
    shipment = replace(sqs_shipment(), attempt=2, retry_reason=ErrorKind.THROTTLED)
    attributes = entry_of(shipment)[0]["MessageAttributes"]
    assert attributes["webhook-attempt"]["StringValue"] == "2"
    assert attributes["webhook-retry-reason"]["StringValue"] == "throttled"


def test_an_event_without_a_pbx_has_no_such_attribute() -> None:
    entry, _ = entry_of(sqs_shipment(pbx=None))
    assert set(entry["MessageAttributes"]) == {"X-SIGNATURE", "type", "company", "webhook-attempt"}


def test_what_sqs_refuses_in_an_attribute_is_escaped_too() -> None:
    entry, _ = entry_of(sqs_shipment(pbx="a\x00b\ud800"))
    assert entry["MessageAttributes"]["pbx"]["StringValue"] == "a\\u0000b\\ud800"


def test_the_size_is_what_sqs_counts() -> None:
    entry, size = entry_of(sqs_shipment(body='{"a":"é😀"}'.encode()))
    counted = len(entry["MessageBody"].encode()) + sum(
        len(name) + len(a["DataType"]) + len(a["StringValue"].encode())
        for name, a in entry["MessageAttributes"].items()
    )
    assert size == counted


def test_a_fifo_message_carries_its_group_and_the_deliverys_id() -> None:
    shipment = sqs_shipment()
    entry, _ = entry_of(shipment, group="g")
    assert entry["MessageGroupId"] == "g"
    assert entry["MessageDeduplicationId"] == str(shipment.delivery_id)


def test_a_standard_message_carries_neither() -> None:
    entry, _ = entry_of(sqs_shipment())
    assert set(entry) == {"MessageBody", "MessageAttributes"}


@pytest.mark.parametrize("subject", ["call-1", "it_w000001_102", "a" * 128, "!\"#$%&'()*+,-./:;~"])
def test_a_subject_that_sqs_takes_is_its_own_group(subject: str) -> None:
    assert group_of(subject) == subject


@pytest.mark.parametrize("subject", ["", "a b", "a" * 129, "käse", "x\n", "\ud800"])
def test_any_other_subject_has_a_group_of_its_own_all_the_same(subject: str) -> None:
    group = group_of(subject)
    assert group == group_of(subject)
    assert group != group_of(subject + "x")
    assert len(group) <= 128
    assert group.isascii()
    assert " " not in group
