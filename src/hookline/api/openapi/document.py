"""The OpenAPI document: what FastAPI gathers, set right, in the order in which it is read.

Operations: how they are named and described, who may call them, what they answer. Schemas: shapes
that client generators take, and answers that may gain fields.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from hookline.api.event_schemas import request_schemas
from hookline.api.middleware import camel
from hookline.api.openapi.answers import ANSWERS, REFUSALS
from hookline.api.openapi.webhooks import add_webhooks
from hookline.api.problems import MEDIA_TYPE
from hookline.domain.catalogue import load_catalogue

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
    {"name": "System", "description": "The state of the whole service, for administrators."},
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
Schema = dict[str, Any]  # Any: a JSON document

_UNSAID = "Successful Response"  # what FastAPI writes where nothing is said
_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_PREFIX = "#/components/schemas/"


def operation_id(route: APIRoute) -> str:
    """Name an operation after its function: `create_integration` → `createIntegration`."""
    return camel(route.name)


def document_of(app: FastAPI) -> Schema:
    """Return the app's OpenAPI document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            openapi_version="3.1.0",
            summary=SUMMARY,
            description=DESCRIPTION,
            servers=SERVERS,
            routes=app.routes,
            tags=TAGS,
        )
        made["components"]["schemas"].update(request_schemas())
        made["components"]["securitySchemes"] = SECURITY_SCHEMES
        set_operations_right(made)
        set_components_right(made)
        add_webhooks(made, load_catalogue())
        app.openapi_schema = _in_order(made)
    return app.openapi_schema


def printed(app: FastAPI) -> bytes:
    """Return the app's OpenAPI document as it is served, made once."""
    made: bytes | None = getattr(app.state, "openapi_bytes", None)
    if made is None:
        made = app.state.openapi_bytes = orjson.dumps(document_of(app))
    return made


def text_of(document: Schema) -> str:
    """Print the document as it is committed: readable, and the same every time."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _in_order(document: Schema) -> Schema:
    """Return the document as a person reads it: what it is about first, the shapes last."""
    order = ("openapi", "info", "servers", "tags", "paths", "webhooks", "components")
    return {name: document[name] for name in order}


def operations_of(document: Schema) -> Iterator[Schema]:
    """Yield the operations of the document's paths."""
    for path in document["paths"].values():
        yield from (operation for method, operation in path.items() if method in _METHODS)


def set_operations_right(document: Schema) -> None:
    """Set every operation of the document right."""
    document["paths"] = {camel(path): entry for path, entry in document["paths"].items()}
    schemas = document["components"]["schemas"]
    for operation in operations_of(document):
        summary, _, description = operation["description"].partition("\n\n")
        operation["summary"] = summary.rstrip(".")
        roles = [role for option in operation.get("security", ()) for role in option["bearer"]]
        told = description.replace("\n", " ") or summary
        operation["description"] = f"{told}{_whose_call(roles)}"
        operation["security"] = [{"bearer": []}] if roles else []
        if roles:
            operation["x-roles"] = roles
        for parameter in operation.get("parameters", ()):
            _set_parameter_right(parameter)
        _set_responses_right(operation, schemas)
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)


def _whose_call(roles: Sequence[str]) -> str:
    if not roles:
        return "\n\nTakes no key."
    *others, last = (f"`{role}`" for role in roles)
    either = f"{', '.join(others)} or {last}" if others else last
    return f"\n\nRole of the key: {either}."


def _set_parameter_right(parameter: Schema) -> None:
    """Say of a parameter that may be left out just that: a query can't hold a null."""
    schema = parameter["schema"]
    if parameter["in"] == "path":
        parameter["name"] = camel(parameter["name"])
    for option in schema.pop("anyOf", []):
        if option != {"type": "null"}:
            schema.update({**option, **schema})
    for unwanted in ("title", "description"):
        schema.pop(unwanted, None)
    if schema.get("default", ...) is None:
        del schema["default"]


def _set_responses_right(operation: Schema, schemas: Schema) -> None:
    for status, response in list(operation["responses"].items()):
        named = operation["operationId"]
        answer = ANSWERS.get(f"{named} {status}", ANSWERS.get(named))
        content = response.get("content", {})
        name = content.get("application/json", {}).get("schema", {}).get("$ref", "/")
        name = name.rpartition("/")[2]
        if name == "HTTPValidationError":  # FastAPI's own, which is never sent
            del operation["responses"][status]
        elif name.endswith("Problem"):
            response["content"] = {MEDIA_TYPE: content["application/json"]}
            response["content"][MEDIA_TYPE]["example"] = REFUSALS[int(status)]
        elif content and status.startswith("2") and answer is not None:
            next(iter(content.values()))["example"] = answer
        if response["description"] == _UNSAID:
            response["description"] = schemas.get(name, {}).get("description", "Done.")


def set_components_right(document: Schema) -> None:
    """Set every schema of the document right, in place."""
    document.update(json.loads(json.dumps(document), parse_float=_whole))
    _join_nullable(document)
    schemas = document["components"]["schemas"]
    asked = _asked(document)
    for name, schema in schemas.items():
        _drop_titles(schema)
        _say_defaults(schema)
        _release_nullable(schema)
        if name not in asked and schema.get("additionalProperties") is False:
            del schema["additionalProperties"]  # an answer may gain fields
    document["components"]["schemas"] = dict(sorted(schemas.items()))


def _whole(text: str) -> float:
    """Read a bound that FastAPI printed as 1000.0 as what it is, a whole number."""
    number = float(text)
    return int(number) if number.is_integer() else number


def _asked(document: Schema) -> set[str]:
    """Return the names of the schemas that requests are made of."""
    schemas = document["components"]["schemas"]
    bodies = [
        operation["requestBody"]
        for path in document["paths"].values()
        for operation in path.values()
        if "requestBody" in operation
    ]
    found: set[str] = set()
    waiting = [name for body in bodies for name in _references(body)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(_references(schemas[name]))
    return found


def _references(node: object) -> Iterator[str]:
    match node:
        case {"$ref": str(reference)} if reference.startswith(_PREFIX):
            yield reference.removeprefix(_PREFIX)
        case dict():
            for value in node.values():
                yield from _references(value)
        case list():
            for value in node:
                yield from _references(value)


def _join_nullable(node: object) -> None:
    """Say `type: [string, null]` of what is written in place; only references need a union."""
    if isinstance(node, dict):
        match node.get("anyOf"):
            case [{"type": str(kind)} as option, {"type": "null"}]:
                del node["anyOf"]
                node.update({**option, **node, "type": [kind, "null"]})
    if isinstance(node, dict | list):
        for inner in node.values() if isinstance(node, dict) else node:
            _join_nullable(inner)


def _say_defaults(schema: Schema) -> None:
    """Say defaults in words: for `default`, openapi-typescript makes a request's field required."""
    for described in schema.get("properties", {}).values():
        if "default" in described:
            default = json.dumps(described.pop("default"))
            described["description"] = f"{described.get('description', '')} Default: `{default}`."


def _release_nullable(schema: Schema) -> None:
    """Take references and lists that may be null out of `required`: Java refuses null there."""
    if "required" in schema:
        properties = schema["properties"]
        schema["required"] = [
            name for name in schema["required"] if not _refused_by_java(properties[name])
        ]


def _refused_by_java(described: Schema) -> bool:
    return {"type": "null"} in _union(described) or described.get("type") == ["array", "null"]


def _union(schema: Schema) -> list[Schema]:
    options: list[Schema] = schema.get("anyOf", [])
    return options


def _drop_titles(schema: Schema) -> None:
    """Drop titles that repeat a name; those that tell a union's options apart stay."""
    schema.pop("title", None)
    for described in schema.get("properties", {}).values():
        described.pop("title", None)
        if described.get("default", ...) is None:
            del described["default"]
