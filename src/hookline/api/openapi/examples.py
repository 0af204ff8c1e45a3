"""Example documents: bodies of requests, and what example responses are made of.

A test holds each to its schema.
"""

from typing import Any

Answer = dict[str, Any]  # Any: a JSON document

EVENT = "0190e5a1-7c3e-7d52-9f5a-3c1f6b9d2e4f"
DELIVERY = "0190e5a1-7c40-7a11-8d3b-5e2a9c7f1b60"
SECRET = "abcdefghijABCDEFGHIJ012345678901"  # noqa: S105 - made up, to be shown
CURSOR = "AZDloXxAehGNO14qnH8bYHYqV5w="

PRESENCE: Answer = {
    "id": "it_w000001_230",
    "pbx": "000000000001",
    "company": "it_w000001",
    "time": 1721832358745,
    "type": "presence:telephony",
    "data": {"extension": "230", "status": "ringing"},
}
HEALTHY: Answer = {
    "state": "healthy",
    "failingSince": None,
    "lastError": None,
    "lastErrorAt": None,
    "nextProbeAt": None,
    "disabledReason": None,
    "disabledBy": None,
    "disabledAt": None,
}
WEBHOOK: Answer = {
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
    "maxInFlight": None,
    "rateLimit": None,
    "health": HEALTHY,
    "version": 3,
    "createdAt": "2026-01-31T12:00:00Z",
    "updatedAt": "2026-01-31T12:00:00Z",
}
QUEUE: Answer = {
    **WEBHOOK,
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
PENDING: Answer = {
    "id": DELIVERY,
    "eventId": EVENT,
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
SIGNING: Answer = {
    "secret": SECRET,
    "standardWebhooksSecret": f"whsec_{SECRET}",
    "oldSecretUntil": None,
}
KEY: Answer = {
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
RATES: Answer = {"acceptedPerSecond": 210.5, "deliveredPerSecond": 420.25, "failedPerSecond": 0.05}
SYSTEM: Answer = {
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
    "rates": RATES,
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
            "rates": RATES,
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
PBX: Answer = {
    "pbx": "000000000001",
    "company": "it_w000001",
    "license": "collaboration",
    "presenceEvents": True,
    "retentionDays": 7,
    "updatedAt": "2026-01-31T12:00:00Z",
}
DELIVERED: Answer = {**PENDING, "status": "delivered", "nextAttemptAt": None, "attempts": []}
BUSY: Answer = {
    "start": "2026-01-31T12:00:00Z",
    "delivered": 1204,
    "failed": 3,
    "skipped": 0,
    "retries": 41,
    "attemptMs": {"p50": 38, "p99": 912},
    "latencyMs": {"p50": 45, "p99": 5310},
}
QUIET: Answer = {
    "start": "2026-01-31T13:00:00Z",
    "delivered": 0,
    "failed": 0,
    "skipped": 0,
    "retries": 0,
    "attemptMs": {"p50": None, "p99": None},
    "latencyMs": {"p50": None, "p99": None},
}
REPLAY: Answer = {
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
ERASURE: Answer = {
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


Examples = dict[str, Any]  # Any: OpenAPI's example objects

NEW_INTEGRATION: Examples = {
    "webhook": {
        "summary": "An HTTPS webhook",
        "value": {
            "pbx": "000000000001",
            "name": "CRM",
            "transmission": {
                "type": "WEBHOOK",
                "url": "https://crm.example.com/hook",
                "headers": {"X-Tenant": "7"},
            },
            "events": {
                "call": "all",
                "analytics": ["call:completed", "call:summary:completed"],
            },
        },
    },
    "queue": {
        "summary": "A queue of AWS SQS",
        "value": {
            "pbx": "000000000001",
            "company": "it_w000001",
            "name": "Warehouse",
            "transmission": {
                "type": "AWS_SQS",
                "url": "https://sqs.eu-central-1.amazonaws.com/123456789012/pbx-events",
                "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
                "secretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            },
            "events": {"analytics": "all"},
        },
    },
}
INTEGRATION_CHANGES: Examples = {
    "switch-off": {"summary": "Switch it off", "value": {"enabled": False}},
    "other-url": {
        "summary": "Another URL and another header",
        "value": {
            "transmission": {
                "url": "https://crm.example.com/v2/hook",
                "headers": {"X-Tenant": "8"},
            }
        },
    },
    "more-events": {
        "summary": "One more group of events",
        "value": {"events": {"chat": "all"}},
    },
    "aws-key": {
        "summary": "Another AWS key",
        "value": {
            "transmission": {
                "accessKeyId": "AKIAI44QH8DHBEXAMPLE",
                "secretAccessKey": "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY",
            }
        },
    },
}
NEW_REPLAY: Examples = {
    "failed": {
        "summary": "What failed during an outage",
        "value": {
            "since": "2026-01-31T12:00:00Z",
            "until": "2026-01-31T18:00:00Z",
            "statuses": ["failed"],
        },
    },
    "missing": {
        "summary": "What the integration never had, counted first",
        "value": {
            "since": "2026-01-30T00:00:00Z",
            "until": "2026-01-31T12:00:00Z",
            "statuses": ["failed"],
            "missing": True,
            "dryRun": True,
        },
    },
}
NEW_ERASURE: Examples = {
    "call": {
        "summary": "One call",
        "value": {"pbx": "000000000001", "subject": "1721836787.1"},
    },
    "company": {
        "summary": "Everything of a company up to a day",
        "value": {"company": "it_w000001", "before": "2026-01-31T00:00:00Z"},
    },
}
PARKED: Answer = {
    "id": "1721836787.1",
    "pbx": "000000000001",
    "company": "it_w000001",
    "time": 1721836787753,
    "type": "call:live:parked",
    "data": {"direction": "inbound", "slot": "71"},
}
EVENT_TYPE: Examples = {
    "call": {
        "summary": "A name that newer PBXs send",
        "value": {
            "group": "call",
            "title": "Call parked",
            "description": "A call was parked.",
            "example": PARKED,
        },
    },
}
NEW_KEY: Examples = {
    "session": {
        "summary": "A manager key for a session of a management frontend",
        "value": {
            "role": "manager",
            "pbx": "000000000001",
            "name": "Session of the frontend",
            "expiresAt": "2126-01-31T12:00:00Z",
        },
    },
    "sender": {
        "summary": "A key that sends a company's events",
        "value": {"role": "ingest", "company": "it_w000001", "name": "PBXs of the company"},
    },
}
PBX_DESCRIPTION: Examples = {
    "collaboration": {
        "summary": "A Collaboration PBX that sends presence events",
        "value": {"company": "it_w000001", "license": "collaboration", "presenceEvents": True},
    },
    "retention": {
        "summary": "A PBX whose events are kept for a week",
        "value": {"company": "it_w000001", "license": "x-bees", "retentionDays": 7},
    },
    "x-bees": {
        "summary": "An x-bees PBX",
        "value": {"company": "it_w000001", "license": "x-bees", "presenceEvents": True},
    },
}
FILTER_TRIALS: Examples = {
    "examples": {
        "summary": "On the catalogue's examples",
        "value": {
            "filter": {"type": [{"prefix": "call:"}]},
            "omit": ["data.flows.*.caller.phone"],
        },
    },
    "events": {
        "summary": "On an event that is sent along",
        "value": {
            "filter": {"data": {"flows": {"direction": ["INBOUND"]}}},
            "events": [
                {
                    "id": "1721836787.1",
                    "pbx": "000000000001",
                    "company": "it_w000001",
                    "time": 1721836787753,
                    "type": "call:live:progress",
                    "data": {"flows": [{"direction": "OUTBOUND"}]},
                }
            ],
        },
    },
}
