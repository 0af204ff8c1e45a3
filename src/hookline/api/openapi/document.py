"""The whole document, put together in the order in which it is read."""

import json
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from hookline.api.event_schemas import request_schemas
from hookline.api.openapi.components import set_components_right
from hookline.api.openapi.operations import camel, set_operations_right
from hookline.api.openapi.overview import (
    DESCRIPTION,
    SECURITY_SCHEMES,
    SERVERS,
    SUMMARY,
    TAGS,
)
from hookline.api.openapi.webhooks import add_webhooks
from hookline.domain.catalogue import load_catalogue

Schema = dict[str, Any]  # Any: a JSON document


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
