import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from hookline.domain.ids import new_webhook_secret
from hookline.security.signatures import (
    standard_webhooks,
    verify_standard_webhooks,
    verify_x_signature,
    x_signature,
)

PRESENCE = Path(__file__).parents[1] / "events" / "documented" / "presence-telephony.json"
SECRET = "abcdefghijABCDEFGHIJ0123456789AB"
OLD_SECRET = "ZYXWVUTSRQzyxwvutsrq9876543210zy"
BODY = '{"text":"Grüezi — 你好"}'.encode()
SECRETS = st.text("abcXYZ0189", min_size=32, max_size=32)


def now() -> int:
    return int(datetime.now(UTC).timestamp())


def headers(signature: str, *, at: int, message_id: str = "msg-1") -> dict[str, str]:
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": signature,
    }


def verify(given: str, *, timestamp: str = "1000", now: float = 1000, body: bytes = BODY) -> bool:
    return verify_standard_webhooks(
        SECRET, message_id="msg-1", timestamp=timestamp, body=body, given=given, now=now
    )


def test_the_known_vector_of_x_signature() -> None:
    event = json.loads(PRESENCE.read_text(encoding="utf-8"))
    body = json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode()
    assert len(body) == 245
    assert (
        x_signature("abcdefghijABCDEFGHIJ0123456789", body)
        == "3d391a648696f3f7a8247f8c31adea9a9ad3b4ff708e1565026cc22cfbd95d74"
    )


@given(secret=SECRETS, body=st.text(max_size=200))
def test_the_reference_library_verifies_what_is_signed(secret: str, body: str) -> None:
    document = json.dumps({"text": body}, ensure_ascii=True)
    at = now()
    signature = standard_webhooks([secret], "msg-1", at, document.encode())
    received = Webhook(f"whsec_{secret}").verify(document, headers(signature, at=at))
    assert received == {"text": body}


@pytest.mark.parametrize("receiver_secret", [SECRET, OLD_SECRET])
def test_both_secrets_sign_during_a_rotation(receiver_secret: str) -> None:
    at = now()
    signature = standard_webhooks([SECRET, OLD_SECRET], "msg-1", at, BODY)
    assert len(signature.split(" ")) == 2
    assert Webhook(f"whsec_{receiver_secret}").verify(BODY, headers(signature, at=at))


def test_the_reference_library_refuses_another_message_id() -> None:
    at = now()
    signature = standard_webhooks([SECRET], "msg-1", at, BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY, headers(signature, at=at, message_id="msg-2"))


def test_what_the_reference_library_signs_is_verified() -> None:
    at = datetime.fromtimestamp(1000, tz=UTC)
    signature = Webhook(SECRET).sign("msg-1", at, BODY.decode())
    assert verify(signature)
    assert signature == standard_webhooks([SECRET], "msg-1", 1000, BODY)


def test_a_secret_with_the_libraries_prefix_is_the_same_secret() -> None:
    assert standard_webhooks([f"whsec_{SECRET}"], "m", 1, BODY) == standard_webhooks(
        [SECRET], "m", 1, BODY
    )


def test_every_secret_that_hookline_makes_signs_both_ways() -> None:
    secret = new_webhook_secret()
    assert verify_x_signature(secret, BODY, x_signature(secret, BODY))
    assert standard_webhooks([secret], "m", 1, BODY).startswith("v1,")


def test_one_of_several_signatures_is_enough() -> None:
    assert verify(f"v1,AAAA v2,xyz {standard_webhooks([SECRET], 'msg-1', 1000, BODY)}")


@pytest.mark.parametrize("clock", [699, 1301])
def test_a_signature_beyond_the_tolerance_is_refused(clock: float) -> None:
    assert not verify(standard_webhooks([SECRET], "msg-1", 1000, BODY), now=clock)


@pytest.mark.parametrize("timestamp", ["", "x", "-1", "1000.0", "١٠٠٠", "1" * 5000, "1001"])
def test_a_timestamp_that_was_not_signed_is_refused(timestamp: str) -> None:
    signature = standard_webhooks([SECRET], "msg-1", 1000, BODY)
    assert not verify(signature, timestamp=timestamp)


@pytest.mark.parametrize("given", ["", " ", "v1,", "v1", "é", "\ud800", "v2,AAAA"])
def test_a_header_of_nonsense_is_no_signature(given: str) -> None:
    assert not verify(given)
    assert not verify_x_signature(SECRET, BODY, given)


def test_a_changed_body_holds_neither_signature() -> None:
    assert not verify_x_signature(SECRET, BODY + b" ", x_signature(SECRET, BODY))
    assert not verify(standard_webhooks([SECRET], "msg-1", 1000, BODY), body=BODY + b" ")


@pytest.mark.parametrize("secret", ["abcdefghijABCDEFGHIJ0123456789", "not base64!"])
def test_a_secret_that_is_not_base64_is_told_without_being_told(secret: str) -> None:
    with pytest.raises(ValueError, match="not base64") as caught:
        standard_webhooks([secret], "m", 1, BODY)
    assert secret not in str(caught.value)
