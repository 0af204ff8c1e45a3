"""Things that tests need made: documents as callers send them, keys and principals."""

import json
from pathlib import Path
from typing import Any

from hookline.domain.access import Principal, Role
from hookline.domain.ids import new_uuid

PBX = "000000000001"
COMPANY = "it_w000001"
ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
QUEUE_URL = "https://sqs.eu-central-1.amazonaws.com/123456789012/pbx-events"

_EVENTS = Path(__file__).parent / "events"

Json = dict[str, Any]  # Any: a JSON document


def a_webhook(**changes: object) -> Json:
    """Return what creates a webhook integration of PBX; `url` and `headers` go inside."""
    transmission: Json = {"type": "WEBHOOK", "url": changes.pop("url", "https://crm.example.com/")}
    if (headers := changes.pop("headers", None)) is not None:
        transmission["headers"] = headers
    document = {
        "pbx": PBX,
        "name": "CRM",
        "transmission": transmission,
        "events": {"call": "all", "analytics": ["call:completed"]},
    }
    return document | changes


def a_queue(**changes: object) -> Json:
    """Return what creates an AWS_SQS integration of PBX."""
    transmission = {
        "type": "AWS_SQS",
        "url": QUEUE_URL,
        "accessKeyId": ACCESS_KEY_ID,
        "secretAccessKey": SECRET_ACCESS_KEY,
    }
    return a_webhook() | {"name": "Queue", "transmission": transmission} | changes


def an_event(**changes: object) -> Json:
    """Return an envelope as a PBX sends it; None leaves a field out."""
    document = {
        "id": "1721836787.1",
        "pbx": PBX,
        "company": COMPANY,
        "time": 1_721_836_787_753,
        "type": "call:completed",
        "data": {"direction": "inbound"},
    }
    return {name: value for name, value in (document | changes).items() if value is not None}


def sample_events() -> list[Json]:
    """Return every real event there is, as it would be sent: without `integrationId`."""
    documents = [json.loads(path.read_bytes()) for path in sorted(_EVENTS.glob("*/*.json"))]
    for document in documents:
        document.pop("integrationId", None)
    return documents


def a_principal(
    role: Role = Role.ADMIN, *, pbx: str | None = None, company: str | None = None
) -> Principal:
    """Return somebody who was recognised."""
    return Principal(new_uuid(), role, "a test", pbx, company)
