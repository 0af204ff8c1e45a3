"""Requests to start from, as the document and /docs show them; a test holds each to its schema."""

from typing import Any

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
EVENT_TYPE: Examples = {
    "call": {
        "summary": "A name that newer PBXs send",
        "value": {
            "group": "call",
            "title": "Call parked",
            "description": "A call was parked.",
            "example": {
                "id": "1721836787.1",
                "pbx": "000000000001",
                "company": "it_w000001",
                "time": 1721836787753,
                "type": "call:live:parked",
                "data": {"direction": "inbound", "slot": "71"},
            },
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
            "filter": {"data": {"direction": ["INBOUND"]}},
            "events": [
                {
                    "id": "1721836787.1",
                    "pbx": "000000000001",
                    "company": "it_w000001",
                    "time": 1721836787753,
                    "type": "call:live:progress",
                    "data": {"direction": "OUTBOUND"},
                }
            ],
        },
    },
}
