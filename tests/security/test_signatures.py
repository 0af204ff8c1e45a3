import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from hookline.domain.ids import new_webhook_secret
from hookline.security.signatures import Signer, x_signature

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
    signature = Signer([secret]).standard_webhooks("msg-1", at, document.encode())
    received = Webhook(f"whsec_{secret}").verify(document, headers(signature, at=at))
    assert received == {"text": body}


@pytest.mark.parametrize("receiver_secret", [SECRET, OLD_SECRET])
def test_both_secrets_sign_during_a_rotation(receiver_secret: str) -> None:
    at = now()
    signature = Signer([SECRET, OLD_SECRET]).standard_webhooks("msg-1", at, BODY)
    assert len(signature.split(" ")) == 2
    assert Webhook(f"whsec_{receiver_secret}").verify(BODY, headers(signature, at=at))


def test_the_reference_library_refuses_another_message_id() -> None:
    at = now()
    signature = Signer([SECRET]).standard_webhooks("msg-1", at, BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(BODY, headers(signature, at=at, message_id="msg-2"))


def test_the_reference_library_signs_alike() -> None:
    at = datetime.fromtimestamp(1000, tz=UTC)
    signature = Webhook(SECRET).sign("msg-1", at, BODY.decode())
    assert signature == Signer([SECRET]).standard_webhooks("msg-1", 1000, BODY)


def test_a_secret_with_the_libraries_prefix_is_the_same_secret() -> None:
    assert Signer([f"whsec_{SECRET}"]).standard_webhooks("m", 1, BODY) == Signer(
        [SECRET]
    ).standard_webhooks("m", 1, BODY)


def test_every_secret_that_hookline_makes_signs_both_ways() -> None:
    secret = new_webhook_secret()
    assert Signer([secret]).x_signature(BODY) == x_signature(secret, BODY)
    assert Signer([secret]).standard_webhooks("m", 1, BODY).startswith("v1,")


@pytest.mark.parametrize("secret", ["abcdefghijABCDEFGHIJ0123456789", "not base64!"])
def test_a_secret_that_is_not_base64_is_told_without_being_told(secret: str) -> None:
    with pytest.raises(ValueError, match="not base64") as caught:
        Signer([secret]).standard_webhooks("m", 1, BODY)
    assert secret not in str(caught.value)
