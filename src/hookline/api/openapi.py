"""The OpenAPI document: what FastAPI gathers, set right where clients are generated from it."""

import json
import re
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from hookline.api.envelopes import request_schemas
from hookline.api.problems import MEDIA_TYPE

Schema = dict[str, Any]  # Any: a JSON document

_UNSAID = "Successful Response"  # what FastAPI writes where nothing is said

DESCRIPTION = """\
Hookline takes events from PBXs and delivers a signed copy of each to every integration that wants
it: an HTTPS webhook or an AWS SQS queue.

**Keys.** Every call carries `Authorization: Bearer hk_…`. What belongs to another tenant does not
exist for a key: 404.

**Errors** are problem documents (RFC 9457) of the type `application/problem+json`: a stable `type`,
a sentence a person can act on, and for 422 the path of every wrong field.

**Lists** are `{"items": […], "next": cursor}`, newest first and stable while rows are added. Pass
`next` as `cursor`, with the same filters, for the next page; `null` is the end. `limit` is 50
unless told otherwise, and 200 at most.

**Sending again is safe.** The same event, sent again within the window for duplicates (48 hours by
default), is answered with its first `eventId` and delivered once. So repeat a call that ended
without an answer, or with 429 or 503 after the seconds in `Retry-After`.
"""

TAGS = [
    {"name": "Event types", "description": "What PBXs send, in groups."},
    {"name": "Integrations", "description": "Who gets which events, and where."},
    {"name": "PBXs", "description": "A PBX's company, licence and presence events."},
    {"name": "Events", "description": "Send events, and find out what became of them."},
    {"name": "Deliveries", "description": "Each copy on its way, with its attempts."},
    {"name": "Health", "description": "For whatever runs the service."},
]


def operation_id(route: APIRoute) -> str:
    """Name an operation after its function: `create_integration` → `createIntegration`."""
    return _camel(route.name)


def document_of(app: FastAPI) -> Schema:
    """Return the app's OpenAPI document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            openapi_version="3.1.0",
            summary="Delivers PBX events to webhooks and SQS queues.",
            description=DESCRIPTION,
            routes=app.routes,
            tags=TAGS,
        )
        made["paths"] = {_camel(path): entry for path, entry in made["paths"].items()}
        made["components"]["schemas"].update(request_schemas())
        for path in made["paths"].values():
            for operation in path.values():
                _set_right(operation, made["components"]["schemas"])
        for unused in ("HTTPValidationError", "ValidationError"):
            made["components"]["schemas"].pop(unused, None)
        app.openapi_schema = made
    return app.openapi_schema


def text_of(document: Schema) -> str:
    """Print the document as it is committed: readable, and the same every time."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


def _set_right(operation: Schema, schemas: Schema) -> None:
    summary, _, description = operation["description"].partition("\n\n")
    operation["summary"] = summary.rstrip(".")
    operation["description"] = description.replace("\n", " ") or summary
    for parameter in operation.get("parameters", []):
        _set_parameter_right(parameter)
    for status, response in list(operation["responses"].items()):
        content = response.get("content", {})
        name = content.get("application/json", {}).get("schema", {}).get("$ref", "/")
        name = name.rpartition("/")[2]
        if name == "HTTPValidationError":  # FastAPI's own, which is never sent
            del operation["responses"][status]
        elif name.endswith("Problem"):
            response["content"] = {MEDIA_TYPE: content["application/json"]}
        if response["description"] == _UNSAID:
            response["description"] = schemas.get(name, {}).get("description", "Done.")


def _set_parameter_right(parameter: Schema) -> None:
    """Say of a parameter that may be left out just that: a query can't hold a null."""
    schema = parameter["schema"]
    if parameter["in"] == "path":
        parameter["name"] = _camel(parameter["name"])
    for option in schema.pop("anyOf", []):
        if option != {"type": "null"}:
            schema.update({**option, **schema})
    for unwanted in ("title", "description"):
        schema.pop(unwanted, None)
    if schema.get("default", ...) is None:
        del schema["default"]
