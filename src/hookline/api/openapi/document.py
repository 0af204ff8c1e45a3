"""The OpenAPI document: what FastAPI gathers, set right, in the order in which it is read.

Operations: how they are named and described, who may call them, what they answer. Schemas: shapes
that client generators take, and answers that may gain fields.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from hookline.api.event_schemas import request_schemas
from hookline.api.openapi.answers import ANSWERS, REFUSALS
from hookline.api.openapi.overview import (
    DESCRIPTION,
    SECURITY_SCHEMES,
    SERVERS,
    SUMMARY,
    TAGS,
)
from hookline.api.openapi.webhooks import add_webhooks
from hookline.api.problems import MEDIA_TYPE
from hookline.domain.catalogue import load_catalogue

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


def camel(name: str) -> str:
    """Return a snake_case name in camelCase."""
    return re.sub(r"_([a-z])", lambda found: found[1].upper(), name)


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
        _release_nullable_references(schema)
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


def _release_nullable_references(schema: Schema) -> None:
    """Take references that may be null out of `required`: Java's client refuses null there."""
    if "required" in schema:
        properties = schema["properties"]
        schema["required"] = [
            name for name in schema["required"] if {"type": "null"} not in _union(properties[name])
        ]


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
