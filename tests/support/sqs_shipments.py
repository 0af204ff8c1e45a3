"""Shipments for queues, and what a consumer of one checks, written as a consumer would."""

import hashlib
import hmac
import json
from typing import Any
from uuid import UUID

from hookline.domain.ids import new_uuid
from hookline.domain.targets import SqsTarget
from hookline.sinks import Shipment

ACCOUNT = "123456789012"
REGION = "eu-central-1"
KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def queue_url(name: str) -> str:
    """Return the URL of a queue as the AWS console shows it."""
    return f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}"


def sqs_shipment(
    queue: str = "orders",
    *,
    body: bytes | None = None,
    subject: str = "call-1",
    number: int = 0,
    url: str | None = None,
    key: str = KEY,
    pbx: str | None = "000000000001",
    delivery_id: UUID | None = None,
) -> Shipment:
    """Return a shipment to a queue; `number` lands in its body."""
    plain = {
        "id": subject,
        "company": "it_w000001",
        "type": "call:completed",
        "data": {"n": number},
    }
    return Shipment(
        delivery_id=delivery_id or new_uuid(),
        body=json.dumps(plain, separators=(",", ":")).encode() if body is None else body,
        target=SqsTarget(queue_url(queue) if url is None else url, key, SECRET),
        event_type="call:completed",
        subject=subject,
        pbx=pbx,
        company="it_w000001",
    )


def is_signed(body: str, signature: str, secret: str = SECRET) -> bool:
    """Check a message the way the vendor's guide tells consumers to."""
    expected = hmac.new(secret.encode(), body.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, signature)


def number_of(entry: dict[str, Any]) -> int:
    """Return the number that a taken or refused entry carries."""
    number: int = json.loads(entry["MessageBody"])["data"]["n"]
    return number
