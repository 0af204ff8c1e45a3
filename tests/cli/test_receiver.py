import base64
import hashlib
import hmac
import time
from pathlib import Path

import orjson
import pytest
from standardwebhooks import Webhook

from hookline.cli.listen import Check, javascript_round_trip, verify

EVENTS = Path(__file__).parents[1] / "events"
SECRET = "abcdefghijABCDEFGHIJ0123456789xy"
KNOWN_SECRET = "abcdefghijABCDEFGHIJ0123456789"
KNOWN_SIGNATURE = "3d391a648696f3f7a8247f8c31adea9a9ad3b4ff708e1565026cc22cfbd95d74"


def x_signature(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def standard_headers(secret: str, body: bytes, *, sent_at: float | None = None) -> dict[str, str]:
    timestamp = str(int(sent_at if sent_at is not None else time.time()))
    signed = f"msg_1.{timestamp}.".encode() + body
    digest = hmac.new(base64.b64decode(secret), signed, hashlib.sha256).digest()
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def test_the_documented_signature_holds_both_ways() -> None:
    event = EVENTS / "documented" / "presence-telephony.json"
    body = orjson.dumps(orjson.loads(event.read_bytes()))

    found = verify(KNOWN_SECRET, {"x-signature": KNOWN_SIGNATURE}, body)

    assert (found.raw, found.javascript) == (Check.HOLDS, Check.HOLDS)
    assert found.standard is Check.MISSING
    assert not found.holds


@pytest.mark.parametrize("secret", [SECRET, f"whsec_{SECRET}"])
def test_a_delivery_with_both_signatures_holds(secret: str) -> None:
    body = b'{"type":"call:completed","data":{}}'
    headers = {"x-signature": x_signature(SECRET, body), **standard_headers(SECRET, body)}

    assert verify(secret, headers, body).holds


def test_what_javascript_prints_otherwise_holds_over_the_raw_body_alone() -> None:
    body = b'{"type": "call:completed", "data": {"b": 1.0}}'

    found = verify(SECRET, {"x-signature": x_signature(SECRET, body)}, body)

    assert (found.raw, found.javascript) == (Check.HOLDS, Check.FAILS)


@pytest.mark.parametrize("body", [b"", b"not json", b"\xff", b"[" * 500])
def test_what_javascript_cannot_parse_never_holds_its_way(body: bytes) -> None:
    assert javascript_round_trip(body) is None
    found = verify(SECRET, {"x-signature": x_signature(SECRET, body)}, body)
    assert (found.raw, found.javascript) == (Check.HOLDS, Check.FAILS)


def test_another_secret_fails_every_check() -> None:
    body = b'{"type":"call:completed"}'
    other = SECRET.swapcase()
    headers = {"x-signature": x_signature(other, body), **standard_headers(other, body)}

    found = verify(SECRET, headers, body)

    assert {found.raw, found.javascript, found.standard} == {Check.FAILS}


def test_a_stale_timestamp_fails_as_it_does_in_the_reference_library() -> None:
    body = b"{}"
    headers = standard_headers(SECRET, body, sent_at=time.time() - 3_600)

    assert verify(SECRET, headers, body).standard is Check.FAILS
    with pytest.raises(Exception, match="too old"):
        Webhook(f"whsec_{SECRET}").verify(body, headers)


@pytest.mark.parametrize("age", [-301, 302])
def test_a_timestamp_beyond_the_tolerance_fails(age: float) -> None:
    headers = standard_headers(SECRET, b"{}", sent_at=time.time() - age)

    assert verify(SECRET, headers, b"{}").standard is Check.FAILS


@pytest.mark.parametrize(
    "timestamp", ["", "x", "-1", "1000.0", "١٠٠٠", "1" * 400, "1" * 5000, "+{now}"]
)
def test_a_timestamp_that_was_not_signed_fails(timestamp: str) -> None:
    headers = standard_headers(SECRET, b"{}")
    headers["webhook-timestamp"] = timestamp.format(now=headers["webhook-timestamp"])

    assert verify(SECRET, headers, b"{}").standard is Check.FAILS


@pytest.mark.parametrize("given", ["", " ", "v1,", "v1", "é", "v2,AAAA"])
def test_a_header_of_nonsense_is_no_signature(given: str) -> None:
    headers = standard_headers(SECRET, b"{}") | {"x-signature": given, "webhook-signature": given}

    found = verify(SECRET, headers, b"{}")

    assert {found.raw, found.javascript, found.standard} == {Check.FAILS}


def test_a_changed_body_fails_every_check() -> None:
    headers = {"x-signature": x_signature(SECRET, b"{}"), **standard_headers(SECRET, b"{}")}

    found = verify(SECRET, headers, b"[]")

    assert {found.raw, found.javascript, found.standard} == {Check.FAILS}


def test_one_of_two_signatures_is_enough_while_a_secret_rotates() -> None:
    body = b"{}"
    headers = standard_headers(SECRET, body)
    headers["webhook-signature"] = f"v1,AAAA {headers['webhook-signature']} v2,other"

    assert verify(SECRET, headers, body).standard is Check.HOLDS
    Webhook(f"whsec_{SECRET}").verify(body, headers)


@pytest.mark.parametrize("secret", ["not base64!", "å"])
def test_a_secret_that_is_no_base64_fails_standard_webhooks_only(secret: str) -> None:
    body = b"{}"
    headers = {"x-signature": x_signature(secret, body), **standard_headers(SECRET, body)}

    found = verify(secret, headers, body)

    assert (found.raw, found.standard) == (Check.HOLDS, Check.FAILS)


def test_without_a_secret_nothing_is_claimed() -> None:
    found = verify(None, {"x-signature": "00"}, b"{}")

    assert found.raw is Check.UNCHECKED
    assert found.standard is Check.MISSING
    assert not found.holds
