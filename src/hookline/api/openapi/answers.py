"""Answers to show: one for each operation, and one for each kind of refusal.

A test holds each to its schema, and every operation to having one.
"""

from typing import Any, Final

from hookline.api.problems import INTERNAL, KINDS, OF_HTTP, Kind

Answer = dict[str, Any]  # Any: a JSON document

_EVENT = "0190e5a1-7c3e-7d52-9f5a-3c1f6b9d2e4f"
_DELIVERY = "0190e5a1-7c40-7a11-8d3b-5e2a9c7f1b60"
_SECRET = "abcdefghijABCDEFGHIJ012345678901"  # noqa: S105 - made up, to be shown
_CURSOR = "AZDloXxAehGNO14qnH8bYHYqV5w="

_PRESENCE: Answer = {
    "id": "it_w000001_230",
    "pbx": "000000000001",
    "company": "it_w000001",
    "time": 1721832358745,
    "type": "presence:telephony",
    "data": {"extension": "230", "status": "ringing"},
}
_HEALTHY: Answer = {
    "state": "healthy",
    "failingSince": None,
    "lastError": None,
    "lastErrorAt": None,
    "nextProbeAt": None,
    "disabledReason": None,
    "disabledBy": None,
    "disabledAt": None,
}
_WEBHOOK: Answer = {
    "id": "s95eum",
    "pbx": "000000000001",
    "company": "it_w000001",
    "name": "CRM",
    "enabled": True,
    "transmission": {
        "type": "WEBHOOK",
        "url": "https://crm.example.com/hook",
        "headers": {"X-Tenant": "7"},
    },
    "events": {"call": "all", "analytics": ["call:completed", "call:summary:completed"]},
    "filter": None,
    "omit": ["data.transcription"],
    "delivery": {"analytics": {"retryDelays": [5, 300, 3600]}},
    "ordering": "none",
    "maxInFlight": 16,
    "rateLimit": None,
    "health": _HEALTHY,
    "version": 3,
    "createdAt": "2026-01-31T12:00:00Z",
    "updatedAt": "2026-01-31T12:00:00Z",
}
_QUEUE: Answer = {
    **_WEBHOOK,
    "id": "k27wqx",
    "name": "Warehouse",
    "transmission": {
        "type": "AWS_SQS",
        "url": "https://sqs.eu-central-1.amazonaws.com/123456789012/pbx-events",
        "accessKeyId": "MPLE",
    },
    "events": {"analytics": "all"},
    "rateLimit": 20,
}
_PENDING: Answer = {
    "id": _DELIVERY,
    "eventId": _EVENT,
    "integrationId": "s95eum",
    "type": "presence:telephony",
    "status": "pending",
    "reason": None,
    "nextAttemptAt": "2026-01-31T12:00:05Z",
    "createdAt": "2026-01-31T12:00:00Z",
    "replay": None,
    "attempts": [
        {
            "number": 1,
            "startedAt": "2026-01-31T12:00:00Z",
            "durationMs": 41,
            "outcome": "retry",
            "error": "status",
            "tlsReason": None,
            "statusCode": 503,
            "responseBody": "Back in a minute.",
            "responseDefect": None,
            "hint": None,
        }
    ],
}
_SIGNING: Answer = {
    "secret": _SECRET,
    "standardWebhooksSecret": f"whsec_{_SECRET}",
    "oldSecretUntil": None,
}
_KEY: Answer = {
    "id": "0190e5a1-7c38-7e04-b1a9-4d2c8f6e0a13",
    "hint": "hk_Xa3f",
    "role": "manager",
    "pbx": "000000000001",
    "company": None,
    "name": "Session of the frontend",
    "state": "valid",
    "createdAt": "2026-01-31T12:00:00Z",
    "expiresAt": "2126-01-31T12:00:00Z",
    "revokedAt": None,
    "lastUsedAt": None,
}
_RATES: Answer = {"acceptedPerSecond": 210.5, "deliveredPerSecond": 420.25, "failedPerSecond": 0.05}
_SYSTEM: Answer = {
    "version": "0.2.0",
    "time": "2026-01-31T12:00:00Z",
    "backlog": {
        "pending": 140,
        "leased": 16,
        "due": 4,
        "scheduled": 120,
        "limit": 5000000,
        "estimated": False,
        "tenants": [{"pbx": "000000000001", "company": "it_w000001", "pending": 140}],
    },
    "oldestDue": {"integrationId": "s95eum", "dueAt": "2026-01-31T11:59:59Z", "waitedMs": 1000},
    "rates": _RATES,
    "integrations": {"healthy": 41, "failing": 1, "paused": 0, "disabled": 3},
    "engines": [
        {
            "id": "0190e5a1-7c10-7c55-a0b2-9e1d7f3c5a28",
            "host": "hookline-1",
            "pid": 4242,
            "version": "0.2.0",
            "api": True,
            "startedAt": "2026-01-30T09:00:00Z",
            "seenAt": "2026-01-31T12:00:00Z",
            "leased": 16,
            "inFlight": 12,
            "rates": _RATES,
        }
    ],
    "apiProcesses": [],
    "database": {
        "version": "18.1",
        "encoding": "UTF8",
        "sizeBytes": 734003200,
        "latencyMs": 0.4,
        "connections": 14,
        "connectionsLimit": 100,
    },
    "partitions": {"days": 34, "oldest": "2026-01-01", "newest": "2026-02-03"},
    "migrations": {"current": "0013", "newest": "0013"},
}
_PBX: Answer = {
    "pbx": "000000000001",
    "company": "it_w000001",
    "license": "collaboration",
    "presenceEvents": True,
    "updatedAt": "2026-01-31T12:00:00Z",
}
_DELIVERED: Answer = {**_PENDING, "status": "delivered", "nextAttemptAt": None, "attempts": []}
_BUSY: Answer = {
    "start": "2026-01-31T12:00:00Z",
    "delivered": 1204,
    "failed": 3,
    "skipped": 0,
    "retries": 41,
    "attemptMs": {"p50": 38, "p99": 912},
    "latencyMs": {"p50": 45, "p99": 5310},
}
_QUIET: Answer = {
    "start": "2026-01-31T13:00:00Z",
    "delivered": 0,
    "failed": 0,
    "skipped": 0,
    "retries": 0,
    "attemptMs": {"p50": None, "p99": None},
    "latencyMs": {"p50": None, "p99": None},
}
_REPLAY: Answer = {
    "id": "0190e5a1-7d10-7b3c-8e21-6f0c4b8a2d57",
    "integrationId": "s95eum",
    "state": "running",
    "since": "2026-01-31T12:00:00Z",
    "until": "2026-01-31T18:00:00Z",
    "statuses": ["failed"],
    "types": None,
    "missing": False,
    "rateLimit": None,
    "total": 1204,
    "queued": 400,
    "delivered": 371,
    "failed": 2,
    "skipped": 0,
    "createdAt": "2026-02-01T08:30:00Z",
    "createdBy": "first admin key",
    "finishedAt": None,
    "error": None,
}
_ERASURE: Answer = {
    "id": "0190e5a1-7d10-7b3c-8e21-6f0c4b8a2d57",
    "state": "done",
    "pbx": "000000000001",
    "company": None,
    "subject": "1721836787.1",
    "before": "2026-02-01T08:30:00Z",
    "total": 12,
    "erased": 12,
    "createdAt": "2026-02-01T08:30:00Z",
    "createdBy": "first admin key",
    "finishedAt": "2026-02-01T08:30:01Z",
    "error": None,
}

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
                        "title": "Telephone status",
                        "description": "What a user's telephone does changes.",
                        "format": "json",
                        "licensed": True,
                        "builtIn": True,
                        "example": _PRESENCE,
                    }
                ],
            }
        ]
    },
    "putEventType": {
        "name": "call:live:parked",
        "title": "Call parked",
        "description": "A call was parked.",
        "format": "json",
        "licensed": False,
        "builtIn": False,
        "example": {
            "id": "1721836787.1",
            "pbx": "000000000001",
            "company": "it_w000001",
            "time": 1721836787753,
            "type": "call:live:parked",
            "data": {"direction": "inbound", "slot": "71"},
        },
        "group": "call",
        "updatedAt": "2026-01-31T12:00:00Z",
    },
    "createIntegration": {
        **_WEBHOOK,
        "transmission": {**_WEBHOOK["transmission"], "secret": _SECRET},
    },
    "listIntegrations": {"items": [_QUEUE, _WEBHOOK], "next": None},
    "getIntegration": _WEBHOOK,
    "updateIntegration": {
        **_WEBHOOK,
        "enabled": False,
        "health": {
            **_HEALTHY,
            "state": "disabled",
            "disabledReason": "manual",
            "disabledBy": "first admin key",
            "disabledAt": "2026-02-01T08:30:00Z",
        },
        "updatedAt": "2026-02-01T08:30:00Z",
    },
    "getIntegrationSecret": _SIGNING,
    "rotateIntegrationSecret": {**_SIGNING, "oldSecretUntil": "2026-02-01T12:00:00Z"},
    "tryFilter": {
        "passing": 0,
        "items": [
            {
                "eventId": None,
                "type": "call:live:progress",
                "passes": False,
                "refusedBy": "data.direction",
                "bytes": 161,
                "body": '{"id":"1721836787.1","pbx":"000000000001","company":"it_w000001",'
                '"time":1721836787753,"type":"call:live:progress","integrationId":"s95eum",'
                '"data":{"direction":"OUTBOUND"}}',
            }
        ],
    },
    "testIntegration": {
        "eventType": "presence:telephony",
        "deliveryId": _DELIVERY,
        "filteredBy": None,
        "body": '{"id":"it_w000001_230","pbx":"000000000001","company":"it_w000001",'
        '"time":1721832358745,"type":"presence:telephony","integrationId":"s95eum",'
        '"data":{"extension":"230","status":"ringing"}}',
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
    "startErasure": {**_ERASURE, "state": "counting", "total": None, "erased": 0}
    | {"finishedAt": None},
    "getErasure": _ERASURE,
    "startReplay": {**_REPLAY, "state": "counting", "total": None, "queued": 0, "delivered": 0}
    | {"failed": 0},
    "startReplay 200": {"integrationId": "s95eum", "total": 1204, "complete": True},
    "listReplays": {"items": [_REPLAY], "next": None},
    "getReplay": _REPLAY,
    "cancelReplay": {
        **_REPLAY,
        "state": "cancelled",
        "finishedAt": "2026-02-01T08:31:00Z",
    },
    "listPbxs": {"items": [_PBX], "next": None},
    "putPbx": _PBX,
    "getPbx": _PBX,
    "sendEvent": {"eventId": _EVENT, "duplicate": False, "deliveries": 2},
    "sendEventBatch": {
        "results": [
            {"status": "accepted", "eventId": _EVENT},
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
                "eventId": _EVENT,
                "acceptedAt": "2026-01-31T12:00:00Z",
                "pbx": "000000000001",
                "company": "it_w000001",
                "type": "presence:telephony",
                "subject": "it_w000001_230",
                "time": 1721832358745,
            }
        ],
        "next": _CURSOR,
    },
    "getEvent": {
        "eventId": _EVENT,
        "acceptedAt": "2026-01-31T12:00:00Z",
        "erasedAt": None,
        "event": _PRESENCE,
        "outcomes": [
            {
                "integrationId": "s95eum",
                "status": "delivered",
                "reason": None,
                "deliveryId": _DELIVERY,
                "detail": {
                    "attempts": 1,
                    "lastAttempt": {
                        **_PENDING["attempts"][0],
                        "outcome": "delivered",
                        "error": None,
                        "statusCode": 204,
                        "responseBody": None,
                    },
                    "nextAttemptAt": None,
                    "paused": False,
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
    "listDeliveries": {"items": [_PENDING], "next": _CURSOR},
    "getDelivery": _PENDING,
    "retryDelivery": _PENDING,
    "createKey": {**_KEY, "key": "hk_Xa3fPq0cYb2m7eQnVtJw5sKz9uLd1oRhGi4xTy6BEcA"},
    "listKeys": {"items": [_KEY], "next": None},
    "getIntegrationStatistics": {"interval": "hour", "buckets": [_BUSY, _QUIET]},
    "getStatistics": {"interval": "hour", "buckets": [_BUSY, _QUIET]},
    "getSystem": _SYSTEM,
    "streamDeliveries": _DELIVERED,
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
