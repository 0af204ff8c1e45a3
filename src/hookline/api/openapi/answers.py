"""Example responses: one for each operation, and one for each kind of problem.

A test holds each to its schema, and every operation to having one.
"""

from typing import Final

from hookline.api.openapi.examples import (
    BUSY,
    CURSOR,
    DELIVERED,
    DELIVERY,
    ERASURE,
    EVENT,
    HEALTHY,
    KEY,
    PARKED,
    PBX,
    PENDING,
    PRESENCE,
    QUEUE,
    QUIET,
    REPLAY,
    SECRET,
    SIGNING,
    SYSTEM,
    WEBHOOK,
    Answer,
)
from hookline.api.problems import INTERNAL, KINDS, OF_HTTP, Kind

ANSWERS: Final[dict[str, object]] = {
    "listEventTypes": {
        "groups": [
            {
                "name": "presence",
                "title": "Presence",
                "description": "What users are doing: their status, their telephone and the "
                "conferences they are in.",
                "types": [
                    {
                        "name": "presence:telephony",
                        "group": "presence",
                        "title": "Telephone status",
                        "description": "What a user's telephone does changes.",
                        "format": "json",
                        "licensed": True,
                        "builtIn": True,
                        "example": PRESENCE,
                    }
                ],
            }
        ]
    },
    "putEventType": {
        "name": "call:live:parked",
        "group": "call",
        "title": "Call parked",
        "description": "A call was parked.",
        "format": "json",
        "licensed": False,
        "builtIn": False,
        "example": PARKED,
        "updatedAt": "2026-01-31T12:00:00Z",
    },
    "createIntegration": {
        **WEBHOOK,
        "transmission": {**WEBHOOK["transmission"], "secret": SECRET},
    },
    "listIntegrations": {"items": [QUEUE, WEBHOOK], "next": None},
    "getIntegration": WEBHOOK,
    "updateIntegration": {
        **WEBHOOK,
        "enabled": False,
        "health": {
            **HEALTHY,
            "state": "disabled",
            "disabledReason": "manual",
            "disabledBy": "first admin key",
            "disabledAt": "2026-02-01T08:30:00Z",
        },
        "updatedAt": "2026-02-01T08:30:00Z",
    },
    "getIntegrationSecret": SIGNING,
    "rotateIntegrationSecret": {**SIGNING, "oldSecretUntil": "2026-02-01T12:00:00Z"},
    "tryFilter": {
        "passing": 0,
        "items": [
            {
                "eventId": None,
                "type": "call:live:progress",
                "passes": False,
                "refusedBy": "data.flows.direction",
                "bytes": 183,
                "body": '{"id":"1721836787.1","pbx":"000000000001","company":"it_w000001",'
                '"time":1721836787753,"type":"call:live:progress","integrationId":"s95eum",'
                '"data":{"flows":[{"direction":"OUTBOUND"}]}}',
            }
        ],
        "warnings": [],
    },
    "testIntegration": {
        "eventType": "presence:telephony",
        "deliveryId": DELIVERY,
        "filteredBy": None,
        "body": '{"id":"it_w000001_230","pbx":"000000000001","company":"it_w000001",'
        '"time":1721832358745,"type":"presence:telephony","integrationId":"s95eum",'
        '"data":{"extension":"230","status":"ringing"}}',
        "headers": {
            "host": "crm.example.com",
            "content-type": "application/json",
            "user-agent": "Hookline/0.2.0",
            "content-length": "187",
            "x-signature": "8e0c5a3d6a7f0be2b1b7d8c0a36a1f5b2c4d9e7f1a0b3c5d7e9f1a2b4c6d8e0f",
            "webhook-id": DELIVERY,
            "webhook-timestamp": "1769860800",
            "webhook-attempt": "1",
            "webhook-signature": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
        },
        "attempt": {
            "number": 1,
            "startedAt": "2026-01-31T12:00:00Z",
            "durationMs": 41,
            "outcome": "delivered",
            "error": None,
            "tlsReason": None,
            "statusCode": 204,
            "responseBody": None,
            "responseDefect": None,
            "hint": None,
        },
    },
    "startErasure": {**ERASURE, "state": "counting", "total": None, "erased": 0}
    | {"finishedAt": None},
    "listErasures": {"items": [ERASURE], "next": None},
    "getErasure": ERASURE,
    "startReplay": {**REPLAY, "state": "counting", "total": None, "queued": 0, "delivered": 0}
    | {"failed": 0},
    "startReplay 200": {
        "integrationId": "s95eum",
        "state": "counted",
        "total": 1204,
        "complete": True,
    },
    "listReplays": {"items": [REPLAY], "next": None},
    "getReplay": REPLAY,
    "cancelReplay": {
        **REPLAY,
        "state": "cancelled",
        "finishedAt": "2026-02-01T08:31:00Z",
    },
    "listPbxs": {"items": [PBX], "next": None},
    "putPbx": PBX,
    "getPbx": PBX,
    "sendEvent": {"eventId": EVENT, "duplicate": False, "deliveries": 2},
    "sendEventBatch": {
        "results": [
            {"status": "accepted", "eventId": EVENT},
            {"status": "duplicate", "eventId": "0190e5a1-7c3d-7b21-8c4e-2f0a5d8b1c3e"},
            {
                "status": "invalid",
                "error": {
                    "type": "/problems/invalid-input",
                    "title": "Some fields are wrong",
                    "detail": "company: Name the company's id.",
                    "errors": [{"path": "company", "message": "Name the company's id."}],
                },
            },
        ]
    },
    "listEvents": {
        "items": [
            {
                "eventId": EVENT,
                "acceptedAt": "2026-01-31T12:00:00Z",
                "pbx": "000000000001",
                "company": "it_w000001",
                "type": "presence:telephony",
                "subject": "it_w000001_230",
                "time": 1721832358745,
            }
        ],
        "next": CURSOR,
    },
    "getEvent": {
        "eventId": EVENT,
        "acceptedAt": "2026-01-31T12:00:00Z",
        "erasedAt": None,
        "event": PRESENCE,
        "outcomes": [
            {
                "integrationId": "s95eum",
                "status": "delivered",
                "reason": None,
                "deliveryId": DELIVERY,
                "detail": {
                    "attempts": 1,
                    "lastAttempt": {
                        **PENDING["attempts"][0],
                        "outcome": "delivered",
                        "error": None,
                        "statusCode": 204,
                        "responseBody": None,
                    },
                    "nextAttemptAt": None,
                    "paused": False,
                    "pausedSince": None,
                    "failingSince": None,
                    "nextProbeAt": None,
                    "behind": None,
                },
            },
            {
                "integrationId": "k27wqx",
                "status": "skipped",
                "reason": "not_selected",
                "deliveryId": None,
                "detail": None,
            },
        ],
    },
    "listDeliveries": {"items": [PENDING], "next": CURSOR},
    "getDelivery": PENDING,
    "retryDelivery": PENDING,
    "createKey": {**KEY, "key": "hk_Xa3fPq0cYb2m7eQnVtJw5sKz9uLd1oRhGi4xTy6BEcA"},
    "listKeys": {"items": [KEY], "next": None},
    "getCurrentKey": KEY,
    "getIntegrationStatistics": {"interval": "hour", "buckets": [BUSY, QUIET]},
    "getStatistics": {"interval": "hour", "buckets": [BUSY, QUIET]},
    "getStatisticsByIntegration": {
        "interval": "hour",
        "starts": ["2026-01-31T11:00:00Z", "2026-01-31T12:00:00Z"],
        "items": [
            {"integrationId": "s95eum", "delivered": [412, 0], "failed": [1, 0], "skipped": [0, 0]}
        ],
    },
    "getSystem": SYSTEM,
    "streamDeliveries": DELIVERED,
    "getLiveness": {"status": "alive"},
    "getReadiness": {
        "status": "ready",
        "checks": [{"name": "database", "ok": True, "detail": "It answers."}],
    },
    "getMetrics": """\
# HELP hookline_integrations Integrations by the state of their health.
# TYPE hookline_integrations gauge
hookline_integrations{state="healthy"} 41.0
hookline_integrations{state="failing"} 1.0
hookline_integrations{state="paused"} 0.0
hookline_integrations{state="disabled"} 3.0
""",
}
"""A success of each operation that answers with a document."""

_DETAILS = {
    400: "The body ends before the JSON does.",
    401: "Send a valid key: Authorization: Bearer hk_…",
    403: "This takes a key with the role 'admin' or 'manager'.",
    404: "There is no integration 's95eum'.",
    409: "An AWS_SQS integration is signed with its AWS secret access key; there is no other.",
    412: "Somebody changed the integration meanwhile: read it again.",
    413: "The body has more than 1,048,576 bytes, the most that is taken here.",
    415: "Send JSON, with the header Content-Type: application/json.",
    422: "transmission.url: The URL must begin with https://.",
    429: "More is waiting than can be taken; try again in a second.",
    500: "The request failed through no fault of yours; the log says why.",
    503: "The database is away; try again.",
}
_WRONG = [{"path": "transmission.url", "message": "The URL must begin with https://."}]


def _refusal(kind: Kind) -> Answer:
    said = {
        "type": kind.type,
        "title": kind.title,
        "status": kind.status,
        "detail": _DETAILS[kind.status],
    }
    return {**said, "errors": _WRONG} if kind.status == 422 else said  # noqa: PLR2004 - HTTP's own


REFUSALS: Final = {
    kind.status: _refusal(kind)
    for kind in (*KINDS.values(), *OF_HTTP.values(), INTERNAL)
    if kind.status in _DETAILS
}
"""A problem of each status."""
