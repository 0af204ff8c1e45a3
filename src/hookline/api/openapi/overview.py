"""What the document says before its first operation: promises that hold for all of them."""

from typing import Any, Final

Object = dict[str, Any]  # Any: a JSON object

SUMMARY: Final = "Delivers PBX events to webhooks and SQS queues."

DESCRIPTION: Final = """\
Hookline takes events from PBXs and delivers a signed copy of each to every integration that wants
it: an HTTPS webhook or an AWS SQS queue.

### Keys
Every call carries `Authorization: Bearer hk_…`. An operation names the roles that may call it, for
programs in `x-roles`:
`admin` may do everything, `manager` looks after the integrations and deliveries of one PBX or one
company, `ingest` only sends events. What belongs to another tenant does not exist for a key: 404.

### Errors
Every error is a problem document (RFC 9457) of the type `application/problem+json`: a stable
`type`, a sentence a person can act on, and for 422 the path of every wrong field. Decide by `type`
and by the status, never by the texts.

### Requests are read strictly
A field or a query parameter that is not described here is refused with 422, which names it; so is a
parameter that is given twice, unless it says that it may be. Fields go by the names written here
(`maxInFlight`, not `max_in_flight`). Numbers are JSON numbers, an integer one without fraction and
exponent; in a query, integers are decimal digits and booleans are `true` and `false`. A name stands
once in a JSON object. A body is `application/json` in UTF-8, or, where it changes something,
`application/merge-patch+json`; any other type is a 415.

### Lists
A list is `{"items": […], "next": cursor}`, newest first and stable while rows are added. Pass
`next` as `cursor`, with the same filters, for the next page; `null` is the end. `limit` is 50
unless told otherwise, and 200 at most.

### Sending again is safe
The same event, sent again within the window for duplicates (48 hours by default), is answered with
its first `eventId` and delivered once. So repeat a call that ended without an answer, or with 429
or 503 after the seconds in `Retry-After`. To create an integration once, send an `Idempotency-Key`
along: the same key and body is answered with the first result for 24 hours, by the same API key.

### Changing without overwriting
An integration's answers carry an `ETag`, and a PBX record's. Sent back as `If-Match`, it makes a
change, a rotation or a deletion fail with 412 if somebody else changed the same meanwhile.
`version`, which listed integrations have too, in quotes serves as well. An answer may be sent back
whole: read-only fields are taken where they say what they said. `If-None-Match` on `GET` asks for
news alone: 304 where there are none.

### Units
Timestamps are RFC 3339, in answers in UTC. Durations are milliseconds where the name ends in `Ms`.
An event's own `time` is in milliseconds since the epoch, as PBXs send it.

### What may change
Within `/v1`, answers and copies may gain fields, and lists of values may grow where it says so:
ignore what you don't know. Nothing that you send or read is taken away or changes its meaning.
"""

SERVERS: Final[list[Object]] = [
    {"url": "/", "description": "The service that this document was read from."}
]

TAGS: Final[list[Object]] = [
    {"name": "Event types", "description": "What PBXs send, in groups."},
    {"name": "Integrations", "description": "Who gets which events, and where."},
    {"name": "Filters", "description": "What a filter lets pass, before it is saved."},
    {"name": "PBX records", "description": "A PBX's company, licence and presence events."},
    {"name": "Events", "description": "Send events, and find out what became of them."},
    {"name": "Deliveries", "description": "Each copy on its way, with its attempts."},
    {"name": "Replays", "description": "Events sent again, in bulk."},
    {"name": "Erasures", "description": "Payloads destroyed, for administrators."},
    {"name": "Keys", "description": "API keys, for administrators."},
    {"name": "System", "description": "How the whole service fares, for administrators."},
    {"name": "Health", "description": "For whatever runs the service."},
    {
        "name": "Webhooks",
        "description": "What your own server receives, one entry for each event type. Check the "
        "signature over the body as it came, drop what you have seen by `webhook-id`, answer 2xx "
        "within 5 seconds and work afterwards. Copies may come more than once and in any order, "
        "and new event types and fields are added: answer 2xx to what you don't know. A message "
        "in an SQS queue has the same body.",
    },
]

SECURITY_SCHEMES: Final[Object] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "hk_…",
        "description": "An API key. Which roles may call an operation stands in its description,"
        " and for programs in `x-roles`. `POST /v1/keys` makes keys, and so does"
        " `hookline keys create`.",
    },
    "webhookSignature": {
        "type": "apiKey",
        "in": "header",
        "name": "x-signature",
        "description": "What webhooks carry: lower-case hex of HMAC-SHA256 over the body, keyed "
        "with the UTF-8 bytes of the integration's secret.",
    },
}
