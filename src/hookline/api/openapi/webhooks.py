"""What a receiver gets, for every event type of the catalogue: the document's `webhooks`."""

import re
from collections.abc import Mapping
from typing import Any, Final

from hookline.domain.catalogue import Catalogue, EventType

Schema = dict[str, Any]  # Any: a JSON document

_INTEGRATION = "s95eum"
_RETRIED: Final = ("408", "425", "429", "5XX")

_HEADERS: Final[Schema] = {
    "XSignature": {
        "name": "x-signature",
        "description": "Lower-case hex of HMAC-SHA256 over the body, keyed with the UTF-8 bytes of "
        "the integration's secret. The same in every attempt, unless the secret is rotated "
        "meanwhile.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        "example": "3d391a648696f3f7a8247f8c31adea9a9ad3b4ff708e1565026cc22cfbd95d74",
    },
    "WebhookId": {
        "name": "webhook-id",
        "description": "The delivery's id, the same in every attempt: what tells a repetition from "
        "another event.",
        "schema": {"type": "string", "format": "uuid"},
        "example": "0190e5a1-7c40-7a11-8d3b-5e2a9c7f1b60",
    },
    "WebhookTimestamp": {
        "name": "webhook-timestamp",
        "description": "When this attempt was made, in seconds since the epoch.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
        "example": "1721836788",
    },
    "WebhookAttempt": {
        "name": "webhook-attempt",
        "description": "1 in the first attempt, 2 in the second. No signature covers it.",
        "schema": {"type": "string", "pattern": "^[1-9][0-9]*$"},
        "example": "2",
    },
    "WebhookRetryReason": {
        "name": "webhook-retry-reason",
        "required": False,
        "description": "From the second attempt on: what went wrong with the one before, as the "
        "`error` of attempts tells. No signature covers it.",
        "schema": {"type": "string", "pattern": "^[a-z_]+$"},
        "example": "timeout",
    },
    "WebhookSignature": {
        "name": "webhook-signature",
        "description": "The Standard Webhooks signature of id, timestamp and body. While a secret "
        "is being replaced there are two, with a space between.",
        "schema": {"type": "string", "pattern": "^v1,[A-Za-z0-9+/=]+( v1,[A-Za-z0-9+/=]+)*$"},
        "example": "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    },
}
_ANSWERS: Final[Schema] = {
    "Delivered": {
        "description": "Delivered. Any status from 200 to 299; the body is of no matter."
    },
    "TryAgain": {
        "description": "Tried again later with the same bytes, up to three times. So is a call "
        "without an answer within 5 seconds.",
        "headers": {
            "Retry-After": {
                "description": "The earliest moment for the next attempt, in seconds or as a date.",
                "schema": {"type": "string"},
                "example": "30",
            }
        },
    },
    "Gone": {"description": "Failed, and the integration is disabled with the reason `gone`."},
    "Refused": {
        "description": "Failed at once: a retry would be useless. Redirects are not followed."
    },
}


def add_webhooks(document: Schema, catalogue: Catalogue) -> None:
    """Add what a receiver gets: an entry, an envelope and a content for every event type."""
    components = document["components"]
    components["parameters"] = {
        name: {"name": header["name"], "in": "header", "required": True, **header}
        for name, header in _HEADERS.items()
    }
    components["responses"] = _ANSWERS
    lifted: Schema = {}
    for name, shape in catalogue.shapes.items():
        lifted[name] = _lift(name, shape, lifted)
    document["webhooks"] = {
        kind.name: {"post": _operation(kind, lifted)} for kind in catalogue.types
    }
    if clashing := lifted.keys() & components["schemas"].keys():
        raise ValueError(f"The catalogue's schemas need other names: {sorted(clashing)}")
    components["schemas"].update(sorted(lifted.items()))


def _operation(kind: EventType, lifted: Schema) -> Schema:
    name = _pascal(kind.name)
    lifted[f"{name}Event"] = _envelope(kind, _data(f"{name}Data", kind, lifted))
    return {
        "operationId": f"receive{name}",
        "tags": ["Webhooks"],
        "summary": kind.title,
        "description": kind.description,
        "security": [{"webhookSignature": []}],
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in _HEADERS],
        "requestBody": {
            "required": True,
            "description": "The event, with the integration that this copy is for.",
            "content": {
                "application/json": {
                    "schema": _reference(f"{name}Event"),
                    "example": _copy_of(kind.example),
                }
            },
        },
        "responses": _responses(),
    }


def _responses() -> Schema:
    outcomes = {
        "2XX": "Delivered",
        **dict.fromkeys(_RETRIED, "TryAgain"),
        "410": "Gone",
        "3XX": "Refused",
        "4XX": "Refused",
    }
    return {
        status: {"$ref": f"#/components/responses/{outcome}"}
        for status, outcome in sorted(outcomes.items())
    }


def _data(name: str, kind: EventType, lifted: Schema) -> Schema:
    if "$ref" in kind.schema:
        return dict(kind.schema)
    lifted[name] = {
        "description": f"The content of `{kind.name}`.",
        **_lift(name, kind.schema, lifted),
    }
    return _reference(name)


def _envelope(kind: EventType, data: Schema) -> Schema:
    properties = _fields(kind, data)
    return {
        "type": "object",
        "description": f"A copy of `{kind.name}`: {kind.title.lower()}.",
        "properties": properties,
        "required": [name for name in properties if name != "pbx"],
    }


def _fields(kind: EventType, data: Schema) -> Schema:
    example = kind.example
    return {
        "id": {
            "type": "string",
            "description": "What the event is about, not the event: all events of one call share "
            "it.",
            "examples": [example["id"]],
        },
        "pbx": {
            "type": "string",
            "description": "The PBX's serial; absent where the event has none.",
            "examples": ["000000000001"],
        },
        "company": {
            "type": "string",
            "description": "The company's id.",
            "examples": [example["company"]],
        },
        "time": {
            "type": "integer",
            "format": "int64",
            "minimum": 0,
            "maximum": 2**53 - 1,
            "description": "When the PBX sent it, in milliseconds since the epoch.",
            "examples": [example["time"]],
        },
        "type": {"type": "string", "const": kind.name, "description": "The event's type."},
        "integrationId": {
            "type": "string",
            "pattern": "^[a-z0-9]{6}$",
            "description": "The integration that this copy is for.",
            "examples": [_INTEGRATION],
        },
        "data": data,
    }


def _copy_of(example: Mapping[str, Any]) -> Schema:  # Any: an event
    """Return the event as an integration gets it: with the integration's id before its data."""
    envelope = {name: value for name, value in example.items() if name != "data"}
    return {**envelope, "integrationId": _INTEGRATION, "data": example["data"]}


def _lift(name: str, schema: Mapping[str, Any], lifted: Schema) -> Schema:  # Any: a JSON Schema
    """Return a schema whose inner objects are references to schemas of their own."""
    if schema.get("type") != "object":
        return dict(schema)
    properties = {}
    for field, described in schema.get("properties", {}).items():
        inner = f"{name}{_pascal(field)}"
        if described.get("type") == "object" and "properties" in described:
            lifted[inner] = _lift(inner, described, lifted)
            properties[field] = _reference(inner)
        else:
            properties[field] = dict(described)
    return {**schema, "properties": properties}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _pascal(name: str) -> str:
    """Return `call:live:progress` as `CallLiveProgress`."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name))
